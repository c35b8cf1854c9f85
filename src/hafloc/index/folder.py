"""Bring a folder of photos into an index: find, compare, describe, store."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from hafloc.describe import Described, Describer
from hafloc.errors import PhotoError, PositionError
from hafloc.index.build import BuildReport, Entry, Skipped, add_all, plan_build
from hafloc.index.geopackage import GeoPackageIndex
from hafloc.index.records import ModelInfo, Record
from hafloc.photos import Metadata, Photo, Positions, content, scan


class Progress(Protocol):
    """How long work tells of itself: a step's name and size once, then what is done of it."""

    def start(self, step: str, total: int) -> None: ...

    def advance(self, done: int) -> None: ...


class Silent:
    """Progress that nobody watches."""

    def start(self, step: str, total: int) -> None: ...

    def advance(self, done: int) -> None: ...


def model_info(describer: Describer, index: Path | None = None) -> ModelInfo:
    """The identity of a describer's vectors, as the `index` at that path records it."""
    name = describer.name if index is None else describer.name_from(index.absolute().parent)
    return ModelInfo(name, describer.hash, describer.options, describer.dimension)


def add_folder(
    index: GeoPackageIndex,
    describer: Describer,
    folder: Path,
    *,
    csv: Path | None = None,
    local: bool = True,
    batch: int = 32,
    progress: Progress | None = None,
) -> BuildReport:
    """Describe and store all photos below `folder` that `index` does not hold yet.

    Positions come from `csv`, a positions.csv in or beside the folder, file names or EXIF; see
    `photos.Positions`; a photo that is held already takes over a position that the CSV has changed.
    `local` stores local features too, where the network has them, so that
    candidates can be verified without their files. Photos that are unreadable or without a
    position are skipped and listed. Raises PhotoError and PositionError where nothing can be done
    at all, IndexFileError where the index cannot be written; what was stored before stays.
    """
    progress = progress or Silent()
    found = scan(folder).not_empty()
    files = {index.stored_path(file): file for file in found.paths}
    lost = [Skipped(str(path), why) for path, why in found.unreadable]
    positions = Positions.for_folder(folder, csv)
    progress.start("reading", len(files))
    listing, unreadable = _listing(files, progress)
    plan = plan_build(index, listing, lambda path: index.file_of(path).exists())
    corrected = _corrected(index, positions, {n: f.relative_to(folder) for n, f in files.items()})
    if corrected:
        index.update(corrected)

    def where(file: Path, photo: Photo) -> Metadata:
        return positions.of(photo, file.relative_to(folder))

    progress.start("describing", len(plan.describe))
    described = describer.describe_files(
        (files[name] for name in plan.describe),
        check=lambda file, photo: _require_position(where(file, photo), file),
        local=local,
    )
    outcomes = (
        Entry(
            _record(index.stored_path(file), found.photo, where(file, found.photo)),
            found.vector,
            found.local,
        )
        if isinstance(found, Described)
        else Skipped(str(file), str(found))
        for file, found in described
    )
    report = add_all(index, plan, outcomes, batch=batch, progress=progress.advance)
    return replace(report, corrected=len(corrected), skipped=(*lost, *unreadable, *report.skipped))


def build_index(
    path: Path,
    describer: Describer,
    folder: Path,
    *,
    csv: Path | None = None,
    vector_type: str = "float16",
    local: bool = True,
    progress: Progress | None = None,
) -> BuildReport:
    """A new index at `path` of the photos below `folder`, or the completion of a begun one.

    `csv` and `local` are those of `add_folder`.
    Raises as `add_folder` does, and PositionError where not one photo could be stored; an index
    without photos is not left behind.
    """
    scan(folder).not_empty()
    model = model_info(describer, path)
    if path.exists():
        index = GeoPackageIndex.open(path, write=True, model=model)
    else:
        index = GeoPackageIndex.create(path, model, vector_type)
    is_empty = False
    try:
        with index:
            try:
                report = add_folder(
                    index, describer, folder, csv=csv, local=local, progress=progress
                )
            finally:
                is_empty = index.info().photos == 0
    finally:
        if is_empty:
            path.unlink()
    if is_empty:
        raise PositionError(_nothing_stored(folder, report.skipped))
    return report


def find_records(index: GeoPackageIndex, targets: Iterable[Path]) -> Iterator[Record]:
    """The records whose photos are among `targets`: files, or folders with all below them."""
    wanted = [index.stored_path(target) for target in targets]
    for record in index.photos():
        if any(record.path == name or record.path.startswith(f"{name}/") for name in wanted):
            yield record


def _listing(
    files: dict[str, Path], progress: Progress
) -> tuple[list[tuple[str, str]], list[Skipped]]:
    listing, unreadable = [], []
    for done, (name, file) in enumerate(files.items(), 1):
        try:
            listing.append((name, content(file)))
        except PhotoError as error:
            unreadable.append(Skipped(str(file), str(error)))
        progress.advance(done)
    return listing, unreadable


def _corrected(
    index: GeoPackageIndex, positions: Positions, names: dict[str, Path]
) -> list[Record]:
    """The records of photos, by stored path, for which the CSV says another position now."""
    found = []
    for record in index.photos() if positions.table else ():
        row = positions.row(names[record.path].as_posix()) if record.path in names else None
        if row is None or row.position in (None, record.position):
            continue
        heading = record.heading if row.heading is None else row.heading
        source = row.source or record.source
        found.append(replace(record, position=row.position, heading=heading, source=source))
    return found


def _require_position(metadata: Metadata, file: Path) -> None:
    if metadata.position is None:
        reason = metadata.problem or "it has no GPS position"
        raise PositionError(
            f"cannot place {file.name}: {reason}; give a position in a CSV (image,lat,lon), "
            "its file name or its EXIF"
        )


def _record(name: str, photo: Photo, metadata: Metadata) -> Record:
    assert metadata.position is not None, "checked before describing"
    return Record(
        path=name,
        content=photo.content,
        position=metadata.position,
        width=photo.width,
        height=photo.height,
        source=metadata.source or "",
        heading=metadata.heading,
        altitude=metadata.altitude,
        time=metadata.time,
    )


def _nothing_stored(folder: Path, skipped: Iterable[Skipped]) -> str:
    first = next(iter(skipped), None)
    example = f"; the first: {first.reason}" if first else ""
    return f"no photo in {folder} could be indexed, so no index was made{example}"
