"""A database of photos with known positions, searched by descriptor; see `GeoIndex`."""

from hafloc.index.backends import create_index, index_exists, open_index, paths_of
from hafloc.index.below import ids_below
from hafloc.index.export import export
from hafloc.index.folder import add_folder, build_index, model_info
from hafloc.index.geopackage import GeoPackageIndex
from hafloc.index.learned import LearnedFrom, Origin, origin_to_json, read_origin
from hafloc.index.paths import PhotoPaths
from hafloc.index.plan import BuildPlan, BuildReport, Entry, Skipped, add_all, plan_build
from hafloc.index.records import Box, GeoIndex, Held, Hits, IndexInfo, ModelInfo, Near, Record
from hafloc.index.vectors import VECTOR_TYPES

__all__ = [
    "VECTOR_TYPES",
    "Box",
    "BuildPlan",
    "BuildReport",
    "Entry",
    "GeoIndex",
    "GeoPackageIndex",
    "Held",
    "Hits",
    "IndexInfo",
    "LearnedFrom",
    "ModelInfo",
    "Near",
    "Origin",
    "PhotoPaths",
    "Record",
    "Skipped",
    "add_all",
    "add_folder",
    "build_index",
    "create_index",
    "export",
    "ids_below",
    "index_exists",
    "model_info",
    "open_index",
    "origin_to_json",
    "paths_of",
    "plan_build",
    "read_origin",
]
