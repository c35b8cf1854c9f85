"""Several indexes joined into one: the same checkpoint, each photo once, credits kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from hafloc.errors import OptionError
from hafloc.index.backends import Location, open_index, paths_of
from hafloc.index.copy import add_batches, is_same, open_target
from hafloc.index.part import beside
from hafloc.index.paths import PhotoPaths
from hafloc.index.records import GeoIndex, Record
from hafloc.photos import Part, file_name, part_name, split_name
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
        if is_same(source, target):
            raise OptionError(f"cannot merge {source} into itself; leave it out")
    for source in sources:
        open_index(source).close()  # before anything is written
    added = duplicates = 0
    for source in sources:
        with open_index(source) as origin, open_target(origin, target, None) as goal:
            names = paths_of(origin.location), paths_of(goal.location)
            new, there = add_batches(
                origin, goal, partial(_new, goal, names), "merging", progress or Silent()
            )
            added += new
            duplicates += there
    return MergeReport(added, duplicates)


def _new(
    goal: GeoIndex, names: tuple[PhotoPaths, PhotoPaths], batch: Sequence[Record]
) -> Iterator[tuple[int, Record]]:
    """The photos of a batch that `goal` does not hold, by their ids, under names of their own.

    All views of a panorama have its content, and share the name of its file.
    """
    ours, theirs = names
    called, fresh = _fresh(goal, batch)
    files = {record.id or 0: theirs.name_of(ours.file_of(record.path)) for record, _ in fresh}
    wanted = {part_name(files[record.id or 0], view) for record, view in fresh}
    held = goal.find_paths([*{*wanted, *files.values()}])
    taken = {file_name(record.path) for record in held}
    for record, view in fresh:
        file = files[record.id or 0]
        if record.content not in called:
            called[record.content] = beside(file, record) if file in taken else file
            taken.add(called[record.content])
        path = part_name(called[record.content], view)
        yield record.id or 0, replace(record, id=None, path=path)


def _fresh(
    goal: GeoIndex, batch: Sequence[Record]
) -> tuple[dict[str, str], list[tuple[Record, Part | None]]]:
    """What files are called in `goal`, by content, and the records that it does not hold."""
    called: dict[str, str] = {}
    views: dict[str, set[Part | None]] = {}
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
