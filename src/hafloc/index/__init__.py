"""A database of photos with known positions, searched by descriptor; see `GeoIndex`."""

from hafloc.index.backends import (
    Location,
    check_search,
    create_index,
    folder_of,
    index_exists,
    make_search,
    open_index,
    paths_of,
)
from hafloc.index.below import ids_below
from hafloc.index.build_report import BuildReport
from hafloc.index.bundle import check_bundle
from hafloc.index.copy import CopyReport, copy_index
from hafloc.index.export import export
from hafloc.index.folder import add_folder, build_index, model_info
from hafloc.index.geopackage import GeoPackageIndex
from hafloc.index.get import get_index
from hafloc.index.learned import (
    CALIBRATION_FORMAT,
    LearnedFrom,
    Origin,
    calibrated_in_words,
    is_outdated,
    origin_of,
    origin_to_json,
    read_origin,
)
from hafloc.index.local_features import LocalSize
from hafloc.index.merge import MergeReport, merge_indexes
from hafloc.index.part import Part, cut_part
from hafloc.index.paths import PhotoPaths
from hafloc.index.picture import Picture, Pictured, picture_of, thumbnail_of
from hafloc.index.plan import Skipped
from hafloc.index.records import Box, GeoIndex, Held, Hits, IndexInfo, ModelInfo, Near, Record
from hafloc.index.regions import search_by_regions, search_for, stored_features_of
from hafloc.index.renew import where_and_when
from hafloc.index.runtimes import FLOAT32
from hafloc.index.stale import Stale, find_stale
from hafloc.index.store import Entry, add_all
from hafloc.index.thumbnails import read_thumbnail
from hafloc.index.vectors import VECTOR_TYPES

__all__ = [
    "CALIBRATION_FORMAT",
    "FLOAT32",
    "VECTOR_TYPES",
    "Box",
    "BuildReport",
    "CopyReport",
    "Entry",
    "GeoIndex",
    "GeoPackageIndex",
    "Held",
    "Hits",
    "IndexInfo",
    "LearnedFrom",
    "LocalSize",
    "Location",
    "MergeReport",
    "ModelInfo",
    "Near",
    "Origin",
    "Part",
    "PhotoPaths",
    "Picture",
    "Pictured",
    "Record",
    "Skipped",
    "Stale",
    "add_all",
    "add_folder",
    "build_index",
    "calibrated_in_words",
    "check_bundle",
    "check_search",
    "copy_index",
    "create_index",
    "cut_part",
    "export",
    "find_stale",
    "folder_of",
    "get_index",
    "ids_below",
    "index_exists",
    "is_outdated",
    "make_search",
    "merge_indexes",
    "model_info",
    "open_index",
    "origin_of",
    "origin_to_json",
    "paths_of",
    "picture_of",
    "read_origin",
    "read_thumbnail",
    "search_by_regions",
    "search_for",
    "stored_features_of",
    "thumbnail_of",
    "where_and_when",
]
