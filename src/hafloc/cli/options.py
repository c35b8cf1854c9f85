"""Arguments and options that several commands share, each worded once."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from hafloc.consent import allow_always
from hafloc.errors import OptionError, OutputError

Panorama = Annotated[
    bool,
    typer.Option(
        "--panorama",
        help="Take photos that are twice as wide as high for 360° panoramas, also where they do "
        "not say so.",
    ),
]
Views = Annotated[int, typer.Option(min=1, max=36, help="Into how many views a panorama is cut.")]


def check_target(path: Path | None) -> Path | None:
    """The path of a file to be written, looked at before the work rather than after it.

    Raises OutputError where a folder is in the way, or the file's own folder is missing.
    """
    if path is not None:
        _refuse_stream(path)
        try:
            taken, has_home = path.is_dir(), path.absolute().parent.is_dir()
        except OSError as error:
            raise OutputError(
                f"cannot write {path}: {error.strerror}; name another place"
            ) from error
        if taken:
            raise OutputError(f"cannot write {path}: it is a folder; name a file in it")
        if not has_home:
            raise OutputError(
                f"cannot write {path}: there is no folder {path.parent}; make it first"
            )
    return path


def not_over(*suffixes: str) -> Callable[[Path | None], Path | None]:
    """As `check_target`, for a file of these endings: nothing else that exists is overwritten."""

    def check(path: Path | None) -> Path | None:
        path = check_target(path)
        if path is not None and path.exists() and path.suffix.lower() not in suffixes:
            raise OutputError(
                f"cannot write {path}: it is there and no {suffixes[0]} file; choose another name"
            )
        return path

    return check


def _index_location(text: str) -> str:
    """A file's path as it is printed everywhere, or the address of another kind of index."""
    if _ADDRESS.match(text):
        return text
    _refuse_stream(Path(text))
    return str(Path(text))


# As hafloc.index.backends, which loads too much for the reading of options.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def _refuse_stream(path: Path) -> None:
    if str(path) == "-":
        raise OptionError("- is no file here; name one, or ./- if that is its name")


INDEX_HELP = "The index: a .gpkg file, or milvus://HOST:PORT/COLLECTION (docs/milvus.md)."
IndexLocation = Annotated[
    str, typer.Argument(help=INDEX_HELP, metavar="INDEX", callback=_index_location)
]
OtherIndex = Annotated[
    str,
    typer.Argument(
        help="Where to: the same forms, made if it is not there.",
        metavar="TO",
        callback=_index_location,
    ),
]
IndexOption = Annotated[str, typer.Option("--index", help=INDEX_HELP, callback=_index_location)]
Photos = Annotated[
    str,
    typer.Argument(
        help="Folder of photos, searched with all below it, or its URL: s3://, gs://, https:// …; "
        "or a film.",
        show_default=False,
    ),
]
Csv = Annotated[
    Path | None,
    typer.Option(
        "--positions",
        help="CSV of positions: image,lat,lon[,heading,time]; or GeoJSON, a GeoPackage, a folder "
        "of XMP or Takeout sidecars, files of exiftool, Mapillary, OpenSfM, OpenDroneMap or COLMAP "
        "(docs/positions.md). "
        "By default a positions.csv in or beside the folder; else file names, else EXIF.",
    ),
]
MODEL_HELP = (
    "Checkpoint: a shipped name, a file, onnx:FILE, hub:OWNER/REPO:ENTRY@COMMIT or hub:./FOLDER of "
    "torch.hub, or a name of docs/networks.md such as megaloc."
)
Model = Annotated[str, typer.Option(help=MODEL_HELP)]
RecordedModel = Annotated[
    str | None, typer.Option(help="Checkpoint; by default the one that the index records.")
]
MatcherName = Annotated[
    str | None,
    typer.Option(
        "--matcher",
        metavar="NAME",
        help="Verify candidates from their files by sift, orb, xfeat, kornia:NAME or "
        "vismatch:NAME, in place of the key points in the index; answers then have no radius.",
    ),
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
Runtime = Annotated[
    str,
    typer.Option(
        metavar="RUNTIME",
        envvar="HAFLOC_RUNTIME",
        help="What runs the network: torch, openvino or onnx; auto takes the fastest that is "
        "installed and whose vectors are proven.",
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        metavar="PRECISION",
        envvar="HAFLOC_PRECISION",
        help="Of the runtime: float32, bf16, float16 or int8; auto as above.",
    ),
]
# Photos below which getting another runtime ready takes longer than it then spares.
_FEW = 20


def runtime_for(runtime: str, photos: int, *, on_nodes: bool = False) -> str:
    """The runtime for so many photos: "auto" is torch where they are few, or on other machines."""
    return "torch" if runtime == "auto" and (on_nodes or photos < _FEW) else runtime


def _trust(given: bool) -> bool:
    if given:
        allow_always()
    return given


Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        callback=_trust,
        help="Run code of others (hub:) without asking; HAFLOC_TRUST=all does the same.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print what was done or found as one JSON object.")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="The file to write.", callback=check_target)]
