"""Turn coordinates of a reference system that a file names into WGS84 degrees."""

import math
import re
from functools import lru_cache

from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from hafloc.errors import PositionError
from hafloc.photos.tags import shown

_EPSG = re.compile(r"urn:ogc:def:crs:EPSG:[\d.]*:(\d{3,6})|EPSG:+(\d{3,6})", re.IGNORECASE)
_UTM = re.compile(r"WGS ?84[ /]+UTM[ ]?(?:zone )?(\d{1,2}) ?([NS])", re.IGNORECASE)
# A projection with plain numbers: nothing that would name a file on this computer.
_PROJ = re.compile(
    r"\+proj=(?:utm|tmerc|lcc|merc|longlat|laea|stere)(?: +\+[a-z_0-9]+(?:=[\w.,+-]+)?)*"
)
_FILES = re.compile(r"grid|init|file|pipeline|step|wktext", re.IGNORECASE)
_WGS84 = re.compile(r"(?:urn:ogc:def:crs:OGC:[\d.]*:CRS84)|OGC:CRS84|CRS84", re.IGNORECASE)


def as_degrees(x: float, y: float, crs: str) -> tuple[float, float]:
    """Longitude and latitude in WGS84 of x (east) and y (north) in `crs`.

    Known are "EPSG:25832" and its urn, "WGS84 UTM 32N", and PROJ's projections without files.
    Raises PositionError for a system that is not known, and a place that is none in it.
    """
    lon, lat = _transformer(crs.strip()).transform(x, y)
    if not (math.isfinite(lon) and math.isfinite(lat)):
        raise PositionError(f"{x:g}, {y:g} is no place in {shown(crs)}")
    return float(lon), float(lat)


def check_crs(crs: str) -> None:
    """Raises PositionError for a system that is not known."""
    _transformer(crs.strip())


@lru_cache(maxsize=32)
def _transformer(crs: str) -> Transformer:
    try:
        parsed = _parsed(crs)
        if not (parsed.is_projected or parsed.is_geographic):  # heights, for example
            raise ProjError(crs)
        return Transformer.from_crs(parsed, "EPSG:4326", always_xy=True)
    except ProjError as error:
        raise PositionError(
            f"coordinates in {shown(crs, 60)} are not read; give them in EPSG:4326"
        ) from error


def _parsed(crs: str) -> CRS:
    if _WGS84.fullmatch(crs):
        return CRS.from_epsg(4326)
    if match := _EPSG.fullmatch(crs):
        return CRS.from_epsg(int(match[1] or match[2]))
    if match := _UTM.fullmatch(crs):
        zone, is_north = int(match[1]), match[2].upper() == "N"
        return CRS.from_epsg((32600 if is_north else 32700) + zone)
    if _PROJ.fullmatch(crs) and not _FILES.search(crs):
        return CRS.from_proj4(crs)
    raise ProjError(crs)
