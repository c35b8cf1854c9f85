"""Positions in the point layers of a GeoPackage whose columns name photos' files."""

import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from hafloc.errors import PositionError
from hafloc.photos.columns import names_image
from hafloc.photos.projected import as_degrees
from hafloc.photos.projects.entries import Entries

_LONGEST = 60.0  # seconds for one file, which a million photos do not take
_EVERY = 100_000  # instructions of SQLite between two looks at the clock
_ENVELOPES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
_WGS84 = (0, -1, 4326)  # "undefined" ones are degrees nearly always


def is_geopackage(data: bytes) -> bool:
    return data.startswith(b"SQLite format 3\0")


def read_geopackage(data: bytes, path: Path, entries: Entries) -> None:
    """All point layers with a column that names a file; the layers of an index are such.

    The file is opened for reading alone, runs no trigger and no code, and gets a minute.
    Raises PositionError where it is damaged, or no layer names files.
    """
    deadline = time.monotonic() + _LONGEST
    try:
        # As a URI, so that the file is not changed, not even by a journal that lies beside it.
        address = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as file:
            file.execute("PRAGMA trusted_schema=OFF")
            file.execute("PRAGMA query_only=ON")
            file.set_progress_handler(lambda: int(time.monotonic() > deadline), _EVERY)
            layers = list(_layers(file))
            if not layers:
                raise PositionError(
                    "no point layer of it has a column that names photos; call it image"
                )
            for layer in layers:
                _read_layer(file, *layer, entries)
    except sqlite3.OperationalError as error:
        if time.monotonic() > deadline:
            raise PositionError(f"reading it takes longer than {_LONGEST:g} s") from error
        raise PositionError(
            f"it is damaged or locked ({str(error)[:80]}); copy it again"
        ) from error
    # UnicodeError: text that is none.
    except (sqlite3.Error, UnicodeError, OverflowError) as error:
        raise PositionError(f"it is damaged ({str(error)[:80]}); copy it again") from error


def _layers(file: sqlite3.Connection) -> Iterator[tuple[str, str, list[str]]]:
    """Name, column of geometry and other columns of each layer that names photos."""
    tables = file.execute(
        "SELECT table_name, column_name FROM gpkg_geometry_columns LIMIT 1000"
    ).fetchall()
    for table, geometry in tables:
        # A view may compute anything at all.
        kind = file.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)
        ).fetchone()
        if kind is None or not isinstance(table, str) or not isinstance(geometry, str):
            continue
        columns = [
            str(row[1]) for row in file.execute(f"PRAGMA table_info({_quoted(table)})").fetchall()
        ]
        others = [name for name in columns if name.casefold() != geometry.casefold()]
        if len(others) < len(columns) and names_image(others):
            yield table, geometry, others


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _read_layer(
    file: sqlite3.Connection, table: str, geometry: str, columns: list[str], entries: Entries
) -> None:
    wanted = ", ".join(map(_quoted, [geometry, *columns]))
    systems = _systems(file)
    for at, (shape, *values) in enumerate(
        file.execute(f"SELECT {wanted} FROM {_quoted(table)}"), start=1
    ):
        where = f"{table}, row {at:,}"
        try:
            x, y, system = _point(shape)
            lon, lat = (x, y) if system in _WGS84 else as_degrees(x, y, _crs(systems, system))
        except PositionError as error:
            entries.refuse(where, error)
            continue
        entries.add_row(where, dict(zip(columns, values, strict=True)), lat=lat, lon=lon)


def _systems(file: sqlite3.Connection) -> dict[int, str]:
    rows = file.execute(
        "SELECT srs_id, organization, organization_coordsys_id FROM gpkg_spatial_ref_sys "
        "LIMIT 10000"
    )
    return {number: f"{organization}:{code}" for number, organization, code in rows}


def _crs(systems: dict[int, str], system: int) -> str:
    return systems.get(system, f"EPSG:{system}")


def _point(shape: Any) -> tuple[float, float, int]:
    """x, y and the reference system's number. Raises PositionError.

    Source: OGC 12-128r18, clause 2.1.3 (GeoPackageBinary), and ISO WKB.
    """
    if not isinstance(shape, bytes) or shape[:2] != b"GP" or len(shape) < 8:
        raise PositionError("it has no point")
    order = "<" if shape[3] & 1 else ">"
    (system,) = struct.unpack_from(f"{order}i", shape, 4)
    at = 8 + _ENVELOPES.get(shape[3] >> 1 & 7, 0)
    try:
        order = "<" if shape[at] else ">"
        (kind,) = struct.unpack_from(f"{order}I", shape, at + 1)
        if kind & 0x0FFFFFFF not in (1, 1001, 2001, 3001):
            raise PositionError("it is no point")
        x, y = struct.unpack_from(f"{order}dd", shape, at + 5)
    except (struct.error, IndexError) as error:
        raise PositionError("its geometry is damaged") from error
    if x != x or y != y:
        raise PositionError("its point is empty")
    return x, y, system
