"""Photos of Mapillary, by the user's own token."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from hafloc.errors import OptionError, PositionError, SourceError
from hafloc.geo import Position, distance
from hafloc.sources.area import Box, quarters, widened
from hafloc.sources.street_photo import StreetPhoto, Wanted
from hafloc.sources.web import Web, plain

SERVER = "https://graph.mapillary.com"
TOKEN = "MAPILLARY_TOKEN"
# The terms under which Mapillary gives all its photos.
LICENCE = "CC-BY-SA-4.0"
# Bounds of the interface: degrees² of a box, and photos of an answer.
_LARGEST_BOX = 0.01
_PAGE = 2_000
_SMALLEST = 5e-6  # as panoramax
_PANORAMAS = frozenset({"spherical", "equirectangular"})
_FIELDS = (
    *("id", "geometry", "computed_geometry", "compass_angle", "computed_compass_angle"),
    *("captured_at", "is_pano", "camera_type", "sequence", "creator"),
    *("thumb_1024_url", "thumb_2048_url", "thumb_original_url"),
)

Image = Mapping[str, Any]


class Mapillary:
    """The photos of Mapillary; `size` is "2048", "1024", "original", or "auto": 2048, of panoramas
    original."""

    name = "mapillary"
    said = "Mapillary (https://www.mapillary.com)"

    def __init__(
        self, web: Web, token: str, server: str = SERVER, size: str = "auto", page: int = _PAGE
    ) -> None:
        """Raises OptionError without a token."""
        if not token.strip():
            raise OptionError(
                f"{TOKEN} is not set; get a token at "
                f"https://www.mapillary.com/dashboard/developers and set {TOKEN} to it"
            )
        if not token.strip().isascii() or not token.strip().isprintable():
            raise OptionError(f"{TOKEN} is no token: it holds other characters than ASCII")
        self._web = web
        self._headers = {"Authorization": f"OAuth {token.strip()}"}
        self._server = server.rstrip("/")
        self._size = size
        self._page = page

    def photos(self, wanted: Wanted) -> Iterator[StreetPhoto]:
        """The photos that are `wanted`, each once. Raises SourceError."""
        seen: set[str] = set()
        waiting = list(wanted.area.boxes)
        while waiting:
            box = waiting.pop()
            width, height = box[2] - box[0], box[3] - box[1]
            if width * height >= _LARGEST_BOX:
                waiting += quarters(box)
                continue
            found = self._images(box, wanted)
            if len(found) >= self._page and max(width, height) > _SMALLEST:
                waiting += quarters(box)
            for image in found:
                photo = photo_of(image, self._size)
                if photo is not None and photo.id not in seen and wanted.includes(photo):
                    seen.add(photo.id)
                    yield photo

    def nearest(self, wanted: Wanted) -> StreetPhoto | None:
        """The nearest of the photos around the middle of the area, as wide as one answer goes."""
        centre, anything = wanted.area.centre, Wanted(wanted.area)
        found = [
            photo
            for box in widened(centre, 0.03)
            if (box[2] - box[0]) * (box[3] - box[1]) < _LARGEST_BOX
            for image in self._images(box, anything)
            if (photo := photo_of(image, self._size)) is not None
        ]
        return min(found, key=lambda photo: distance(centre, photo.position), default=None)

    def _images(self, box: Box, wanted: Wanted) -> list[Image]:
        query = {
            "bbox": ",".join(f"{side:.7f}" for side in box),
            "fields": ",".join(_FIELDS),
            "limit": str(self._page),
        }
        if wanted.years is not None:
            query["start_captured_at"] = f"{wanted.years[0]:04}-01-01T00:00:00Z"
            query["end_captured_at"] = f"{wanted.years[1]:04}-12-31T23:59:59Z"
        if wanted.kind != "all":
            query["is_pano"] = "true" if wanted.kind == "360" else "false"
        address = f"{self._server}/images"
        content = self._web.json(address, query, self._headers)
        if not isinstance(content, dict) or not isinstance(content.get("data"), list):
            raise SourceError(
                f"cannot read {plain(address)}: the answer is no list of photos; "
                "run the same command again later"
            )
        return [image for image in content["data"] if isinstance(image, dict)]


def photo_of(image: Image, size: str) -> StreetPhoto | None:
    """The photo that Mapillary describes; None where it lacks a name, a position or a file."""
    try:
        # Its own reconstruction is nearer to the truth than the telephone's GPS.
        place = image.get("computed_geometry") or image["geometry"]
        lon, lat = place["coordinates"][:2]
        position = Position(float(lat), float(lon))
        name = str(image["id"])
    except (KeyError, TypeError, ValueError, PositionError):
        return None
    panorama = image.get("is_pano") is True or image.get("camera_type") in _PANORAMAS
    wanted = ("original" if panorama else "2048") if size == "auto" else size
    urls = (image.get(f"thumb_{one}_url") for one in (wanted, "original", "2048", "1024"))
    image_url = next((url for url in urls if isinstance(url, str) and url), None)
    if image_url is None:
        return None
    return StreetPhoto(
        id=name,
        position=position,
        image_url=image_url,
        source_url=f"https://www.mapillary.com/app/?pKey={name}",
        sequence=str(image.get("sequence") or ""),
        heading=_heading(image),
        time=_time(image.get("captured_at")),
        field_of_view=360.0 if panorama else None,
        licence=LICENCE,
        producer=_creator(image),
    )


def _heading(image: Image) -> float | None:
    for name in ("computed_compass_angle", "compass_angle"):
        value = image.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 360:
            return float(value) % 360
    return None


def _creator(image: Image) -> str | None:
    creator = image.get("creator")
    name = creator.get("username") if isinstance(creator, dict) else None
    return name if isinstance(name, str) and name else None


def _time(value: object) -> datetime | None:
    """Milliseconds since 1970, or a date in words of ISO 8601."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000, UTC)
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None
