"""Positions of a COLMAP model, brought to Earth by references for some of its photos."""

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hafloc.errors import PhotoError, PositionError
from hafloc.geo import LocalFrame, Position, geodetic
from hafloc.photos.projects.entries import Entries, place
from hafloc.photos.projects.similarity import Similarity, fit_similarity
from hafloc.photos.projects.turning import Floats, heading_of, rotation_of_quaternion
from hafloc.photos.stored import file_bytes, shown
from hafloc.photos.table import image_name
from hafloc.photos.tags import number as finite

REFERENCES = "ref_images.txt"
_IMAGE = struct.Struct("<I7dI")
_POINT = 24  # bytes of a 2D point: two doubles and an id
_LONGEST_NAME = 4_096
_LINE = re.compile(r"\s*\d+(?:\s+[-+.\deE]+){7}\s+\d+\s+\S.*")
# Metres from the Earth's centre to somewhere people go.
_EARTH = (6_330_000.0, 6_400_000.0)
_MOST_IMAGES, _UNIT = 10**8, 1e-3
_SMALLEST_ERROR = 0.1  # metres; no reference is better


@dataclass(frozen=True, slots=True)
class _Image:
    name: str
    centre: Floats
    rotation: Floats


def is_images_text(data: bytes) -> bool:
    """Whether these are the lines of images.txt: with its usual comment, or ten fields a photo."""
    lines = data[:65_536].decode("utf-8", "replace").splitlines()
    content = [line for line in lines if line.strip() and not line.startswith("#")]
    if any("QW, QX, QY, QZ, TX, TY, TZ" in line for line in lines[:10]):
        return True
    return bool(content) and bool(_LINE.fullmatch(content[0])) and len(content[0].split()) >= 10


def is_images_binary(head: bytes) -> bool:
    """Whether these are the first bytes of images.bin: a number of photos, and one of them."""
    if len(head) < 8 + _IMAGE.size or b"\0" not in head[:8]:
        return False
    (count,) = struct.unpack_from("<Q", head, 0)
    _, *numbers, _ = _IMAGE.unpack_from(head, 8)
    length = math.hypot(*numbers[:4])
    return 0 < count < _MOST_IMAGES and abs(length - 1) < _UNIT


def read_images_text(data: bytes, path: Path, entries: Entries) -> None:
    """images.txt with ref_images.txt beside it or in a folder above; see `_place`."""
    _place(_text(data.decode("utf-8", "replace"), entries), path, entries)


def read_images_binary(data: bytes, path: Path, entries: Entries) -> None:
    """images.bin, as `read_images_text`."""
    _place(_binary(data), path, entries)


def _text(text: str, entries: Entries) -> Iterator[_Image]:
    # Two lines a photo, of which the second (its points) may be empty, or left out by some.
    is_points = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#") or (is_points and not _is_photo(line)):
            is_points = is_points and line.startswith("#")
            continue
        if not line.strip():
            continue
        is_points = True
        fields = line.split(maxsplit=9)
        try:
            if len(fields) < 10:
                raise ValueError("too few fields")
            numbers = [float(field) for field in fields[1:8]]
            yield _image(fields[9].strip(), numbers)
        except (ValueError, PositionError):
            entries.refuse(f"line {number:,}", "it is no photo of COLMAP's images.txt")


def _is_photo(line: str) -> bool:
    """Whether a line is of a photo: numbers, and a name that is none, as no point has."""
    return bool(_LINE.fullmatch(line)) and finite(line.split()[9]) is None


def _binary(data: bytes) -> Iterator[_Image]:
    """Raises PositionError where the file is something else or ends early."""
    try:
        (count,) = struct.unpack_from("<Q", data, 0)
        if count > len(data) // (_IMAGE.size + 9):
            raise PositionError("it is damaged; copy it again")
        at = 8
        for _ in range(count):
            _, *numbers, _ = _IMAGE.unpack_from(data, at)
            at += _IMAGE.size
            end = data.index(b"\0", at, at + _LONGEST_NAME)
            name = data[at:end].decode("utf-8", "replace")
            (points,) = struct.unpack_from("<Q", data, end + 1)
            at = end + 9 + points * _POINT
            if at > len(data):
                raise PositionError("it ends early; copy it again")
            yield _image(name, numbers)
    except (struct.error, ValueError) as error:
        raise PositionError("it ends early or is damaged; copy it again") from error


def _image(name: str, numbers: list[float]) -> _Image:
    """A photo of its quaternion and translation, world to camera."""
    rotation = rotation_of_quaternion(*numbers[:4])
    translation = np.array(numbers[4:7])
    if rotation is None or not (np.abs(translation) < 1e12).all():
        raise PositionError("its rotation or translation is none; copy it again")
    return _Image(name, -rotation.T @ translation, rotation)


def _place(images: Iterator[_Image], path: Path, entries: Entries) -> None:
    """Photos by the similarity that brings those with a reference to Earth.

    Raises PositionError where the references are missing or tell too little.
    """
    model = list(images)
    beside = _references_beside(path)
    references = _references(beside, entries)
    known = [image for image in model if image_name(image.name) in references]
    places = [references[image_name(image.name)] for image in known]
    try:
        frame, heights, fitted = _fitted(known, places)
    except PositionError as error:
        raise PositionError(f"{error} in {shown(beside)}") from error
    entries.notes.append(_in_words(fitted, beside))
    centres = fitted(np.array([image.centre for image in model]).reshape(-1, 3))
    for image, (east, north, up) in zip(model, centres.tolist(), strict=True):
        if not math.hypot(east, north) < 1e7:
            entries.refuse(shown(image.name), "it lies farther off than the Earth is wide")
            continue
        position = frame.to_position(east, north)
        entries.add_place(
            shown(image.name),
            image.name,
            position.lat,
            position.lon,
            None if heights is None else heights + up,
            heading=heading_of(image.rotation @ fitted.rotation.T),
            accuracy=max(fitted.error, _SMALLEST_ERROR),
        )


def _fitted(
    known: list[_Image], places: list[tuple[Position, float]]
) -> tuple[LocalFrame, float | None, Similarity]:
    if not known:
        raise PositionError("none of its photos has a reference; write their names as the model's")
    origin, height = places[0]
    frame = LocalFrame(origin)
    flat = frame.to_metres([p.lat for p, _ in places], [p.lon for p, _ in places])
    heights = np.array([h for _, h in places])
    # Metres of Earth's centre would drown what the fit is to tell.
    has_heights = bool(np.isfinite(heights).all())
    up = heights - height if has_heights else np.zeros(len(places))
    target = np.column_stack([flat, up])
    fitted = fit_similarity(np.array([image.centre for image in known]), target)
    return frame, height if has_heights else None, fitted


def _in_words(fitted: Similarity, beside: Path) -> str:
    left_out = fitted.given - fitted.used
    without = f", {left_out:,} of them left out, for they contradict the others" if left_out else ""
    return (
        f"fitted to {fitted.given:,} references of {shown(beside.name)}{without}: "
        f"{fitted.error:,.1f} m off, the worst {fitted.worst:,.1f} m"
    )


def _references_beside(path: Path) -> Path:
    folder = path.absolute().parent
    for place_ in (folder, *list(folder.parents)[:2]):
        if (place_ / REFERENCES).is_file():
            return place_ / REFERENCES
    raise PositionError(
        f"a COLMAP model needs {REFERENCES} beside it (a line a photo: its name, lat, lon, "
        "altitude), for three photos or more"
    )


def _references(path: Path, entries: Entries) -> dict[str, tuple[Position, float]]:
    """Names with positions and heights (NaN where they are left out)."""
    try:
        text = file_bytes(path).decode("utf-8-sig", "replace")
    except PhotoError as error:
        raise PositionError(str(error)) from error
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            name, position, height = _reference(line.replace(",", " "))
        except (ValueError, PositionError) as error:
            reason = error if isinstance(error, PositionError) else "it is not a name and numbers"
            entries.refuse(f"{path.name}, line {number:,}", reason)
            continue
        found[image_name(name)] = position, height
    return found


def _reference(line: str) -> tuple[str, Position, float]:
    # Names may hold spaces; the numbers stand last.
    match = re.fullmatch(r"\s*(.+?)((?:\s+[-+]?[\d.]+(?:[eE][-+]?\d+)?){2,3})\s*", line)
    if match is None:
        raise ValueError(line)
    numbers = [float(part) for part in match[2].split()]
    if len(numbers) == 3 and _EARTH[0] < math.hypot(*numbers) < _EARTH[1]:
        lat, lon, height = geodetic(*numbers)
        return match[1], Position(lat, lon), height
    if max(abs(numbers[0]) / 90, abs(numbers[1]) / 180) > 1:
        raise PositionError(
            "it is neither latitude and longitude nor metres from the Earth's centre"
        )
    return match[1], place(*numbers[:2]), numbers[2] if len(numbers) > 2 else math.nan
