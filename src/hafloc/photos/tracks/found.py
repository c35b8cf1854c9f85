"""Collect the points that a reader of tracks finds, and what is wrong with the others."""

from hafloc.photos.tracks.track import Fix, Track

# 1990 to 2200: no receiver wrote before, and later are broken numbers.
_EARLIEST, _LATEST = 631_152_000.0, 7_258_118_400.0


class Found:
    """The recordings of one file; `problems` what is left out, a line each."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.problems: list[str] = []
        self._fixes: list[Fix] = []
        self._timeless = self._misplaced = 0

    def add(
        self, time: float | None, lat: float | None, lon: float | None, altitude: float | None
    ) -> None:
        """One point: seconds since 1970, degrees, metres; None for what cannot be read."""
        if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180 or (lat == lon == 0):
            self._misplaced += 1
        elif time is None or not _EARLIEST <= time <= _LATEST:
            self._timeless += 1
        else:
            self._fixes.append(Fix(time, lat, lon, float("nan") if altitude is None else altitude))

    def close(self) -> None:
        """One recording ends here."""
        if self._fixes:
            self.tracks.append(Track.of(self._fixes))
            self._fixes = []

    def end(self) -> None:
        """The file ends here."""
        self.close()
        for count, words in (
            (self._timeless, "without a time"),
            (self._misplaced, "without a usable position"),
        ):
            if count:
                self.problems.append(f"{count:,} point{'s' * (count > 1)} {words} left out")

    @property
    def only_timeless(self) -> int:
        """How many points there are, where none of them has a time."""
        return self._timeless if not self.tracks and not self._fixes else 0
