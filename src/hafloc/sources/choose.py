"""Which of many photos of a street are worth fetching: not all of one spot and one view."""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from hafloc.geo import earth_centred, heading_difference
from hafloc.sources.street_photo import StreetPhoto

# Views that differ by more than this show other things.
_SAME_VIEW = 45.0
_AROUND = tuple(itertools.product((-1, 0, 1), repeat=3))


def choose(
    photos: Iterable[StreetPhoto],
    *,
    every: float | None = None,
    most: int | None = None,
    held: frozenset[str] = frozenset(),
) -> list[StreetPhoto]:
    """Photos in the order of their sequences, of which no two look alike.

    Two are alike that are nearer than `every` metres and look the same way, as any two panoramas
    do, and photos without heading; a panorama and a flat photo never are. At most `most` photos
    are chosen, evenly along the sequences. Those whose ids are `held` go first, so that a choice
    that is made again holds them.
    """
    ordered = sorted(photos, key=_along)
    ordered.sort(key=lambda photo: photo.id not in held)
    chosen = ordered if every is None else _spaced(ordered, every)
    if most is not None and len(chosen) > most:
        own = [photo for photo in chosen if photo.id in held][:most]
        others = [photo for photo in chosen if photo.id not in held]
        left = most - len(own)
        places = np.linspace(0, len(others), left, endpoint=False).astype(int) if left else ()
        chosen = own + [others[i] for i in places]
    return sorted(chosen, key=_along)


def _along(photo: StreetPhoto) -> tuple[str, str, str]:
    time = "" if photo.time is None else photo.time.isoformat()
    return photo.sequence, time, photo.id


def _spaced(photos: Sequence[StreetPhoto], every: float) -> list[StreetPhoto]:
    places = earth_centred(
        [photo.position.lat for photo in photos], [photo.position.lon for photo in photos]
    )
    cells: dict[tuple[int, int, int], list[int]] = {}
    chosen: list[int] = []
    for i, (x, y, z) in enumerate(np.floor(places / every).astype(np.int64).tolist()):
        around = [j for u, v, w in _AROUND for j in cells.get((x + u, y + v, z + w), ())]
        if any(
            float(np.linalg.norm(places[i] - places[j])) < every
            and _look_alike(photos[i], photos[j])
            for j in around
        ):
            continue
        cells.setdefault((x, y, z), []).append(i)
        chosen.append(i)
    return [photos[i] for i in chosen]


def _look_alike(a: StreetPhoto, b: StreetPhoto) -> bool:
    if a.is_panorama != b.is_panorama:
        return False  # each finds queries that the other does not
    if a.is_panorama or a.heading is None or b.heading is None:
        return True
    return float(heading_difference(a.heading, b.heading)) <= _SAME_VIEW
