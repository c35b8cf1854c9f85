"""`hafloc fetch`: bring street-level photos of the open commons into a folder."""

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hafloc import __version__
from hafloc.cli.explained import command, group
from hafloc.cli.options import Json, Model
from hafloc.cli.output import print_json, say, tell
from hafloc.cli.progress import bar
from hafloc.cli.statuses import IN_PART
from hafloc.cli.stopping import when_stopped
from hafloc.errors import OptionError, PhotoError

if TYPE_CHECKING:
    from hafloc.sources import Area, FetchReport, Offer, Source, Wanted, Web

app = group("Bring street-level photos of others, with positions and credits, into a folder.")

Photos = Annotated[
    Path, typer.Argument(help="Folder for the photos; made if it is not there.", metavar="PHOTOS")
]
BoundingBox = Annotated[
    str | None, typer.Option("--bbox", metavar="W,S,E,N", help="The area, longitudes first.")
]
NearPlace = Annotated[
    str | None,
    typer.Option("--near", metavar="LAT,LON,RADIUS", help="The area within RADIUS metres."),
]
AreaFile = Annotated[
    Path | None, typer.Option("--area", help="The area as polygons of a GeoJSON file.")
]
Every = Annotated[
    str | None,
    typer.Option(
        metavar="METRES",
        help="Of photos nearer to each other than this that look the same way, one; 8m is usual.",
    ),
]
Years = Annotated[
    str | None, typer.Option(metavar="FROM-TO", help="Taken in these years: 2020-2024, or 2023.")
]
KindOption = Annotated[
    str, typer.Option("--kind", metavar="KIND", help="360 (panoramas), flat, or all.")
]
Most = Annotated[
    int | None, typer.Option(min=1, help="At most so many photos, spread over the area.")
]
Index = Annotated[
    str | None,
    typer.Option(
        "--index", metavar="INDEX", help="Index the folder next, as `hafloc index build` does."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Fetch without asking.")]


@command(app, "fetch panoramax")
def panoramax(
    photos: Photos,
    bbox: BoundingBox = None,
    near: NearPlace = None,
    area: AreaFile = None,
    every: Every = None,
    years: Years = None,
    kind: KindOption = "all",
    most: Most = None,
    size: Annotated[
        str,
        typer.Option(
            metavar="SIZE", help="hd, sd (2,048 pixels wide) or auto: sd, of panoramas hd."
        ),
    ] = "auto",
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="One instance; by default the catalogue of all, https://api.panoramax.xyz/api.",
        ),
    ] = None,
    yes: Yes = False,
    index: Index = None,
    model: Model = "haf",
    as_json: Json = False,
) -> None:
    """Photos of Panoramax, without an account; run again to go on, or to add what is new."""
    wanted = _wanted(_area(bbox, near, area), years, kind)
    _check_index(index, as_json)
    spacing = _metres(every)
    _check_size(size, ("hd", "sd", "auto"))
    from hafloc.sources import Panoramax, Web

    web = Web(__version__)
    source = Panoramax(web, size=size) if server is None else Panoramax(web, server, size)
    failed = _fetch(source, wanted, photos, web, spacing, most, yes=yes, as_json=as_json)
    _end(photos, index, model, failed)


@command(app, "fetch mapillary")
def mapillary(
    photos: Photos,
    bbox: BoundingBox = None,
    near: NearPlace = None,
    area: AreaFile = None,
    every: Every = None,
    years: Years = None,
    kind: KindOption = "all",
    most: Most = None,
    size: Annotated[
        str,
        typer.Option(
            metavar="SIZE", help="original, 2048, 1024 or auto: 2048, of panoramas original."
        ),
    ] = "auto",
    yes: Yes = False,
    index: Index = None,
    model: Model = "haf",
    as_json: Json = False,
) -> None:
    """Photos of Mapillary, with your own token in MAPILLARY_TOKEN."""
    wanted = _wanted(_area(bbox, near, area), years, kind)
    _check_index(index, as_json)
    spacing = _metres(every)
    _check_size(size, ("original", "2048", "1024", "auto"))
    from hafloc.sources import Mapillary, Web

    web = Web(__version__)
    # Another server, to be tested against; no user has one.
    server = os.environ.get("HAFLOC_MAPILLARY_SERVER")
    token = os.environ.get("MAPILLARY_TOKEN", "")
    source = Mapillary(web, token, size=size) if not server else Mapillary(web, token, server, size)
    failed = _fetch(source, wanted, photos, web, spacing, most, yes=yes, as_json=as_json)
    _end(photos, index, model, failed)


def _fetch(
    source: "Source",
    wanted: "Wanted",
    folder: Path,
    web: "Web",
    every: float | None,
    most: int | None,
    *,
    yes: bool,
    as_json: bool,
) -> bool:
    """Bring the photos; whether some of them failed."""
    from hafloc.sources import check_room, fetch, offer

    with when_stopped("nothing was fetched yet; run it again"), bar() as progress:
        found = offer(source, wanted, folder, web, every=every, most=most, progress=progress)
    if not found.photos:
        raise PhotoError(_none_there(source, wanted))
    check_room(folder, found.bytes)
    if not as_json:
        _show(source, found)
    if len(found.photos) > found.held and not yes:
        _ask()
    stopped = "what was fetched is kept; run the same command again to go on"
    with when_stopped(stopped), bar() as progress:
        report = fetch(source, found.photos, folder, web, progress=progress)
    _tell(folder, found, report, as_json=as_json)
    return bool(report.failed)


def _end(folder: Path, index: str | None, model: str, failed: bool) -> None:
    """Index what was fetched where that is wanted; ends with status 1 where something failed."""
    if index is None:
        tell(f"next: hafloc index build city.gpkg {folder}")
    else:
        from hafloc.cli.index import build

        build(index, str(folder), model=model)
    if failed:
        raise typer.Exit(IN_PART)


def _check_index(index: str | None, as_json: bool) -> None:
    if index is not None and as_json:
        raise OptionError("--json prints one object; leave --index out, and index the folder next")


def _tell(folder: Path, found: "Offer", report: "FetchReport", *, as_json: bool) -> None:
    if as_json:
        content = {
            "folder": folder,
            "fetched": report.fetched,
            "held": report.held,
            "bytes": report.bytes,
            "failed": report.failed,
        }
        print_json(
            content
            | {
                "licences": [
                    {"licence": name, "photos": count} for name, count in found.licences.items()
                ]
            }
        )
    else:
        size = f" ({_size(report.bytes)})" if report.fetched else ""
        say(
            f"{folder}: {report.fetched:,} fetched{size}, "
            f"{report.held:,} were there; credits in CREDITS.txt"
        )
    for line in report.failed:
        tell(line)


def _show(source: "Source", found: "Offer") -> None:
    new = len(found.photos) - found.held
    size = "size unknown" if found.bytes is None else f"about {_size(found.bytes)}"
    there = f", {found.held:,} there already" if found.held else ""
    if new:
        say(f"{source.said}: {new:,} photo{'s' * (new > 1)} to fetch, {size}{there}")
    else:
        say(f"{source.said}: nothing to fetch{there}")
    ordered = sorted(found.licences.items(), key=lambda pair: -pair[1])
    for licence, count in ordered:
        name = licence or "unknown: ask the server's operator before you publish anything"
        say(f"  licence {name}: {count:,}")
    say(f"  producers: {found.producers:,}")


def _size(count: int) -> str:
    """Bytes as people say them: "85 KB", "3.2 MB", "1,250 MB"."""
    if count < 1e5:
        return f"{math.ceil(count / 1e3):,} KB"
    return f"{count / 1e6:,.{1 if count < 1e7 else 0}f} MB"


def _ask() -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise OptionError("nothing was fetched: nobody is there to ask; add --yes to fetch them")
    if not typer.confirm("Fetch them?", default=False, err=True):
        raise typer.Exit


def _none_there(source: "Source", wanted: "Wanted") -> str:
    from hafloc.errors import SourceError
    from hafloc.geo import distance

    choice = ""
    if wanted.years is not None or wanted.kind != "all":
        choice = " of these years and this kind"
    nothing = f"{source.said} has no photo{choice} in this area"
    try:
        nearest = source.nearest(wanted)
    except SourceError:
        return f"{nothing}; choose another"
    if nearest is None:
        return f"{nothing}, and none far and wide; choose another"
    metres = distance(wanted.area.centre, nearest.position)
    place = nearest.position
    return (
        f"{nothing}; the nearest to its middle is {metres:,.0f} m away: "
        f"--near {place.lat:.5f},{place.lon:.5f},500 has it"
    )


def _area(bbox: str | None, near: str | None, file: Path | None) -> "Area":
    from hafloc.sources import area_near, area_of_box, area_of_file

    given = [value for value in (bbox, near, file) if value is not None]
    if len(given) != 1:
        raise OptionError("name one area: --bbox W,S,E,N, --near LAT,LON,RADIUS or --area FILE")
    if bbox is not None:
        return area_of_box(bbox)
    return area_near(near) if near is not None else area_of_file(file or Path())


def _wanted(area: "Area", years: str | None, kind: str) -> "Wanted":
    from hafloc.sources import KINDS, Wanted

    chosen = next((one for one in KINDS if one == kind), None)
    if chosen is None:
        raise OptionError(f"--kind {kind} is not known; choose one of {', '.join(KINDS)}")
    return Wanted(area, None if years is None else _years(years), chosen)


def _years(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    last = last or first
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) <= 9999):
        raise OptionError(f"--years {text!r} is not FROM-TO; give for example 2020-2024 or 2023")
    return int(first), int(last)


def _metres(text: str | None) -> float | None:
    """Raises OptionError where it is no length in metres above 0."""
    if text is None:
        return None
    try:
        metres = float(text.strip().removesuffix("m"))
    except ValueError:
        metres = 0.0
    if not 0 < metres <= 100_000:
        raise OptionError(f"--every {text!r} is no distance in metres; give for example 8m")
    return metres


def _check_size(size: str, known: tuple[str, ...]) -> None:
    if size not in known:
        raise OptionError(f"--size {size} is not known; choose one of {', '.join(known)}")
