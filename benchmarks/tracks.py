"""How far off photos are that a track places: a drawn walk with known truth, whose receiver errs,
whose recording has gaps, and whose cameras' clocks are wrong and in unknown zones.

    python benchmarks/tracks.py            # some 20 seconds; writes results/tracks.json

No photo is read: times and positions go to what `index build --track` places them by.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np

from hafloc.geo import LocalFrame, Position, distance
from hafloc.photos.tracks import Fix, Place, Track, place_at
from hafloc.photos.tracks.camera_clock import ClockError, by_places, by_stamps

OUT = Path(__file__).parent / "results" / "tracks.json"
FRAME = LocalFrame(Position(48.2, 16.37))
START = 1_717_164_000.0
WALKS = 12
HOURS = 1.0
SPEED = 1.4  # metres a second
RECEIVER = 4.0  # metres, standard deviation of a phone in the open
MEMORY = 30.0  # seconds that its error stays alike
PHOTOS = 150
WITH_POSITION = 8


class Walk:
    """Streets of 40 to 250 m, with rests; the truth at any second, and what a phone records."""

    def __init__(self, seed: int) -> None:
        self._draw = np.random.default_rng(seed)
        moments, spots, heading = [0.0], [np.zeros(2)], self._draw.uniform(0, 2 * math.pi)
        while moments[-1] < HOURS * 3600:
            length = self._draw.uniform(40, 250)
            heading += self._draw.choice([-1, 0, 1]) * math.pi / 2 + self._draw.normal(0, 0.1)
            moments.append(moments[-1] + length / SPEED)
            spots.append(spots[-1] + length * np.array([math.sin(heading), math.cos(heading)]))
            if self._draw.random() < 0.2:
                moments.append(moments[-1] + self._draw.uniform(20, 180))
                spots.append(spots[-1])
        self._moments, self._spots = np.array(moments), np.array(spots)

    def at(self, moments: np.ndarray) -> np.ndarray:
        """Metres east and north at seconds from the start: [N, 2]."""
        return np.column_stack([np.interp(moments, self._moments, axis) for axis in self._spots.T])

    def track(self, every: float, asleep: float) -> Track:
        """A fix `every` so many seconds; a share of the time is lost in gaps of 3 minutes."""
        moments = np.arange(0, self._moments[-1], every)
        keep, decay = np.ones(len(moments), bool), math.exp(-every / MEMORY)
        for begin in self._draw.uniform(0, moments[-1], round(asleep * moments[-1] / 180)):
            keep &= ~((moments > begin) & (moments < begin + 180))
        error = np.zeros(2)
        fixes = []
        for moment, spot in zip(moments, self.at(moments), strict=True):
            error = decay * error + math.sqrt(1 - decay**2) * self._draw.normal(0, RECEIVER, 2)
            place = FRAME.to_position(*(spot + error))
            fixes.append(Fix(START + moment, place.lat, place.lon))
        return Track.of(fix for fix, kept in zip(fixes, keep, strict=True) if kept)

    def photos(self, count: int) -> np.ndarray:
        return np.sort(self._draw.uniform(0, HOURS * 3600, count))

    def positions(self, moments: np.ndarray, error: float) -> list[Position]:
        spots = self.at(moments) + self._draw.normal(0, error, (len(moments), 2))
        return [FRAME.to_position(*spot) for spot in spots]


def errors(walk: Walk, track: Track, moments: np.ndarray, clock: float, max_gap: float):
    """Metres of each photo that is placed by a clock that is `clock` seconds off."""
    truth = walk.at(moments)
    off = []
    for moment, spot in zip(moments, truth, strict=True):
        place = place_at([track], START + moment + clock, max_gap)
        if isinstance(place, Place):
            off.append(distance(place.position, FRAME.to_position(*spot)))
    return off


def placed(every: float, asleep: float, clock: float, max_gap: float = 120.0) -> dict:
    """Error and share of photos placed, over all walks."""
    off, asked = [], 0
    for seed in range(WALKS):
        walk = Walk(seed)
        moments = walk.photos(PHOTOS)
        asked += PHOTOS
        off += errors(walk, walk.track(every, asleep), moments, clock, max_gap)
    return {
        "fix_every_s": every, "share_lost": asleep, "clock_off_s": clock, "max_gap_s": max_gap,
        "placed": round(len(off) / asked, 3), "median_m": round(float(np.median(off)), 1),
        "p95_m": round(float(np.percentile(off, 95)), 1), "worst_m": round(max(off), 1),
    }  # fmt: skip


def clocks(kind: str, ahead: float, every: float) -> dict:
    """How well the clock of a camera is estimated, in seconds."""
    found, seconds = [], time.perf_counter()
    for seed in range(WALKS):
        walk = Walk(seed)
        track = walk.track(every, 0.1)
        moments = walk.photos(WITH_POSITION)
        readings = [float(round(START + moment + ahead)) for moment in moments]
        if kind == "GPS times":
            # Receivers stamp the last fix: some seconds old.
            ages = np.random.default_rng(seed).exponential(1.5, len(moments))
            said = by_stamps(
                readings, [START + m - age for m, age in zip(moments, ages, strict=True)]
            )
        else:
            places = walk.positions(moments, 6.0 if kind == "positions of a phone" else 15.0)
            said = by_places(readings, places, [track], 120.0)
        if isinstance(said, ClockError):
            found.append(abs(said.ahead - ahead))
    return {
        "from": kind, "fix_every_s": every, "clock_ahead_s": ahead,
        "estimated": round(len(found) / WALKS, 2),
        "median_s": float(np.median(found)) if found else None,
        "worst_s": float(max(found)) if found else None,
        "took_s": round((time.perf_counter() - seconds) / WALKS, 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    results = {
        "placing": [
            *(placed(every, 0.0, 0.0) for every in (1.0, 5.0, 15.0, 60.0)),
            *(placed(5.0, 0.3, 0.0, gap) for gap in (30.0, 120.0, 600.0)),
            *(placed(5.0, 0.0, clock) for clock in (2.0, 10.0, 60.0, 3600.0)),
        ],
        "clocks": [
            clocks(kind, ahead, every)
            for kind in ("GPS times", "positions of a phone", "positions of a hand on a map")
            for ahead, every in ((37.0, 5.0), (7200 - 431.0, 5.0), (-86_400 * 400.0, 15.0))
        ],
    }  # fmt: skip
    out.write_text(json.dumps(results, indent=1) + "\n")
    for rows in results.values():
        print(*rows[0], sep="\t")
        for row in rows:
            print(*row.values(), sep="\t")


if __name__ == "__main__":
    main()
