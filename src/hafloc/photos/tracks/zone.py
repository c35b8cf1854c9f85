"""Read the time zone that a person names for a camera's clock."""

import difflib
import zoneinfo
from datetime import tzinfo

from hafloc.errors import OptionError
from hafloc.photos.clock import parse_offset
from hafloc.photos.tags import shown

_EXAMPLE = "give a name such as Europe/Vienna, or an offset such as +02:00"


def parse_zone(text: str) -> tzinfo:
    """A zone of the IANA data base ("Europe/Vienna"), or an offset from UTC ("+02:00", "Z").

    Raises OptionError, with the names that come near.
    """
    text = text.strip()
    offset = parse_offset(text)
    if offset is not None:
        return offset
    if text[:1] in ("+", "-"):
        raise OptionError(f"--timezone {shown(text)} is no offset from UTC; {_EXAMPLE}")
    try:
        return zoneinfo.ZoneInfo(text)
    # A name that leaves the data base's folder, a folder in it, or one that no file can have.
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = _near(text)
        cure = f"did you mean {' or '.join(near)}?" if near else _EXAMPLE
        raise OptionError(f"--timezone {shown(text)} is no time zone; {cure}") from None


def _near(text: str) -> list[str]:
    names = zoneinfo.available_timezones()
    wanted = text.casefold().replace(" ", "_")
    ends = {name.rpartition("/")[2].casefold(): name for name in sorted(names)}
    whole = {name.casefold(): name for name in sorted(names)}
    known = ends | whole
    return [known[key] for key in difflib.get_close_matches(wanted, known, n=3, cutoff=0.75)]
