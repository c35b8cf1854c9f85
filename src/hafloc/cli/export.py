"""`hafloc export`: networks for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from hafloc.cli.explained import command, group
from hafloc.cli.options import Json, check_target
from hafloc.cli.output import print_json, say

app = group("Write networks for other programs.")


@command(app, "export onnx")
def onnx(
    network: Annotated[
        str, typer.Argument(help="A checkpoint of hafloc: haf, or a .safetensors file.")
    ],
    file: Annotated[Path, typer.Argument(help="The .onnx file to write.", callback=check_target)],
    part: Annotated[
        str,
        typer.Option(
            help="vector; of HAF also one level's, low, mid or high; or trunk, VGG16's three taps."
        ),
    ] = "vector",
    as_json: Json = False,
) -> None:
    """Write a network as ONNX, image in and vector out, checked against torch.

    Sizes and batch are open. FILE.toml beside it says how images go in, so that --model onnx:FILE
    takes it.
    """
    from hafloc.describe import export_onnx
    from hafloc.nn import load_checkpoint

    made = export_onnx(load_checkpoint(network), file, part)
    if as_json:
        print_json(
            {
                "file": made.file,
                "options": made.options,
                "bytes": made.bytes,
                "dimension": made.dimension,
                "largest_difference": made.largest_difference,
            }
        )
        return
    what = f"vectors of {made.dimension:,}" if made.dimension else "three maps"
    say(
        f"{made.file}: {what}, {made.bytes / 1e6:,.1f} MB; within "
        f"{made.largest_difference:.0e} of torch at three sizes"
    )
    if made.options is not None:
        say(f"{made.options}: how images go in, read by --model onnx:{made.file}")
