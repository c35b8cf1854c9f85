"""Bring a folder of photos into an index: find, compare, describe, store."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hafloc.errors import HaflocError, PhotoError, PositionError
from hafloc.index.backends import create_index, index_exists, open_index, paths_of
from hafloc.index.plan import BuildReport, Entry, Skipped, add_all, plan_build
from hafloc.index.records import GeoIndex, ModelInfo, Record
from hafloc.photos import Metadata, Photo, Positions, content, scan
from hafloc.progress import Progress, Silent

if TYPE_CHECKING:  # an index is read and searched without the network's library
    from hafloc.describe import Describer


def model_info(describer: "Describer", index: Path | None = None) -> ModelInfo:
    """The identity of a describer's vectors, as the `index` at that path records it."""
    name = describer.name if index is None else describer.name_from(index.absolute().parent)
    return ModelInfo(name, describer.hash, describer.options, describer.dimension)


def add_folder(
    index: GeoIndex,
    describer: "Describer",
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
    paths = paths_of(index.location)
    files = {paths.name_of(file): file for file in scan(folder)}
    names = [file.relative_to(folder).as_posix() for file in files.values()]
    positions = Positions.for_folder(folder, names, csv)
    progress.start("reading", len(files))
    listing, unreadable = _listing(files, progress)
    plan = plan_build(index, listing, lambda name: paths.file_of(name).exists())
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
        Skipped(str(file), str(found))
        if isinstance(found, HaflocError)
        else Entry(
            _record(paths.name_of(file), found.photo, where(file, found.photo)),
            found.vector,
            found.local,
        )
        for file, found in described
    )
    report = add_all(index, plan, outcomes, batch=batch, progress=progress.advance)
    return replace(report, corrected=len(corrected), skipped=(*unreadable, *report.skipped))


def build_index(
    path: Path,
    describer: "Describer",
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
    scan(folder)
    model = model_info(describer, path)
    if index_exists(path):
        index = open_index(path, write=True, model=model)
    else:
        index = create_index(path, model, vector_type)
    try:
        report = add_folder(index, describer, folder, csv=csv, local=local, progress=progress)
    finally:
        is_empty = index.count() == 0
        if is_empty:
            index.drop()
        else:
            index.close()
    if is_empty:
        raise PositionError(_nothing_stored(folder, report.skipped))
    return report


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


def _corrected(index: GeoIndex, positions: Positions, names: dict[str, Path]) -> list[Record]:
    """The records of photos, by stored path, for which the CSV says another position now."""
    found = []
    for record in index.iterate() if positions.rows else ():
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
