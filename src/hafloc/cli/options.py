"""Arguments and options that several commands share, each worded once."""

from pathlib import Path
from typing import Annotated

import typer

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
Model = Annotated[str, typer.Option(help="Checkpoint: a shipped name, a file, or onnx:FILE.")]
RecordedModel = Annotated[
    str | None, typer.Option(help="Checkpoint; by default the one that the index records.")
]
Probability = Annotated[
    float, typer.Option(help="How often the radius shall hold the true position.")
]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="Where the network runs: cpu, cuda, cuda:1 or mps; auto takes a CUDA device where "
        "there is one.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print what was done or found as one JSON object.")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="The file to write.")]
