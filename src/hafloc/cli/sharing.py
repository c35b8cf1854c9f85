"""Parts of an index for others, and indexes of others: export, merge, get."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hafloc import __version__
from hafloc.cli.existing import check_name, stored_photos
from hafloc.cli.options import IndexLocation, Json, OtherIndex
from hafloc.cli.output import print_json, say, tell
from hafloc.cli.own_calibration import Calibrate, calibrate_itself, calibration_notes
from hafloc.cli.progress import bar
from hafloc.cli.stopping import when_stopped
from hafloc.errors import OptionError

if TYPE_CHECKING:
    from hafloc.index import Part
    from hafloc.sources import Shared, Web

_GEOPACKAGE = ".gpkg"


def export(
    index: IndexLocation,
    out: Annotated[
        Path,
        typer.Argument(
            help="Ending .geojson, .csv, .parquet or .npz (vectors); or .gpkg: a part to share."
        ),
    ],
    bbox: Annotated[
        str | None,
        typer.Option(metavar="W,S,E,N", help="To .gpkg: only photos in this box."),
    ] = None,
    near: Annotated[
        str | None,
        typer.Option(metavar="LAT,LON,RADIUS", help="To .gpkg: only those within RADIUS metres."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--without-photos-of",
            metavar="FOLDER",
            help="To .gpkg: leave out the photos below a folder; repeatable.",
        ),
    ] = None,
    local: Annotated[
        bool,
        typer.Option("--local/--no-local", help="To .gpkg: take key points along, or none."),
    ] = True,
    thumbnails: Annotated[
        bool,
        typer.Option(
            "--thumbnails",
            help="To .gpkg: take a small picture of each photo along (12 KB), so that others see "
            "what answers rest on.",
        ),
    ] = False,
    calibrate: Calibrate = True,
    as_json: Json = False,
) -> None:
    """Write the photos of an index for other programs, or a part of it as an index for others."""
    from hafloc.index import cut_part, open_index
    from hafloc.index import export as write

    choices = (bbox, near, without or None, None if local else "--no-local", thumbnails or None)
    if out.suffix.lower() != _GEOPACKAGE:
        if any(choice is not None for choice in choices):
            raise OptionError(
                "--bbox, --near, --without-photos-of, --no-local and --thumbnails cut a part that "
                "is an index; let the name end in .gpkg"
            )
        notes, pictured = [], None
        with open_index(index) as opened:
            count = write(opened, out)
    else:
        part = _part(bbox, near, without or [], local=local, thumbnails=thumbnails)
        with when_stopped("nothing was written; run it again"), bar() as progress:
            count = cut_part(index, out, part, progress)
        pictured = _pictured(out) if thumbnails else None
        with bar() as progress:
            notes = list(calibration_notes(calibrate_itself(str(out), calibrate, progress)))
        if pictured is not None and pictured < count:
            notes.append(
                f"{count - pictured:,} photos are without a small picture: their files are gone or "
                "cannot be read"
            )
    if as_json:
        print_json({"index": index, "written": out, "photos": count, "thumbnails": pictured})
    else:
        said = "" if pictured is None else f", {pictured:,} with a small picture"
        say(f"{out}: {count:,} photos{said}")
    for note in notes:
        tell(note)


def merge(
    to: OtherIndex,
    indexes: Annotated[list[str], typer.Argument(help="Indexes of the same checkpoint.")],
    calibrate: Calibrate = True,
    as_json: Json = False,
) -> None:
    """Join indexes into one; a photo that several hold is taken once. Run again to go on."""
    from hafloc.index import merge_indexes

    check_name(to)
    with when_stopped(lambda: stored_photos(to)), bar() as progress:
        report = merge_indexes(to, indexes, progress)
    with bar() as progress:
        notes = list(calibration_notes(calibrate_itself(to, calibrate, progress)))
    if as_json:
        print_json({"index": to} | asdict(report))
    else:
        say(f"{to}: {report.added:,} added, {report.duplicates:,} were there already")
    for note in notes:
        tell(note)


def get(
    name: Annotated[
        str | None,
        typer.Argument(help="A name of the catalogue, or an address; none lists the catalogue."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The file to write; by default NAME.gpkg."),
    ] = None,
    catalogue: Annotated[
        str | None,
        typer.Option(
            envvar="HAFLOC_CATALOGUE",
            metavar="URL|FILE",
            help="JSON that lists indexes (docs/share.md).",
        ),
    ] = None,
    sha256: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="The hash of what an address gives, if you know it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Download an index that somebody shares; run again to go on.

    It is refused unless its hash is right and it holds nothing but what hafloc writes.
    """
    from hafloc.index import get_index
    from hafloc.sources import Web

    web = Web(__version__)
    if name is None:
        _list(catalogue, web, as_json=as_json)
        return
    shared = _shared(name, catalogue, sha256, web)
    target = out or Path(f"{shared.name}{_GEOPACKAGE}")
    there = target.exists()
    stopped = "what was downloaded is kept; run the same command again to go on"
    with when_stopped(stopped), bar() as progress:
        digest = get_index(shared, target, web, progress)
    if as_json:
        print_json({"index": target, "url": shared.url, "sha256": digest, "downloaded": not there})
        return
    if there:
        say(f"{target} is there already, and whole: SHA-256 {digest}")
        return
    say(f"{target}: {target.stat().st_size:,} bytes, SHA-256 {digest}")
    if shared.sha256 is None:
        tell("nobody states its hash: that it came whole and unchanged is not sure")
    say(f"next: hafloc locate {target} PHOTO")


def _list(catalogue: str | None, web: "Web", *, as_json: bool) -> None:
    from hafloc.sources import read_catalogue

    if catalogue is None:
        raise OptionError("name an address of an index, or a catalogue with --catalogue URL|FILE")
    found = read_catalogue(catalogue, web)
    if as_json:
        print_json({"catalogue": catalogue, "indexes": found})
        return
    for one in found:
        size = "" if one.bytes is None else f", {one.bytes / 1e6:,.0f} MB"
        licences = f" ({', '.join(one.licences)})" if one.licences else ""
        say(f"{one.name}: {one.title or one.url}{size}{licences}")


def _shared(name: str, catalogue: str | None, sha256: str | None, web: "Web") -> "Shared":
    from hafloc.sources import Shared, read_catalogue, stated_hash

    digest = None if sha256 is None else sha256.strip().lower()
    if digest is not None and not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise OptionError(f"--sha256 {sha256} is no SHA-256; give its 64 hexadecimal digits")
    if "://" in name:
        last = re.sub(r"[^A-Za-z0-9._-]", "_", name.partition("?")[0].rpartition("/")[2])
        called = last.lstrip(".").removesuffix(_GEOPACKAGE) or "index"
        return Shared(called, name, sha256=digest or stated_hash(name, web))
    if catalogue is None:
        raise OptionError(
            f"{name} is no address; give one, or the catalogue that has it: --catalogue URL|FILE"
        )
    if digest is not None:
        raise OptionError("--sha256 is for an address; a catalogue states the hash itself")
    for one in read_catalogue(catalogue, web):
        if one.name == name:
            return one
    raise OptionError(f"there is no {name} in {catalogue}; hafloc index get lists what it has")


def _pictured(part: Path) -> int:
    """How many photos of an index have a small picture."""
    from hafloc.index import open_index

    with open_index(part) as opened:
        return int(opened.info().details.get("thumbnails", 0))


def _part(
    bbox: str | None, near: str | None, without: list[str], *, local: bool, thumbnails: bool
) -> "Part":
    from hafloc.cli.locate import parse_near
    from hafloc.index import Part
    from hafloc.photos import photo_file

    if bbox is not None and near is not None:
        raise OptionError("--bbox and --near are two areas; name one")
    place = None if near is None else parse_near(near)
    box, left_out = None if bbox is None else _box(bbox), tuple(map(photo_file, without))
    return Part(box, place, left_out, local, thumbnails)


def _box(text: str) -> tuple[float, float, float, float]:
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError as error:
        raise OptionError(
            f"--bbox {text!r} is not W,S,E,N; give for example 16.36,48.20,16.38,48.21"
        ) from error
    if not (abs(west) <= 180 and abs(east) <= 180 and -90 <= south <= north <= 90):
        raise OptionError(f"--bbox {text!r} is no box on Earth; give W,S,E,N in degrees")
    return west, south, east, north
