"""`hafloc geotag`: locate photos without a position, and write it beside or into them."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hafloc.cli.explained import command, group
from hafloc.cli.options import (
    Device,
    IndexOption,
    Json,
    Precision,
    RecordedModel,
    Runtime,
    Trust,
    runtime_for,
)
from hafloc.cli.output import print_json, print_table, say, tell
from hafloc.cli.progress import bar
from hafloc.cli.statuses import IN_PART
from hafloc.cli.stopping import when_stopped
from hafloc.errors import HaflocError, OptionError

if TYPE_CHECKING:
    from hafloc.locate import Answer
    from hafloc.photos import Tag

app = group()

_SURE = 0.9


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photo, its answer, and what is to be written; `why` nothing is, "" where something is."""

    path: Path
    answer: "Answer | None"
    why: str = ""


@command(app, "geotag")
def geotag(
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders of photos.")],
    index: IndexOption,
    at_least: Annotated[
        float,
        typer.Option(
            "--at-least", min=0, max=1, help="Write only answers of at least this confidence."
        ),
    ] = _SURE,
    in_place: Annotated[
        bool,
        typer.Option(
            "--in-place",
            help="Write into the photos, by exiftool, which keeps each as NAME_original; "
            "without it into XMP sidecars (NAME.jpg.xmp).",
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Locate and write photos that have a position too."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
    model: RecordedModel = None,
    device: Device = "auto",
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Locate photos without a position, and write the answers beside or into them."""
    from hafloc.locate import Localizer
    from hafloc.photos import exiftool

    if not (yes or dry_run or sys.stdin.isatty()):
        raise OptionError(
            "geotag asks before it writes, and nobody can answer here; add --yes, "
            "or --dry-run to look"
        )
    program = exiftool() if in_place else None
    done: list[_Photo] = []
    files = _to_be_located(photos, overwrite, done)
    had = len(done)
    stopped = when_stopped(
        lambda: (
            f"{len(done) - had:,} of {len(files):,} photos were located, and nothing was written"
        )
    )
    if files:
        opened = Localizer.open(
            index,
            model,
            device=device,
            runtime=runtime_for(runtime, len(files)),
            precision=precision,
        )
        with stopped, opened as localizer, bar() as progress:
            progress.start("locating", len(files))
            located = localizer.locate_many(files, top=1, progress=progress.advance)
            for path, (_, found) in zip(files, located, strict=True):
                done.append(_judged(path, found, at_least))
    wanted = [photo for photo in done if photo.answer is not None and not photo.why]
    if not as_json:
        _print(done)
    written = [] if dry_run or not _agreed(wanted, yes, program) else _write(wanted, index, program)
    _end(done, wanted, written, dry_run=dry_run, as_json=as_json, in_place=in_place)


def _to_be_located(photos: Sequence[Path], overwrite: bool, done: list[_Photo]) -> list[Path]:
    """The photos without a position; to `done` go those that cannot be read or have one."""
    from hafloc.photos import is_folder, photo_paths, tagged

    found: dict[Path, None] = {}
    for given in photos:
        found |= dict.fromkeys(photo_paths(given) if is_folder(given) else [given])
    wanted = []
    for path in found:
        try:
            has_position = tagged(path).position is not None
        except HaflocError as error:
            done.append(_Photo(path, None, str(error)))
            continue
        if has_position and not overwrite:
            done.append(_Photo(path, None))
        else:
            wanted.append(path)
    return wanted


def _judged(path: Path, found: "Answer | HaflocError", at_least: float) -> _Photo:
    if isinstance(found, HaflocError):
        return _Photo(path, None, str(found))
    if found.found is False:
        return _Photo(path, found, "not in this database")
    if found.duplicate_of is not None:
        return _Photo(path, found)
    if found.confidence is None:
        return _Photo(path, found, "how sure it is nobody knows; hafloc calibrate learns it")
    if found.confidence < at_least:
        return _Photo(path, found, f"below {at_least:g}")
    return _Photo(path, found)


def _print(done: Sequence[_Photo]) -> None:
    from hafloc.locate import NOT_FITTED

    rows = [
        (
            str(photo.path),
            str(photo.answer.position),
            "" if photo.answer.radius is None else f"{photo.answer.radius:,.0f}",
            "" if photo.answer.confidence is None else f"{photo.answer.confidence:.2f}",
            (photo.why or "to be written") + (f"; {NOT_FITTED}" if photo.answer.borrowed else ""),
        )
        for photo in done
        if photo.answer is not None
    ]
    if rows:
        print_table(("photo", "position", "metres", "confidence", ""), rows, left=("photo", ""))


def _agreed(wanted: Sequence[_Photo], yes: bool, program: str | None) -> bool:
    """Whether the person at the terminal wants it written."""
    if not wanted or yes:
        return bool(wanted)
    where = "into the photos" if program else "beside the photos, as XMP sidecars"
    return typer.confirm(f"write {_positions(len(wanted))} {where}?", default=False, err=True)


def _write(
    wanted: Sequence[_Photo], index: str, program: str | None
) -> list[tuple[Path, Path | HaflocError]]:
    """Each photo with the file that was written, or why none was."""
    from hafloc.photos import write_into, write_sidecar

    written: list[tuple[Path, Path | HaflocError]] = []

    def so_far() -> str:
        return f"{sum(isinstance(file, Path) for _, file in written):,} photos are written"

    with when_stopped(so_far):
        for photo in wanted:
            tag = _tag(photo.answer, index)
            try:
                file = (
                    write_into(photo.path, tag, program)
                    if program
                    else write_sidecar(photo.path, tag)
                )
                written.append((photo.path, file))
            except HaflocError as error:
                written.append((photo.path, error))
    return written


def _tag(answer: "Answer | None", index: str) -> "Tag":
    from hafloc.photos import Tag, split_name, view_of

    assert answer is not None, "only what was located is written"
    twin = answer.duplicate_of
    sure = "" if answer.confidence is None else f", confidence {answer.confidence:.2f}"
    method = f"hafloc: looked up in {Path(index).name}{sure}"
    # Of the very photo the database knows the heading.
    if twin is not None and twin.heading is not None and not twin.magnetic:
        view = view_of(split_name(twin.path)[1])
        heading: float | None = (twin.heading - (view.heading if view else 0)) % 360
    else:
        heading = answer.heading
    accuracy = answer.radius or (twin.accuracy if twin is not None else None)
    return Tag(answer.position, accuracy, heading, method)


def _end(
    done: Sequence[_Photo],
    wanted: Sequence[_Photo],
    written: Sequence[tuple[Path, Path | HaflocError]],
    *,
    dry_run: bool,
    as_json: bool,
    in_place: bool,
) -> None:
    """Say what was done and how it is undone; status 1 where photos stay without a position."""
    files = [file for _, file in written if isinstance(file, Path)]
    had = sum(photo.answer is None and not photo.why for photo in done)
    without = len(done) - had - len(files)
    if as_json:
        print_json(_facts(done, dict(written)) | {"written": len(files), "dry_run": dry_run})
    else:
        would = f"{len(wanted):,} would be written" if dry_run else f"{len(files):,} written"
        say(f"{would}, {had:,} had a position, {len(done) - had - len(wanted):,} left as they are")
    for photo in done:
        if photo.answer is None and photo.why:
            tell(f"skipped: {photo.why}")
    for _, failure in written:
        if isinstance(failure, HaflocError):
            tell(f"skipped: {failure}")
    if files:
        tell(_undoing(files, in_place))
    if without and not dry_run:
        raise typer.Exit(IN_PART)


def _undoing(files: Sequence[Path], in_place: bool) -> str:
    """How to take back what was written."""
    from hafloc.photos.geotag import KEPT

    count = f"{len(files):,} file{'s' * (len(files) != 1)}"
    some = ", ".join(str(file) for file in files[:3])
    more_of_them = ", …; --json names all" if len(files) > 3 else ""
    named = f"the {count} written now ({some}{more_of_them})"
    if in_place:
        return f"to undo: `exiftool -restore_original` on {named}"
    added = sum(file.with_name(file.name + KEPT).exists() for file in files)
    more = f"; where there is a …{KEPT} beside it, that was there before" if added else ""
    return f"to undo: delete {named}{more}"


def _facts(done: Sequence[_Photo], written: "dict[Path, Path | HaflocError]") -> dict[str, object]:
    photos = []
    for photo in done:
        file = written.get(photo.path)
        answer = photo.answer
        photos.append(
            {
                "photo": photo.path,
                "position": None if answer is None else answer.to_dict()["position"],
                "radius": answer and answer.radius,
                "confidence": answer and answer.confidence,
                "written": file if isinstance(file, Path) else None,
                "reason": str(file) if isinstance(file, HaflocError) else photo.why or None,
            }
        )
    return {"photos": photos}


def _positions(count: int) -> str:
    return f"{count:,} position{'s' * (count != 1)}"
