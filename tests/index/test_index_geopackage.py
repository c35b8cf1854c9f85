"""What is so of the GeoPackage alone; what every index does is in the conformance suite."""

import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_index import MODEL, sample

from hafloc.errors import IndexFileError
from hafloc.geo import Position
from hafloc.index import GeoPackageIndex, create_index, open_index
from hafloc.index.point import write_point


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
        7,
    )
    assert info.bounds == (min(lons), min(lats), max(lons), max(lats))
    assert info.details["size"] == (tmp_path / "city.gpkg").stat().st_size


CHANGES = {
    "DELETE FROM descriptors WHERE photo_id = 2": "1 photo without a vector: 2",
    "INSERT INTO descriptors VALUES (70, x'00')": "a vector without its photo, for 1 photo: 70",
    "UPDATE descriptors SET vector = x'0102'": "8 photos with a vector that is not 32 bytes long: "
    "1, 2, 3, 4, 5, …",
    "UPDATE descriptors SET vector = zeroblob(32) WHERE photo_id = 3": "1 photo with a vector that "
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

        with pytest.raises(IndexFileError, match=r"photo 2 of .* 1 bytes, not 32; remove it"):
            index.search(vectors, k=1)


def test_a_geometry_that_is_no_point_is_named_and_never_a_traceback(tmp_path: Path) -> None:
    records, vectors = sample(3)
    path = tmp_path / "city.gpkg"
    with create_index(path, MODEL) as index:
        index.add(records, vectors)
    database = sqlite3.connect(path)
    triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '%update%'"
    for (name,) in database.execute(triggers).fetchall():
        database.execute(f"DROP TRIGGER {name}")
    database.execute("UPDATE photos SET geom = x'4750000300' WHERE id = 2")
    database.execute("UPDATE checksums SET record = NULL, vector = NULL WHERE photo_id = 2")
    database.commit()
    database.close()

    with open_index(path) as index:
        for use in (
            lambda: list(index.iterate()),
            lambda: list(index.held()),
            lambda: index.search(vectors, 1),
            lambda: index.nearest(records[0].position, 3),
        ):
            with pytest.raises(IndexFileError, match=r"cannot read photo 2.* no GeoPackage point"):
                use()
        assert any(text.startswith("1 photo without a position") for text in index.verify())


def test_the_extent_holds_photos_that_rounding_to_float32_puts_in_another_order(
    tmp_path: Path,
) -> None:
    lons = [-123.39403291666666, -123.39402930555555, -123.39402236111111, -123.39403230555556]
    records, vectors = sample(4)
    placed = [replace(r, position=Position(-48.5, x)) for r, x in zip(records, lons, strict=True)]
    with create_index(tmp_path / "city.gpkg", MODEL) as index:
        index.add(placed, vectors)

        assert index.info().bounds == (min(lons), -48.5, max(lons), -48.5)
        assert index.verify() == []


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.builds(Position, st.floats(-90, 90), st.floats(-180, 180)),
            st.sampled_from([Position(50, 8), Position(50.00000001, 8), Position(50, 8.00000001)]),
            # One street: SQLite rounds some of these one step farther than others.
            st.builds(Position, st.floats(-48.8768, -48.8766), st.floats(-123.3941, -123.3940)),
        ),
        min_size=1,
        max_size=120,
    ),
    st.data(),
)
def test_the_extent_is_exact_after_every_change(where: list[Position], data: st.DataObject) -> None:
    records, vectors = sample(len(where))
    placed = [replace(r, position=p) for r, p in zip(records, where, strict=True)]
    with (
        tempfile.TemporaryDirectory() as folder,
        create_index(Path(folder) / "city.gpkg", MODEL) as index,
    ):
        ids = index.add(placed, vectors)
        index.remove(data.draw(st.lists(st.sampled_from(ids))))
        for record in list(index.iterate())[:3]:
            index.update([replace(record, position=data.draw(st.sampled_from(where)))])
        left = [record.position for record in index.iterate()]
        lats, lons = [p.lat for p in left], [p.lon for p in left]
        expected = (min(lons), min(lats), max(lons), max(lats)) if left else None
        assert index.info().bounds == expected
