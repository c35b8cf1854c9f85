"""A small made-up database for the tests of the index; needs no network."""

import numpy as np
from numpy.typing import NDArray

from hafloc.geo import Position
from hafloc.index import ModelInfo, Record

# What takes from a file what format 7 brought, by SQL.
BEFORE_FORMAT_7 = (
    *(
        f"DROP TRIGGER {name}_checksum"
        for name in (
            *("photos_update", "photos_delete", "descriptors_update", "descriptors_delete"),
            *("regions_update", "local_features_update"),
            *("hafloc_insert", "hafloc_update", "hafloc_delete"),
        )
    ),
    "DROP TABLE checksums",
    "DELETE FROM gpkg_contents WHERE table_name = 'checksums'",
    "DELETE FROM gpkg_extensions WHERE table_name = 'checksums'",
    "DELETE FROM hafloc WHERE key = 'checksum'",
    "DROP TRIGGER photos_delete_thumbnail",
    "DROP TABLE thumbnails",
    "DELETE FROM gpkg_contents WHERE table_name = 'thumbnails'",
    "DELETE FROM gpkg_extensions WHERE table_name = 'thumbnails'",
)
MODEL = ModelInfo(name="small", hash="0123456789abcdef", options='{"levels": 3}', dimension=32)


def sample(n: int, start: int = 0) -> tuple[list[Record], NDArray[np.float32]]:
    """n records around Cambridge, numbered from `start`, with unit vectors of 32."""
    random = np.random.default_rng(start)
    vectors = random.standard_normal((n, 32), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    places = random.uniform((52.0, 0.0), (53.0, 1.0), (n, 2))
    records = [
        Record(
            path=f"photos/{start + i}.jpg",
            content=f"{start + i:032x}",
            position=Position(lat=float(lat), lon=float(lon)),
            width=640,
            height=480,
            source="exif",
        )
        for i, (lat, lon) in enumerate(places)
    ]
    return records, vectors
