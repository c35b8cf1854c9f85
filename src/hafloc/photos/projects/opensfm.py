"""Positions that OpenSfM, and so OpenDroneMap, computed or were told."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from hafloc.errors import PhotoError, PositionError
from hafloc.geo import LocalFrame, Position
from hafloc.photos.projects.entries import Entries, mapping, number, place
from hafloc.photos.projects.json_file import load_json
from hafloc.photos.projects.turning import Floats, heading_of, rotation_of_vector
from hafloc.photos.stored import file_bytes

_BESIDE = "reference_lla.json"  # of OpenSfM before 0.4, beside the reconstruction
_FARTHEST = 1e6  # metres from the reference


def is_reconstruction(value: Any) -> bool:
    return isinstance(value, list) and any("shots" in mapping(item) for item in value[:10])


def read_reconstruction(value: Any, path: Path, entries: Entries) -> None:
    """The camera centres of reconstruction.json, in metres around its reference.

    Source: opensfm.org/docs/dataset.html (shots: rotation as an angle-axis vector and translation,
    world to camera; world axes east, north, up).
    """
    for part, item in enumerate(value, start=1):
        reconstruction = mapping(item)
        shots = mapping(reconstruction.get("shots"))
        if not shots:
            continue
        lla = mapping(reconstruction.get("reference_lla")) or _reference_beside(path)
        try:
            origin = place(lla.get("latitude"), lla.get("longitude"))
        except PositionError as error:
            entries.refuse(f"reconstruction {part:,}", f"{error} of its reference")
            continue
        if origin == Position(0.0, 0.0):
            entries.refuse(
                f"reconstruction {part:,}", "its reference is 0, 0, as without any GPS position"
            )
            continue
        height = number(lla.get("altitude")) or 0.0
        frame = LocalFrame(origin)
        for at, (name, shot) in enumerate(shots.items(), start=1):
            _add_shot(f"shot {at:,} of reconstruction {part:,}", name, shot, frame, height, entries)


def _add_shot(
    where: str, name: str, shot: Any, frame: LocalFrame, height: float, entries: Entries
) -> None:
    turned = _vector(mapping(shot).get("rotation"))
    moved = _vector(mapping(shot).get("translation"))
    if turned is None or moved is None:
        entries.refuse(where, "its rotation or translation is not three numbers")
        return
    turning = rotation_of_vector(turned)
    east, north, up = (float(part) for part in -turning.T @ moved)
    if math.hypot(east, north, up) > _FARTHEST:
        entries.refuse(where, "it lies more than 1,000 km off its reference")
        return
    position = frame.to_position(east, north)
    entries.add_place(
        where, name, position.lat, position.lon, height + up, heading=heading_of(turning)
    )


def _vector(value: Any) -> Floats | None:
    numbers = [number(part) for part in value] if isinstance(value, list) else []
    if len(numbers) != 3 or any(part is None for part in numbers):
        return None
    vector = np.array(numbers, dtype=np.float64)
    return vector if float(np.abs(vector).max()) < 1e9 else None


def _reference_beside(path: Path) -> Any:
    try:
        return mapping(load_json(file_bytes(path.parent / _BESIDE)))
    except (PhotoError, PositionError):
        return {}


def is_overrides(value: Any) -> bool:
    return isinstance(value, dict) and any(
        "latitude" in mapping(mapping(item).get("gps")) for item in list(value.values())[:1_000]
    )


def read_overrides(value: Any, path: Path, entries: Entries) -> None:
    """exif_overrides.json: what a person said of photos by name.

    Source: opensfm.org/docs/gps.html (dop is the position's error in metres).
    """
    for at, (name, item) in enumerate(value.items(), start=1):
        gps = mapping(mapping(item).get("gps"))
        if not gps:
            continue  # other things may be overridden
        angle = number(mapping(mapping(item).get("compass")).get("angle"))
        error = number(gps.get("dop"))
        entries.add_place(
            f"photo {at:,}",
            name,
            gps.get("latitude"),
            gps.get("longitude"),
            gps.get("altitude"),
            heading=None if angle is None else angle % 360,
            accuracy=error if error is not None and error > 0 else None,
        )
