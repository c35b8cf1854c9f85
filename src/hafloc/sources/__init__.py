"""Street-level photos of the open commons: listed, chosen, fetched with their credits."""

from hafloc.sources.area import Area, area_near, area_of_box, area_of_file
from hafloc.sources.choose import choose
from hafloc.sources.download import (
    Shared,
    download,
    read_catalogue,
    sha256_of,
    stated_hash,
)
from hafloc.sources.fetch import FetchReport, Offer, check_room, fetch, offer
from hafloc.sources.mapillary import Mapillary
from hafloc.sources.panoramax import Panoramax
from hafloc.sources.street_photo import KINDS, Kind, Source, StreetPhoto, Wanted
from hafloc.sources.table import CREDITS, TABLE
from hafloc.sources.web import Web

__all__ = [
    "CREDITS",
    "KINDS",
    "TABLE",
    "Area",
    "FetchReport",
    "Kind",
    "Mapillary",
    "Offer",
    "Panoramax",
    "Shared",
    "Source",
    "StreetPhoto",
    "Wanted",
    "Web",
    "area_near",
    "area_of_box",
    "area_of_file",
    "check_room",
    "choose",
    "download",
    "fetch",
    "offer",
    "read_catalogue",
    "sha256_of",
    "stated_hash",
]
