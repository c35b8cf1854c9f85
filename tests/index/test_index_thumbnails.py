"""Small pictures travel inside a shared index, and a stranger's are nothing but that."""

import io
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from small_index import BEFORE_FORMAT_7, MODEL, sample
from spheres import sphere_image, write, xmp

from hafloc.errors import IndexFileError, PhotoError
from hafloc.geo import Position
from hafloc.index import (
    Part,
    Record,
    check_bundle,
    copy_index,
    create_index,
    cut_part,
    merge_indexes,
    open_index,
    picture_of,
    thumbnail_of,
)
from hafloc.index.thumbnails import (
    LONGER_SIDE,
    MOST_BYTES,
    find_problem,
    make_thumbnail,
    read_thumbnail,
)
from hafloc.photos import content

RED, GREEN = (200, 40, 40), (40, 180, 40)


def photo(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (800, 600)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.new("RGB", size, colour).save(path)
    return path


def looks(image: np.ndarray) -> tuple[int, ...]:
    return tuple(int(round(v, -1)) for v in image.reshape(-1, 3).mean(axis=0))


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """A red photo, a green one, a view of a panorama, and one whose file is gone."""
    folder = tmp_path / "home"
    files = [photo(folder / "p" / "red.png", RED), photo(folder / "p" / "green.png", GREEN)]
    files.append(write(folder / "p" / "pano.jpg", sphere_image(512), xmp()))
    names = ["p/red.png", "p/green.png", "p/pano.jpg#view=90", "p/gone.jpg"]
    records, vectors = sample(4)
    records = [
        replace(record, path=name, content=content(file) if file else "0" * 32)
        for record, name, file in zip(records, names, [*files, None], strict=True)
    ]
    with create_index(folder / "city.gpkg", MODEL) as index:
        index.add(records, vectors)
    return folder / "city.gpkg"


@pytest.fixture
def part(city: Path, tmp_path: Path) -> Path:
    """What a person gets who has none of the photos."""
    (tmp_path / "away").mkdir()
    target = tmp_path / "away" / "part.gpkg"
    assert cut_part(city, target, Part(thumbnails=True)) == 4
    return target


def pictures(path: Path) -> dict[str, bytes | None]:
    with open_index(path) as index:
        return {record.path: thumbnail_of(index, record) for record in index.iterate()}


def test_a_part_holds_pictures_of_what_can_be_seen(part: Path) -> None:
    held = pictures(part)

    assert [name for name, jpeg in held.items() if jpeg is None] == ["p/gone.jpg"]
    assert looks(read_thumbnail(held["p/red.png"] or b"")) == RED
    # Of the panorama only the view: it looks to the right, which is red there.
    red, _, blue = looks(read_thumbnail(held["p/pano.jpg#view=90"] or b""))
    assert red > 230 > blue
    check_bundle(part, "part")
    with open_index(part) as index:
        assert index.verify() == []
        assert index.info().details["thumbnails"] == 3


def test_without_being_asked_no_picture_leaves(city: Path, tmp_path: Path) -> None:
    cut_part(city, tmp_path / "part.gpkg", Part())
    assert set(pictures(tmp_path / "part.gpkg").values()) == {None}


def test_the_picture_of_a_photo_is_its_files_else_the_small_one(part: Path, city: Path) -> None:
    with open_index(part) as index:
        red = index.find_paths(["p/red.png"])[0]
        found = picture_of(index, red, longer_side=500)
        assert (found.small, looks(found.image), max(found.image.shape)) == (True, RED, LONGER_SIDE)
        # Another photo that happens to have its name is not shown as evidence.
        photo(part.parent / "p" / "red.png", GREEN)
        assert looks(picture_of(index, red, longer_side=500).image) == RED
        (part.parent / "p" / "red.png").write_bytes(b"no photo")
        assert picture_of(index, red, longer_side=500).small
        with pytest.raises(PhotoError, match=r"gone\.jpg"):
            picture_of(index, index.find_paths(["p/gone.jpg"])[0], longer_side=500)
    with open_index(city) as index:
        found = picture_of(index, index.find_paths(["p/red.png"])[0], longer_side=500)
        assert (found.small, max(found.image.shape)) == (False, 500)


def test_copies_merges_and_parts_of_parts_keep_pictures(part: Path, tmp_path: Path) -> None:
    copy_index(part, tmp_path / "copy.gpkg")
    merge_indexes(tmp_path / "merged.gpkg", [part])
    cut_part(part, tmp_path / "again.gpkg", Part(thumbnails=True))

    held = sorted(filter(None, pictures(part).values()))
    for name in ("copy", "merged", "again"):
        assert sorted(filter(None, pictures(tmp_path / f"{name}.gpkg").values())) == held


def test_a_photo_that_goes_or_is_replaced_takes_its_picture_along(part: Path) -> None:
    records, vectors = sample(1)
    with open_index(part, write=True) as index:
        index.remove([index.find_paths(["p/green.png"])[0].id or 0])
        index.add([replace(records[0], path="p/red.png")], vectors)
    assert [name for name, jpeg in pictures(part).items() if jpeg] == ["p/pano.jpg#view=90"]
    connection = sqlite3.connect(part)
    assert connection.execute("SELECT count(*) FROM thumbnails").fetchone() == (1,)
    connection.close()


def test_an_index_of_an_earlier_format_has_no_pictures(tmp_path: Path) -> None:
    with create_index(tmp_path / "a.gpkg", MODEL) as index:
        index.add(*sample(2))
    connection = sqlite3.connect(tmp_path / "a.gpkg")
    for statement in BEFORE_FORMAT_7:
        connection.execute(statement)
    connection.execute("UPDATE hafloc SET value = 6 WHERE key = 'format_version'")
    connection.commit()
    connection.close()
    assert set(pictures(tmp_path / "a.gpkg").values()) == {None}
    check_bundle(tmp_path / "a.gpkg", "a")
    with open_index(tmp_path / "a.gpkg", write=True) as index:
        assert index.verify() == []
    assert set(pictures(tmp_path / "a.gpkg").values()) == {None}


def saved(size: tuple[int, int] = (64, 48), **options: object) -> bytes:
    memory = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Pillow.fromarray(noise).save(memory, options.pop("format", "JPEG"), **options)
    return memory.getvalue()


PLAIN = saved()
FRAME = PLAIN.index(b"\xff\xc0")

HOSTILE = {
    "nothing": b"",
    "text": "a JPEG",
    "another format": saved(format="PNG"),
    "too large": saved((640, 640), quality=100),
    "too many pixels": saved((700, 10)),
    "said to be 65,535 pixels wide": PLAIN[: FRAME + 5] + b"\xff\xff\xff\xff" + PLAIN[FRAME + 9 :],
    "in many scans": saved(progressive=True),
    "with metadata": saved(exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
    "with a comment": saved(comment=b"<script>"),
    "something behind it": PLAIN + b"MZ",
    "a second picture behind it": PLAIN + PLAIN,
    "the end is missing": PLAIN[:-200],
    "a marker in the scan": PLAIN[:-40] + b"\xff\xc4" + PLAIN[-38:],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_picture_is_refused_wherever_it_is_met(part: Path, kind: str) -> None:
    assert find_problem(HOSTILE[kind]) is not None
    connection = sqlite3.connect(part)
    (victim,) = connection.execute("SELECT id FROM photos WHERE path = 'p/red.png'").fetchone()
    connection.execute("UPDATE thumbnails SET jpeg = ? WHERE photo_id = ?", (HOSTILE[kind], victim))
    connection.commit()
    connection.close()

    with pytest.raises(IndexFileError, match="1 photo with damaged small pictures"):
        check_bundle(part, "part")
    merge_indexes(part.parent / "merged.gpkg", [part])
    check_bundle(part.parent / "merged.gpkg", "merged")


def test_a_picture_that_is_none_is_not_shown(part: Path) -> None:
    connection = sqlite3.connect(part)
    connection.execute("UPDATE thumbnails SET jpeg = ?", (HOSTILE["in many scans"],))
    connection.commit()
    connection.close()
    with open_index(part) as index, pytest.raises(PhotoError, match="stored picture"):
        picture_of(index, index.find_paths(["p/red.png"])[0], longer_side=100)


@given(st.integers(1, 900), st.integers(1, 900), st.booleans())
def test_what_is_made_is_small_and_sound(width: int, height: int, noisy: bool) -> None:
    shape = height, width, 3
    pixels = np.full(shape, 90, np.uint8)
    if noisy:
        pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    jpeg = make_thumbnail(pixels)
    assert find_problem(jpeg) is None
    assert len(jpeg) <= MOST_BYTES
    assert max(read_thumbnail(jpeg).shape) <= LONGER_SIDE


@given(st.binary(max_size=60), st.integers(0, 300))
def test_any_bytes_are_a_picture_or_a_reason(data: bytes, at: int) -> None:
    for jpeg in (data, PLAIN[:at] + data + PLAIN[at:], b"\xff\xd8" + data + b"\xff\xd9"):
        problem = find_problem(jpeg)
        if problem is None:
            read_thumbnail(jpeg)
        else:
            assert "\n" not in problem


def test_a_picture_needs_an_id(part: Path) -> None:
    record = Record("a.jpg", "0", Position(1, 2), 1, 1, "csv")
    with open_index(part) as index:
        assert thumbnail_of(index, record) is None
