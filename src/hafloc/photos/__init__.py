"""Photos: decoding, EXIF and XMP, positions from tables and file names, scanning folders."""

from hafloc.photos.credit import credit_in_words
from hafloc.photos.decode import MAX_PIXELS, read, read_bytes, read_metadata
from hafloc.photos.folder import Scan, ScannedPhoto, is_file, is_folder, photo_paths, scan
from hafloc.photos.geotag import Tag, exiftool, tagged, write_into, write_sidecar
from hafloc.photos.given import Given, as_photo, as_query
from hafloc.photos.name import position_from_name
from hafloc.photos.photo import Image, Metadata, Photo, Window
from hafloc.photos.pixels import BACKGROUND
from hafloc.photos.positions import Positions
from hafloc.photos.projects import read_table
from hafloc.photos.remote import PhotoFile, PhotoUrl, is_url, photo_file
from hafloc.photos.sources import REQUESTS, find_photos
from hafloc.photos.stored import content, file_bytes, shown
from hafloc.photos.table import PositionTable, read_positions_csv
from hafloc.photos.tracks import Track, Tracking, parse_zone, read_track

__all__ = [
    "BACKGROUND",
    "MAX_PIXELS",
    "REQUESTS",
    "Given",
    "Image",
    "Metadata",
    "Photo",
    "PhotoFile",
    "PhotoUrl",
    "PositionTable",
    "Positions",
    "Scan",
    "ScannedPhoto",
    "Tag",
    "Track",
    "Tracking",
    "Window",
    "as_photo",
    "as_query",
    "content",
    "credit_in_words",
    "exiftool",
    "file_bytes",
    "find_photos",
    "is_file",
    "is_folder",
    "is_url",
    "parse_zone",
    "photo_file",
    "photo_paths",
    "position_from_name",
    "read",
    "read_bytes",
    "read_metadata",
    "read_positions_csv",
    "read_table",
    "read_track",
    "scan",
    "shown",
    "tagged",
    "write_into",
    "write_sidecar",
]
