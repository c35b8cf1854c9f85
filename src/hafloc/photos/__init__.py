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
from hafloc.photos.films import (
    EVERY,
    Clip,
    Decoded,
    Every,
    FilmPlan,
    film_content,
    held_times,
    is_film,
    open_clip,
    parse_every,
    plan_film,
    read_frames,
    require_reader,
    srt_beside,
)
from hafloc.photos.folder import Scan, ScannedPhoto, is_file, is_folder, photo_paths, scan
from hafloc.photos.geotag import Tag, exiftool, tagged, write_into, write_sidecar
from hafloc.photos.given import Given, GivenFile, as_photo, as_query
from hafloc.photos.gpano import Sphere, looks_like_panorama
from hafloc.photos.name import position_from_name
from hafloc.photos.panorama import VIEWS, in_panorama, outline
from hafloc.photos.parts import Frame, Part, View, file_name, part_name, split_name, view_of
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
    "EVERY",
    "MAX_PIXELS",
    "REQUESTS",
    "VIEWS",
    "Clip",
    "Cutting",
    "Decoded",
    "Every",
    "FilmPlan",
    "Frame",
    "Given",
    "GivenFile",
    "Image",
    "Metadata",
    "Part",
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
    "film_content",
    "find_photos",
    "held_times",
    "in_panorama",
    "is_file",
    "is_film",
    "is_folder",
    "is_url",
    "looks_like_panorama",
    "open_clip",
    "outline",
    "parse_every",
    "parse_zone",
    "part_name",
    "photo_file",
    "photo_paths",
    "plan_film",
    "position_from_name",
    "query_photos",
    "read",
    "read_bytes",
    "read_facts",
    "read_flat",
    "read_frames",
    "read_metadata",
    "read_part",
    "read_photos",
    "read_positions_csv",
    "read_table",
    "read_track",
    "require_reader",
    "scan",
    "shown",
    "split_name",
    "srt_beside",
    "tagged",
    "turned",
    "view_of",
    "whole_panorama",
    "write_into",
    "write_sidecar",
]
