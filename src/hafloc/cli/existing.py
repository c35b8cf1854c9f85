"""What an index that exists already makes of the options of `build` and `add`."""

from pathlib import Path
from typing import TYPE_CHECKING

from hafloc.cli.output import tell
from hafloc.errors import HaflocError, OptionError

if TYPE_CHECKING:
    from hafloc.describe import Describer
    from hafloc.index import IndexInfo, LocalSize


def check_name(index: str) -> None:
    """Raises OptionError for a new file by whose name no other program knows what it is."""
    path = Path(index)
    if "://" in index or path.suffix.lower() == ".gpkg" or path.exists():
        return
    raise OptionError(
        f"cannot make the index {index}: let its name end in .gpkg, by which QGIS and other "
        "programs know it"
    )


def check_vector_type(index: str, wanted: str | None) -> None:
    """Raises OptionError where the index stores another type of vectors than the one wanted."""
    if wanted is None:
        return
    facts = _facts(index)
    if facts is not None and facts.vector_type != wanted:
        raise OptionError(
            f"{index} holds {facts.vector_type} vectors; --vector-type {wanted} has no effect on "
            "an existing index: leave it out, or build a new index"
        )


def check_regions(index: str, wanted: bool | None) -> None:
    """Raises OptionError where the index has regions and none are wanted, or the reverse."""
    facts = None if wanted is None else _facts(index)
    if facts is not None and (facts.regions > 0) != wanted:
        what, option = ("", "--no-regions") if facts.regions else ("no ", "--regions")
        raise OptionError(
            f"{index} holds {what}vectors of regions; {option} has no effect on an existing index: "
            "leave it out, or build a new index"
        )


def local_size(index: str, points: int | None, bits: int | None, local: bool | None) -> "LocalSize":
    """How much of the key points a new index is to keep.

    Raises OptionError for what cannot be, or where the index keeps them otherwise.
    """
    from hafloc.index import LocalSize

    given = [
        f"{option} {value}"
        for option, value in (("--local-points", points), ("--local-bits", bits))
        if value is not None
    ]
    if not given:
        return LocalSize()
    if local is False:
        raise OptionError(f"--no-local stores no key points; leave it out, or {given[0]}")
    if bits not in (None, 4, 8):
        raise OptionError(f"--local-bits is {bits:,}; give 4 or 8")
    wanted = LocalSize(points, bits or 8)
    facts = _facts(index)
    if facts is not None and (
        (points is not None and facts.local.points != points)
        or (bits is not None and facts.local.bits != bits)
    ):
        held = "all" if facts.local.points is None else f"{facts.local.points:,}"
        raise OptionError(
            f"{index} keeps {held} key points a photo, {facts.local.bits} bits a number; "
            f"{' '.join(given)} has no effect on an existing index: leave it out, or build a new "
            "index"
        )
    return wanted


def choose_local(index: str, wanted: bool | None, describer: "Describer") -> bool:
    """Whether key points are to be stored: as wanted, or as the index has it so far.

    Raises OptionError where that would leave an index half with key points, half without.
    """
    facts = _facts(index)
    if not describer.has_local_features or facts is None or not facts.photos:
        return wanted is not False
    holds = facts.verifiable > 0
    if wanted is not None and wanted != holds:
        what, option = ("", "--no-local") if holds else ("no ", "--local")
        raise OptionError(
            f"{index} holds {what}key points; {option} has no effect on the photos of an existing "
            "index: leave it out, or build a new index"
        )
    if not holds and wanted is None:
        tell(
            f"{index} was built without key points, and new photos get none either; "
            "a new index has them"
        )
    return holds


def stored_photos(index: str) -> str:
    """How much of a stopped build is kept, and how to go on."""
    again = "run the same command again to go on"
    try:
        facts = _facts(index)
    except HaflocError:
        return again
    if facts is None or not facts.photos:
        return f"nothing is stored yet; {again.removesuffix(' to go on')}"
    verb = "photo is" if facts.photos == 1 else "photos are"
    return f"{facts.photos:,} {verb} stored in {index}; {again}"


def photos_in(index: str) -> int:
    """How many photos an index holds; 0 where there is none that can be read."""
    try:
        facts = _facts(index)
    except HaflocError:
        return 0
    return 0 if facts is None else facts.photos


def _facts(index: str) -> "IndexInfo | None":
    from hafloc.index import index_exists, open_index

    # What cannot be looked at the command itself names.
    try:
        if not index_exists(index):
            return None
    except HaflocError:
        return None
    with open_index(index) as opened:
        return opened.info()
