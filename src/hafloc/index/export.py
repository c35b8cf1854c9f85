"""Photos and vectors of an index in formats that other programs read, streamed."""

import csv
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from hafloc.errors import OutputError
from hafloc.files import whole_file
from hafloc.index.parquet import write_parquet
from hafloc.index.records import GeoIndex, Record

_AT_ONCE = 4_096  # records or vectors held in memory


def export(index: GeoIndex, path: str | os.PathLike[str]) -> int:
    """Write all photos to `path`, whole or not at all; how many there were.

    `.geojson` and `.csv` hold the photos, `.npz` the unit vectors: `ids` [N], `paths` [N],
    `positions` [N, 2] (latitude, longitude) and `vectors` [N, D]. A CSV has the columns that
    positions are read from. `.parquet` holds both, as GeoParquet, and needs pyarrow (else
    MissingExtraError). Raises OutputError where the ending is another or the file cannot be
    written.
    """
    target = Path(path)
    writer = _WRITERS.get(target.suffix.lower())
    if writer is None:
        if target.suffix.lower() == ".gpkg":
            raise OutputError(f"cannot export to {target}: cut_part writes a part as an index")
        raise OutputError(
            f"cannot export to {target}: the format of {target.suffix or 'no ending'} is not "
            f"known; choose one of {', '.join(_WRITERS)}, or .gpkg for a part as an index"
        )
    with whole_file(target) as file:
        return writer(index, file, target.absolute().parent)


def _geojson(index: GeoIndex, file: BinaryIO, _: Path) -> int:
    file.write(b'{"type": "FeatureCollection", "features": [')
    count = 0
    for count, record in enumerate(index.iterate(), 1):
        feature = {
            "type": "Feature",
            "id": record.id,
            "geometry": {
                "type": "Point",
                "coordinates": [record.position.lon, record.position.lat],
            },
            "properties": {name: _plain(record, name) for name in _PROPERTIES},
        }
        file.write(b",\n" if count > 1 else b"\n")
        file.write(json.dumps(feature, ensure_ascii=False).encode())
    file.write(b"\n]}\n")
    return count


def _csv(index: GeoIndex, file: BinaryIO, _: Path) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["image", "lat", "lon", *_AFTER_POSITION])
    count = 0
    for record in index.iterate():
        count += 1
        known = [_plain(record, name) for name in _AFTER_POSITION]
        rows.writerow([record.path, record.position.lat, record.position.lon, *known])
    text.detach()
    return count


def _npz(index: GeoIndex, file: BinaryIO, folder: Path) -> int:
    # The vectors lie in a second file until it is known how many there are.
    with tempfile.TemporaryFile(dir=folder) as rows:
        ids: list[int] = []
        places: list[tuple[float, float]] = []
        names: list[str] = []
        records = index.iterate()
        while batch := list(islice(records, _AT_ONCE)):
            ids += [record.id or 0 for record in batch]
            names += [record.path for record in batch]
            places += [(record.position.lat, record.position.lon) for record in batch]
            rows.write(index.vectors([record.id or 0 for record in batch]).tobytes())
        rows.seek(0)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name, array in {
                "ids": np.array(ids, dtype=np.int64),
                "paths": np.array(names, dtype=np.str_),
                "positions": np.array(places, dtype=np.float64).reshape(-1, 2),
            }.items():
                _write_array(archive, name, array.dtype, array.shape, [array.tobytes()])
            shape = len(ids), index.model.dimension
            _write_array(archive, "vectors", np.float32, shape, _pieces(rows))
    return len(ids)


def _write_array(
    archive: zipfile.ZipFile,
    name: str,
    dtype: DTypeLike,
    shape: tuple[int, ...],
    pieces: Iterable[bytes],
) -> None:
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": False,
        "shape": shape,
    }
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array_header_2_0(member, header)
        for piece in pieces:
            member.write(piece)


def _pieces(file: BinaryIO, size: int = 1 << 20) -> Iterator[bytes]:
    while piece := file.read(size):
        yield piece


_AFTER_POSITION = (
    *("heading", "time", "altitude", "accuracy", "magnetic", "gps_status"),
    *("width", "height", "source", "content", "licence", "producer", "source_url"),
)
_PROPERTIES = ("path", *_AFTER_POSITION)
_WRITERS: dict[str, Callable[[GeoIndex, BinaryIO, Path], int]] = {
    ".geojson": _geojson,
    ".csv": _csv,
    ".npz": _npz,
    ".parquet": write_parquet,
}


def _plain(record: Record, name: str) -> object:
    value = getattr(record, name)
    if isinstance(value, bool):
        return int(value)
    return record.time.isoformat() if name == "time" and record.time is not None else value
