"""What a source of street-level photos offers, and what every source must do."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from hafloc.geo import Position
from hafloc.sources.area import Area

Kind = Literal["360", "flat", "all"]
KINDS: tuple[Kind, ...] = ("360", "flat", "all")
# From here on a photo shows all around; cameras with two lenses give somewhat less than 360.
_ALL_AROUND = 350


@dataclass(frozen=True, slots=True)
class StreetPhoto:
    """A photo that a source offers.

    `id` is the source's own, `sequence` that of the walk or drive it belongs to. `heading` is
    degrees from north, `accuracy` metres, `field_of_view` degrees across, all where the source
    knows them. `licence` is an SPDX name or an address; `source_url` leads a person to the photo,
    `image_url` to its file, of `bytes` and `sha256` (hex) as far as the source says.
    """

    id: str
    position: Position
    image_url: str
    source_url: str
    sequence: str = ""
    heading: float | None = None
    time: datetime | None = None
    accuracy: float | None = None
    field_of_view: float | None = None
    licence: str | None = None
    producer: str | None = None
    bytes: int | None = None
    sha256: str | None = None

    @property
    def is_panorama(self) -> bool:
        return self.field_of_view is not None and self.field_of_view >= _ALL_AROUND


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which photos of an area: within `years` (first and last, both included), of a `kind`."""

    area: Area
    years: tuple[int, int] | None = None
    kind: Kind = "all"

    def includes(self, photo: StreetPhoto) -> bool:
        if self.kind != "all" and photo.is_panorama != (self.kind == "360"):
            return False
        if self.years is not None and not (
            photo.time is not None and self.years[0] <= photo.time.year <= self.years[1]
        ):
            return False
        return self.area.contains(photo.position)


class Source(Protocol):
    """Where street-level photos come from; a new one is a file with a class like this."""

    @property
    def name(self) -> str:
        """One word of small letters; names of files begin with it."""
        ...

    @property
    def said(self) -> str:
        """Its name and address for a person."""
        ...

    def photos(self, wanted: Wanted) -> Iterator[StreetPhoto]:
        """The photos that are `wanted`, each once; what the source has wrong is left out.

        Raises SourceError where the source does not answer, or not as its interface says.
        """
        ...

    def nearest(self, wanted: Wanted) -> StreetPhoto | None:
        """The nearest photo to the middle of the area; None where none is far and wide."""
        ...
