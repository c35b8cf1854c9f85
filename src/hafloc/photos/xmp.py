"""Read what a photo's XMP says of position, direction and time, as directories of EXIF tags."""

import re
from collections.abc import Mapping
from typing import Any
from xml.parsers import expat

from PIL.ExifTags import GPS, Base

from hafloc.photos.angle import degrees_of
from hafloc.photos.clock import parse_time
from hafloc.photos.tags import Directories

# Real packets hold kilobytes; runaway edit histories some megabytes.
LONGEST = 16 * 2**20  # bytes
_LONGEST_VALUE = 256  # characters
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_EXIF = "http://ns.adobe.com/exif/1.0/"
# EXIF 2.31 and later have a name space of their own, which some programs use for older tags too.
_EXIF_EX = "http://cipa.jp/exif/1.0/"
_GPANO = "http://ns.google.com/photos/1.0/panorama/"
# What a packet about a panorama holds, in any encoding of its letters.
_PANORAMA = (b"panorama/", "panorama/".encode("utf-16-le"), "panorama/".encode("utf-16-be"))
_DATES = (
    f"{_EXIF} DateTimeOriginal",
    "http://ns.adobe.com/photoshop/1.0/ DateCreated",
    "http://ns.adobe.com/xap/1.0/ CreateDate",
)
_PLAIN = {
    "GPSAltitude": GPS.GPSAltitude,
    "GPSAltitudeRef": GPS.GPSAltitudeRef,
    "GPSImgDirection": GPS.GPSImgDirection,
    "GPSImgDirectionRef": GPS.GPSImgDirectionRef,
    "GPSMapDatum": GPS.GPSMapDatum,
    "GPSStatus": GPS.GPSStatus,
    "GPSHPositioningError": GPS.GPSHPositioningError,
    "GPSLatitudeRef": GPS.GPSLatitudeRef,
    "GPSLongitudeRef": GPS.GPSLongitudeRef,
}


def read_xmp(packet: object) -> Directories:
    """The tags that an XMP packet (bytes or text) holds, with the values as EXIF has them.

    Only properties of the photo itself count, not those of the places it shows, of ingredients
    or histories. Whatever is broken, too long, or declares a document type (entities) is empty.
    Source: XMP specification part 2, 2016; Exif 2.32 metadata for XMP, CIPA DC-010-2020.
    """
    properties = _properties(packet)
    found = {
        name: properties.get(f"{_EXIF} {name}") or properties.get(f"{_EXIF_EX} {name}")
        for name in ("GPSLatitude", "GPSLongitude", "GPSTimeStamp", "GPSDateStamp", *_PLAIN)
    }
    gps: dict[int, Any] = {int(tag): found[name] for name, tag in _PLAIN.items() if found[name]}
    for name, tag, axis in (
        ("GPSLatitude", GPS.GPSLatitude, "NS"),
        ("GPSLongitude", GPS.GPSLongitude, "EW"),
    ):
        if value := found[name]:
            degrees = degrees_of(_points(value), axis)
            gps[tag] = value if degrees is None else (degrees,)
    gps.update(_gps_time(found["GPSTimeStamp"] or "", found["GPSDateStamp"] or ""))
    original = next(
        (properties[name] for name in _DATES if parse_time(properties.get(name, ""))), None
    )
    return Directories(detail={Base.DateTimeOriginal: original} if original else {}, gps=gps)


def file_kind(packet: bytes) -> str:
    """Which of the files of one name a sidecar is about ("NEF"), where it says so; else "".

    Source: photoshop:SidecarForExtension, XMP specification part 2.
    """
    said = _properties(packet).get("http://ns.adobe.com/photoshop/1.0/ SidecarForExtension", "")
    return said.lstrip(".").casefold()


def panorama_properties(packet: object) -> Mapping[str, str]:
    """What an XMP packet (bytes or text) says of a panorama, by the property's name: GPano.

    Empty where it says nothing, or is broken.
    """
    if not isinstance(packet, bytes | str) or not may_tell_of_panorama(packet):
        return {}
    found = _properties(packet)
    return {
        name.removeprefix(f"{_GPANO} "): value
        for name, value in found.items()
        if name.startswith(f"{_GPANO} ")
    }


def may_tell_of_panorama(data: bytes | str) -> bool:
    """Whether an XMP packet, or a file that holds one as it is, may speak of a panorama: quick."""
    if isinstance(data, str):
        return "panorama/" in data
    return any(mark in data for mark in _PANORAMA)


def _points(value: str) -> str:
    """ "48,12,30.5N" with spaces between its numbers; decimal commas become points.

    Programs in some languages write the latter: "48,2" and "50,53,691734,N" (geeqie, issue 691).
    Minutes and seconds have two digits, so three are a fraction of what stands before.
    """
    if "." not in value:
        value = re.sub(r"^\s*([+-]?\d+),(\d+)\s*$", r"\1.\2", value, flags=re.ASCII)
        value = re.sub(r",(\d{3,}),?\s*([NSEW]?)\s*$", r".\1\2", value, flags=re.ASCII)
    return value.replace(",", " ")


def _gps_time(stamp: str, day: str) -> dict[int, Any]:
    time = parse_time(stamp) or parse_time(f"{day} {stamp}")
    if time is None:
        return {}
    offset = time.utcoffset()
    try:
        time = time - offset if offset else time
    except OverflowError:
        return {}
    clock = time.hour, time.minute, time.second + time.microsecond / 1e6
    return {GPS.GPSDateStamp: f"{time:%Y:%m:%d}", GPS.GPSTimeStamp: clock}


def _properties(packet: object) -> Mapping[str, str]:
    if isinstance(packet, str):
        # The declaration may name another encoding than the one that text is parsed in.
        packet = re.sub(r"^\s*<\?xml[^>]*\?>", "", packet).encode("utf-8", "replace")
    if not isinstance(packet, bytes) or len(packet) > LONGEST:
        return {}
    reader = _Reader()
    try:
        # Padding; in UTF-16, a NUL is half of the last letter.
        is_wide = packet.startswith((b"\xff\xfe", b"\xfe\xff"))
        reader.parse(packet if is_wide else packet.strip(b"\0 \r\n\t"))
    # Besides its own errors, the parser lets those of odd encodings through.
    except (expat.ExpatError, ValueError, LookupError):
        return {}
    return reader.properties


class _Reader:
    """Collects the simple properties of the descriptions at the top of a packet."""

    def __init__(self) -> None:
        self.properties: dict[str, str] = {}
        self._path: list[str] = []
        self._text: list[str] = []

    def parse(self, packet: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.Parse(packet, True)

    def _refuse(self, *_: object) -> None:
        raise ValueError("a document type, which XMP has no use for")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        self._text = []
        if self._path[-2:] == [f"{_RDF} RDF", f"{_RDF} Description"] and len(self._path) <= 3:
            for attribute, value in attributes.items():
                self._keep(attribute, value)

    def _end(self, name: str) -> None:
        if self._is_property():
            self._keep(name, "".join(self._text))
        self._path.pop()
        self._text = []

    def _characters(self, characters: str) -> None:
        if self._is_property():
            self._text.append(characters)

    def _is_property(self) -> bool:
        parents = self._path[-3:-1]
        return len(self._path) <= 4 and parents == [f"{_RDF} RDF", f"{_RDF} Description"]

    def _keep(self, name: str, value: str) -> None:
        value = value.strip()
        if value and len(value) <= _LONGEST_VALUE:
            self.properties.setdefault(name, value)
