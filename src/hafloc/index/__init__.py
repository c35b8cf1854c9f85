"""A database of photos with known positions, in one GeoPackage file, searched by descriptor."""

from hafloc.index.export import export
from hafloc.index.geopackage import GeoPackageIndex
from hafloc.index.records import GeoIndex, Hits, IndexInfo, ModelInfo, Near, Record
from hafloc.index.vectors import VECTOR_TYPES

__all__ = [
    "VECTOR_TYPES",
    "GeoIndex",
    "GeoPackageIndex",
    "Hits",
    "IndexInfo",
    "ModelInfo",
    "Near",
    "Record",
    "export",
]
