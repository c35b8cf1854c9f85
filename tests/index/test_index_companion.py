"""The files beside a large database: they follow it, and nothing depends on them."""

import logging
import shutil
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from small_index import BEFORE_FORMAT_7, MODEL, sample

from hafloc.geo import Position
from hafloc.index import Near, create_index, open_index
from hafloc.index import matrix as matrix_module
from hafloc.index import reading as reading_module
from hafloc.index.records import GeoIndex
from hafloc.index.rows import FIELDS

PHOTOS = 60


@pytest.fixture(autouse=True)
def small_ones_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_module, "WORTH", 1)


@pytest.fixture
def city(tmp_path: Path) -> Path:
    with create_index(tmp_path / "city.gpkg", MODEL) as index:
        index.add(*sample(PHOTOS))
    return tmp_path / "city.gpkg"


def folder(city: Path) -> Path:
    return city.with_name("city.gpkg-search")


def found(index: GeoIndex, near: Near | None = None) -> list[list[tuple[int, float]]]:
    """All photos of an index by similarity to eight queries."""
    queries = sample(8, start=5_000)[1]
    hits = index.search(queries, 1_000, near)
    return [
        list(zip(ids.tolist(), similarities.tolist(), strict=True))
        for ids, similarities in zip(hits.ids, hits.similarities, strict=True)
    ]


def in_memory(city: Path, near: Near | None = None) -> list[list[tuple[int, float]]]:
    with pytest.MonkeyPatch.context() as patch, open_index(city) as index:
        patch.setattr(matrix_module, "WORTH", 10**9)
        return found(index, near)


def files(city: Path) -> dict[str, int]:
    return {file.name: file.stat().st_ino for file in folder(city).iterdir()}


@pytest.mark.parametrize("vector_type", ["int8", "float16", "float32"])
def test_search_from_the_files_is_search_in_memory(tmp_path: Path, vector_type: str) -> None:
    city = tmp_path / "city.gpkg"
    with create_index(city, MODEL, vector_type) as index:
        index.add(*sample(PHOTOS))
    near = Near(Position(52.5, 0.5), 30_000.0)

    with open_index(city) as index:
        mapped, mapped_near = found(index), found(index, near)

    assert sorted(name.split("-")[0] for name in files(city)) == ["lock", "photos", "rows"]
    assert [[id_ for id_, _ in hits] for hits in mapped] == [
        [id_ for id_, _ in hits] for hits in in_memory(city)
    ]
    assert mapped == in_memory(city)
    assert mapped_near == in_memory(city, near)
    assert 0 < len(mapped_near[0]) < PHOTOS


def test_a_small_database_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with create_index(tmp_path / "city.gpkg", MODEL) as index:
        index.add(*sample(PHOTOS))
        found(index)

    assert not folder(tmp_path / "city.gpkg").exists()


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.sampled_from(["add", "remove", "replace", "move", "unplace", "other"]), max_size=8
    ),
    seed=st.integers(0, 100),
)
def test_it_follows_whatever_is_changed(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], seed: int
) -> None:
    city = tmp_path_factory.mktemp("follows") / "city.gpkg"
    with create_index(city, MODEL) as index:
        index.add(*sample(PHOTOS))
    random = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix_module, "WORTH", 1)
        with open_index(city) as index:
            found(index)
            for number, step in enumerate(steps):
                change(city, step, number, random)
                assert found(index) == in_memory(city), step
        with open_index(city) as index:
            assert found(index) == in_memory(city)


def change(city: Path, step: str, number: int, random: np.random.Generator) -> None:
    with open_index(city, write=True) as index:
        records = index.photos()  # type: ignore[attr-defined]
        some = [records[i] for i in random.choice(len(records), 5, replace=False)]
        if step == "add":
            index.add(*sample(7, start=100 * (number + 1)))
        elif step == "remove":
            index.remove([record.id or 0 for record in some])
        elif step == "replace":  # other vectors under the ids of old ones
            index.add(some, sample(5, start=9_000 + number)[1])
        elif step == "move":
            index.update([replace(record, position=Position(-30.0, 9.0)) for record in some])
        found(index)
    if step == "unplace":  # as a GIS may
        by_hand(city, f"DELETE FROM rtree_photos_geom WHERE id = {some[0].id}")
        by_hand(city, "DROP TRIGGER IF EXISTS rtree_photos_geom_update2")
        by_hand(city, f"UPDATE photos SET geom = NULL WHERE id = {some[0].id}", functions=True)
    if step == "other":
        by_hand(city, f"DELETE FROM descriptors WHERE photo_id = {some[0].id}")


def by_hand(city: Path, statement: str, *, functions: bool = False) -> None:
    connection = sqlite3.connect(city)
    if functions:
        connection.create_function("ST_IsEmpty", 1, lambda blob: False)
        for name in ("ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY"):
            connection.create_function(name, 1, lambda blob: 0.0)
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_what_is_added_is_appended(city: Path) -> None:
    with open_index(city) as index:
        found(index)
    before = files(city)

    with open_index(city, write=True) as index:
        index.add(*sample(5, start=500))
        index.remove([1])
        found(index)

    (rows,) = (name for name in before if name.startswith("rows"))
    assert files(city)[rows] == before[rows]
    assert (folder(city) / rows).stat().st_size == (PHOTOS + 5) * MODEL.dimension


def test_rows_that_no_photo_counts_are_dropped_in_the_end(city: Path) -> None:
    with open_index(city, write=True) as index:
        found(index)
        for start in range(0, 40, 10):
            index.remove(range(start + 1, start + 11))
            found(index)

    (rows,) = folder(city).glob("rows-*")
    assert rows.stat().st_size < (PHOTOS - 10) * MODEL.dimension


def cut_off(city: Path) -> None:
    (rows,) = folder(city).glob("rows-*")
    rows.write_bytes(rows.read_bytes()[:-10])


def overwrite(city: Path) -> None:
    (rows,) = folder(city).glob("rows-*")
    rows.write_bytes(bytes(rows.stat().st_size))


def flip(city: Path) -> None:
    photos = folder(city) / "photos"
    content = bytearray(photos.read_bytes())
    content[-3] ^= 64
    photos.write_bytes(content)


def scribble(city: Path) -> None:
    (folder(city) / "photos").write_bytes(b"\x00 not ours")


def lose_rows(city: Path) -> None:
    (rows,) = folder(city).glob("rows-*")
    rows.unlink()


def other_format(city: Path) -> None:
    photos = folder(city) / "photos"
    photos.write_bytes(photos.read_bytes().replace(b'"format": ', b'"format": 9', 1))


@pytest.mark.parametrize("damage", [cut_off, overwrite, flip, scribble, lose_rows, other_format])
def test_a_damaged_one_is_made_anew_and_said_so_once(
    city: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    with open_index(city) as index:
        expected = found(index)
    damage(city)

    with caplog.at_level(logging.WARNING), open_index(city) as index:
        assert found(index) == expected
        assert found(index) == expected

    assert [record.getMessage().split(" is made anew")[0] for record in caplog.records] == [
        str(folder(city))
    ]
    caplog.clear()
    with open_index(city) as index:
        assert found(index) == expected
    assert not caplog.records


def test_a_copy_that_went_on_by_itself_is_another_database(city: Path) -> None:
    copy = city.with_name("copy.gpkg")
    shutil.copy(city, copy)
    for file, start in ((city, 200), (copy, 300)):
        with open_index(file, write=True) as index:
            index.add(*sample(3, start=start))
    with open_index(city) as index:
        found(index)
    shutil.copytree(folder(city), copy.with_name("copy.gpkg-search"))

    with open_index(copy) as index:
        assert found(index) == in_memory(copy)


def test_a_backup_put_in_its_place_is_not_searched_with_what_came_later(city: Path) -> None:
    backup = city.read_bytes()
    with open_index(city, write=True) as index:
        index.add(*sample(3, start=200))
        found(index)
    city.write_bytes(backup)

    with open_index(city) as index:
        assert found(index) == in_memory(city)
        assert len(found(index)[0]) == PHOTOS


def test_while_another_makes_it_search_goes_without(city: Path) -> None:
    folder(city).mkdir()
    with FileLock(folder(city) / "lock"), open_index(city) as index:
        assert found(index) == in_memory(city)

    assert not list(folder(city).glob("rows-*"))


def test_many_who_make_it_at_once_find_the_same_and_leave_one(city: Path) -> None:
    expected = in_memory(city)
    ready = threading.Barrier(6)

    def open_and_search(_: int) -> list[list[tuple[int, float]]]:
        with open_index(
            city
        ) as index:  # a connection, a lock and files of its own, as a process has
            ready.wait()
            return found(index)

    with ThreadPoolExecutor(6) as pool:
        for answer in pool.map(open_and_search, range(6)):
            assert answer == expected

    assert sorted(name.split("-")[0] for name in files(city)) == ["lock", "photos", "rows"]


def test_a_folder_that_cannot_be_written_costs_nothing(
    city: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder(city).write_text("a file of somebody else")

    with caplog.at_level(logging.WARNING), open_index(city) as index:
        assert found(index) == in_memory(city)

    assert folder(city).read_text() == "a file of somebody else"
    assert len(caplog.records) == 1


def test_a_full_disk_leaves_the_old_one_whole(
    city: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with open_index(city) as index:
        found(index)
    before = (folder(city) / "photos").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with open_index(city, write=True) as index:
        index.add(*sample(3, start=200))
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            found(index)
    assert (folder(city) / "photos").read_bytes() == before
    assert "No space left on device" in caplog.text
    with open_index(city) as index:
        assert found(index) == in_memory(city)


def test_a_file_of_an_older_format_is_read_without(city: Path) -> None:
    for statement in (
        *BEFORE_FORMAT_7,
        *(f"ALTER TABLE photos DROP COLUMN {name}" for name in FIELDS[-3:]),
        *("DROP TABLE changes", "UPDATE hafloc SET value = '4' WHERE key = 'format_version'"),
        *(
            f"DROP TRIGGER {name}"
            for name in (
                "descriptors_insert_change",
                "descriptors_update_change",
                "descriptors_delete_change",
                "photos_update_change",
            )
        ),
    ):
        by_hand(city, statement)

    with open_index(city) as index:
        assert len(found(index)[0]) == PHOTOS

    assert not folder(city).exists()


def test_it_goes_with_the_database(tmp_path: Path) -> None:
    with create_index(tmp_path / "city.gpkg", MODEL) as index:
        index.add(*sample(PHOTOS))
        found(index)
        index.remove(range(1, PHOTOS + 1))
        assert index.drop()

    assert list(tmp_path.iterdir()) == []


def test_info_tells_how_the_folder_stands_to_the_database(
    city: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> dict[str, str | int]:
        with open_index(city) as index:
            details = index.info().details
        return {name: value for name, value in details.items() if "companion" in name}

    monkeypatch.setattr(reading_module, "WORTH", 1)
    assert told() == {"companion": "none"}
    with open_index(city) as index:
        found(index)
    size = sum(file.stat().st_size for file in folder(city).iterdir())
    assert told() == {"companion": "up to date", "companion_bytes": size}
    with open_index(city, write=True) as index:
        index.add(*sample(3, start=200))
    assert told() == {"companion": "3 changes behind", "companion_bytes": size}
    flip(city)
    assert told() == {"companion": "of no use: it is damaged"}
    shutil.rmtree(folder(city))
    monkeypatch.setattr(reading_module, "WORTH", PHOTOS + 10)
    assert told() == {}
