"""Bring photos into a database: what of a folder is new, described and stored."""

from hafloc.ingest.folder import add_folder, build_index, find_records, model_info
from hafloc.ingest.plan import BuildPlan, BuildReport, Entry, Skipped, add_all, plan_build

__all__ = [
    "BuildPlan",
    "BuildReport",
    "Entry",
    "Skipped",
    "add_all",
    "add_folder",
    "build_index",
    "find_records",
    "model_info",
    "plan_build",
]
