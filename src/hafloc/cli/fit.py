"""`hafloc fit`: an untrained checkpoint, fitted on your own unrelated photos."""

from pathlib import Path
from typing import Annotated

import typer

from hafloc.cli.explained import command, group
from hafloc.cli.options import Json, Out
from hafloc.cli.output import print_json, say
from hafloc.cli.progress import bar
from hafloc.cli.stopping import when_stopped

app = group()


@command(app, "fit")
def fit(
    photos: Annotated[list[Path], typer.Argument(help="Folders of photos unlike those to search.")],
    out: Out,
    start_weights: Annotated[
        Path | None,
        typer.Option(
            help="VGG16's weights, the original's or torchvision's; see docs/sources.md.",
            show_default="those of the shipped checkpoint",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all that is random.")] = 0,
    as_json: Json = False,
) -> None:
    """Make a HAF checkpoint without training: heads and whitening fitted on photos."""
    from hafloc.train.fit import fit_start

    with when_stopped(f"{out} was not written; run it again"), bar() as progress:
        checkpoint_hash, used = fit_start(photos, start_weights, out, seed=seed, progress=progress)
    if as_json:
        print_json({"checkpoint": out, "hash": checkpoint_hash, "photos": used})
    else:
        say(f"{out}: fitted on {used:,} photos, hash {checkpoint_hash}")
