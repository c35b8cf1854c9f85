"""What a receiver recorded on the way: fixes in order of time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_SECOND = 1e-3  # fixes nearer in time are one


class Fix(NamedTuple):
    """One point of a track: seconds since 1970 (UTC), degrees, and metres, NaN where unknown."""

    time: float
    lat: float
    lon: float
    altitude: float = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One recording, its fixes in order of time: `times` [N] in seconds since 1970 (UTC),
    `lats` and `lons` [N] in WGS84 degrees, `altitudes` [N] in metres, NaN where unknown."""

    times: Floats
    lats: Floats
    lons: Floats
    altitudes: Floats

    @classmethod
    def of(cls, fixes: Iterable[Fix]) -> Self:
        """Sorted by time; of several fixes at one time the first stays."""
        table = np.array(list(fixes), dtype=np.float64).reshape(-1, 4)
        table = table[np.argsort(table[:, 0], kind="stable")]
        if len(table):
            table = table[np.concatenate([[True], np.diff(table[:, 0]) > _SECOND])]
        return cls(*(np.ascontiguousarray(column) for column in table.T))

    def __len__(self) -> int:
        return len(self.times)

    @property
    def start(self) -> float:
        return float(self.times[0])

    @property
    def end(self) -> float:
        return float(self.times[-1])


def in_words(seconds: float) -> str:
    """A moment in seconds since 1970 as people write it, in UTC and to the second."""
    try:
        return f"{datetime.fromtimestamp(round(seconds), UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return "a time that no calendar has"


def span_in_words(seconds: float) -> str:
    """A length of time in its two largest units: "37 s", "2 min 5 s", "3 h 10 min", "4 days"."""
    whole = round(abs(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s".removesuffix(" 0 s")
    if whole < 86_400 * 2:
        return f"{whole // 3600} h {whole % 3600 // 60} min".removesuffix(" 0 min")
    return f"{whole // 86_400:,} days"
