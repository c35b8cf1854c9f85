"""`hafloc index`: make, extend and inspect an index."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hafloc.cli.progress import bar

if TYPE_CHECKING:
    from hafloc.index import BuildReport

app = typer.Typer(help="Make, extend and inspect an index of photos.", no_args_is_help=True)

SOMETHING_SKIPPED = 1

IndexPath = Annotated[Path, typer.Argument(help="The index, a .gpkg file.", metavar="INDEX")]
Folder = Annotated[Path, typer.Argument(help="Folder of photos, searched with all below it.")]
Csv = Annotated[
    Path | None,
    typer.Option(
        "--positions",
        help="CSV of positions: image,lat,lon[,heading,time]. "
        "By default a positions.csv in or beside the folder; else file names, else EXIF.",
    ),
]
Model = Annotated[str, typer.Option(help="Checkpoint: a shipped name or a file.")]
VectorType = Annotated[
    str, typer.Option(help="How vectors are stored: float16, float32 or int8 (smallest).")
]
NoLocal = Annotated[
    bool,
    typer.Option(
        "--no-local",
        help="Store no key points (at most 24 KB a photo); candidates are then verified from "
        "their files, which is slow.",
    ),
]


@app.command()
def build(
    index: IndexPath,
    photos: Folder,
    positions: Csv = None,
    model: Model = "haf",
    vector_type: VectorType = "float16",
    no_local: NoLocal = False,
) -> None:
    """Index all photos of a folder; run again to complete or to add what is new."""
    from hafloc.describe import Describer
    from hafloc.index import build_index
    from hafloc.photos import scan

    found = scan(photos).not_empty()
    describer = Describer.open(model)
    with bar() as progress:
        report = build_index(
            index,
            describer,
            photos,
            csv=positions,
            vector_type=vector_type,
            local=not no_local,
            progress=progress,
        )
    _tell(index, report, found.left_out_in_words())


@app.command()
def add(
    index: IndexPath,
    photos: Folder,
    positions: Csv = None,
    model: Model = "haf",
    no_local: NoLocal = False,
) -> None:
    """Add another folder's photos to an index; unchanged photos are left alone."""
    from hafloc.describe import Describer
    from hafloc.index import add_folder, model_info, open_index
    from hafloc.photos import scan

    found = scan(photos).not_empty()
    describer = Describer.open(model)
    opened = open_index(index, write=True, model=model_info(describer, index))
    with opened, bar() as progress:
        report = add_folder(
            opened, describer, photos, csv=positions, local=not no_local, progress=progress
        )
    _tell(index, report, found.left_out_in_words())


def _tell(index: Path, report: "BuildReport", left_out: str) -> None:
    parts = [f"{report.added:,} added", f"{report.unchanged:,} unchanged"]
    if report.moved:
        parts.append(f"{report.moved:,} moved")
    if report.corrected:
        parts.append(f"{report.corrected:,} with a corrected position")
    if report.skipped:
        parts.append(f"{len(report.skipped):,} skipped")
    typer.echo(f"{index}: {', '.join(parts)}")
    if left_out:
        typer.echo(left_out, err=True)
    for photo in report.skipped:
        typer.echo(f"skipped: {photo.reason}", err=True)
    if report.skipped:
        raise typer.Exit(SOMETHING_SKIPPED)


@app.command()
def remove(
    index: IndexPath,
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders with all below.")],
) -> None:
    """Take photos out of an index; the files themselves stay."""
    from hafloc.index import ids_below, open_index, paths_of

    with open_index(index, write=True) as opened:
        removed = opened.remove(ids_below(opened, paths_of(index), photos))
    typer.echo(f"{index}: {removed:,} removed")
    if not removed:
        typer.echo("none of these photos is in the index; see hafloc index export", err=True)
        raise typer.Exit(SOMETHING_SKIPPED)


@app.command()
def info(index: IndexPath) -> None:
    """Say what an index holds: photos, extent, model, size."""
    from hafloc.index import open_index

    with open_index(index) as opened:
        facts = opened.info()
    typer.echo(f"photos      {facts.photos:,}")
    if facts.bounds is not None:
        west, south, east, north = facts.bounds
        typer.echo(f"extent      {south:.6f}, {west:.6f} to {north:.6f}, {east:.6f}")
    typer.echo(f"model       {facts.model.name} ({facts.model.hash})")
    typer.echo(f"vectors     {facts.model.dimension:,} × {facts.vector_type}")
    typer.echo(f"verifiable  {facts.verifiable:,}")
    for name, value in facts.details.items():
        typer.echo(f"{name:<12}{value:,}" if isinstance(value, int) else f"{name:<12}{value}")


@app.command()
def verify(index: IndexPath) -> None:
    """Check an index for damage; exit status 1 when something is wrong."""
    from hafloc.index import open_index

    with open_index(index) as opened:
        problems = opened.verify()
        photos = opened.count()
    for problem in problems:
        typer.echo(f"problem: {problem}", err=True)
    if problems:
        raise typer.Exit(SOMETHING_SKIPPED)
    typer.echo(f"{index}: {photos:,} photos, sound")


@app.command()
def export(
    index: IndexPath,
    out: Annotated[Path, typer.Argument(help="Ending .geojson, .csv, or .npz (vectors).")],
) -> None:
    """Write the photos of an index as GeoJSON or CSV, or their vectors as .npz."""
    from hafloc.index import export as write
    from hafloc.index import open_index

    with open_index(index) as opened:
        count = write(opened, out)
    typer.echo(f"{out}: {count:,} photos")
