"""`hafloc locate`: where were these photos taken?"""

import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hafloc.cli.explained import command, group
from hafloc.cli.films import ClipsEvery, clips, films_in_words
from hafloc.cli.options import (
    Device,
    IndexLocation,
    MatcherName,
    Panorama,
    Precision,
    Probability,
    RecordedModel,
    Runtime,
    Trust,
    Views,
    not_over,
    runtime_for,
)
from hafloc.cli.output import print_json, print_table, say, tell
from hafloc.cli.progress import bar
from hafloc.cli.quick_start import loading
from hafloc.cli.statuses import IN_PART
from hafloc.cli.stopping import when_stopped
from hafloc.errors import HaflocError, OptionError, PhotoError, PositionError

if TYPE_CHECKING:
    from hafloc.locate import Answer, Localizer, Near
    from hafloc.photos import Clip

app = group()

GpxFile = Annotated[
    Path | None,
    typer.Option("--gpx", help="Write the answers as waypoints of GPX.", callback=not_over(".gpx")),
]
KmlFile = Annotated[
    Path | None,
    typer.Option(
        "--kml", help="Write the answers as placemarks of KML.", callback=not_over(".kml")
    ),
]
CsvFile = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        help="Write the answers as a table: image,lat,lon,accuracy,…; --positions reads it.",
        callback=not_over(".csv", ".tsv", ".txt"),
    ),
]


@command(app, "locate")
def locate(
    index: IndexLocation,
    queries: Annotated[list[Path], typer.Argument(help="Photos, folders of photos, or films.")],
    top: Annotated[int, typer.Option(min=1, help="How many nearest photos to show.")] = 5,
    near: Annotated[
        str | None,
        typer.Option(metavar="LAT,LON,RADIUS", help="Search only within RADIUS metres of a place."),
    ] = None,
    rerank: Annotated[
        int,
        typer.Option(
            min=0, help="How many of the nearest to verify by key points and rank anew; 0: none."
        ),
    ] = 50,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a query and line.")
    ] = False,
    pairs: Annotated[
        bool,
        typer.Option("--pairs", help="With --json: the best photo's inlier matches as well."),
    ] = False,
    as_geojson: Annotated[
        bool, typer.Option("--geojson", help="Print all answers as one GeoJSON collection.")
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option(
            "--map",
            help="Write a map page with the photos; works without internet.",
            callback=not_over(".html", ".htm"),
        ),
    ] = None,
    gpx: GpxFile = None,
    kml: KmlFile = None,
    csv: CsvFile = None,
    model: RecordedModel = None,
    matcher: MatcherName = None,
    device: Device = "auto",
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    trust: Trust = False,
    probability: Probability = 0.9,
    cautious: Annotated[
        bool,
        typer.Option(
            "--cautious",
            help="A larger radius, which holds in the worst neighbourhoods too, not on average.",
        ),
    ] = False,
    panorama: Panorama = False,
    views: Views = 8,
    open_map: Annotated[
        bool, typer.Option("--open", help="Open the map page in the browser when it is written.")
    ] = False,
    every: ClipsEvery = None,
    sequence: Annotated[
        bool,
        typer.Option(
            "--sequence",
            help="Photos of one walk: let them help each other by their times.",
        ),
    ] = False,
) -> None:
    """Say where photos were taken, from the photos of an index."""
    with loading():
        from hafloc.locate import Answer, Localizer
        from hafloc.photos import Cutting

    _check(as_json=as_json, as_geojson=as_geojson, pairs=pairs, rerank=rerank, matcher=matcher)
    _check_targets(page, gpx, kml, csv)
    place = parse_near(near) if near is not None else None
    films = clips(queries, every)
    files = list(_files(queries))
    count = len(files) + sum(_frames(film) - 1 for film in films.values())
    answers: list[Answer] = []
    failures: list[str] = []
    stopped = when_stopped(lambda: f"{len(answers):,} of {count:,} photos were located")
    with loading():
        opened = Localizer.open(
            index,
            model,
            device=device,
            matcher=matcher,
            runtime=runtime_for(runtime, count),
            precision=precision,
        )
    with stopped, opened as localizer, bar() as progress:
        progress.start("locating", count)
        located = _located(
            localizer,
            files,
            films,
            sequence=sequence,
            top=top,
            near=place,
            rerank=rerank,
            probability=probability,
            cautious=cautious,
            cutting=Cutting(views, assume=panorama),
            progress=progress.advance,
        )
        for result in located:
            if not isinstance(result, Answer):
                failures.append(f"skipped: {result}")
                continue
            answers.append(result)
            if as_json:
                more = {"pairs": result.pairs_to_dict()} if pairs else {}
                with progress.aside():
                    print_json(result.to_dict() | more)
            elif not as_geojson:
                with progress.aside():
                    _print(result, said=None if matcher is None else localizer.matcher_note)
        if as_geojson:
            with progress.aside():
                print_json(_collection(answers))
        _write_page(page, answers, localizer, opened=open_map)
        _write_places(answers, gpx=gpx, kml=kml, csv=csv)
        troubles = localizer.troubles
    is_read = not (as_json or as_geojson)
    for line in films_in_words(answers) if is_read else ():
        say(line)
    for trouble in troubles:
        tell(trouble)
    if matcher is not None:
        tell(f"{localizer.matcher_note}: answers have no radius")
    elif is_read and any(answer.confidence is None for answer in answers):
        tell(f"how far off that may be: `hafloc calibrate {index}` learns it")
    _end(failures, answers)


def _check(
    *, as_json: bool, as_geojson: bool, pairs: bool, rerank: int, matcher: str | None
) -> None:
    """Raises OptionError for options that would have no effect beside others."""
    if as_json and as_geojson:
        raise OptionError("--json and --geojson are two forms of one answer; name one")
    if pairs and not as_json:
        raise OptionError("--pairs adds matches to what --json prints; add --json")
    if pairs and not rerank:
        raise OptionError("--rerank 0 compares no key points, so --pairs has none; leave one out")
    if matcher is not None and not rerank:
        raise OptionError("--rerank 0 compares no photos, so --matcher has none; leave one out")


def _check_targets(*targets: Path | None) -> None:
    named = [target.absolute() for target in targets if target is not None]
    if len(set(named)) < len(named):
        raise OptionError("two of --map, --gpx, --kml and --csv name one file; give each its own")


def _end(failures: list[str], answers: "list[Answer]") -> None:
    """What went wrong, on standard error; ends with status 1 where something did."""
    for failure in failures:
        tell(failure)
    missing = [answer for answer in answers if answer.found is False]
    if missing and len(answers) > 1:
        tell(f"{len(missing):,} of {len(answers):,} not in this database")
    if failures or missing:
        raise typer.Exit(IN_PART)


def parse_near(text: str) -> "Near":
    """LAT,LON,RADIUS in degrees and metres. Raises PositionError."""
    from hafloc.locate import Near

    try:
        return Near.parse(text, f"--near {text!r}")
    except ValueError as error:
        raise PositionError(
            f"--near {text!r} is not LAT,LON,RADIUS; give for example 52.2053,0.1218,500"
        ) from error


def _files(queries: list[Path]) -> Iterator[Path]:
    from hafloc.photos import is_folder, photo_paths

    for query in queries:
        if is_folder(query):
            yield from photo_paths(query)
        else:
            yield query


def _located(
    localizer: "Localizer",
    files: list[Path],
    films: "dict[Path, Clip | PhotoError]",
    *,
    sequence: bool,
    progress: Callable[[int], None],
    **wanted: Any,
) -> "Iterator[Answer | HaflocError]":
    """The answers to photos, and to the frames of each film as to those of a walk."""
    done = 0

    def ahead(number: int) -> None:
        progress(done + number)

    photos = [file for file in files if file not in films]
    if photos:
        locate_them = localizer.locate_walk if sequence else localizer.locate_many
        for _, result in locate_them(photos, **wanted, progress=ahead):
            yield result
        done += len(photos)
    for film in films.values():
        if isinstance(film, PhotoError):
            yield film
        else:
            try:
                for _, result in localizer.locate_walk(film.photos(), **wanted, progress=ahead):
                    yield result
            except PhotoError as error:
                yield error
        done += _frames(film)


def _frames(film: "Clip | PhotoError") -> int:
    return 1 if isinstance(film, PhotoError) else len(film.times)


def _print(answer: "Answer", *, said: str | None = None) -> None:
    """What is said of one query; a note that is `said` of all is left out."""
    from hafloc.locate import borders_in_words, in_words

    # One line, however narrow the terminal: programs read it too.
    say(f"  {in_words(answer)}", title=answer.query)
    if answer.duplicate_of is not None:
        say(f"  this very photo is in the index: {answer.duplicate_of.path}")
    if (borders := borders_in_words(answer)) is not None:
        say(f"  {borders}")
    if answer.note not in (None, said):
        say(f"  {answer.note}")
    print_table(
        ("", "photo", "metres", "distance", "inliers"),
        [
            (
                str(candidate.rank),
                candidate.path,
                f"{candidate.metres:,.0f}",
                f"{candidate.feature_distance:.3f}",
                "" if candidate.inliers is None else f"{candidate.inliers:,}",
            )
            for candidate in answer.candidates
        ],
        left=("photo",),
    )
    if credit := answer.candidates[0].credit:
        say(f"  photo 1: {credit}")


def _collection(answers: "list[Answer]") -> dict[str, object]:
    features = [feature for answer in answers for feature in answer.to_geojson()["features"]]
    return {"type": "FeatureCollection", "features": features}


def _write_page(
    page: Path | None, answers: "list[Answer]", localizer: "Localizer", *, opened: bool
) -> None:
    """Write the map page where one is wanted; one that is only opened goes among files that
    nobody keeps."""
    if not answers or not (page or opened):
        return
    from hafloc.show import write_map

    page = page or Path(tempfile.mkdtemp(prefix="hafloc-")) / "map.html"
    write_map(page, answers, localizer.index)
    tell(f"{page}: map of {_answers(len(answers))}")
    if opened and not webbrowser.open(page.absolute().as_uri()):
        tell(f"cannot open a browser: none is known here; open {page} in one")


def _write_places(
    answers: "list[Answer]", *, gpx: Path | None, kml: Path | None, csv: Path | None
) -> None:
    if not (gpx or kml or csv):
        return
    from hafloc.show.places import write_csv, write_gpx, write_kml

    for path, write in ((gpx, write_gpx), (kml, write_kml), (csv, write_csv)):
        if path is None:
            continue
        written = write(path, answers)
        missing = len(answers) - written
        left_out = f", {missing:,} not in this database left out" if missing else ""
        tell(f"{path}: {_answers(written)}{left_out}")


def _answers(count: int) -> str:
    return "1 answer" if count == 1 else f"{count:,} answers"
