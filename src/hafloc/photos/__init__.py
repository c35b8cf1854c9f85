"""Photos: decoding, EXIF and XMP, positions from tables and file names, scanning folders."""

from hafloc.photos.cuts import (
    CUTTING,
    Cutting,
    cut_part,
    query_photos,
    read_facts,
    read_part,
    read_photos,
    turned,
    whole_panorama,
)
from hafloc.photos.decode import MAX_PIXELS, read, read_metadata
from hafloc.photos.folder import Scan, ScannedPhoto, is_file, is_folder, photo_paths, scan
from hafloc.photos.given import Given, as_photo, as_query
from hafloc.photos.gpano import Sphere, looks_like_panorama
from hafloc.photos.name import position_from_name
from hafloc.photos.panorama import VIEWS, in_panorama, outline
from hafloc.photos.parts import View, file_name, part_name, split_name
from hafloc.photos.photo import Image, Metadata, Photo, Window
from hafloc.photos.pixels import BACKGROUND
from hafloc.photos.positions import Positions
from hafloc.photos.stored import content, shown
from hafloc.photos.table import PositionTable, read_positions_csv

__all__ = [
    "BACKGROUND",
    "CUTTING",
    "MAX_PIXELS",
    "VIEWS",
    "Cutting",
    "Given",
    "Image",
    "Metadata",
    "Photo",
    "PositionTable",
    "Positions",
    "Scan",
    "ScannedPhoto",
    "Sphere",
    "View",
    "Window",
    "as_photo",
    "as_query",
    "content",
    "cut_part",
    "file_name",
    "in_panorama",
    "is_file",
    "is_folder",
    "looks_like_panorama",
    "outline",
    "part_name",
    "photo_paths",
    "position_from_name",
    "query_photos",
    "read",
    "read_facts",
    "read_metadata",
    "read_part",
    "read_photos",
    "read_positions_csv",
    "scan",
    "shown",
    "split_name",
    "turned",
    "whole_panorama",
]
