"""Collect what a file of another program says of photos, and what of it cannot be used."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hafloc.errors import PositionError
from hafloc.geo import Position
from hafloc.photos import tags
from hafloc.photos.columns import NAMES, fields_of
from hafloc.photos.photo import Metadata
from hafloc.photos.row import metadata_of_row
from hafloc.photos.table import PositionTable, image_name, of_file

SOURCE = "table"
_LONGEST_NAME = 4_096
_MILLISECONDS = (3e11, 1e13)  # since 1970: from 1979 to 2286
_MOST_PROBLEMS = 100  # said one by one


class Entries:
    """What is said of photos by name; a photo that is given differently twice has no position."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._found: dict[str, list[tuple[str, Metadata]]] = {}
        self._problems: list[str] = []
        self._more = 0

    def refuse(self, where: str, why: object) -> None:
        """Something cannot be used; `where` it stands ("shot 3")."""
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(f"{where}: {why}")
        else:
            self._more += 1

    def add(self, where: str, name: object, metadata: Metadata) -> None:
        named = image_name(name) if isinstance(name, str) and len(name) <= _LONGEST_NAME else ""
        if not named:
            self.refuse(where, "it names no photo")
        else:
            file, said = of_file(named, metadata)
            self._found.setdefault(file, []).append((where, said))

    def add_place(
        self, where: str, name: object, lat: Any, lon: Any, altitude: Any = None, **more: Any
    ) -> None:
        """A photo by its numbers, whatever these are; `more` are further fields of Metadata."""
        try:
            position = place(lat, lon)
        except PositionError as error:
            self.refuse(where, error)
            return
        metadata = Metadata(position, altitude=number(altitude), source=SOURCE, **more)
        self.add(where, name, metadata)

    def add_row(
        self,
        where: str,
        values: Mapping[str, Any],
        lat: Any = None,
        lon: Any = None,
        source: str = SOURCE,
    ) -> None:
        """A photo by the names of its values, as in a table; `lat` and `lon` where they stand
        apart from these."""
        try:
            row = {
                field: (_moment if field == "time" else _cell)(values[name])
                for field, name in fields_of(values).items()
            }
        except PositionError as error:
            self.refuse(where, error)
            return
        if lat is not None or lon is not None:
            row |= {"lat": _cell(lat), "lon": _cell(lon), "lat_ref": "", "lon_ref": ""}
        if "image" not in row:
            self.refuse(where, f"it names no photo; a field such as {NAMES['image'][0]} does")
            return
        try:
            metadata, remarks = metadata_of_row({"lat": "", "lon": ""} | row, source=source)
        except PositionError as error:
            self.refuse(where, error)
            return
        for remark in remarks:
            self.refuse(where, remark)
        self.add(where, row["image"], metadata)

    def table(self) -> PositionTable:
        agreed: dict[str, Metadata] = {}
        for name, given in self._found.items():
            (_, first), *others = given
            if any(other != first for _, other in others):
                self.refuse(
                    f"{given[0][0]} and {others[0][0]}",
                    f"{tags.shown(name, 200)} is given differently; keep one",
                )
            else:
                agreed[name] = first
        if self._more:
            self._problems.append(f"{self._more:,} more of the same kind")
        return PositionTable(agreed, tuple(self._problems), tuple(self.notes))


def number(value: Any) -> float | None:
    """A finite number, also as text; None for anything else, truth values among them."""
    return None if isinstance(value, bool | list | tuple) else tags.number(value)


def place(lat: Any, lon: Any) -> Position:
    """A position from two values of a file. Raises PositionError."""
    if lat is None or lon is None:
        raise PositionError("it has no position")
    north, east = number(lat), number(lon)
    if north is None or east is None:
        broken = lat if north is None else lon
        raise PositionError(
            f"{tags.shown(_cell(broken) or str(type(broken).__name__))} is not a coordinate"
        )
    return Position(north, east)


def mapping(value: Any) -> Mapping[str, Any]:
    """An object of JSON; anything else counts as an empty one."""
    return value if isinstance(value, dict) else {}


def _moment(value: Any) -> str:
    """A time as a table would have it: milliseconds since 1970 are UTC, as in Mapillary's API.

    Seconds are left out, for OpenSfM counts them from the camera's clock, in no known zone.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _cell(value)
    if not _MILLISECONDS[0] < value < _MILLISECONDS[1]:
        return ""
    return datetime.fromtimestamp(value / 1000, UTC).isoformat()


def _cell(value: Any) -> str:
    """A value as the cell of a table would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    return repr(value) if isinstance(value, int | float) and _is_short(value) else ""


def _is_short(value: float) -> bool:
    return isinstance(value, float) or abs(value) < 10**18
