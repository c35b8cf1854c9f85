"""Positions in mapillary_image_description.json, as mapillary_tools writes it."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hafloc.photos.projects.entries import Entries, mapping, number
from hafloc.photos.tags import shown

_TIME = re.compile(r"(\d{4})_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d\d)(?:_(\d{1,6}))?", re.ASCII)


def is_description(value: Any) -> bool:
    return isinstance(value, list) and any("MAPLatitude" in mapping(item) for item in value[:1_000])


def read_description(value: Any, path: Path, entries: Entries) -> None:
    """Photos with MAPLatitude and the like; what mapillary_tools itself refused is named.

    Source: github.com/mapillary/mapillary_tools, schema/image_description_schema.json
    (MAPCaptureTime is UTC).
    """
    for at, item in enumerate(value, start=1):
        described = mapping(item)
        where = f"photo {at:,}"
        if "error" in described:
            reason = mapping(described["error"]).get("message")
            entries.refuse(where, f"mapillary_tools refused it ({shown(str(reason), 80)})")
        elif described.get("filetype", "image") == "image":
            _add(where, described, entries)


def _add(where: str, described: Any, entries: Entries) -> None:
    compass = mapping(described.get("MAPCompassHeading"))
    true, magnetic = (number(compass.get(f"{kind}Heading")) for kind in ("True", "Magnetic"))
    heading = magnetic if true is None else true
    error = number(described.get("MAPGPSAccuracyMeters"))
    entries.add_place(
        where,
        described.get("filename"),
        described.get("MAPLatitude"),
        described.get("MAPLongitude"),
        described.get("MAPAltitude"),
        heading=None if heading is None else heading % 360,
        magnetic=true is None and magnetic is not None,
        time=_time(described.get("MAPCaptureTime")),
        accuracy=error if error is not None and error > 0 else None,
    )


def _time(value: Any) -> datetime | None:
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    try:
        whole = datetime(*(int(part) for part in match.groups()[:6]), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        return None
    return whole + timedelta(seconds=float(f"0.{match[7] or 0}"))
