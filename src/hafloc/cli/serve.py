"""`hafloc serve`: databases over HTTP, with a web page."""

import os
import stat
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hafloc.cli.explained import command, group
from hafloc.cli.options import Device, Precision, RecordedModel, Runtime, Trust
from hafloc.cli.output import tell
from hafloc.cli.quick_start import loading
from hafloc.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    from hafloc.serve import Keys, Options, Tiles

app = group()

_PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
_MEGABYTE = 1_000_000

Indexes = Annotated[
    list[str],
    typer.Argument(
        metavar="INDEX…",
        help="The indexes: .gpkg files, or milvus://HOST:PORT/COLLECTION (docs/milvus.md).",
    ),
]


@command(app, "serve")
def serve(
    indexes: Indexes,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port; 0: any free.")] = 8000,
    keys: Annotated[
        Path | None,
        typer.Option(help="A file of keys, read:KEY or write:KEY; HAFLOC_KEYS may hold them too."),
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Listen to other machines without any keys.")
    ] = False,
    writable: Annotated[
        bool, typer.Option("--writable", help="Without keys: let all store and remove photos.")
    ] = False,
    photos: Annotated[
        list[str] | None,
        typer.Option(
            "--photos",
            metavar="FOLDER",
            help="Besides the indexes' own folders, one whose photos may be shown; or a URL.",
        ),
    ] = None,
    photos_folder: Annotated[
        Path | None,
        typer.Option(help="Keep uploaded photos in this folder; else only what is found of them."),
    ] = None,
    tiles: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The page's map: https://…/{z}/{x}/{y}.png"),
    ] = None,
    attribution: Annotated[str, typer.Option(help="Whose map that is.")] = "",
    pmtiles: Annotated[
        Path | None, typer.Option(help="The page's map as a PMTiles file, for no internet.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="One more name by which the server may be called."),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Let pages of this origin use the server."),
    ] = None,
    root_path: Annotated[
        str, typer.Option(metavar="/PREFIX", help="The path at which a proxy has the server.")
    ] = "",
    proxies: Annotated[
        str, typer.Option(metavar="ADDRESSES", help="The proxies that tell who asks, and how.")
    ] = "127.0.0.1",
    deadline: Annotated[
        float, typer.Option(min=1, help="Seconds after which an answer comes too late.")
    ] = 60.0,
    waiting: Annotated[
        int, typer.Option(min=1, help="Photos that may wait; more are told to come again.")
    ] = 64,
    max_photo_mb: Annotated[
        float, typer.Option(min=0.001, help="Megabytes of a photo, at most.")
    ] = 30.0,
    max_photos: Annotated[int, typer.Option(min=1, help="Photos of a request, at most.")] = 20,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Photos in work at once; by default cores + 1.")
    ] = None,
    model: RecordedModel = None,
    device: Device = "auto",
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    trust: Trust = False,
) -> None:
    """Serve indexes over HTTP: photos are located by a web page, or by programs."""
    _check_extra()
    with loading():
        from hafloc.serve import (
            Options,
            check_open,
            listen,
            open_service,
            own_names,
            run,
        )

    options = Options(
        keys=_keys(keys),
        writable=writable,
        photos=tuple(photos or ()),
        photos_folder=photos_folder,
        cors=tuple(origin.rstrip("/") for origin in cors or ()),
        hosts=own_names(host, allow_host or ()),
        root_path=_prefix(root_path),
        tiles=_tiles(tiles, attribution),
        pmtiles=_there(pmtiles),
        max_photo_bytes=round(max_photo_mb * _MEGABYTE),
        max_photos=max_photos,
        max_waiting=waiting,
        deadline=deadline,
    )
    if workers is not None:
        options = replace(options, workers=workers)
    if photos_folder is not None:
        options = replace(options, photos=(*options.photos, str(photos_folder)))
    _check(options, writable=writable)
    check_open(host, options, open_=open_)
    listening = listen(host, port)
    try:
        service = open_service(
            indexes,
            options,
            model=model,
            device=device,
            runtime=runtime,
            precision=precision,
            trust=trust,
        )
    except BaseException:
        listening.close()
        raise
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}{options.root_path}/"
    names = ", ".join(database.name for database in service.databases)
    run(service, listening, proxies=proxies, started=lambda: tell(f"{address} serves {names}"))


def _check_extra() -> None:
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"hafloc serve needs {', '.join(missing)}; `pip install hafloc[serve]`"
        )


def _check(options: "Options", *, writable: bool) -> None:
    if writable and options.keys:
        raise OptionError("--writable is for a server without keys; give a write:KEY instead")
    if options.photos_folder is not None and not options.may_write:
        raise OptionError("--photos-folder keeps what is uploaded; add --writable, or a write:KEY")


def _keys(file: Path | None) -> "Keys":
    from hafloc.serve import VARIABLE, Keys, parse_keys

    given = os.environ.get(VARIABLE)
    if file is not None:
        if given:
            raise OptionError(f"--keys and {VARIABLE} both give keys; leave one out")
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise OptionError(f"cannot read the keys in {file}: {reason}") from error
        keys = parse_keys(text, str(file))
        if os.name == "posix" and file.stat().st_mode & stat.S_IROTH:
            tell(f"everybody on this machine can read the keys in {file}; chmod 600 it")
        return keys
    return parse_keys(given, VARIABLE) if given else Keys()


def _tiles(url: str | None, attribution: str) -> "Tiles | None":
    from hafloc.serve import Tiles

    if url is None:
        if attribution:
            raise OptionError("--attribution says whose the map of --tiles is; add --tiles")
        return None
    marks = ("{z}", "{x}", "{y}")
    if not url.startswith(("http://", "https://")) or not all(mark in url for mark in marks):
        raise OptionError(f"--tiles {url} is no URL with {{z}}, {{x}} and {{y}}")
    return Tiles(url, attribution)


def _there(file: Path | None) -> Path | None:
    if file is not None and not file.is_file():
        raise OptionError(f"--pmtiles {file}: there is no such file; check the path")
    return file


def _prefix(path: str) -> str:
    plain = path.rstrip("/")
    if plain and (not plain.startswith("/") or "//" in plain or not plain.isascii()):
        raise OptionError(f"--root-path {path} is no path such as /photos")
    return plain
