"""`hafloc show`: pictures of what the network sees, and of what an answer rests on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from hafloc.cli.options import (
    Device,
    IndexOption,
    Json,
    Model,
    Out,
    Probability,
    RecordedModel,
    Trust,
)
from hafloc.cli.output import print_json, say
from hafloc.cli.statuses import IN_PART, epilog

if TYPE_CHECKING:
    from hafloc.describe import Describer

app = typer.Typer(
    help="Draw what the network sees, and what an answer rests on.", no_args_is_help=True
)


@app.callback()
def root() -> None:
    """Draw what the network sees, and what an answer rests on."""


@app.command(epilog=epilog("show attention"))
def attention(
    photo: Annotated[Path, typer.Argument(help="The photo to look at.")],
    out: Out,
    model: Model = "haf",
    device: Device = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Draw over a photo how much each place adds to the image vector, by level and fused."""
    from hafloc.describe import Describer, choose_device
    from hafloc.photos import read
    from hafloc.show import attention as draw
    from hafloc.show import save_picture

    describer = Describer.open(model, device=choose_device(device))
    image = describer.fit(read(photo, longer_side=describer.longer_side).image)
    save_picture(out, draw(image, describer.describe(image)))
    if as_json:
        print_json({"photo": photo, "written": out})
    else:
        say(f"{out}: {photo}")


@app.command(epilog=epilog("show matches"))
def matches(
    query: Annotated[Path, typer.Argument(help="The photo to locate.")],
    index: IndexOption,
    candidate: Annotated[
        str | None,
        typer.Option(help="The candidate's rank, or any photo of the index; by default the best."),
    ] = None,
    out: Out = Path("matches.png"),
    model: RecordedModel = None,
    probability: Probability = 0.9,
    device: Device = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Draw what an answer rests on: matching key points, heat maps, and a map with the radius.

    Where the two photos do not match, the picture says so.
    """
    from hafloc.describe import choose_device
    from hafloc.locate import Localizer, compare_with, in_words
    from hafloc.show import check_png, match_picture, save_picture

    check_png(out)
    with Localizer.open(index, model, device=choose_device(device)) as localizer:
        comparison = compare_with(localizer, query, candidate, probability=probability)
        # What Localizer.open makes.
        describer = cast("Describer", localizer.describer)
        picture = match_picture(comparison, describer, localizer.index)
    save_picture(out, picture)
    shown, evidence = comparison.candidate, comparison.evidence
    if as_json:
        print_json(
            {
                "query": query,
                "written": out,
                "candidate": {"rank": shown.rank, "path": shown.path},
                "inliers": evidence.inliers,
                "matches": evidence.matches,
                "answer": comparison.answer.to_dict(),
            }
        )
    else:
        say(f"{query}: {in_words(comparison.answer)}")
        say(
            f"{out}: {evidence.inliers:,} inliers of {evidence.matches:,} matches with "
            f"{shown.path}, candidate {shown.rank:,}"
        )
    if not evidence.inliers:
        raise typer.Exit(IN_PART)
