"""Fill an index step by step: what is to be done, and doing it in batches.

The pipeline that describes photos is somebody else's: here come its outcomes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hafloc.description import LocalFeatures
from hafloc.index.records import GeoIndex, Record


@dataclass(frozen=True, slots=True)
class Entry:
    """A photo to store, with its unit vector `[D]` and, where wanted, its local features."""

    record: Record
    vector: NDArray[np.float32]
    local: LocalFeatures | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A photo that cannot be stored, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What is to be done with the files of a scan: paths to `describe`, photos that are only
    to be renamed (`moved`, with their new path), and the number that needs nothing."""

    describe: tuple[str, ...]
    moved: tuple[Record, ...]
    unchanged: int


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What was done: numbers of photos, and those skipped with the reason.

    `corrected` ones are unchanged photos for which the CSV now says another position.
    """

    added: int
    unchanged: int
    moved: int
    corrected: int = 0
    skipped: tuple[Skipped, ...] = field(default=())


def plan_build(
    index: GeoIndex, files: Iterable[tuple[str, str]], exists: Callable[[str], bool]
) -> BuildPlan:
    """Compare the (stored path, content) of each scanned file with what the index holds.

    A file of known content at a new path is a move if no file `exists` at the old path any
    more, and else a copy, to be described like any other.
    """
    scanned = list(files)
    known = {(held.content, held.path): held.id for held in index.held()}
    taken = {path for path, _ in scanned}
    left: dict[str, list[int]] = {}
    for (content, path), id_ in known.items():
        if path not in taken and not exists(path):
            left.setdefault(content, []).append(id_)
    describe: list[str] = []
    moves: dict[int, str] = {}
    held = {path for _, path in known}
    for path, content in scanned:
        if (content, path) in known:
            continue
        # A path that the index holds already is a changed photo, whatever it now contains.
        if path not in held and left.get(content):
            moves[left[content].pop(0)] = path
        else:
            describe.append(path)
    moved = [replace(record, path=moves[record.id or 0]) for record in index.get(list(moves))]
    unchanged = len(scanned) - len(describe) - len(moved)
    return BuildPlan(tuple(describe), tuple(moved), unchanged)


def add_all(
    index: GeoIndex,
    plan: BuildPlan,
    outcomes: Iterable[Entry | Skipped],
    *,
    batch: int = 32,
    progress: Callable[[int], None] | None = None,
) -> BuildReport:
    """Carry out `plan` with the `outcomes` of describing its photos, in their order.

    Each `batch` is one transaction: what ends in between loses at most one. `progress` hears
    after each batch how many outcomes are done.
    """
    if plan.moved:
        index.update(plan.moved)
    added = 0
    skipped: list[Skipped] = []
    for entries, troubles in _batches(outcomes, batch):
        if entries:
            index.add(
                [entry.record for entry in entries],
                np.stack([entry.vector for entry in entries]),
                [entry.local for entry in entries],
            )
        added += len(entries)
        skipped += troubles
        if progress is not None:
            progress(added + len(skipped))
    return BuildReport(added, plan.unchanged, len(plan.moved), skipped=tuple(skipped))


def _batches(
    outcomes: Iterable[Entry | Skipped], size: int
) -> Iterator[tuple[list[Entry], list[Skipped]]]:
    entries: list[Entry] = []
    troubles: list[Skipped] = []
    for outcome in outcomes:
        if isinstance(outcome, Entry):
            entries.append(outcome)
        else:
            troubles.append(outcome)
        if len(entries) + len(troubles) >= size:
            yield entries, troubles
            entries, troubles = [], []
    if entries or troubles:
        yield entries, troubles
