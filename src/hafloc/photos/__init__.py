"""Photos: decoding, EXIF and XMP, positions from tables and file names, scanning folders."""

from hafloc.photos.credit import credit_in_words
from hafloc.photos.cuts import (
    CUTTING,
    Cutting,
    cut_part,
    query_photos,
    read_facts,
    read_flat,
    read_part,
    read_photos,
    turned,
    whole_panorama,
)
from hafloc.photos.decode import MAX_PIXELS, read, read_bytes, read_metadata
from hafloc.photos.folder import Scan, ScannedPhoto, is_file, is_folder, photo_paths, scan
from hafloc.photos.geotag import Tag, exiftool, tagged, write_into, write_sidecar
from hafloc.photos.given import Given, as_photo, as_query
from hafloc.photos.gpano import Sphere, looks_like_panorama
from hafloc.photos.name import position_from_name
from hafloc.photos.panorama import VIEWS, in_panorama, outline
from hafloc.photos.parts import View, file_name, part_name, split_name
from hafloc.photos.photo import Image, Metadata, Photo, Window
from hafloc.photos.pixels import BACKGROUND
from hafloc.photos.positions import Positions
from hafloc.photos.projects import read_table
from hafloc.photos.remote import PhotoFile, PhotoUrl, RemoteError, is_url, photo_file
from hafloc.photos.sources import REQUESTS, find_photos
from hafloc.photos.stored import content, file_bytes, shown
from hafloc.photos.table import PositionTable, read_positions_csv
from hafloc.photos.tracks import Track, Tracking, parse_zone, read_track

__all__ = [
    "BACKGROUND",
    "CUTTING",
    "MAX_PIXELS",
    "REQUESTS",
    "VIEWS",
    "Cutting",
    "Given",
    "Image",
    "Metadata",
    "Photo",
    "PhotoFile",
    "PhotoUrl",
    "PositionTable",
    "Positions",
    "RemoteError",
    "Scan",
    "ScannedPhoto",
    "Sphere",
    "Tag",
    "Track",
    "Tracking",
    "View",
    "Window",
    "as_photo",
    "as_query",
    "content",
    "credit_in_words",
    "cut_part",
    "exiftool",
    "file_bytes",
    "file_name",
    "find_photos",
    "in_panorama",
    "is_file",
    "is_folder",
    "is_url",
    "looks_like_panorama",
    "outline",
    "parse_zone",
    "part_name",
    "photo_file",
    "photo_paths",
    "position_from_name",
    "query_photos",
    "read",
    "read_bytes",
    "read_facts",
    "read_flat",
    "read_metadata",
    "read_part",
    "read_photos",
    "read_positions_csv",
    "read_table",
    "read_track",
    "scan",
    "shown",
    "split_name",
    "tagged",
    "turned",
    "whole_panorama",
    "write_into",
    "write_sidecar",
]
