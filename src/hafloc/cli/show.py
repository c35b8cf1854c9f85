"""`hafloc show`: pictures of what the network sees."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Draw what the network sees in a photo.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Draw what the network sees in a photo."""


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
