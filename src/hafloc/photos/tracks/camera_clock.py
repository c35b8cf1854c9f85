"""Tell how far a camera's clock is off, from its photos whose time or place is known otherwise."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hafloc.geo import LocalFrame, Position
from hafloc.photos.tracks.track import Floats, Track

# Receivers stamp a photo with their last fix, seconds old at times; two that agree are believed.
_FEWEST_STAMPS, _FEWEST_PLACES = 2, 3
_PAIR = 10.0  # seconds that two stamps may differ by
_SPREAD = 60.0  # seconds, median absolute deviation of more of them

# A clock is wrong by its zone and some hours, or by what brings all its photos onto the track.
_ZONES = 26 * 3600.0
_LONGEST = 60 * 3600.0
_STEP, _FINE_STEP = 5.0, 0.5  # seconds
_MOST = 60  # photos that are looked at
_WORK = 20_000_000  # places looked up
_COUNTED = 0.75  # of the photos, those that lie nearest
_FAR = 200.0  # metres; farther is wrong, however far
_NEAR = 30.0  # metres that photos may lie off the track
_ELSEWHERE = 60.0  # seconds: another answer than the best
_AHEAD = 15.0  # metres by which the best must be better than any other


@dataclass(frozen=True, slots=True)
class ClockError:
    """A clock is `ahead` seconds of UTC, as `photos` tell; `metres` is how far off the track these
    lie then, None where their GPS times told it."""

    ahead: float
    photos: int
    metres: float | None = None


def by_stamps(readings: Sequence[float], stamps: Sequence[float]) -> ClockError | str | None:
    """From photos with a GPS time: `readings` and `stamps` are in seconds since 1970.

    Says in words why they tell nothing; None where they are too few.
    """
    if len(readings) < _FEWEST_STAMPS:
        return None
    ahead = np.subtract(readings, stamps)
    middle = float(np.median(ahead))
    spread = float(np.median(np.abs(ahead - middle)))
    if spread > (_PAIR / 2 if len(ahead) < 3 else _SPREAD):
        return (
            f"the GPS times of its {len(ahead):,} photos do not agree on its clock "
            f"(they differ by some {2 * spread:,.0f} s)"
        )
    return ClockError(float(round(middle)), len(ahead))


def by_places(
    readings: Sequence[float],
    positions: Sequence[Position],
    tracks: Sequence[Track],
    max_gap: float,
) -> ClockError | None:
    """From photos with a position but no GPS time: when the track came by them.

    The one shift is looked for that brings the photos nearest to the track; None where no shift
    does, or several do as well.
    """
    if len(readings) < _FEWEST_PLACES:
        return None
    kept = np.unique(np.linspace(0, len(readings) - 1, _MOST).astype(int))
    times = np.asarray(readings, float)[kept]
    places = [positions[at] for at in kept]
    frame = LocalFrame(places[0])
    spots = frame.to_metres([p.lat for p in places], [p.lon for p in places])
    ways = [(track, frame.to_metres(track.lats, track.lons)) for track in tracks]

    def cost(shifts: Floats) -> Floats:
        return _cost(times, spots, ways, shifts, max_gap)

    shifts = _shifts(times, tracks)
    coarse = cost(shifts)
    around = shifts[int(np.argmin(coarse))] + np.arange(-2 * _STEP, 2 * _STEP, _FINE_STEP)
    fine = cost(around)
    best, metres = float(around[int(np.argmin(fine))]), float(fine.min())
    others = coarse[np.abs(shifts - best) > _ELSEWHERE]
    if metres > _NEAR or (len(others) and others.min() < metres + _AHEAD):
        return None
    return ClockError(float(round(best)), len(times), metres)


def _shifts(times: Floats, tracks: Sequence[Track]) -> Floats:
    """The clock errors to try: all that bring one photo onto a track, or those of time zones."""
    low = float(times.min()) - max(track.end for track in tracks)
    high = float(times.max()) - min(track.start for track in tracks)
    if high - low > _LONGEST:
        low, high = max(low, -_ZONES), min(high, _ZONES)
    length = max(0.0, high - low)
    step = max(_STEP, length * len(times) * len(tracks) / _WORK)
    return np.asarray(low + step * np.arange(int(length / step) + 1), dtype=np.float64)


def _cost(
    times: Floats,
    spots: Floats,
    ways: Sequence[tuple[Track, Floats]],
    shifts: Floats,
    max_gap: float,
) -> Floats:
    """Metres from the photos to the track: one number of each shift.

    The mean over those that lie nearest, each at most _FAR: some were taken while the receiver
    slept.
    """
    rows = np.empty((len(times), len(shifts)))
    for row, (time, spot) in enumerate(zip(times, spots, strict=True)):
        moments = time - shifts
        nearest = np.full(len(shifts), _FAR)
        for track, way in ways:
            at = np.searchsorted(track.times, moments)
            inside = (at > 0) & (at < len(track))
            at = np.clip(at, 1, max(1, len(track) - 1))
            gap = track.times[np.minimum(at, len(track) - 1)] - track.times[at - 1]
            x = np.interp(moments, track.times, way[:, 0]) - spot[0]
            y = np.interp(moments, track.times, way[:, 1]) - spot[1]
            apart = np.where(inside & (gap <= max_gap), np.hypot(x, y), _FAR)
            nearest = np.minimum(nearest, apart)
        rows[row] = nearest
    counted = math.ceil(_COUNTED * len(times))
    return np.asarray(np.partition(rows, counted - 1, axis=0)[:counted].mean(axis=0))
