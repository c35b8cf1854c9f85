"""`hafloc demo`: a rendered city, indexed and located, to see how it all works."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hafloc.cli.existing import photos_in
from hafloc.cli.explained import command, group
from hafloc.cli.options import Json
from hafloc.cli.output import print_json, print_table, say
from hafloc.cli.progress import bar
from hafloc.cli.stopping import when_stopped
from hafloc.errors import OutputError

if TYPE_CHECKING:
    from hafloc.demo import DemoCity
    from hafloc.locate import Answer
    from hafloc.progress import Progress

app = group()

TOLERANCE = 25.0  # metres
TOP = 5
# By default; of panoramas as many as make the same number of views, about.
PHOTOS, PANORAMAS = 150, 20
SIZE = (400, 300)  # pixels: the whole demo in a few minutes
WRITTEN = {
    "city.gpkg": "the index; opens in QGIS",
    "map.html": "every answer on a map, with its photos",
    "attention.png": "where the network looks",
    "answer.png": "one query beside its nearest photos",
}


@command(app, "demo")
def demo(
    folder: Annotated[Path, typer.Argument(help="A new folder for the city and the results.")],
    database: Annotated[
        int | None,
        typer.Option(
            min=1, help="Photos with known positions.", show_default="150, or 20 panoramas"
        ),
    ] = None,
    queries: Annotated[int, typer.Option(min=1, help="Photos to locate.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="Another number, another city.")] = 0,
    photos_only: Annotated[
        bool, typer.Option("--photos-only", help="Render the photos, for training, and stop.")
    ] = False,
    panoramas: Annotated[
        bool,
        typer.Option(
            "--panoramas", help="The database in 360° panoramas, which are cut into views."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Render a small city, index it, locate photos in it, write map and pictures."""
    from hafloc.demo import panorama_file, render_city

    _check_new(folder)
    if database is None:
        database = PANORAMAS if panoramas else PHOTOS
    with when_stopped(lambda: _kept(folder)), bar() as progress:
        progress.start("rendering the city", database + queries)
        city = render_city(
            folder,
            seed=seed,
            database=database,
            queries=queries,
            size=SIZE,
            panorama=panorama_file if panoramas else None,
            progress=lambda done, total: progress.advance(done),
        )
        outcomes = [] if photos_only else _locate(city, progress)
    what = "panoramas" if panoramas else "photos"
    written = {"database": f"{database:,} {what} with their positions in the EXIF"}
    if not photos_only:
        written = WRITTEN
    if as_json:
        found = {} if photos_only else _found(outcomes)
        print_json({"folder": folder, **found, "written": [folder / name for name in written]})
        return
    if not photos_only:
        _print(outcomes)
    for name, what in written.items():
        say(f"{folder / name}  {what}")


def _locate(city: "DemoCity", progress: "Progress") -> "list[_Outcome]":
    """Index the city, locate its queries, write what WRITTEN names."""
    from hafloc.calibrate import keep_calibrated
    from hafloc.describe import Describer
    from hafloc.index import build_index
    from hafloc.locate import Localizer
    from hafloc.photos import read
    from hafloc.show import attention, candidate_sheet, save_picture, write_map

    folder = city.folder
    describer = Describer.open()
    index_path = folder / "city.gpkg"
    build_index(index_path, describer, folder / "database", progress=progress)
    keep_calibrated(index_path, progress=progress)
    progress.start("locating", len(city.queries))
    answers = []
    with Localizer.open(index_path) as localizer:
        for done, photo in enumerate(city.queries, 1):
            answers.append(localizer.locate(photo.path, top=TOP))
            progress.advance(done)
        write_map(folder / "map.html", answers, localizer.index)
        paths = localizer.paths
    first = city.queries[0].path
    image = describer.fit(read(first, longer_side=describer.longer_side).image)
    save_picture(folder / "attention.png", attention(image, describer.describe(image)))
    save_picture(folder / "answer.png", candidate_sheet(answers[0], paths))
    return _outcomes(city, answers)


def _kept(folder: Path) -> str:
    """What of a stopped demo is of use already, and how to go on."""
    index = folder / "city.gpkg"
    again = f"remove {folder} and run it again"
    stored = photos_in(str(index))
    if not stored:
        return again
    build = shlex.join(("hafloc", "index", "build", str(index), str(folder / "database")))
    verb = "photo is" if stored == 1 else "photos are"
    return f"{stored:,} {verb} stored in {index}; `{build}` completes it, or {again}"


def _check_new(folder: Path) -> None:
    try:
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise OutputError(
            f"cannot look into {folder}: {error.strerror}; name another folder"
        ) from error
    if taken:
        what = "is not empty" if folder.is_dir() else "is a file"
        raise OutputError(f"{folder} {what}; name a new folder or remove it")


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A query, the error of its first candidate in metres, and the rank of the first right one."""

    query: Path
    error: float
    rank: int | None


def _outcomes(city: "DemoCity", answers: "list[Answer]") -> list[_Outcome]:
    from hafloc.geo import distance

    found = []
    for photo, answer in zip(city.queries, answers, strict=True):
        truth = photo.camera.position
        errors = [distance(truth, candidate.position) for candidate in answer.candidates]
        rank = next((n for n, metres in enumerate(errors, 1) if metres <= TOLERANCE), None)
        found.append(_Outcome(photo.path, errors[0], rank))
    return found


def _found(outcomes: list[_Outcome]) -> dict[str, object]:
    recalls = {f"recall_at_{cut}": recall for cut, recall in _recalls(outcomes).items()}
    return {"tolerance": TOLERANCE, **recalls, "queries": outcomes}


def _recalls(outcomes: list[_Outcome]) -> dict[int, float]:
    ranks = [outcome.rank for outcome in outcomes if outcome.rank is not None]
    return {cut: sum(rank <= cut for rank in ranks) / len(outcomes) for cut in (1, TOP)}


def _print(outcomes: list[_Outcome]) -> None:
    print_table(
        ("query", "error in metres", f"first within {TOLERANCE:g} m"),
        [
            (one.query.name, f"{one.error:,.1f}", "-" if one.rank is None else str(one.rank))
            for one in outcomes
        ],
        left=("query",),
        title="A rendered city, located",
    )
    recalls = ", ".join(f"recall@{cut} {value:.2f}" for cut, value in _recalls(outcomes).items())
    say(f"{recalls} at {TOLERANCE:g} m. A rendered city is a first taste, no measure of accuracy.")
