"""Several indexes joined into one: the same checkpoint, each photo once, credits kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath

from hafloc.errors import OptionError
from hafloc.index.backends import Location, open_index, paths_of
from hafloc.index.copy import BATCH, add_copies, open_target
from hafloc.index.part import mark
from hafloc.index.paths import PhotoPaths
from hafloc.index.records import GeoIndex, Record
from hafloc.progress import Progress, Silent


@dataclass(frozen=True, slots=True)
class MergeReport:
    """How many photos were added, and how many of the sources were there already."""

    added: int
    duplicates: int


def merge_indexes(
    target: Location, sources: Sequence[Location], progress: Progress | None = None
) -> MergeReport:
    """Make the index at `target` hold the photos of all `sources`, and begin it if need be.

    Photos are the same where their files' bytes are: the first one stays. One of another file at
    a path that is taken gets a name beside it. A stopped merge is simply run again. Raises
    OptionError where two do not fit, IndexFileError for another checkpoint's.
    """
    for source in sources:
        if _is_same(source, target):
            raise OptionError(f"cannot merge {source} into itself; leave it out")
    added = duplicates = 0
    for source in sources:
        with open_index(source) as origin, open_target(origin, target, None) as goal:
            one = _merge(origin, goal, progress or Silent())
            added += one.added
            duplicates += one.duplicates
    return MergeReport(added, duplicates)


def _merge(origin: GeoIndex, goal: GeoIndex, progress: Progress) -> MergeReport:
    names = paths_of(origin.location), paths_of(goal.location)
    progress.start("merging", origin.count())
    added = done = 0
    records = origin.iterate()
    while batch := list(islice(records, BATCH)):
        waiting = list(_new(goal, batch, names))
        if waiting:
            add_copies(origin, goal, waiting)
        added += len(waiting)
        done += len(batch)
        progress.advance(done)
    return MergeReport(added, done - added)


def _new(
    goal: GeoIndex, batch: Sequence[Record], names: tuple[PhotoPaths, PhotoPaths]
) -> Iterator[tuple[int, Record]]:
    """The photos of a batch that `goal` does not hold, by their ids, under names of their own."""
    ours, theirs = names
    held = {record.content for record in goal.find_content([r.content for r in batch])}
    fresh = []
    for record in batch:
        if record.content not in held:
            held.add(record.content)
            fresh.append(replace(record, path=theirs.name_of(ours.file_of(record.path))))
    taken = {record.path for record in goal.find_paths([record.path for record in fresh])}
    for record in fresh:
        path = PurePosixPath(record.path)
        if record.path in taken:
            path = path.with_name(f"{mark(record.content)}-{path.name}")
        taken.add(str(path))
        yield record.id or 0, replace(record, id=None, path=str(path))


def _is_same(source: Location, target: Location) -> bool:
    if str(source) == str(target):
        return True
    try:
        return Path(source).samefile(target)
    except (OSError, ValueError):
        return False
