"""The options that place photos on recorded tracks, for the commands that bring photos in."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hafloc.errors import OptionError

if TYPE_CHECKING:
    from hafloc.photos import Tracking

Track = Annotated[
    list[Path] | None,
    typer.Option(
        "--track",
        help="A recorded track (GPX, KML, KMZ, TCX, NMEA; FIT with an extra), to place photos "
        "without a position by their times; may be repeated. See docs/positions.md.",
    ),
]
Offset = Annotated[
    str | None,
    typer.Option(
        "--offset",
        metavar="SECONDS|auto",
        help="With --track: seconds (or H:MM:SS) to add to the times of cameras; auto estimates "
        "them from photos that have a GPS time or position themselves.",
        show_default="auto",
    ),
]
Timezone = Annotated[
    str | None,
    typer.Option(
        "--timezone",
        metavar="ZONE",
        help="With --track: the zone of cameras' clocks where photos do not state it, such as "
        "Europe/Vienna or +02:00.",
    ),
]
MaxGap = Annotated[
    float | None,
    typer.Option(
        "--max-gap",
        metavar="SECONDS",
        help="With --track: no photo is placed between points that lie further apart in time.",
        show_default="120",
    ),
]
Course = Annotated[
    bool | None,
    typer.Option(
        "--course/--no-course",
        help="With --track: photos without a heading get that of the way, while it moves; wrong "
        "for photos taken sideways.",
        show_default="--course",
    ),
]

_CLOCK = re.compile(r"([+-]?)(\d{1,4}):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?", re.ASCII)
_SECONDS = re.compile(r"[+-]?\d{1,12}(?:\.\d+)?", re.ASCII)


def tracking_of(
    paths: list[Path] | None,
    offset: str | None,
    timezone: str | None,
    max_gap: float | None,
    course: bool | None,
) -> "Tracking | None":
    """How photos are placed on tracks, None without one.

    Raises OptionError for options that cannot be read, or that have no effect without a track.
    """
    others = {
        "--offset": offset,
        "--timezone": timezone,
        "--max-gap": max_gap,
        "--course": course,
    }
    if not paths:
        idle = next((name for name, value in others.items() if value is not None), None)
        if idle is not None:
            raise OptionError(
                f"{idle} is about tracks, and none is named; add --track, or leave it out"
            )
        return None
    from hafloc.photos import Tracking, parse_zone

    if max_gap is not None and not 0 < max_gap < math.inf:
        raise OptionError(f"--max-gap {max_gap:g} is no length of time; give seconds, such as 120")
    zone = None if timezone is None else parse_zone(timezone)
    given = Tracking(tuple(paths), _seconds(offset), zone, course=course is not False)
    return given if max_gap is None else replace(given, max_gap=max_gap)


def _seconds(text: str | None) -> float | None:
    """The seconds of an offset, None for "auto". Raises OptionError."""
    if text is None or text.strip().casefold() == "auto":
        return None
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise OptionError(
            f"--offset {text!r} is no time; give seconds such as -3600, H:MM:SS, or auto"
        )
    size = int(match[2]) * 3600 + int(match[3]) * 60 + float(match[4] or 0)
    return -size if match[1] == "-" else size
