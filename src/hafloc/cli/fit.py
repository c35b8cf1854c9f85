"""`hafloc fit`: an untrained checkpoint, fitted on your own unrelated photos."""

from pathlib import Path
from typing import Annotated

import typer

from hafloc.cli.progress import bar


def fit(
    photos: Annotated[list[Path], typer.Argument(help="Folders of photos unlike those to search.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The checkpoint to write.")],
    start_weights: Annotated[
        Path | None,
        typer.Option(
            help="VGG16's weights, the original's or torchvision's; see docs/sources.md.",
            show_default="those of the shipped checkpoint",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all that is random.")] = 0,
) -> None:
    """Make a HAF checkpoint without training: heads and whitening fitted on photos."""
    from hafloc.train.fit import fit_start

    with bar() as progress:
        checkpoint_hash, used = fit_start(photos, start_weights, out, seed=seed, progress=progress)
    typer.echo(f"{out}: fitted on {used:,} photos, hash {checkpoint_hash}")
