"""Pictures and maps from results."""

from hafloc.show.attention import attention, heat_layer, overlay
from hafloc.show.map_page import write_map
from hafloc.show.matches import match_picture
from hafloc.show.pictures import candidate_sheet
from hafloc.show.places import write_csv, write_gpx, write_kml
from hafloc.show.sheet import check_png, save_picture
from hafloc.show.sketch import map_sketch
from hafloc.show.thumbnails import Thumbnails, small_jpeg

__all__ = [
    "Thumbnails",
    "attention",
    "candidate_sheet",
    "check_png",
    "heat_layer",
    "map_sketch",
    "match_picture",
    "overlay",
    "save_picture",
    "small_jpeg",
    "write_csv",
    "write_gpx",
    "write_kml",
    "write_map",
]
