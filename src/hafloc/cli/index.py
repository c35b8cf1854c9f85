"""`hafloc index`: make, extend and inspect an index."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hafloc.cli.existing import check_vector_type, choose_local, stored_photos
from hafloc.cli.options import Csv, Device, Folder, IndexPath, Json, Model
from hafloc.cli.output import print_json, say, tell
from hafloc.cli.progress import bar
from hafloc.cli.statuses import IN_PART, epilog
from hafloc.cli.stopping import when_stopped

if TYPE_CHECKING:
    from hafloc.index import BuildReport, IndexInfo

app = typer.Typer(help="Make, extend and inspect an index of photos.", no_args_is_help=True)

VectorType = Annotated[
    str | None,
    typer.Option(
        help="How a new index stores vectors: float16, float32 or int8 (smallest).",
        show_default="float16",
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


@app.command(epilog=epilog("index build"))
def build(
    index: IndexPath,
    photos: Folder,
    positions: Csv = None,
    model: Model = "haf",
    vector_type: VectorType = None,
    local: Local = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Index all photos of a folder; run again to complete or to add what is new."""
    from hafloc.describe import Describer, choose_device
    from hafloc.index import build_index
    from hafloc.photos import scan

    scan(photos)
    check_vector_type(index, vector_type)
    describer = Describer.open(model, device=choose_device(device))
    stores_local = choose_local(index, local, describer)
    with when_stopped(lambda: stored_photos(index)), bar() as progress:
        report = build_index(
            index,
            describer,
            photos,
            csv=positions,
            vector_type=vector_type or "float16",
            local=stores_local,
            progress=progress,
        )
    _report(index, report, as_json)


@app.command(epilog=epilog("index add"))
def add(
    index: IndexPath,
    photos: Folder,
    positions: Csv = None,
    model: Model = "haf",
    local: Local = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Add another folder's photos to an index; unchanged photos are left alone."""
    from hafloc.describe import Describer, choose_device
    from hafloc.index import GeoPackageIndex, add_folder, model_info
    from hafloc.photos import scan

    scan(photos)
    describer = Describer.open(model, device=choose_device(device))
    stores_local = choose_local(index, local, describer)
    with when_stopped(lambda: stored_photos(index)):
        opened = GeoPackageIndex.open(index, write=True, model=model_info(describer, index))
        with opened, bar() as progress:
            report = add_folder(
                opened, describer, photos, csv=positions, local=stores_local, progress=progress
            )
    _report(index, report, as_json)


def _report(index: Path, report: "BuildReport", as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print_json({"index": index, **asdict(report)})
    else:
        _tell(index, report)
    if report.skipped:
        raise typer.Exit(IN_PART)


def _tell(index: Path, report: "BuildReport") -> None:
    parts = [f"{report.added:,} added", f"{report.unchanged:,} unchanged"]
    if report.moved:
        parts.append(f"{report.moved:,} moved")
    if report.corrected:
        parts.append(f"{report.corrected:,} with a corrected position")
    if report.skipped:
        parts.append(f"{len(report.skipped):,} skipped")
    say(f"{index}: {', '.join(parts)}")
    for photo in report.skipped:
        tell(f"skipped: {photo.reason}")


@app.command(epilog=epilog("index remove"))
def remove(
    index: IndexPath,
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders with all below.")],
    as_json: Json = False,
) -> None:
    """Take photos out of an index; the files themselves stay."""
    from hafloc.index import GeoPackageIndex, find_records

    with GeoPackageIndex.open(index, write=True) as opened:
        found = list(find_records(opened, photos))
        removed = opened.remove([record.id for record in found if record.id is not None])
    if as_json:
        print_json({"index": index, "removed": removed})
    else:
        say(f"{index}: {removed:,} removed")
    if not removed:
        tell("none of these photos is in the index; see hafloc index export")
        raise typer.Exit(IN_PART)


@app.command(epilog=epilog("index info"))
def info(index: IndexPath, as_json: Json = False) -> None:
    """Say what an index holds: photos, extent, model, size."""
    from hafloc.index import GeoPackageIndex

    with GeoPackageIndex.open(index) as opened:
        facts = opened.info()
    if as_json:
        print_json(_info(index, facts))
        return
    say(f"photos      {facts.photos:,}")
    if facts.bounds is not None:
        west, south, east, north = facts.bounds
        say(f"extent      {south:.6f}, {west:.6f} to {north:.6f}, {east:.6f}")
    say(f"model       {facts.model.name} ({facts.model.hash})")
    say(f"vectors     {facts.model.dimension:,} × {facts.vector_type}")
    say(f"verifiable  {facts.verifiable:,}")
    say(f"size        {facts.bytes:,} bytes")
    say(f"format      {facts.format_version}")


def _info(index: Path, facts: "IndexInfo") -> dict[str, object]:
    import json
    from dataclasses import asdict

    names = ("west", "south", "east", "north")
    content = asdict(facts) | {"index": index}
    content.pop("path", None)
    content["model"]["options"] = json.loads(facts.model.options)
    content["bounds"] = (
        None if facts.bounds is None else dict(zip(names, facts.bounds, strict=True))
    )
    return content


@app.command(epilog=epilog("index verify"))
def verify(index: IndexPath, as_json: Json = False) -> None:
    """Check an index for damage."""
    from hafloc.index import GeoPackageIndex

    with GeoPackageIndex.open(index) as opened:
        problems = opened.verify()
        photos = opened.info().photos
    if as_json:
        content = {"index": index, "photos": photos, "sound": not problems, "problems": problems}
        print_json(content)
    else:
        for problem in problems:
            tell(f"problem: {problem}")
        if not problems:
            say(f"{index}: {photos:,} photos, sound")
    if problems:
        raise typer.Exit(IN_PART)


@app.command(epilog=epilog("index export"))
def export(
    index: IndexPath,
    out: Annotated[Path, typer.Argument(help="Ending .geojson, .csv, or .npz (vectors).")],
    as_json: Json = False,
) -> None:
    """Write the photos of an index as GeoJSON or CSV, or their vectors as .npz."""
    from hafloc.index import GeoPackageIndex
    from hafloc.index import export as write

    with GeoPackageIndex.open(index) as opened:
        count = write(opened, out)
    if as_json:
        print_json({"index": index, "written": out, "photos": count})
    else:
        say(f"{out}: {count:,} photos")
