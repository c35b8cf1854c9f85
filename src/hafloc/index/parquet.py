"""Photos and vectors as one GeoParquet file, which GDAL, GeoPandas, DuckDB and BigQuery read.

A column `geometry` of WKB points with the metadata of GeoParquet 1.1.0 (an OGC standard), the
photos' facts beside it, and `vector`, a list of D float32.
"""

import json
import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from hafloc.errors import MissingExtraError
from hafloc.index.records import GeoIndex, Record

_AT_ONCE = 4_096  # records and vectors held in memory
_POINT = struct.Struct("<BIdd")  # little-endian, wkbPoint, x, y
_GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    # No "crs": that stands for longitude and latitude on WGS84 (OGC:CRS84).
    "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Point"]}},
}


def write_parquet(index: GeoIndex, file: BinaryIO, _: Path) -> int:
    """Write all photos with their vectors; how many there were.

    Raises MissingExtraError without pyarrow.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError(
            "cannot write Parquet: pyarrow is not installed; pip install hafloc[parquet]"
        ) from error
    text, number, real = pa.string(), pa.int64(), pa.float64()
    kinds = {
        "id": number,
        "path": text,
        "heading": real,
        "time": text,
        "altitude": real,
        "accuracy": real,
        "magnetic": pa.bool_(),
        "gps_status": text,
        "width": number,
        "height": number,
        "source": text,
        "content": text,
        "licence": text,
        "producer": text,
        "source_url": text,
    }
    schema = pa.schema(
        [
            ("geometry", pa.binary()),
            *kinds.items(),
            ("vector", pa.list_(pa.float32(), index.model.dimension)),
        ],
        metadata={"geo": json.dumps(_GEO), "hafloc_model": index.model.hash},
    )
    count = 0
    # Vectors are noise to a compressor; zstd is for the rest.
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in _batches(index):
            vectors = index.vectors([record.id or 0 for record in batch])
            columns: dict[str, Any] = {
                name: pa.array([_value(record, name) for record in batch], kind)
                for name, kind in kinds.items()
            }
            writer.write_table(
                pa.table(
                    {
                        "geometry": pa.array([_wkb(record) for record in batch], pa.binary()),
                        **columns,
                        "vector": pa.FixedSizeListArray.from_arrays(
                            pa.array(vectors.ravel()), index.model.dimension
                        ),
                    },
                    schema=schema,
                )
            )
            count += len(batch)
    return count


def _batches(index: GeoIndex) -> Iterator[list[Record]]:
    records = index.iterate()
    while batch := list(islice(records, _AT_ONCE)):
        yield batch


def _wkb(record: Record) -> bytes:
    return _POINT.pack(1, 1, record.position.lon, record.position.lat)


def _value(record: Record, name: str) -> object:
    if name == "time":
        return None if record.time is None else record.time.isoformat()
    return getattr(record, name)
