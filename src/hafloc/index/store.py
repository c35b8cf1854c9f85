"""Store described photos in batches, so that whatever ends it loses nothing described."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hafloc.description import ImageFeatures
from hafloc.index.plan import Skipped
from hafloc.index.records import GeoIndex, Record

# Photos of one transaction: a minute's work or so, a second on a GPU.
BATCH = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """A photo to store, and what it is found and verified by."""

    record: Record
    features: ImageFeatures


def add_all(
    index: GeoIndex,
    outcomes: Iterable[Entry | Sequence[Entry] | Skipped],
    *,
    batch: int = BATCH,
    progress: Callable[[int], None] | None = None,
) -> tuple[int, list[Skipped]]:
    """Store the `outcomes` of describing photos; how many were stored, and those that were not.

    Entries that are one outcome, as the views of a panorama, are stored together or not at all.
    About `batch` entries are one transaction. On Ctrl-C, or an error in describing, what has been
    described is stored before it goes on its way. `progress` hears how many outcomes are done.
    """
    waiting: list[Entry] = []
    skipped: list[Skipped] = []
    added = 0
    ready = 0

    def store() -> int:
        nonlocal ready
        entries, outcomes_of_them = waiting.copy(), ready
        waiting.clear()
        ready = 0
        if entries:
            index.add(
                [entry.record for entry in entries],
                np.stack([entry.features.vector for entry in entries]),
                [entry.features.local for entry in entries],
                _stacked([entry.features.regions for entry in entries]),
            )
        return outcomes_of_them

    try:
        for done, outcome in enumerate(outcomes, 1):
            if isinstance(outcome, Skipped):
                skipped.append(outcome)
            else:
                waiting.extend([outcome] if isinstance(outcome, Entry) else outcome)
                ready += 1
            if len(waiting) >= batch:
                added += store()
            if progress is not None:
                progress(done)
    finally:
        added += store()
    return added, skipped


def _stacked(regions: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
    known = [rows for rows in regions if rows is not None]
    return np.stack(known) if known else None
