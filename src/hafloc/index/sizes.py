"""What the parts of an index file take, in bytes."""

import sqlite3

from hafloc.index import vectors as stored

# Key points are measured in so many photos, and reckoned for all where there are more.
_MEASURED = 1_000


def part_sizes(
    connection: sqlite3.Connection, vector_type: str, dimension: int, regions: int, local: bool
) -> dict[str, int]:
    """Bytes of all vectors, of all regions' vectors, and of all key points, those that are there.

    `local` says whether the file has a table of key points. Key points of more than 1,000 photos
    are reckoned from 1,000 of them.
    """
    entry = stored.stored_dtype(vector_type).itemsize
    sizes = {"vector_bytes": _count(connection, "descriptors") * dimension * entry}
    if regions:
        sizes["region_bytes"] = _count(connection, "regions") * regions * dimension
    if local:
        count = _count(connection, "local_features")
        # Reading the length of each of a million blobs would read gigabytes.
        (mean,) = connection.execute(
            "SELECT avg(length(features)) FROM local_features WHERE photo_id IN "
            "(SELECT photo_id FROM local_features WHERE photo_id % ? = 0 LIMIT ?)",
            (max(1, count // _MEASURED), 2 * _MEASURED),
        ).fetchone()
        if mean is not None:
            sizes["key_point_bytes"] = round(count * mean)
    return sizes


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
