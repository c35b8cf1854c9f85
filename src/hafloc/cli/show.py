"""`hafloc show`: pictures of what the network sees, and of what an answer rests on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from hafloc.describe import Describer

app = typer.Typer(
    help="Draw what the network sees, and what an answer rests on.", no_args_is_help=True
)

NO_MATCH = 1


@app.callback()
def root() -> None:
    """Draw what the network sees, and what an answer rests on."""


@app.command()
def attention(
    photo: Annotated[Path, typer.Argument(help="The photo to look at.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The PNG to write.")],
    model: Annotated[str, typer.Option(help="Checkpoint: a shipped name or a file.")] = "haf",
) -> None:
    """Draw the three levels' detection scores and their fusion over a photo."""
    from hafloc.describe import Describer
    from hafloc.photos import read
    from hafloc.show import attention as draw
    from hafloc.show import save_picture

    describer = Describer.open(model)
    image = describer.fit(read(photo, longer_side=describer.longer_side).image)
    save_picture(out, draw(image, describer.describe(image)))
    typer.echo(f"{out}: {photo}")


@app.command()
def matches(
    query: Annotated[Path, typer.Argument(help="The photo to locate.")],
    index: Annotated[Path, typer.Option("--index", help="The index, a .gpkg file.")],
    candidate: Annotated[
        str | None,
        typer.Option(help="The candidate's rank, or any photo of the index; by default the best."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The PNG to write.")] = Path(
        "matches.png"
    ),
    model: Annotated[
        str | None, typer.Option(help="Checkpoint; by default the one that the index records.")
    ] = None,
    probability: Annotated[
        float, typer.Option(help="How often the radius shall hold the true position.")
    ] = 0.9,
) -> None:
    """Draw what an answer rests on: matching key points, heat maps, and a map with the radius.

    Exit status 1 when the two photos do not match; the picture then says so.
    """
    from hafloc.locate import Localizer, compare_with, in_words
    from hafloc.show import check_png, match_picture, save_picture

    check_png(out)
    with Localizer.open(index, model) as localizer:
        comparison = compare_with(localizer, query, candidate, probability=probability)
        places = [record.position for record in localizer.index.iterate()]
        # What Localizer.open makes.
        describer = cast("Describer", localizer.describer)
        picture = match_picture(comparison, describer, places)
    save_picture(out, picture)
    shown, evidence = comparison.candidate, comparison.evidence
    typer.echo(f"{query}: {in_words(comparison.answer)}")
    typer.echo(
        f"{out}: {evidence.inliers:,} inliers of {evidence.matches:,} matches with "
        f"{shown.path}, candidate {shown.rank:,}"
    )
    if not evidence.inliers:
        raise typer.Exit(NO_MATCH)
