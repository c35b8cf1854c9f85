"""`hafloc locate`: where were these photos taken?"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from hafloc.cli.progress import bar
from hafloc.errors import PositionError

if TYPE_CHECKING:
    from hafloc.locate import Answer, Localizer, Near

SOMETHING_MISSING = 1


def locate(
    index: Annotated[Path, typer.Argument(help="The index, a .gpkg file.")],
    queries: Annotated[list[Path], typer.Argument(help="Photos, or folders of photos.")],
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
        typer.Option("--map", help="Write a map page with the photos; works without internet."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Checkpoint; by default the one that the index records.")
    ] = None,
    probability: Annotated[
        float, typer.Option(help="How often the radius shall hold the true position.")
    ] = 0.9,
    sequence: Annotated[
        bool,
        typer.Option(
            "--sequence",
            help="Photos of one walk: let them help each other by their times.",
        ),
    ] = False,
) -> None:
    """Say where photos were taken, from the photos of an index."""
    from hafloc.locate import Answer, Localizer

    place = parse_near(near) if near is not None else None
    files = list(_files(queries))
    answers: list[Answer] = []
    failures: list[str] = []
    with Localizer.open(index, model) as localizer, bar() as progress:
        progress.start("locating", len(files))
        locate_them = localizer.locate_walk if sequence else localizer.locate_many
        located = locate_them(
            files,
            top=top,
            near=place,
            rerank=rerank,
            probability=probability,
            progress=progress.advance,
        )
        for _, result in located:
            if not isinstance(result, Answer):
                failures.append(f"skipped: {result}")
                continue
            answers.append(result)
            if as_json:
                more = {"pairs": result.pairs_to_dict()} if pairs else {}
                typer.echo(json.dumps(result.to_dict() | more))
            elif not as_geojson:
                _print(result)
        if as_geojson:
            typer.echo(json.dumps(_collection(answers)))
        if page is not None and answers:
            _write_page(page, answers, localizer, index)
    if not (as_json or as_geojson) and any(answer.confidence is None for answer in answers):
        typer.echo(f"how far off that may be: `hafloc calibrate {index}` learns it", err=True)
    _tell(failures, answers)


def _tell(failures: list[str], answers: "list[Answer]") -> None:
    """What went wrong, on standard error; ends with status 1 where something did."""
    for failure in failures:
        typer.echo(failure, err=True)
    missing = [answer for answer in answers if answer.found is False]
    if missing and len(answers) > 1:
        typer.echo(f"{len(missing):,} of {len(answers):,} not in this database", err=True)
    if failures or missing:
        raise typer.Exit(SOMETHING_MISSING)


def parse_near(text: str) -> "Near":
    """LAT,LON,RADIUS in degrees and metres. Raises PositionError."""
    from hafloc.geo import Position
    from hafloc.locate import Near

    try:
        lat, lon, radius = (float(part) for part in text.split(","))
    except ValueError as error:
        raise PositionError(
            f"--near {text!r} is not LAT,LON,RADIUS; give for example 52.2053,0.1218,500"
        ) from error
    return Near(Position(lat, lon), radius)


def _files(queries: list[Path]) -> Iterator[Path]:
    from hafloc.photos import is_folder, photo_paths

    for query in queries:
        if is_folder(query):
            yield from photo_paths(query)
        else:
            yield query


def _print(answer: "Answer") -> None:
    from hafloc.locate import in_words

    console = Console()
    # One line, however narrow the terminal: programs read it too.
    line = f"[bold]{answer.query}[/bold]  {in_words(answer)}"
    console.print(line, highlight=False, soft_wrap=True)
    if answer.duplicate_of is not None:
        console.print(f"  this very photo is in the index: {answer.duplicate_of.path}")
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "photo", "metres", "distance", "inliers"):
        table.add_column(column, justify="left" if column == "photo" else "right")
    for candidate in answer.candidates:
        table.add_row(
            str(candidate.rank),
            candidate.path,
            f"{candidate.metres:,.0f}",
            f"{candidate.feature_distance:.3f}",
            "" if candidate.inliers is None else f"{candidate.inliers:,}",
        )
    console.print(table)


def _collection(answers: "list[Answer]") -> dict[str, object]:
    features = [feature for answer in answers for feature in answer.to_geojson()["features"]]
    return {"type": "FeatureCollection", "features": features}


def _write_page(page: Path, answers: "list[Answer]", localizer: "Localizer", index: Path) -> None:
    from hafloc.show import write_map

    write_map(page, answers, list(localizer.index.iterate()), index.absolute().parent)
    typer.echo(f"{page}: map of {len(answers):,} answers", err=True)
