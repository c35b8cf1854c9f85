"""A database of photos with known positions, in one GeoPackage file, searched by descriptor."""

from hafloc.index.build import BuildPlan, BuildReport, Entry, Skipped, add_all, plan_build
from hafloc.index.export import export
from hafloc.index.folder import Progress, add_folder, build_index, find_records, model_info
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
    "Progress",
    "Record",
    "Skipped",
    "add_all",
    "add_folder",
    "build_index",
    "export",
    "find_records",
    "model_info",
    "plan_build",
]
