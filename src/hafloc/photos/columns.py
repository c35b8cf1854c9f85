"""Tell which columns of a table hold a photo's name, position, direction and time."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from hafloc.errors import PositionError
from hafloc.photos.tags import shown

# Each field by its names in order of preference, as `_plain` writes them: our own, those of
# exiftool, of Metashape ("#Label,X/Longitude,Y/Latitude"), and what people write by hand.
# Not "x" and "y", which may be metres or pixels, nor "height", which may be the picture's.
NAMES: Mapping[str, tuple[str, ...]] = {
    "image": (
        *("image", "sourcefile", "imagepath", "filepath", "photopath", "relativepath", "path"),
        *("filename", "imagename", "imagefilename", "imagefile", "photoname", "photofile"),
        *("photo", "picture", "file", "label", "name"),
    ),
    "lat": (
        *("lat", "latitude", "gpslatitude", "gpslat", "latdeg", "latitudedeg", "decimallatitude"),
        *("latitudedecimal", "ylatitude", "latitudey", "latwgs84", "wgs84lat", "imagelatitude"),
    ),
    "lon": (
        *("lon", "lng", "long", "longitude", "gpslongitude", "gpslon", "gpslng", "gpslong"),
        *("londeg", "longitudedeg", "decimallongitude", "longitudedecimal", "xlongitude"),
        *("longitudex", "lonwgs84", "wgs84lon", "imagelongitude"),
    ),
    "wkt": ("wkt", "wktgeom", "geometry", "thegeom", "geom"),
    "lat_ref": ("latref", "latituderef", "gpslatituderef"),
    "lon_ref": ("lonref", "longituderef", "gpslongituderef"),
    "heading": (
        *("heading", "gpsimgdirection", "imgdirection", "bearing", "azimuth", "compassangle"),
        *("compassheading", "headingdeg", "cameraheading"),
    ),
    "heading_ref": ("gpsimgdirectionref", "imgdirectionref"),
    "magnetic": ("magnetic",),
    "altitude": ("altitude", "gpsaltitude", "alt", "elevation", "ele", "zaltitude", "altitudem"),
    "altitude_ref": ("altituderef", "gpsaltituderef"),
    "accuracy": (
        *("accuracy", "gpshpositioningerror", "hpositioningerror", "horizontalaccuracy", "hacc"),
        *("gpsaccuracy", "accuracym", "positionaccuracy"),
    ),
    "gps_status": ("gpsstatus",),
    "field_of_view": ("fieldofview",),
    "datum": ("gpsmapdatum", "mapdatum", "datum"),
    "time": (
        *("time", "subsecdatetimeoriginal", "datetimeoriginal", "datetime", "timestamp"),
        *("capturetime", "capturedat", "datetaken", "gpsdatetime", "createdate", "datecreated"),
    ),
    "offset": ("offsettimeoriginal", "offsettime"),
    "fraction": ("subsectimeoriginal",),
    # Not "author", "copyright" or "url": exiftool's tags of one's own camera, and anything at all.
    "licence": ("licence", "license"),
    "producer": ("producer",),
    "source_url": ("sourceurl",),
}
# No table is refused for them.
_CREDIT = ("licence", "producer", "source_url")
REQUIRED = ("image", "lat", "lon")
NEEDED = "the columns are image,lat,lon[,heading,time]"
_LISTED = 12  # columns named in a message


def find_columns(header: Sequence[str]) -> dict[str, int] | None:
    """The place of each known field in a header, or None where a required one is missing.

    Case, spaces, units in brackets and exiftool's group names ("EXIF:GPSLatitude") do not matter.
    Raises PositionError, without the file's name, where a column that is used stands there twice.
    """
    places = _places(header)
    if "wkt" in places and "image" in places:
        return places
    return places if all(field in places for field in REQUIRED) else None


def fields_of(names: Iterable[str]) -> Mapping[str, str]:
    """The name that each known field has among `names`. Raises PositionError as above."""
    return _fields_of(tuple(names))


@lru_cache(maxsize=256)  # objects of one file mostly have the same names
def _fields_of(names: tuple[str, ...]) -> Mapping[str, str]:
    return {field: names[at] for field, at in _places(names).items()}


def names_image(names: Iterable[str]) -> bool:
    """Whether one of the columns holds photos' names."""
    plain = {_plain(name) for name in names}
    return any(name in plain for name in NAMES["image"])


def _places(header: Sequence[str]) -> dict[str, int]:
    plain = [_plain(name) for name in header]
    places: dict[str, int] = {}
    for field, names in NAMES.items():
        name = next((name for name in names if name in plain), None)
        if name is not None and not (field in _CREDIT and plain.count(name) > 1):
            places[field] = _place(name, plain, header)
    return places


def described(header: Sequence[str]) -> str:
    """The columns of a header, in words, shortened where they are many or long."""
    listed = [f'"{shown(name.strip())}"' for name in header[:_LISTED]]
    more = len(header) - len(listed)
    return ", ".join(listed) + (f" and {more:,} more" if more > 0 else "")


def _place(name: str, plain: Sequence[str], header: Sequence[str]) -> int:
    places = [at for at, other in enumerate(plain) if other == name]
    # exiftool's composite tags carry the sign that its EXIF tags leave to another column.
    composite = [at for at in places if header[at].strip().casefold().startswith("composite:")]
    if len(places) > 1 and len(composite) != 1:
        raise PositionError(
            f'column "{shown(header[places[1]].strip())}" stands there twice; remove one'
        )
    return composite[0] if composite else places[0]


@lru_cache(maxsize=4_096)
def _plain(name: str) -> str:
    name = re.sub(r"\(.*?\)|\[.*?\]", "", name)
    return re.sub(r"[\W_]", "", name.rpartition(":")[2].casefold())
