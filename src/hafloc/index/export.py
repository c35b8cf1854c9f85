"""Photos and vectors of an index in formats that other programs read."""

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hafloc.errors import OutputError
from hafloc.files import write_whole
from hafloc.index.records import GeoIndex, Record


def export(index: GeoIndex, path: str | os.PathLike[str]) -> int:
    """Write all photos to `path`, whole or not at all; how many there were.

    `.geojson` and `.csv` hold the photos, `.npz` the unit vectors: `ids` [N], `paths` [N],
    `positions` [N, 2] (latitude, longitude) and `vectors` [N, D]. Raises OutputError where the
    ending is another or the file cannot be written.
    """
    target = Path(path)
    writer = _WRITERS.get(target.suffix.lower())
    if writer is None:
        raise OutputError(
            f"cannot export to {target}: the format of {target.suffix or 'no ending'} is not "
            f"known; choose one of {', '.join(_WRITERS)}"
        )
    records = list(index.iterate())
    write_whole(target, writer(index, records))
    return len(records)


def _geojson(index: GeoIndex, records: list[Record]) -> bytes:
    features = [
        {
            "type": "Feature",
            "id": record.id,
            "geometry": {
                "type": "Point",
                "coordinates": [record.position.lon, record.position.lat],
            },
            "properties": {name: _plain(record, name) for name in _PROPERTIES},
        }
        for record in records
    ]
    collection = {"type": "FeatureCollection", "features": features}
    return json.dumps(collection, ensure_ascii=False, indent=1).encode()


def _csv(index: GeoIndex, records: list[Record]) -> bytes:
    # The first columns are those that `hafloc index build` reads positions from.
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rest = [name for name in _PROPERTIES if name not in ("path", "heading", "time")]
    rows.writerow(["image", "lat", "lon", "heading", "time", *rest])
    for record in records:
        place = record.position.lat, record.position.lon
        known = [_plain(record, name) for name in ("heading", "time", *rest)]
        rows.writerow([record.path, *place, *known])
    return text.getvalue().encode()


def _npz(index: GeoIndex, records: list[Record]) -> bytes:
    ids = [record.id for record in records if record.id is not None]
    content = io.BytesIO()
    np.savez(
        content,
        ids=np.array(ids, dtype=np.int64),
        paths=np.array([record.path for record in records], dtype=np.str_),
        positions=np.array(
            [(record.position.lat, record.position.lon) for record in records], dtype=np.float64
        ).reshape(-1, 2),
        vectors=index.vectors(ids),
    )
    return content.getvalue()


_PROPERTIES = ("path", "heading", "time", "altitude", "width", "height", "source", "content")
_WRITERS: dict[str, Callable[[GeoIndex, list[Record]], bytes]] = {
    ".geojson": _geojson,
    ".csv": _csv,
    ".npz": _npz,
}


def _plain(record: Record, name: str) -> object:
    value = getattr(record, name)
    return record.time.isoformat() if name == "time" and record.time is not None else value
