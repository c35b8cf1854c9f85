"""Several indexes joined into one: the same checkpoint, each photo once, credits kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from hafloc.errors import OptionError
from hafloc.index.backends import Location, open_index, paths_of
from hafloc.index.copy import BATCH, add_copies, open_target
from hafloc.index.part import beside
from hafloc.index.paths import PhotoPaths
from hafloc.index.records import GeoIndex, Record
from hafloc.photos import View, file_name, part_name, split_name
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
    for source in sources:
        open_index(source).close()  # before anything is written
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
    """The photos of a batch that `goal` does not hold, by their ids, under names of their own.

    All views of a panorama have its content, and share the name of its file.
    """
    ours, theirs = names
    called, fresh = _fresh(goal, batch)
    files = {record.id or 0: theirs.name_of(ours.file_of(record.path)) for record, _ in fresh}
    wanted = {name for record, view in fresh for name in _both(files[record.id or 0], view)}
    taken = {file_name(record.path) for record in goal.find_paths(sorted(wanted))}
    for record, view in fresh:
        file = files[record.id or 0]
        if record.content not in called:
            called[record.content] = beside(file, record) if file in taken else file
            taken.add(called[record.content])
        path = part_name(called[record.content], view)
        yield record.id or 0, replace(record, id=None, path=path)


def _both(file: str, view: View | None) -> tuple[str, str]:
    return file, part_name(file, view)


def _fresh(
    goal: GeoIndex, batch: Sequence[Record]
) -> tuple[dict[str, str], list[tuple[Record, View | None]]]:
    """What files are called in `goal`, by content, and the records that it does not hold."""
    called: dict[str, str] = {}
    views: dict[str, set[View | None]] = {}
    for held in goal.find_content([record.content for record in batch]):
        file, view = split_name(held.path)
        called.setdefault(held.content, file)
        views.setdefault(held.content, set()).add(view)
    fresh = []
    for record in batch:
        view = split_name(record.path)[1]
        there = views.setdefault(record.content, set())
        # A whole photo and its views are two ways to hold one file: the first one stays.
        if there and (view is None or None in there or view in there):
            continue
        there.add(view)
        fresh.append((record, view))
    return called, fresh


def _is_same(source: Location, target: Location) -> bool:
    if str(source) == str(target):
        return True
    try:
        return Path(source).samefile(target)
    except (OSError, ValueError):
        return False
