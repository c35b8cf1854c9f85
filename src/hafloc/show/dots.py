"""Which photos of a database a map shows as dots: all of a small one, a choice of a large one."""

from collections.abc import Sequence

from hafloc.geo import Position
from hafloc.index import GeoIndex, Record

_SEED = 0


def chosen_photos(index: GeoIndex, places: Sequence[Position], most: int) -> list[Record]:
    """At most `most` photos of the database, by id.

    Of more, half are those nearest to `places`, as many for each, where a person looks first; the
    rest are drawn at random, so that the map shows where the database has photos at all.
    """
    if index.count() <= most:
        return list(index.iterate())
    near = most // 2
    chosen: dict[int | None, Record] = {}
    for place in places[:near]:
        found = index.nearest(place, near // min(len(places), near))
        chosen.update((record.id, record) for record in found)
    drawn = index.sample(most - len(chosen), _SEED)
    chosen.update((record.id, record) for record in drawn)
    return sorted(chosen.values(), key=lambda record: record.id or 0)
