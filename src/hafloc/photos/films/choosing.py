"""Choose the moments of a film whose frames are taken: by metres of the way, or by seconds."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hafloc.errors import OptionError
from hafloc.geo import Position, distance

_FORM = re.compile(r"(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})\s*(m|s)", re.IGNORECASE | re.ASCII)
# Seconds between looks at the way: 4 m at 144 km/h.
_LOOK = 0.1
_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Every:
    """A frame every so many `metres` of the way, or `seconds` of the film; one of the two."""

    metres: float | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        return f"{self.metres:g}m" if self.metres is not None else f"{self.seconds:g}s"


# Of a film whose way is known. Neighbours then show a place from both sides of a query.
EVERY = Every(metres=5.0)


def parse_every(text: str) -> Every:
    """Read metres as "5m", or seconds as "2s". Raises OptionError."""
    match = _FORM.fullmatch(text.strip())
    number = float(match[1]) if match else 0.0
    if match is None or number < 1e-3:
        raise OptionError(
            f"--every {text!r} is no distance or time; give metres, 5m, or seconds, 2s"
        )
    return Every(metres=number) if match[2].lower() == "m" else Every(seconds=number)


def moments(
    every: Every, duration: float, place: Callable[[float], Position | None] | None
) -> list[float]:
    """Seconds of a film of `duration` at which frames are wanted, in order.

    `place` tells where the film was, None where that is not known: there no frame is wanted. By
    metres, a frame is wanted wherever the way is that far, in a straight line, from the last one,
    so that standing still gives none and a receiver's noise few.
    """
    if every.seconds is not None:
        count = math.ceil(min(duration / every.seconds, _MOST) - 1e-9)
        even = (number * every.seconds for number in range(max(1, count)))
        return [time for time in even if place is None or place(time) is not None]
    assert every.metres is not None
    assert place is not None, "metres are those of a way"
    return list(_by_metres(every.metres, duration, place))


def _by_metres(
    metres: float, duration: float, place: Callable[[float], Position | None]
) -> Iterator[float]:
    last: Position | None = None
    before, off_before = 0.0, 0.0
    for number in range(int(min(duration / _LOOK, _MOST)) + 1):
        time = number * _LOOK
        here = place(time)
        if here is None:
            continue
        if last is None:
            yield time
            last, before, off_before = here, time, 0.0
            continue
        off = distance(last, here)
        while off >= metres - 1e-6:
            share = (metres - off_before) / (off - off_before) if off > off_before else 1.0
            before += (time - before) * min(1.0, max(0.0, share))
            yield before
            there = place(before)
            last = here if there is None or before >= time else there
            off_before, off = 0.0, distance(last, here)
        before, off_before = time, off
