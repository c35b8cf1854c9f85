"""Pictures and maps from results."""

from hafloc.show.attention import attention
from hafloc.show.map_page import write_map
from hafloc.show.pictures import candidate_sheet
from hafloc.show.sheet import save_picture

__all__ = ["attention", "candidate_sheet", "save_picture", "write_map"]
