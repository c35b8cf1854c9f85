"""What every backend of an index must do; a new one is entered in `BACKENDS`."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory_index import MemoryIndex, MemoryStore
from numpy.typing import NDArray
from small_index import MODEL, sample

from hafloc.description import LocalFeatures
from hafloc.errors import IndexFileError
from hafloc.geo import Position, distance
from hafloc.index import GeoIndex, Held, Near, create_index, index_exists, open_index

# Opens the one index of a test, making it at the first call.
Open = Callable[..., GeoIndex]


def in_a_geopackage(folder: Path, regions: int = 0) -> Open:
    path = folder / "city.gpkg"

    def index(*, write: bool = True) -> GeoIndex:
        if path.exists():
            return open_index(path, write=write)
        return create_index(path, MODEL, regions=regions)

    return index


def in_memory(folder: Path, regions: int = 0) -> Open:
    store = MemoryStore(MODEL, regions)
    return lambda write=True: MemoryIndex(store, write=write)


_COLLECTIONS = itertools.count()


def in_milvus_lite(folder: Path, regions: int = 0) -> Open:
    if find_spec("milvus_lite") is None:
        pytest.skip("needs milvus-lite; pip install hafloc[milvus] milvus-lite")
    # One engine for all tests: opening takes a second.
    shared = folder.parent / "engine.db"
    location = f"milvus-lite://{shared}?collection=photos_{next(_COLLECTIONS)}"

    def index(*, write: bool = True) -> GeoIndex:
        if index_exists(location):
            return open_index(location, write=write)
        return create_index(location, MODEL, regions=regions)

    return index


REGIONS = 3
BACKENDS = {
    "GeoPackage": in_a_geopackage,
    "lists in memory": in_memory,
    "Milvus Lite": in_milvus_lite,
}


@pytest.fixture(params=BACKENDS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    return BACKENDS[request.param](tmp_path)


@pytest.fixture(params=BACKENDS)
def with_regions(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    return BACKENDS[request.param](tmp_path, REGIONS)


def units(*shape: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def features(seed: int) -> LocalFeatures:
    random = np.random.default_rng(seed)
    xy = random.uniform(0, 480, (9, 2)).astype(np.float32)
    return LocalFeatures(xy, random.integers(-127, 128, (9, 8), dtype=np.int8), (480, 480))


def test_records_come_back_as_they_were_added(opened: Open) -> None:
    (bare, full), vectors = sample(2)
    full = replace(
        full,
        position=Position(-33.9, -179.999),
        heading=271.5,
        altitude=-3.25,
        time=datetime(2010, 1, 5, 12, 30, 15, 250_000, tzinfo=UTC),
        magnetic=True,
        accuracy=4.7,
        gps_status="V",
        bytes=2**33,
        modified=1_700_000_000_123_456_789,
        stated="a fingerprint",
        licence="CC-BY-SA-4.0",
        producer="Ada Ångström",
        source_url="https://example.org/photos/1.jpg?size=hd",
    )
    local = replace(bare, time=datetime(2010, 1, 5, 12, 30))
    with opened() as index:
        first, second = index.add([local, full], vectors)

    with opened(write=False) as index:
        assert index.get([second, first]) == [replace(full, id=second), replace(local, id=first)]
        assert list(index.iterate()) == index.get(sorted([first, second]))
        assert list(index.held())[second > first] == Held(
            second, full.path, full.content, full.bytes, full.modified, full.stated
        )
        assert list(index.names()) == sorted([(first, local.path), (second, full.path)])
        assert index.model == MODEL


def test_going_through_photos_begins_after_an_id(opened: Open) -> None:
    records, vectors = sample(6)
    with opened() as index:
        ids = sorted(index.add(records, vectors))

        assert [record.id for record in index.iterate(after=ids[2])] == ids[3:]
        everywhere = (-180.0, -90.0, 180.0, 90.0)
        assert [record.id for record in index.iterate(everywhere, ids[2])] == ids[3:]
        assert list(index.iterate(everywhere, ids[-1])) == []


def test_a_stored_photo_is_its_own_nearest(opened: Open) -> None:
    records, vectors = sample(50)
    with opened() as index:
        ids = index.add(records, vectors)

        hits = index.search(vectors, k=1)

        assert hits.ids[:, 0].tolist() == ids
        assert hits.similarities.min() > 0.9995
        assert index.vectors(ids[::-1]) == pytest.approx(vectors[::-1], abs=0.02)
        assert index.verify() == []


def test_the_search_follows_every_change(opened: Open) -> None:
    records, vectors = sample(3)
    reader_sees = []
    with opened() as writer:
        ids = writer.add(records[:2], vectors[:2])
        with opened(write=False) as reader:
            reader_sees.append(reader.search(vectors[[2]], k=9).ids.size)
            ids += writer.add(records[2:], vectors[2:])
            assert writer.search(vectors[[2]], k=1).ids[0, 0] == ids[2]
            reader_sees.append(reader.search(vectors[[2]], k=9).ids.size)
            writer.remove([ids[0]])
            assert ids[0] not in writer.search(vectors[[2]], k=9).ids
            reader_sees.append(reader.search(vectors[[2]], k=9).ids.size)

    assert reader_sees == [2, 3, 2]


def test_a_search_nearby_leaves_out_the_rest(opened: Open) -> None:
    records, vectors = sample(40)
    with opened() as index:
        ids = index.add(records, vectors)

        hits = index.search(vectors[[0]], k=5, near=Near(records[7].position, 0.5))

        assert hits.ids.tolist() == [[ids[7]]]


def test_a_path_that_is_there_already_is_replaced_and_keeps_its_id(opened: Open) -> None:
    (old, other), vectors = sample(2)
    (fresh,), (fresh_vector,) = sample(1, start=50)
    changed = replace(fresh, path=old.path)
    with opened() as index:
        ids = index.add([old, other], vectors, [features(0), None])

        assert index.add([changed], fresh_vector[None]) == ids[:1]

        assert index.get(ids) == [replace(changed, id=ids[0]), replace(other, id=ids[1])]
        assert index.search(fresh_vector[None], k=1).similarities[0, 0] > 0.999
        assert index.local_features(ids) == [None, None]
        assert index.verify() == []


def test_removing_a_photo_takes_all_that_hangs_on_it(opened: Open) -> None:
    records, vectors = sample(5)
    with opened() as index:
        ids = index.add(records, vectors, [features(i) for i in range(5)])

        assert index.remove([*ids[:4], 999]) == 4

        assert [record.id for record in index.iterate()] == ids[4:]
        place = records[4].position
        info = index.info()
        assert info.bounds == (place.lon, place.lat, place.lon, place.lat)
        assert (info.photos, info.verifiable, index.count()) == (1, 1, 1)
        assert index.local_features(ids[:1]) == [None]
        assert index.verify() == []


def test_a_failing_batch_leaves_no_trace(opened: Open) -> None:
    records, vectors = sample(3)
    nameless = replace(records[2], path=None)  # type: ignore[arg-type]
    with opened() as index:
        with pytest.raises(IndexFileError, match="cannot write to "):
            index.add([*records[:2], nameless], vectors)

        assert list(index.iterate()) == []
        assert index.count() == 0
        assert index.info().bounds is None
        assert len(index.add(records, vectors)) == 3


@pytest.mark.parametrize("flaw", [np.nan, np.inf, 0.0])
def test_vectors_that_are_no_directions_are_refused(opened: Open, flaw: float) -> None:
    records, vectors = sample(2)
    vectors[1] = flaw
    with opened() as index:
        with pytest.raises(ValueError, match="finite"):
            index.add(records, vectors)
        with pytest.raises(ValueError, match=r"shape \(2, 31\), not \(2, 32\)"):
            index.add(records, vectors[:, 1:])


def test_an_update_rewrites_the_record_and_keeps_the_vector(opened: Open) -> None:
    records, vectors = sample(2)
    with opened() as index:
        ids = index.add(records, vectors)
        moved = replace(index.get(ids[:1])[0], path="new/0.jpg", position=Position(10, 20))

        index.update([moved])

        assert index.get(ids[:1]) == [moved]
        assert list(index.iterate((19, 9, 21, 11))) == [moved]
        assert index.search(vectors[[0]], k=1).ids[0, 0] == ids[0]
        assert index.verify() == []
        with pytest.raises(IndexFileError, match="no photo 77"):
            index.update([replace(moved, heading=5.0), replace(moved, id=77)])
        assert index.get(ids[:1]) == [moved]


def test_photos_in_a_box_are_those_inside_it_and_on_its_edge(opened: Open) -> None:
    records, vectors = sample(200)
    box = (0.2, 52.3, records[0].position.lon, 52.9)
    with opened() as index:
        names = dict(zip(index.add(records, vectors), records, strict=True))

        found = [record.path for record in index.iterate(box)]

    def inside(place: Position) -> bool:
        return box[0] <= place.lon <= box[2] and box[1] <= place.lat <= box[3]

    by_id = [record for _, record in sorted(names.items())]
    assert found == [record.path for record in by_id if inside(record.position)]


def test_a_box_may_cross_the_180th_meridian(opened: Open) -> None:
    records, vectors = sample(3)
    lons = (179.5, -179.5, 0.0)
    placed = [replace(r, position=Position(0, lon)) for r, lon in zip(records, lons, strict=True)]
    with opened() as index:
        ids = index.add(placed, vectors)

        assert [record.id for record in index.iterate((179, -1, -179, 1))] == sorted(ids[:2])


def test_photos_are_found_by_content_and_by_path(opened: Open) -> None:
    records, vectors = sample(4)
    records[3] = replace(records[3], content=records[1].content)
    with opened() as index:
        ids = index.add(records, vectors)

        twins = index.find_content([records[1].content, "nowhere"])

        assert [record.id for record in twins] == sorted([ids[1], ids[3]])
        named = index.find_paths([records[2].path, records[0].path])
        assert [record.id for record in named] == sorted(ids[0:3:2])
        assert index.find_content([]) == index.find_paths(["photos"]) == []


def test_a_sample_is_the_same_for_a_seed_and_never_more_than_there_is(opened: Open) -> None:
    with opened() as index:
        ids = index.add(*sample(60))
        index.remove(ids[10:20])

        one, again, other = (
            [record.id or 0 for record in index.sample(20, seed)] for seed in (1, 1, 2)
        )

        assert one == again != other
        assert one == sorted(set(one))
        assert len(one) == 20
        assert not set(one) & set(ids[10:20])
        assert index.sample(50, 3) == index.sample(99, np.random.default_rng(4))
        assert len(index.sample(50, 3)) == 50


def test_what_is_removed_during_a_walk_through_all_is_passed_over(opened: Open) -> None:
    with opened() as index:
        ids = sorted(index.add(*sample(30)))
        seen = []
        for record in index.iterate():
            seen.append(record.id)
            if len(seen) == 3:
                index.remove(ids[:2])
        assert seen[:3] == ids[:3]
        assert set(seen) <= set(ids)


def test_a_calibration_is_kept_and_the_newest_counts(opened: Open) -> None:
    with opened() as index:
        index.add(*sample(3))
        assert index.calibration() is None
        index.store_calibration("first")
        index.store_calibration("second")
    with opened(write=False) as index:
        assert index.calibration() == "second"
        assert index.count() == 3
        with pytest.raises(IndexFileError, match="open for reading"):
            index.store_calibration("third")
        with pytest.raises(IndexFileError, match="open for reading"):
            index.remove([1])


def test_local_features_lie_beside_their_photo(opened: Open) -> None:
    with opened() as index:
        ids = index.add(*sample(3), [features(0), None, features(2)])

        found = index.local_features(ids[::-1])

        assert found[1] is None
        assert found[0] is not None
        assert np.array_equal(found[0].descriptors, features(2).descriptors)
        assert index.info().verifiable == 2


def test_only_an_empty_index_is_dropped(opened: Open) -> None:
    index = opened()
    ids = index.add(*sample(1))
    assert not index.drop()
    index = opened()
    assert index.count() == 1
    index.remove(ids)
    assert index.drop()


def test_a_closed_index_says_so(opened: Open) -> None:
    index = opened()
    index.add(*sample(1))
    index.close()
    index.close()
    for use in (index.count, lambda: index.search(sample(1)[1], 1), lambda: index.get([1])):
        with pytest.raises(IndexFileError, match="it was closed; open it again"):
            use()


# Places that stress the sphere: clusters, poles, the 180th meridian, equal ones.
corners = st.sampled_from([(90.0, 0.0), (-90.0, 50.0), (0.0, 180.0), (0.0, -180.0), (52.0, 13.0)])
small = st.floats(-0.05, 0.05)
places = st.one_of(
    st.builds(Position, st.floats(-90, 90), st.floats(-180, 180)),
    st.builds(
        lambda at, dlat, dlon: Position(
            max(-90.0, min(90.0, at[0] + dlat)), max(-180.0, min(180.0, at[1] + dlon))
        ),
        corners,
        small,
        small,
    ),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(places, min_size=1, max_size=150), places, st.integers(1, 12), st.floats(0, 2e7))
def test_what_is_near_is_what_measuring_each_photo_says(
    opened: Open, where: list[Position], centre: Position, k: int, radius: float
) -> None:
    records, vectors = sample(len(where))
    placed = [replace(r, position=p) for r, p in zip(records, where, strict=True)]
    with opened() as index:
        index.remove([id_ for id_, _ in index.names()])
        ids = index.add(placed, vectors)
        metres = {id_: distance(centre, place) for id_, place in zip(ids, where, strict=True)}

        nearest = [record.id or 0 for record in index.nearest(centre, k)]
        within = [record.id for record in index.within(Near(centre, radius))]

        assert nearest == sorted(ids, key=lambda id_: (metres[id_], id_))[:k]
        assert within == sorted(id_ for id_ in ids if metres[id_] <= radius)


def test_the_nearest_of_a_far_crowd_are_found(opened: Open) -> None:
    records, vectors = sample(3_000)
    centre = Position(-41.0, -175.0)
    with opened() as index:
        index.add(records, vectors)
        expected = sorted(records, key=lambda record: distance(centre, record.position))[:4]

        found = index.nearest(centre, 4)

    assert [record.path for record in found] == [record.path for record in expected]


def test_regions_come_back_and_go_with_their_photos(with_regions: Open) -> None:
    records, vectors = sample(3)
    regions = units(3, REGIONS, 32)
    with with_regions() as index:
        first, second, third = index.add(records, vectors, None, regions)
        index.add([replace(records[1], content="other")], vectors[1:2], None, regions[:1])
        index.remove([third])
    with with_regions(write=False) as index:
        assert index.regions == REGIONS
        assert index.verify() == []
        found = index.region_vectors([second, first])
        assert found == pytest.approx(np.stack([regions[0], regions[0]]), abs=0.01)


def test_a_part_finds_the_photo_that_shows_it_among_others(with_regions: Open) -> None:
    # Given photos whose wholes are unlike the query, one of which has its parts
    records, vectors = sample(20)
    regions = units(20, REGIONS, 32)
    query, parts = units(32), units(REGIONS, 32)
    regions[7] = [query, parts[0], parts[1]]
    with with_regions() as index:
        ids = index.add(records, vectors, None, regions)
        alone = index.search(query[None], 20)
        hits = index.search(query[None], 5, regions=parts[None])
    # Then it comes first: half for the whole, a third of the other half for each part
    assert hits.ids[0, 0] == ids[7]
    rest = np.concatenate([vectors[7:8], regions[7]]) @ parts[2]
    assert hits.similarities[0, 0] == pytest.approx((1 + (2 + rest.max()) / 3) / 2, abs=0.01)
    # And without parts similarity is that of the wholes
    assert alone.similarities[0] == pytest.approx(np.sort(vectors @ query)[::-1], abs=0.01)


def test_an_index_without_regions_ignores_those_of_a_query(opened: Open) -> None:
    records, vectors = sample(5)
    with opened() as index:
        index.add(records, vectors, None, units(5, REGIONS, 32))
        plain = index.search(vectors[:2], 3)
        parts = index.search(vectors[:2], 3, regions=units(2, REGIONS, 32))
        assert index.regions == 0
        assert index.region_vectors([1, 2]).shape == (2, 0, 32)
    assert (plain.ids == parts.ids).all()


def test_an_index_with_regions_refuses_photos_without(with_regions: Open) -> None:
    records, vectors = sample(2)
    with with_regions() as index:
        for regions in (None, units(2, REGIONS + 1, 32)):
            with pytest.raises(ValueError, match=r"regions|shape"):
                index.add(records, vectors, None, regions)
        assert index.count() == 0
