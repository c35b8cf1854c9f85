"""A byte that flips on a disk: detected, harmless, or the same answer; never another one."""

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fuzz_seeds
import numpy as np
import pytest
from small_index import BEFORE_FORMAT_7, MODEL, sample

from hafloc.errors import HaflocError, IndexFileError
from hafloc.geo import Position
from hafloc.index import Near, companion, create_index, matrix, open_index
from hafloc.index.functions import add_functions

PAGE = 1_024
QUERIES = sample(2, start=50)[1]
PARTS = np.repeat(QUERIES[:, None], 2, axis=1)
CENTRE = Position(52.5, 0.5)


def answers(path: Path) -> list[Any]:
    """All that locating rests on: nearest photos, how alike, who they are, their key points."""
    with open_index(path) as index:
        near = Near(CENTRE, 60_000)
        hits = [index.search(QUERIES, 8, within, PARTS) for within in (None, near)]
        ids = sorted({int(id_) for found in hits for id_ in found.ids.ravel()})
        features = [
            None if found is None else (found.xy.tolist(), found.descriptors.tolist(), found.size)
            for found in index.local_features(ids)
        ]
        return [
            [(found.ids.tolist(), found.similarities.tolist()) for found in hits],
            index.get(ids),
            index.vectors(ids).tolist(),
            features,
            index.calibration(),
            (index.model, index.regions),
        ]


def places(path: Path) -> list[Any]:
    """What is asked of the spatial index, which a GIS may change as well."""
    with open_index(path) as index:
        box = list(index.iterate((0.0, 52.0, 0.6, 52.8)))
        return [index.count(), index.nearest(CENTRE, 3), box, list(index.iterate())]


def flips(content: bytes, page: int, chance: random.Random) -> Iterator[bytes]:
    """A page with a byte of its head, some of its middle or all of it changed."""
    start = page * PAGE
    for low, high in ((0, 12), (12, PAGE)):
        at = start + chance.randrange(low, high)
        changed = content[at] ^ chance.choice((1, 2, 4, 8, 16, 32, 64, 128, 255))
        yield content[:at] + bytes([changed]) + content[at + 1 :]
    all_of_it = bytes(PAGE) if page % 2 else chance.randbytes(PAGE)
    yield content[:start] + all_of_it + content[start + PAGE :]


@pytest.fixture(scope="module")
def sound() -> bytes:
    return fuzz_seeds.index_file(8, PAGE)


def asked(question: Callable[[Path], list[Any]], path: Path) -> list[Any] | None:
    """The answer, None where damage was told; anything else than a HaflocError fails the test."""
    try:
        return question(path)
    except HaflocError:
        return None


def is_told_by_verify(path: Path) -> bool:
    try:
        with open_index(path) as index:
            return bool(index.verify())
    except HaflocError:
        return True


def test_a_flip_on_any_page_changes_no_answer_unseen(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "city.gpkg"
    path.write_bytes(sound)
    right, there = answers(path), places(path)
    chance = random.Random(27)
    told = 0
    assert len(sound) > 30 * PAGE
    for page in range(len(sound) // PAGE):
        for content in flips(sound, page, chance):
            path.write_bytes(content)
            found = asked(answers, path)
            assert found in (None, right), f"page {page} changes an answer"
            told += found is None
            if asked(places, path) not in (None, there):
                assert is_told_by_verify(path), f"page {page} moves photos unseen"
    # That nothing is ever told would mean that nothing was looked at.
    assert told > 10


CHANGES = {
    "a vector": ("descriptors", "vector"),
    "a position": ("photos", "geom"),
    "a name": ("photos", "path"),
    "a heading": ("photos", "heading"),
    "regions": ("regions", "vectors"),
    "key points": ("local_features", "features"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_thing_that_is_stored_of_a_photo_is_covered(
    tmp_path: Path, sound: bytes, what: str
) -> None:
    table, column = CHANGES[what]
    path = tmp_path / "city.gpkg"
    path.write_bytes(sound)
    database = sqlite3.connect(path)
    add_functions(database)
    # As damage does it: no trigger is told.
    for statement in BEFORE_FORMAT_7:
        if statement.startswith("DROP TRIGGER"):
            database.execute(statement)
    key = "id" if table == "photos" else "photo_id"
    (old,) = database.execute(f"SELECT {column} FROM {table} WHERE {key} = 3").fetchone()
    new = (
        12.5 if old is None else old[:-1] + ("x" if isinstance(old, str) else bytes([old[-1] ^ 1]))
    )
    database.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = 3", (new,))
    database.commit()
    database.close()
    with pytest.raises(IndexFileError, match=r"photo 3 of .* does not match its checksum"):
        answers(path)
    with open_index(path) as index:
        assert any("3" in problem and "stored" in problem for problem in index.verify())


def test_what_another_program_changes_on_purpose_is_believed(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "city.gpkg"
    path.write_bytes(sound)
    database = sqlite3.connect(path)
    add_functions(database)
    place = "(SELECT geom FROM photos WHERE id = 4)"
    database.execute(f"UPDATE photos SET heading = 12.5, geom = {place} WHERE id = 3")
    database.commit()
    database.close()
    with open_index(path) as index:
        assert index.get([3])[0].heading == 12.5
        assert index.get([3])[0].position == index.get([4])[0].position
        index.search(QUERIES, 3)
        assert not [problem for problem in index.verify() if "stored" in problem]


def test_a_record_that_is_corrected_does_not_make_its_damaged_vector_sound(
    tmp_path: Path, sound: bytes
) -> None:
    path = tmp_path / "city.gpkg"
    path.write_bytes(sound)
    database = sqlite3.connect(path)
    (vector,) = database.execute("SELECT vector FROM descriptors WHERE photo_id = 3").fetchone()
    database.close()
    at = sound.index(vector)
    path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
    with open_index(path, write=True) as index:
        three, four = index.get([3, 4])
        index.update([replace(one, position=CENTRE) for one in (three, four)])
        (problem,) = [text for text in index.verify() if "stored" in text]
        assert problem.startswith("1 photo with other vector than were stored: 3")
    with open_index(path) as index, pytest.raises(IndexFileError, match="photo 3 of"):
        index.search(QUERIES, 3)


def test_photos_that_vanish_from_a_page_are_missed(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "city.gpkg"
    path.write_bytes(sound)
    database = sqlite3.connect(path)
    add_functions(database)
    database.execute("DROP TRIGGER photos_delete_checksum")
    database.execute("DROP TRIGGER descriptors_delete_checksum")
    database.execute("DELETE FROM photos WHERE id = 5")
    database.commit()
    database.close()
    with (
        open_index(path) as index,
        pytest.raises(IndexFileError, match="1 of its 8 photos are gone"),
    ):
        index.search(QUERIES, 3)
    with open_index(path) as index:
        assert any(problem.startswith("1 photo gone: 5") for problem in index.verify())


def test_settings_that_flip_are_told_before_they_are_used(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "city.gpkg"
    at = sound.index(b"0123456789abcdef")
    path.write_bytes(sound[:at] + b"1" + sound[at + 1 :])
    with pytest.raises(IndexFileError, match="its settings do not match their checksum"):
        open_index(path)


def test_a_calibration_and_a_runtime_are_sealed_as_they_are_written(
    tmp_path: Path, sound: bytes
) -> None:
    path = tmp_path / "city.gpkg"
    path.write_bytes(sound)
    with open_index(path, write=True) as index:
        index.store_calibration('{"scores": [17.25]}')
    content = path.read_bytes()
    at = content.index(b"17.25")
    path.write_bytes(content[:at] + b"97" + content[at + 2 :])
    with pytest.raises(IndexFileError, match="its settings do not match their checksum"):
        open_index(path)


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index with a companion folder."""
    monkeypatch.setattr(companion, "WORTH", 10)
    monkeypatch.setattr(matrix, "WORTH", 10)
    path = tmp_path / "sound" / "city.gpkg"
    path.parent.mkdir()
    with create_index(path, MODEL) as index:
        index.add(*sample(200))
    return path


def test_a_flip_in_the_companion_folder_changes_no_answer(tmp_path: Path, large: Path) -> None:
    def found(path: Path) -> list[Any]:
        with open_index(path) as index:
            hits = index.search(QUERIES, 5)
            near = index.search(QUERIES, 5, Near(CENTRE, 30_000))
            return [hits.ids.tolist(), hits.similarities.tolist(), near.ids.tolist()]

    right = found(large)
    folder = large.with_name("city.gpkg-search")
    names = [file.name for file in folder.iterdir() if file.name.startswith(("rows", "photos"))]
    assert len(names) == 2
    chance = random.Random(3)
    copied = tmp_path / "flipped" / "city.gpkg"
    for name in names:
        for _ in range(40):
            shutil.rmtree(copied.parent, ignore_errors=True)
            shutil.copytree(large.parent, copied.parent)
            file = copied.parent / folder.name / name
            content = bytearray(file.read_bytes())
            at = chance.randrange(len(content))
            content[at] ^= 1 << chance.randrange(8)
            file.write_bytes(content)
            assert found(copied) == right
