"""Which photos were taken together with a photo, so that none of them may answer it.

A new photo comes from another day, hand and camera than the database. What stands in for it is a
photo of the database; with the rest of its own visit still there it would be answered by views
from the same spot, in the same light, with the same error of the receiver.
"""

from collections.abc import Sequence

import numpy as np
from scipy.spatial import KDTree

from hafloc.geo import distances, earth_centred
from hafloc.index import Record
from hafloc.locate import REACH

# Metres within which photos share a standpoint: headings of one panorama, positions that went
# through another format or datum, frames of a film.
STANDPOINT = 2.0
# Seconds. The fix of a phone drifts over minutes, so two photos closer in time share its error.
VISIT = 900.0


def one_a_standpoint(records: Sequence[Record]) -> list[Record]:
    """The records without those that share a standpoint with an earlier one."""
    if not records:
        return []
    positions = [record.position for record in records]
    tree = KDTree(earth_centred([p.lat for p in positions], [p.lon for p in positions]))
    kept, passed = [], np.zeros(len(records), dtype=bool)
    for number, record in enumerate(records):
        if not passed[number]:
            kept.append(record)
            passed[tree.query_ball_point(tree.data[number], STANDPOINT)] = True
    return kept


def taken_together(own: Record, around: Sequence[Record]) -> set[int]:
    """The ids of those `around` that must not answer the photo `own`, itself among them.

    Always those from its standpoint or with the bytes of its file. Also those of its visit, as far
    as the times tell, where the place was visited at another time too; where it was not, only the
    same walk can say how far off answers are, and its photos may.
    """
    if not around:
        return set()
    metres = distances(
        own.position,
        [record.position.lat for record in around],
        [record.position.lon for record in around],
    )
    together = set()
    for record, apart in zip(around, metres, strict=True):
        if apart <= STANDPOINT or record.content == own.content:
            together.add(record.id or 0)
    gaps = [_seconds(own, record) for record in around]
    visited_again = any(
        gap is not None and gap > VISIT and apart <= REACH and record.id not in together
        for record, gap, apart in zip(around, gaps, metres, strict=True)
    )
    if visited_again:
        pairs = zip(around, gaps, strict=True)
        together.update(record.id or 0 for record, gap in pairs if gap is not None and gap <= VISIT)
    return together


def _seconds(a: Record, b: Record) -> float | None:
    """Between two photos; None where their clocks cannot be compared."""
    if a.time is None or b.time is None or (a.time.tzinfo is None) != (b.time.tzinfo is None):
        return None
    return abs((a.time - b.time).total_seconds())
