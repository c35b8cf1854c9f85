"""Copy an index into another, of whatever kind: a file into an engine and back."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from hafloc.errors import OptionError
from hafloc.index.backends import (
    Location,
    create_index,
    index_exists,
    local_size_at,
    open_index,
    paths_of,
)
from hafloc.index.paths import PhotoPaths
from hafloc.index.records import GeoIndex, KeepsThumbnails, Record
from hafloc.index.thumbnails import find_problem
from hafloc.photos import part_name, split_name
from hafloc.progress import Progress, Silent

# Photos of one batch: 16 MB with regions and key points.
BATCH = 256


@dataclass(frozen=True, slots=True)
class CopyReport:
    """How many photos were copied, and how many the target held already as they are."""

    copied: int
    unchanged: int


def copy_index(
    source: Location,
    target: Location,
    *,
    vector_type: str | None = None,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> CopyReport:
    """Make the index at `target` hold all that the one at `source` holds, and begin it if need be.

    A photo is known by its file, so that an interrupted copy is simply run again; what else the
    target holds stays. A new one stores vectors as the source does, or as `vector_type`. The
    calibration goes along where both hold the same photos afterwards. Raises OptionError where the
    two do not fit, IndexFileError where one cannot be read or written.
    """
    if is_same(source, target):
        raise OptionError(f"cannot copy {source} onto itself; name another place")
    with open_index(source) as origin, open_target(origin, target, vector_type) as goal:
        names = paths_of(origin.location), paths_of(goal.location)
        copied, unchanged = add_batches(
            origin,
            goal,
            partial(_missing, goal, names),
            "copying",
            progress or Silent(),
            batch,
        )
        text = origin.calibration()
        if text is not None and text != goal.calibration() and goal.count() == origin.count():
            goal.store_calibration(text)
    return CopyReport(copied, unchanged)


def open_target(origin: GeoIndex, target: Location, vector_type: str | None) -> GeoIndex:
    """The index at `target` open for writing, made like `origin` where there is none.

    Raises OptionError where the two do not fit, IndexFileError for another checkpoint's.
    """
    if not index_exists(target):
        facts = origin.info()
        local = local_size_at(target, facts.local)
        wanted = vector_type or facts.vector_type
        return create_index(target, origin.model, wanted, origin.regions, local)
    goal = open_index(target, write=True, model=origin.model)
    try:
        if goal.regions != origin.regions:
            raise OptionError(
                f"{target} holds {goal.regions:,} regions a photo, {origin.location} "
                f"{origin.regions:,}; copy into a new index"
            )
        if vector_type is not None and goal.info().vector_type != vector_type:
            raise OptionError(
                f"{target} holds {goal.info().vector_type} vectors; --vector-type {vector_type} "
                "has no effect on an existing index: leave it out, or copy into a new index"
            )
    except BaseException:
        goal.close()
        raise
    return goal


def add_batches(
    origin: GeoIndex,
    goal: GeoIndex,
    chosen: Callable[[Sequence[Record]], Iterable[tuple[int, Record]]],
    stage: str,
    progress: Progress,
    batch: int = BATCH,
) -> tuple[int, int]:
    """Store what is `chosen` of all that `origin` holds, and how many that were, and were not.

    `chosen` gives of a batch's records those to be stored, by their ids in `origin`.
    """
    progress.start(stage, origin.count())
    added = done = 0
    found = origin.iterate()
    while records := list(islice(found, batch)):
        waiting = list(chosen(records))
        if waiting:
            add_copies(origin, goal, waiting)
        added += len(waiting)
        done += len(records)
        progress.advance(done)
    return added, done - added


def _missing(
    goal: GeoIndex, names: tuple[PhotoPaths, PhotoPaths], records: Iterable[Record]
) -> Iterator[tuple[int, Record]]:
    """The ids in the source and the records of those that the target does not hold as they are."""
    ours, theirs = names
    named = {
        record.id or 0: replace(record, id=None, path=_renamed(record.path, ours, theirs))
        for record in records
    }
    held = {
        record.path: replace(record, id=None)
        for record in goal.find_paths([record.path for record in named.values()])
    }
    for id_, record in named.items():
        if held.get(record.path) != record:
            yield id_, record


def _renamed(name: str, ours: PhotoPaths, theirs: PhotoPaths) -> str:
    return part_name(theirs.name_of(ours.file_of(name)), split_name(name)[1])


def add_copies(
    origin: GeoIndex,
    goal: GeoIndex,
    waiting: list[tuple[int, Record]],
    *,
    local: bool = True,
    thumbnails: Sequence[bytes | None] | None = None,
) -> None:
    """Store records in `goal`, each with what `origin` holds of the photo of that id.

    Without `local`, key points stay behind. `thumbnails` are other pictures than it holds.
    """
    ids = [id_ for id_, _ in waiting]
    records = [record for _, record in waiting]
    vectors = origin.vectors(ids)
    features = origin.local_features(ids) if local else None
    regions = origin.region_vectors(ids) if origin.regions else None
    if thumbnails is None and isinstance(origin, KeepsThumbnails):
        thumbnails = origin.thumbnails(ids)
    if thumbnails is not None and any(thumbnails) and isinstance(goal, KeepsThumbnails):
        # What is no picture of ours stays behind, whoever made it.
        sound = [None if find_problem(one) else one for one in thumbnails]
        goal.add_pictured(records, vectors, features, regions, sound)
    else:
        goal.add(records, vectors, features, regions)


def is_same(source: Location, target: Location) -> bool:
    """Whether two locations are those of one index."""
    if str(source) == str(target):
        return True
    try:
        return Path(source).samefile(target)
    except (OSError, ValueError):
        return False
