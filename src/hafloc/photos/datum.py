"""Turn coordinates of the geodetic datum that a photo names into WGS84, or refuse by name."""

import math
import re
from functools import lru_cache

from pyproj import Transformer

from hafloc.errors import PositionError
from hafloc.geo import Position
from hafloc.photos.tags import shown

# What says nothing: the receivers of photos give WGS84 where nobody chose otherwise.
_UNSTATED = frozenset(
    {"", "UNKNOWN", "UNDEFINED", "UNDEF", "UNSPECIFIED", "NONE", "NULL", "NA", "0"}
)
# Frames that agree with WGS84 within some two metres, better than the receiver of any photo.
_SAME = re.compile(
    r"WGS|W84|(WORLDGEODETICSYSTEM|WGS)(19)?84.*|EPSG(4326|4979)|ITRF.*|ETRS(19)?89|ETRF.*|"
    r"JGD(2000|2011|2024)|GDA(19)?94|GDA2020|NAD(19)?83.*|NORTHAMERICAN(DATUM)?(OF)?1983|"
    r"NZGD2000|CGCS2000|CHINA2000|KGD2002|KOREA2000|SIRGAS.*|RGF(19)?93|HARTEBEESTHOEK94|HK2000|"
    r"TWD(19)?97|PZ90(02|11)|GRS(19)?80|SWEREF99|EUREF89"
)
# Name to the EPSG code of its geographic coordinates; pyproj holds the shifts (metres to some
# 20 m true). Tokyo97 is the same shift, laid down by definition.
_CONVERTED = (
    (re.compile(r"TOKYO.*|TKY|EPSG4301|JAPANESEDATUM|TOKYODATUM"), 4301),
    (re.compile(r"NAD(19)?27.*|NORTHAMERICAN(DATUM)?(OF)?1927|EPSG4267"), 4267),
    (re.compile(r"ED(19)?50|EUROPEAN(DATUM)?(OF)?1950|EPSG4230"), 4230),
    (
        re.compile(r"OSGB(19)?36|OSGB|ORDNANCESURVEYGREATBRITAIN(19)?36|ORDSRVYGRTBRITN|EPSG4277"),
        4277,
    ),
    (re.compile(r"PULKOVO(19)?42|SK42|S42|EPSG4284"), 4284),
    (re.compile(r"DHDN|POTSDAM|EPSG4314"), 4314),
    (re.compile(r"CH1903|EPSG4149"), 4149),
    (re.compile(r"NZGD(19)?49|GEODETICDATUM1949|EPSG4272"), 4272),
    (re.compile(r"AGD(19)?66|AUSTRALIANGEODETIC(19)?66|EPSG4202"), 4202),
    (re.compile(r"AGD(19)?84|AUSTRALIANGEODETIC(19)?84|EPSG4203"), 4203),
    (re.compile(r"OLDHAWAIIAN|EPSG4135"), 4135),
    (re.compile(r"SAD(19)?69|SOUTHAMERICAN(DATUM)?(OF)?1969|EPSG4618"), 4618),
    (re.compile(r"KOREAN?1985|EPSG4162"), 4162),
    (re.compile(r"HONGKONG(19)?80|HK80|EPSG4611"), 4611),
    (re.compile(r"LUZON(1911)?|EPSG4253"), 4253),
    (re.compile(r"WGS(19)?72|W72|EPSG4322"), 4322),
)


def to_wgs84(lat: float, lon: float, datum: str) -> Position:
    """The WGS84 position of degrees that are given in `datum`, as GPSMapDatum names it.

    A datum that is empty or says nothing ("unknown", "*") counts as WGS84, as do the frames that
    agree with it within two metres (JGD2000, ETRS89, GDA94, NAD83, …). Older datums (Tokyo, NAD27,
    ED50, OSGB36, …) are converted by the shifts of the EPSG data set, true to 20 m or better; grid
    files are used where pyproj has them. Raises PositionError for a place that
    is not on Earth, and by its name for any datum that is not known, such as GCJ-02.
    """
    name = re.sub(r"[^A-Z0-9]", "", datum.upper()) if datum else ""
    if name in _UNSTATED or _SAME.fullmatch(name):
        return Position(lat, lon)
    Position(lat, lon)
    for pattern, code in _CONVERTED:
        if pattern.fullmatch(name):
            return _converted(lat, lon, code, datum)
    raise PositionError(f"the datum {shown(datum)} is not known")


def _converted(lat: float, lon: float, code: int, datum: str) -> Position:
    east, north = _shift(code).transform(lon, lat)
    if not (math.isfinite(east) and math.isfinite(north)):
        raise PositionError(f"{lat:g}, {lon:g} is no place in the datum {shown(datum)}")
    # Near the 180th meridian the shift may step over it.
    return Position(float(north), (float(east) + 180) % 360 - 180)


@lru_cache(maxsize=32)
def _shift(code: int) -> Transformer:
    # A "ballpark" transformation would leave the numbers as they are, hundreds of metres off.
    return Transformer.from_crs(
        f"EPSG:{code}", "EPSG:4326", always_xy=True, allow_ballpark=False, only_best=False
    )
