"""`hafloc demo`: a rendered city, indexed and located, to see how it all works."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from hafloc.cli.progress import bar
from hafloc.errors import OutputError

if TYPE_CHECKING:
    from hafloc.demo import DemoCity
    from hafloc.locate import Answer

TOLERANCE = 25.0  # metres
TOP = 5
SIZE = (400, 300)  # pixels: the whole demo in a few minutes


def demo(
    folder: Annotated[Path, typer.Argument(help="A new folder for the city and the results.")],
    database: Annotated[int, typer.Option(min=1, help="Photos with known positions.")] = 150,
    queries: Annotated[int, typer.Option(min=1, help="Photos to locate.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="Another number, another city.")] = 0,
    photos_only: Annotated[
        bool, typer.Option("--photos-only", help="Render the photos, for training, and stop.")
    ] = False,
) -> None:
    """Render a small city, index it, locate photos in it, write map and pictures."""
    from hafloc.demo import render_city
    from hafloc.describe import Describer
    from hafloc.index import build_index
    from hafloc.locate import Localizer
    from hafloc.photos import read
    from hafloc.show import attention, candidate_sheet, save_picture, write_map

    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty; name a new folder or remove it")
    with bar() as progress:
        progress.start("rendering the city", database + queries)
        city = render_city(
            folder,
            seed=seed,
            database=database,
            queries=queries,
            size=SIZE,
            progress=lambda done, total: progress.advance(done),
        )
    if photos_only:
        typer.echo(f"{folder / 'database'}  {database:,} photos with their positions in the EXIF")
        return
    describer = Describer.open()
    index_path = folder / "city.gpkg"
    with bar() as progress:
        build_index(index_path, describer, folder / "database", progress=progress)
        progress.start("locating", queries)
        answers = []
        with Localizer.open(index_path) as localizer:
            for done, photo in enumerate(city.queries, 1):
                answers.append(localizer.locate(photo.path, top=TOP))
                progress.advance(done)
            write_map(folder / "map.html", answers, list(localizer.index.iterate()), folder)
    first = city.queries[0].path
    image = describer.fit(read(first, longer_side=describer.longer_side).image)
    save_picture(folder / "attention.png", attention(image, describer.describe(image)))
    save_picture(folder / "answer.png", candidate_sheet(answers[0], folder))
    _print(city, answers)
    for name, what in (
        ("city.gpkg", "the index; opens in QGIS"),
        ("map.html", "every answer on a map, with its photos"),
        ("attention.png", "where the network looks"),
        ("answer.png", "one query beside its nearest photos"),
    ):
        typer.echo(f"{folder / name}  {what}")


def _print(city: "DemoCity", answers: "list[Answer]") -> None:
    from hafloc.geo import distance

    table = Table("query", "error in metres", "first within 25 m", title="A rendered city, located")
    hits = dict.fromkeys((1, TOP), 0)
    for photo, answer in zip(city.queries, answers, strict=True):
        truth = photo.camera.position
        errors = [distance(truth, candidate.position) for candidate in answer.candidates]
        rank = next((n for n, metres in enumerate(errors, 1) if metres <= TOLERANCE), None)
        for cut in hits:
            hits[cut] += rank is not None and rank <= cut
        table.add_row(photo.path.name, f"{errors[0]:,.1f}", "-" if rank is None else str(rank))
    console = Console()
    console.print(table)
    recalls = ", ".join(f"recall@{cut} {n / len(answers):.2f}" for cut, n in hits.items())
    console.print(
        f"{recalls} at {TOLERANCE:g} m. A rendered city is a first taste, no measure of accuracy.",
        highlight=False,
    )
