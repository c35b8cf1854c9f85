"""A database of photos with known positions, in one GeoPackage file, searched by descriptor."""

from hafloc.index.build import BuildPlan, BuildReport, Entry, Skipped, add_all, plan_build
from hafloc.index.export import export
from hafloc.index.geopackage import GeoPackageIndex
from hafloc.index.records import GeoIndex, Hits, IndexInfo, ModelInfo, Near, Record
from hafloc.index.vectors import VECTOR_TYPES

__all__ = [
    "VECTOR_TYPES",
    "BuildPlan",
    "BuildReport",
    "Entry",
    "GeoIndex",
    "GeoPackageIndex",
    "Hits",
    "IndexInfo",
    "ModelInfo",
    "Near",
    "Record",
    "Skipped",
    "add_all",
    "export",
    "plan_build",
]
