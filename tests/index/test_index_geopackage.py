import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from small_index import MODEL, sample

from hafloc.errors import IndexFileError
from hafloc.geo import Position
from hafloc.index import GeoPackageIndex, Near
from hafloc.index.point import write_point


def test_records_come_back_as_they_were_added(tmp_path: Path) -> None:
    (bare, full), vectors = sample(2)
    full = replace(
        full,
        position=Position(-33.9, -179.999),
        heading=271.5,
        altitude=-3.25,
        time=datetime(2010, 1, 5, 12, 30, 15, 250_000, tzinfo=UTC),
    )
    local = replace(bare, time=datetime(2010, 1, 5, 12, 30))
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        first, second = index.add([local, full], vectors)

    with GeoPackageIndex.open(tmp_path / "city.gpkg") as index:
        assert index.get([second, first]) == [replace(full, id=second), replace(local, id=first)]
        assert list(index.iterate()) == index.get([first, second])


@pytest.mark.parametrize("vector_type", ["float16", "float32", "int8"])
def test_a_stored_photo_is_its_own_nearest(tmp_path: Path, vector_type: str) -> None:
    records, vectors = sample(50)
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL, vector_type) as index:
        ids = index.add(records, vectors)

        hits = index.search(vectors, k=1)

        assert hits.ids[:, 0].tolist() == ids
        # An angle of 0.03 at most, see the test of the vector types; cos 0.03 = 0.9995.
        assert hits.similarities.min() > 0.9995
        assert index.vectors(ids[::-1]) == pytest.approx(vectors[::-1], abs=0.02)
        assert index.verify() == []


def test_the_search_follows_every_change(tmp_path: Path) -> None:
    records, vectors = sample(3)
    reader_sees = []
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as writer:
        ids = writer.add(records[:2], vectors[:2])
        with GeoPackageIndex.open(tmp_path / "city.gpkg") as reader:
            reader_sees.append(reader.search(vectors[[2]], k=9).ids.size)
            ids += writer.add(records[2:], vectors[2:])
            assert writer.search(vectors[[2]], k=1).ids[0, 0] == ids[2]
            reader_sees.append(reader.search(vectors[[2]], k=9).ids.size)
            writer.remove([ids[0]])
            assert ids[0] not in writer.search(vectors[[2]], k=9).ids
            reader_sees.append(reader.search(vectors[[2]], k=9).ids.size)

    assert reader_sees == [2, 3, 2]


def test_a_search_nearby_leaves_out_the_rest(tmp_path: Path) -> None:
    records, vectors = sample(40)
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        ids = index.add(records, vectors)

        hits = index.search(vectors[[0]], k=5, near=Near(records[7].position, 0.5))

        assert hits.ids.tolist() == [[ids[7]]]


def test_a_path_that_is_there_already_is_replaced_and_keeps_its_id(tmp_path: Path) -> None:
    (old, other), vectors = sample(2)
    (fresh,), (fresh_vector,) = sample(1, start=50)
    changed = replace(fresh, path=old.path)
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        ids = index.add([old, other], vectors)

        assert index.add([changed], fresh_vector[None]) == ids[:1]

        assert index.get(ids) == [replace(changed, id=ids[0]), replace(other, id=ids[1])]
        assert index.search(fresh_vector[None], k=1).similarities[0, 0] > 0.999
        assert index.verify() == []


def test_removing_a_photo_takes_all_that_hangs_on_it(tmp_path: Path) -> None:
    records, vectors = sample(5)
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        ids = index.add(records, vectors)

        assert index.remove([*ids[:4], 999]) == 4

        assert [record.id for record in index.iterate()] == ids[4:]
        place = records[4].position
        assert index.info().bounds == (place.lon, place.lat, place.lon, place.lat)
        assert index.verify() == []
    database = sqlite3.connect(tmp_path / "city.gpkg")
    for table in ("descriptors", "rtree_photos_geom"):
        assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)
    database.close()


def test_a_failing_batch_leaves_no_trace(tmp_path: Path) -> None:
    records, vectors = sample(3)
    nameless = replace(records[2], path=None)  # type: ignore[arg-type]
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        with pytest.raises(IndexFileError, match=r"cannot write to .*NOT NULL"):
            index.add([*records[:2], nameless], vectors)

        assert list(index.iterate()) == []
        assert index.info().bounds is None
        assert len(index.add(records, vectors)) == 3


@pytest.mark.parametrize("flaw", [np.nan, np.inf, 0.0])
def test_vectors_that_are_no_directions_are_refused(tmp_path: Path, flaw: float) -> None:
    records, vectors = sample(2)
    vectors[1] = flaw
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        with pytest.raises(ValueError, match="finite"):
            index.add(records, vectors)
        with pytest.raises(ValueError, match=r"shape \(2, 31\), not \(2, 32\)"):
            index.add(records, vectors[:, 1:])


def test_an_update_rewrites_the_record_and_keeps_the_vector(tmp_path: Path) -> None:
    records, vectors = sample(2)
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        ids = index.add(records, vectors)
        moved = replace(index.get(ids[:1])[0], path="new/0.jpg", position=Position(10, 20))

        index.update([moved])

        assert index.get(ids[:1]) == [moved]
        assert list(index.iterate((19, 9, 21, 11))) == [moved]
        assert index.search(vectors[[0]], k=1).ids[0, 0] == ids[0]
        assert index.verify() == []
        with pytest.raises(IndexFileError, match="no photo 77"):
            index.update([replace(moved, id=77)])


def test_photos_in_a_box_are_those_inside_it_and_on_its_edge(tmp_path: Path) -> None:
    records, vectors = sample(200)
    box = (0.2, 52.3, records[0].position.lon, 52.9)
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        index.add(records, vectors)

        found = {record.path for record in index.iterate(box)}

    def inside(place: Position) -> bool:
        return box[0] <= place.lon <= box[2] and box[1] <= place.lat <= box[3]

    assert found == {record.path for record in records if inside(record.position)}


def test_a_box_may_cross_the_180th_meridian(tmp_path: Path) -> None:
    records, vectors = sample(3)
    lons = (179.5, -179.5, 0.0)
    placed = [replace(r, position=Position(0, lon)) for r, lon in zip(records, lons, strict=True)]
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        ids = index.add(placed, vectors)

        assert [record.id for record in index.iterate((179, -1, -179, 1))] == ids[:2]


def test_info_tells_what_a_person_asks(tmp_path: Path) -> None:
    records, vectors = sample(4)
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL, "int8") as index:
        index.add(records, vectors)
    with GeoPackageIndex.open(tmp_path / "city.gpkg", model=MODEL) as index:
        info = index.info()

    lats = [record.position.lat for record in records]
    lons = [record.position.lon for record in records]
    assert (info.photos, info.model, info.vector_type, info.details["format"]) == (
        4,
        MODEL,
        "int8",
        3,
    )
    assert info.bounds == (min(lons), min(lats), max(lons), max(lats))
    assert info.details["size"] == (tmp_path / "city.gpkg").stat().st_size


def test_paths_are_written_relative_to_the_index(tmp_path: Path) -> None:
    photo = tmp_path / "album" / "a b.jpg"
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        assert index.paths.name_of(photo) == "album/a b.jpg"
        assert index.paths.name_of(tmp_path.parent / "x.jpg") == "../x.jpg"
        assert index.paths.file_of("album/a b.jpg") == photo
        assert index.paths.file_of(str(photo)) == photo


CHANGES = {
    "DELETE FROM descriptors WHERE photo_id = 2": "1 photo without a vector: 2",
    "INSERT INTO descriptors VALUES (70, x'00')": "a vector without its photo, for 1 photo: 70",
    "UPDATE descriptors SET vector = x'0102'": "8 photos with a vector that is not 64 bytes long: "
    "1, 2, 3, 4, 5, …",
    "UPDATE descriptors SET vector = zeroblob(64) WHERE photo_id = 3": "1 photo with a vector that "
    "is not of unit length: 3",
    "DELETE FROM rtree_photos_geom WHERE id = 4": "1 photo missing from the spatial index: 4",
    "UPDATE rtree_photos_geom SET minx = 9, maxx = 9 WHERE id = 4": "1 photo elsewhere in the "
    "spatial index: 4",
    "INSERT INTO rtree_photos_geom VALUES (71, 1, 1, 1, 1)": "the spatial index names 1 photo that "
    "have no position: 71",
    "UPDATE gpkg_contents SET max_x = min_x WHERE table_name = 'photos'": "the layer's extent "
    "leaves out 7 of its photos",
    f"UPDATE photos SET geom = x'{write_point(200, 95).hex()}' WHERE id = 5": "1 photo without a "
    "position on Earth: 5",
    "INSERT INTO local_features VALUES (72, x'00')": "local features without their photo, for 1 "
    "photo: 72",
    "INSERT INTO local_features VALUES (7, x'0100')": "1 photo with damaged local features: 7",
    "UPDATE photos SET geom = NULL WHERE id = 6": "1 photo without a position on Earth: 6",
}


@pytest.mark.parametrize(("change", "problem"), CHANGES.items(), ids=range(len(CHANGES)))
def test_verify_names_what_was_broken(tmp_path: Path, change: str, problem: str) -> None:
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        index.add(*sample(8))
        # The index's own connection, since the triggers need its functions.
        index._connections.rows(change)

        found = index.verify()

    assert [text for text in found if text.startswith(problem)], found


def test_a_photo_that_lost_its_position_in_a_gis_is_left_out(tmp_path: Path) -> None:
    records, vectors = sample(3)
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        ids = index.add(records, vectors)
        index._connections.rows("UPDATE photos SET geom = NULL WHERE id = ?", ids[:1])

        assert [record.id for record in index.iterate()] == ids[1:]
        assert sorted(index.search(vectors[[0]], k=5).ids[0].tolist()) == ids[1:]


def test_a_vector_of_the_wrong_size_stops_the_search_with_its_photo_named(tmp_path: Path) -> None:
    records, vectors = sample(3)
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        index.add(records, vectors)
        index._connections.rows("UPDATE descriptors SET vector = x'00' WHERE photo_id = 2")

        with pytest.raises(IndexFileError, match=r"photo 2 of .* 1 bytes, not 64; remove it"):
            index.search(vectors, k=1)
