"""`hafloc show`: pictures of what the network sees, and of what an answer rests on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from hafloc.cli.explained import command, group
from hafloc.cli.options import (
    Device,
    IndexOption,
    Json,
    MatcherName,
    Model,
    Out,
    Panorama,
    Precision,
    Probability,
    RecordedModel,
    Runtime,
    Trust,
    Views,
    runtime_for,
)
from hafloc.cli.output import print_json, say, tell
from hafloc.cli.statuses import IN_PART

if TYPE_CHECKING:
    from hafloc.describe import Describer

app = group("Draw what the network sees, and what an answer rests on.")


@command(app, "show attention")
def attention(
    photo: Annotated[Path, typer.Argument(help="The photo to look at.")],
    out: Out,
    model: Model = "haf",
    device: Device = "auto",
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Draw over a photo how much each place adds to the image vector, by level and fused."""
    from hafloc.describe import Describer, choose_device
    from hafloc.photos import read
    from hafloc.show import attention as draw
    from hafloc.show import save_picture

    chosen = runtime_for(runtime, 1)
    describer = Describer.open(
        model, device=choose_device(device), runtime=chosen, precision=precision
    )
    image = describer.fit(read(photo, longer_side=describer.longer_side).image)
    save_picture(out, draw(image, describer.describe(image)))
    if as_json:
        print_json({"photo": photo, "written": out})
    else:
        say(f"{out}: {photo}")


@command(app, "show matches")
def matches(
    query: Annotated[Path, typer.Argument(help="The photo to locate.")],
    index: IndexOption,
    candidate: Annotated[
        str | None,
        typer.Option(help="The candidate's rank, or any photo of the index; by default the best."),
    ] = None,
    out: Out = Path("matches.png"),
    model: RecordedModel = None,
    matcher: MatcherName = None,
    probability: Probability = 0.9,
    panorama: Panorama = False,
    views: Views = 8,
    device: Device = "auto",
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Draw what an answer rests on: matching key points, heat maps, and a map with the radius.

    Where the two photos do not match, the picture says so.
    """
    from hafloc.describe import choose_device
    from hafloc.locate import Localizer, borders_in_words, compare_with, in_words
    from hafloc.photos import Cutting
    from hafloc.show import check_png, match_picture, save_picture

    check_png(out)
    with Localizer.open(
        index,
        model,
        device=choose_device(device),
        matcher=matcher,
        runtime=runtime_for(runtime, 1),
        precision=precision,
    ) as localizer:
        cutting = Cutting(views, assume=panorama)
        comparison = compare_with(
            localizer, query, candidate, probability=probability, cutting=cutting
        )
        # What Localizer.open makes.
        describer = cast("Describer", localizer.describer)
        picture = match_picture(comparison, describer, localizer.index)
        troubles = localizer.troubles
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
        if (borders := borders_in_words(comparison.answer)) is not None:
            say(f"  {borders}")
        say(
            f"{out}: {evidence.inliers:,} inliers of {evidence.matches:,} matches with "
            f"{shown.path}, candidate {shown.rank:,}"
        )
        if shown.credit:
            say(f"  {shown.path}: {shown.credit}")
    for trouble in troubles:
        tell(trouble)
    if not evidence.inliers:
        raise typer.Exit(IN_PART)
