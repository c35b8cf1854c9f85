"""`hafloc index`: make, extend and inspect an index."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hafloc.cli.build_report import report_build
from hafloc.cli.existing import (
    check_name,
    check_regions,
    check_vector_type,
    choose_local,
    local_size,
    stored_photos,
)
from hafloc.cli.explained import command, group
from hafloc.cli.films import FilmsEvery, every_of, expected, stills
from hafloc.cli.options import (
    Csv,
    Device,
    IndexLocation,
    Json,
    Model,
    OtherIndex,
    Panorama,
    Photos,
    Precision,
    Runtime,
    Trust,
    Views,
    runtime_for,
)
from hafloc.cli.output import print_json, say, tell
from hafloc.cli.own_calibration import Calibrate, calibrate_itself
from hafloc.cli.progress import bar
from hafloc.cli.search_choice import SearchKind, prepare_search
from hafloc.cli.sharing import export, get, merge
from hafloc.cli.shortened import shortened
from hafloc.cli.statuses import IN_PART
from hafloc.cli.stopping import when_stopped
from hafloc.cli.tracks import Course, MaxGap, Offset, Timezone, Track, tracking_of

if TYPE_CHECKING:
    from hafloc.index import IndexInfo

app = group("Make, extend and inspect an index of photos.")


VectorType = Annotated[
    str | None,
    typer.Option(
        help="How a new index stores vectors: float16, float32 or int8 (smallest).",
        show_default="int8",
    ),
]
Local = Annotated[
    bool | None,
    typer.Option(
        "--local/--no-local",
        help="Store key points (at most 24 KB a photo), or none: candidates are then verified "
        "from their files, which is slow. An index that exists goes on as it is.",
        show_default="--local",
    ),
]
LocalPoints = Annotated[
    int | None,
    typer.Option(
        min=16,
        help="Keep the strongest so many key points of each photo; each takes 36 bytes. An index "
        "that exists goes on as it is.",
        show_default="all, 680 at most",
    ),
]
LocalBits = Annotated[
    int | None,
    typer.Option(
        help="Keep key points in 8 bits a number, or in 4: 20 bytes each. An index that exists "
        "goes on as it is.",
        show_default="8",
    ),
]

Regions = Annotated[
    bool | None,
    typer.Option(
        "--regions/--no-regions",
        help="Describe parts of each photo too (8 KB a photo): cropped and closer queries are "
        "found more often. An index that exists goes on as it is.",
        show_default="--regions",
    ),
]
Dimension = Annotated[
    int | None,
    typer.Option(
        min=2,
        help="Shorten vectors to so many numbers, by the principal directions of these photos: up "
        "to 2,000 are described once more. They are kept in a file beside the index.",
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        min=1,
        max=64,
        help="Processes that describe at once, each with the whole network in memory (0.8 GB) and "
        "its share of the cores. On a GPU one is enough.",
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="A Ray cluster whose nodes describe: HOST:PORT, ray://HOST:PORT, auto, or local. On "
        "its GPUs, or else two cores a worker; --workers says how many.",
    ),
]
Prune = Annotated[
    bool, typer.Option("--prune", help="Take photos out whose files are gone from the folder.")
]


@command(app, "index build")
def build(
    index: IndexLocation,
    photos: Photos,
    positions: Csv = None,
    track: Track = None,
    offset: Offset = None,
    timezone: Timezone = None,
    max_gap: MaxGap = None,
    course: Course = None,
    model: Model = "haf",
    dimension: Dimension = None,
    vector_type: VectorType = None,
    local: Local = None,
    local_points: LocalPoints = None,
    local_bits: LocalBits = None,
    regions: Regions = None,
    search: SearchKind = None,
    panorama: Panorama = False,
    views: Views = 8,
    every: FilmsEvery = None,
    prune: Prune = False,
    calibrate: Calibrate = True,
    device: Device = "auto",
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    workers: Workers = 1,
    ray: Ray = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Index all photos of a folder; run again to complete or to add what is new."""
    from hafloc.describe import Describer, choose_device
    from hafloc.index import build_index, check_search
    from hafloc.photos import Cutting, find_photos, photo_file

    tracking = tracking_of(track, offset, timezone, max_gap, course)
    folder = photo_file(photos)
    taken = every_of(every)
    found = find_photos(folder, positions, films=taken is not None).not_empty()
    check_name(index)
    check_vector_type(index, vector_type)
    check_search(index, search)
    check_regions(index, regions)
    size = local_size(index, local_points, local_bits, local)
    # Nodes need not have what this machine has, and GPUs run torch.
    chosen = runtime_for(runtime, expected(found), on_nodes=ray is not None)
    describer = Describer.open(
        model, device=choose_device(device), runtime=chosen, precision=precision
    )
    if dimension is not None:
        describer = shortened(index, describer, stills(found), dimension)
    stores_local = choose_local(index, local, describer)
    with when_stopped(lambda: stored_photos(index)), bar() as progress:
        report = build_index(
            index,
            describer,
            folder,
            csv=positions,
            found=found,
            tracking=tracking,
            vector_type=vector_type or "int8",
            local=stores_local,
            regions=regions is not False,
            local_size=size,
            prune=prune,
            workers=workers,
            ray=ray,
            cutting=Cutting(views, assume=panorama),
            every=taken,
            progress=progress,
        )
    with bar() as progress:
        prepare_search(index, search, progress)
        calibrated = calibrate_itself(index, calibrate, progress)
    report_build(index, report, calibrated, as_json)


@command(app, "index add")
def add(
    index: IndexLocation,
    photos: Photos,
    positions: Csv = None,
    track: Track = None,
    offset: Offset = None,
    timezone: Timezone = None,
    max_gap: MaxGap = None,
    course: Course = None,
    model: Model = "haf",
    local: Local = None,
    panorama: Panorama = False,
    views: Views = 8,
    every: FilmsEvery = None,
    prune: Prune = False,
    calibrate: Calibrate = True,
    device: Device = "auto",
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    workers: Workers = 1,
    ray: Ray = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Add another folder's photos to an index; unchanged photos are left alone."""
    from hafloc.describe import Describer, choose_device
    from hafloc.index import add_folder, model_info, open_index
    from hafloc.photos import Cutting, find_photos, photo_file

    tracking = tracking_of(track, offset, timezone, max_gap, course)
    folder = photo_file(photos)
    taken = every_of(every)
    found = find_photos(folder, positions, films=taken is not None).not_empty()
    # Nodes need not have what this machine has, and GPUs run torch.
    chosen = runtime_for(runtime, expected(found), on_nodes=ray is not None)
    describer = Describer.open(
        model, device=choose_device(device), runtime=chosen, precision=precision
    )
    stores_local = choose_local(index, local, describer)
    with when_stopped(lambda: stored_photos(index)):
        opened = open_index(index, write=True, model=model_info(describer, index))
        with opened, bar() as progress:
            report = add_folder(
                opened,
                describer,
                folder,
                csv=positions,
                found=found,
                tracking=tracking,
                local=stores_local,
                prune=prune,
                workers=workers,
                ray=ray,
                cutting=Cutting(views, assume=panorama),
                every=taken,
                progress=progress,
            )
    with bar() as progress:
        prepare_search(index, None, progress)
        calibrated = calibrate_itself(index, calibrate, progress)
    report_build(index, report, calibrated, as_json)


@command(app, "index remove")
def remove(
    index: IndexLocation,
    photos: Annotated[list[str], typer.Argument(help="Photos, or folders with all below.")],
    as_json: Json = False,
) -> None:
    """Take photos out of an index; the files themselves stay."""
    from hafloc.index import ids_below, open_index, paths_of
    from hafloc.photos import photo_file

    targets = [photo_file(name) for name in photos]
    with open_index(index, write=True) as opened:
        removed = opened.remove(ids_below(opened, paths_of(index), targets))
    if as_json:
        print_json({"index": index, "removed": removed})
    else:
        say(f"{index}: {removed:,} removed")
    if not removed:
        tell("none of these photos is in the index; see hafloc index export")
        raise typer.Exit(IN_PART)


@command(app, "index info")
def info(index: IndexLocation, as_json: Json = False) -> None:
    """Say what an index holds: photos, extent, model, size."""
    from hafloc.index import calibrated_in_words, open_index

    with open_index(index) as opened:
        facts = opened.info()
        text = opened.calibration()
    if as_json:
        print_json(_info(index, facts, text))
        return
    say(f"photos      {facts.photos:,}")
    if facts.bounds is not None:
        west, south, east, north = facts.bounds
        say(f"extent      {south:.6f}, {west:.6f} to {north:.6f}, {east:.6f}")
    say(f"model       {facts.model.name} ({facts.model.hash})")
    say(f"vectors     {facts.model.dimension:,} × {facts.vector_type}, by {facts.model.runtime}")
    if facts.regions:
        say(f"regions     {facts.regions:,} a photo")
    say(f"verifiable  {facts.verifiable:,}{_kept(facts)}")
    say(f"calibrated  {calibrated_in_words(text, facts.model.hash)}")
    width = max(12, *(len(name) + 2 for name in facts.details))
    for name, value in facts.details.items():
        said = f"{value:,}" if isinstance(value, int) else value
        say(f"{name.replace('_', ' '):<{width}}{said}")


def _kept(facts: "IndexInfo") -> str:
    """How much of key points is kept, where it is less than all."""
    points = f"{facts.local.points:,} key points a photo" if facts.local.points else ""
    bits = f"{facts.local.bits} bits a number" if facts.local.bits != 8 else ""
    kept = ", ".join(filter(None, (points, bits)))
    return f", with at most {kept}" if points else f", in {kept}" if kept else ""


def _info(index: str, facts: "IndexInfo", text: str | None) -> dict[str, object]:
    import json

    from hafloc.index import origin_of

    names = ("west", "south", "east", "north")
    content = asdict(facts) | {"index": index}
    content.pop("location", None)
    content["model"]["options"] = json.loads(facts.model.options)
    content["bounds"] = (
        None if facts.bounds is None else dict(zip(names, facts.bounds, strict=True))
    )
    content["calibration"] = origin_of(text, facts.model.hash)
    return content


@command(app, "index verify")
def verify(
    index: IndexLocation,
    bundle: Annotated[
        bool,
        typer.Option(
            "--bundle",
            help="First refuse a file that holds anything but what hafloc writes, as one of "
            "strangers may.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check an index for damage, and its photos' files for changes."""
    from hafloc.index import check_bundle, find_stale, open_index, paths_of

    if bundle:
        check_bundle(Path(index), index)
    with open_index(index) as opened, bar() as progress:
        problems = opened.verify()
        photos = opened.count()
        pictures = 0 if problems else opened.info().details.get("thumbnails", 0)
        stale = find_stale(opened, paths_of(index), progress=progress)
    if as_json:
        content = {"index": index, "photos": photos, "sound": not problems, "problems": problems}
        print_json(content | {"files": stale})
    else:
        for problem in problems:
            tell(f"problem: {problem}")
        if not problems:
            say(f"{index}: {photos:,} photos, sound")
        for line in stale.in_words(int(pictures)):
            tell(line)
    if problems or stale.changed:
        raise typer.Exit(IN_PART)


command(app, "index export")(export)


@command(app, "index copy")
def copy(
    index: IndexLocation,
    to: OtherIndex,
    vector_type: Annotated[
        str | None,
        typer.Option(help="How a new index stores vectors; by default as the other does."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Copy an index into another of any kind; run again to go on, or to add what is new."""
    from hafloc.index import copy_index

    check_name(to)
    with when_stopped(lambda: stored_photos(to)), bar() as progress:
        report = copy_index(index, to, vector_type=vector_type, progress=progress)
    if as_json:
        print_json({"index": index, "to": to} | asdict(report))
    else:
        say(f"{to}: {report.copied:,} copied, {report.unchanged:,} unchanged")


command(app, "index merge")(merge)
command(app, "index get")(get)
