"""Photos: decoding, EXIF and XMP, positions from tables and file names, scanning folders."""

from hafloc.photos.decode import BACKGROUND, MAX_PIXELS, content, read, read_metadata
from hafloc.photos.folder import scan
from hafloc.photos.name import position_from_name
from hafloc.photos.photo import Image, Metadata, Photo
from hafloc.photos.positions import Positions
from hafloc.photos.table import PositionTable, read_positions_csv

__all__ = [
    "BACKGROUND",
    "MAX_PIXELS",
    "Image",
    "Metadata",
    "Photo",
    "PositionTable",
    "Positions",
    "content",
    "position_from_name",
    "read",
    "read_metadata",
    "read_positions_csv",
    "scan",
]
