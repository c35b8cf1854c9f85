"""Photos of a Panoramax instance, or of the catalogue of all of them, by its STAC interface."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from hafloc.errors import OptionError, PositionError, SourceError
from hafloc.geo import Position, distance
from hafloc.sources.area import Box, quarters, widened
from hafloc.sources.street_photo import StreetPhoto, Wanted
from hafloc.sources.web import Web, origin, plain

SERVER = "https://api.panoramax.xyz/api"
SIZES = ("hd", "sd", "thumb")
# An instance lists at most 10,000, and answers sooner when asked for fewer.
_PAGE = 1_000
_WIDER = (0.05, 0.5, 5.0)  # degrees to each side, in search of the nearest photo
# Half a metre: where a box holds a page of photos still, they are of one spot.
_SMALLEST = 5e-6
_MULTIHASH_SHA256 = re.compile(r"1220([0-9a-f]{64})", re.IGNORECASE)

Item = Mapping[str, Any]


class Panoramax:
    """The photos of one server; `size` is "hd", "sd", "thumb", or "auto": sd, of panoramas hd."""

    name = "panoramax"

    def __init__(
        self, web: Web, server: str = SERVER, size: str = "auto", page: int = _PAGE
    ) -> None:
        """Raises OptionError where the address is none of a server."""
        parts = urlsplit(server)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise OptionError(
                f"--server {server} is no address of a server; give for example {SERVER}"
            )
        self._web = web
        self._api = server.rstrip("/") + ("" if parts.path.strip("/") else "/api")
        self._size = size
        self._page = page

    @property
    def said(self) -> str:
        return f"Panoramax ({plain(self._api)})"

    def photos(self, wanted: Wanted) -> Iterator[StreetPhoto]:
        """The photos that are `wanted`, each once. Raises SourceError."""
        seen: set[str] = set()
        waiting = list(wanted.area.boxes)
        while waiting:
            box = waiting.pop()
            items, whole = self._items(box, wanted)
            if not whole:
                # The nearest to its middle are there; the parts have them again.
                waiting += quarters(box)
            for item in items:
                photo = photo_of(item, self._size)
                if photo is not None and photo.id not in seen and wanted.includes(photo):
                    seen.add(photo.id)
                    yield photo

    def nearest(self, wanted: Wanted) -> StreetPhoto | None:
        """The nearest photo of any year and kind to the middle of the area."""
        centre = wanted.area.centre
        for degrees in _WIDER:
            found = [
                photo
                for box in widened(centre, degrees)
                for item in self._search(_query(box, 100))[0]
                if (photo := photo_of(item, self._size)) is not None
            ]
            if found:
                return min(found, key=lambda photo: distance(centre, photo.position))
        return None

    def _items(self, box: Box, wanted: Wanted) -> tuple[list[Item], bool]:
        """What a box holds, and whether that is all."""
        query = _query(box, self._page)
        if wanted.years is not None:
            first, last = wanted.years
            query["datetime"] = f"{first:04}-01-01T00:00:00Z/{last:04}-12-31T23:59:59Z"
        items, onward = self._search(query)
        visited: set[str] = set()
        if onward is None:  # a single instance does not page: it leaves out the rest
            full = len(items) >= self._page and max(box[2] - box[0], box[3] - box[1]) > _SMALLEST
            return items, not full
        while onward is not None:
            if onward in visited or origin(onward) != origin(self._api):
                raise SourceError(
                    f"cannot read {plain(self._api)}: its pages lead "
                    f"{'in a circle' if onward in visited else 'to another server'}; "
                    "tell the server's operator"
                )
            visited.add(onward)
            more, onward = self._search(None, onward)
            items += more
        return items, True

    def _search(
        self, query: Mapping[str, str] | None, url: str | None = None
    ) -> tuple[list[Item], str | None]:
        """The items of a page, and the address of the next."""
        address = url or f"{self._api}/search"
        content = self._web.json(address, query)
        if not isinstance(content, dict) or not isinstance(content.get("features"), list):
            raise SourceError(
                f"cannot read {plain(address)}: the answer is no list of photos; "
                "check the address of the server"
            )
        items: list[Item] = [item for item in content["features"] if isinstance(item, dict)]
        links = content.get("links")
        for link in links if isinstance(links, list) else ():
            if (
                isinstance(link, dict)
                and link.get("rel") == "next"
                and isinstance(link.get("href"), str)
            ):
                return items, urljoin(address, link["href"]) if items else None
        return items, None


def photo_of(item: Item, size: str) -> StreetPhoto | None:
    """The photo of a STAC item; None where it lacks a name, a position or a file."""
    try:
        lon, lat = item["geometry"]["coordinates"][:2]
        position = Position(float(lat), float(lon))
        name, properties, assets = item["id"], item["properties"], item["assets"]
        if not isinstance(name, str) or not isinstance(properties, dict) or not name:
            return None
        view = _number(_dict(properties.get("pers:interior_orientation")).get("field_of_view"))
        asset = _asset(assets, size, panorama=view is not None and view >= 350)
        image_url = asset["href"]
    except (KeyError, TypeError, ValueError, IndexError, PositionError):
        return None
    if not isinstance(image_url, str):
        return None
    found = _MULTIHASH_SHA256.fullmatch(str(asset.get("file:checksum", "")))
    heading = _number(properties.get("view:azimuth"))
    length, accuracy = (
        asset.get("file:size"),
        _number(properties.get("quality:horizontal_accuracy")),
    )
    return StreetPhoto(
        id=name,
        position=position,
        image_url=image_url,
        source_url=_link(item, "self") or image_url,
        sequence=str(item.get("collection") or ""),
        heading=None if heading is None else heading % 360,
        time=_time(properties.get("datetime")),
        accuracy=accuracy if accuracy is not None and accuracy > 0 else None,
        field_of_view=view,
        licence=_licence(item),
        producer=_producer(item),
        bytes=length if isinstance(length, int) and length > 0 else None,
        sha256=found[1].lower() if found else None,
    )


def _query(box: Box, limit: int) -> dict[str, str]:
    return {"bbox": ",".join(f"{side:.7f}" for side in box), "limit": str(limit)}


def _asset(assets: Mapping[str, Item], size: str, *, panorama: bool) -> Item:
    """The file of a size, or of the next one that there is. Raises KeyError without any."""
    wanted = ("hd" if panorama else "sd") if size == "auto" else size
    for name in (wanted, *SIZES):
        if name in assets:
            return assets[name]
    raise KeyError(wanted)


def _licence(item: Item) -> str | None:
    said = item["properties"].get("license")
    # These names of STAC say that the licence stands elsewhere.
    if isinstance(said, str) and said.strip() and said not in ("various", "other", "proprietary"):
        return said.strip()
    return _link(item, "license")


def _producer(item: Item) -> str | None:
    providers = item.get("providers")
    names = [
        provider["name"]
        for provider in (providers if isinstance(providers, list) else ())
        if isinstance(provider, dict)
        and isinstance(provider.get("name"), str)
        and "producer" in (provider.get("roles") or ())
    ]
    said = item["properties"].get("geovisio:producer")
    if not names and isinstance(said, str):
        names = [said]
    return ", ".join(dict.fromkeys(names)) or None


def _link(item: Item, relation: str) -> str | None:
    links = item.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == relation:
            href = link.get("href")
            return href if isinstance(href, str) and href else None
    return None


def _time(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(float(value)) < 1e9 else None  # type: ignore[arg-type]


def _dict(value: object) -> Item:
    return value if isinstance(value, dict) else {}
