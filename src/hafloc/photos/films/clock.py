"""Tell when a film began, from what its file says of itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

_APPLE = "com.apple.quicktime.creationdate"
_NAMED = re.compile(
    r"(?<!\d)(20\d\d)[-_.]?(\d\d)[-_.]?(\d\d)[-_. T]?(\d\d)[-_.:h]?(\d\d)[-_.:m]?(\d\d)",
    re.ASCII,
)
_LONGEST = 1e7  # seconds that a recording may take
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)  # QuickTime counts from 1904, and 0 is no time


@dataclass(frozen=True, slots=True)
class Beginning:
    """When the first frame was taken, and whether the film states the zone of its clock itself.

    Films of MP4 hold UTC by their standard, but many cameras write the time of their place there:
    such a `time` is UTC that is not `stated`.
    """

    time: datetime
    stated: bool

    def in_zone(self, zone: tzinfo | None) -> datetime:
        """The time, read as that of a clock in `zone` where the film does not state its own."""
        if zone is None or self.stated:
            return self.time
        return self.time.replace(tzinfo=zone).astimezone(UTC)


def beginning_of(tags: Mapping[str, str], duration: float, name: str = "") -> Beginning | None:
    """When a film of `duration` seconds began, by its `tags` (keys in lower case), or else as its
    file's `name` tells, which dash cameras call by the time of the place."""
    # Android's recorder writes its times when it closes the file (AOSP, MPEG4Writer).
    is_end = any(key.startswith("com.android.") for key in tags) and duration < _LONGEST
    late = timedelta(seconds=duration if is_end else 0.0)
    local = _moment(tags.get(_APPLE) or tags.get("creationdate") or "")
    if local is not None and local.tzinfo is not None:
        return Beginning(local.astimezone(UTC) - late, True)
    for tag in ("creation_time", "date_utc", "date"):
        time = _moment(tags.get(tag, ""))
        if time is None:
            continue
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        return Beginning(time - late, False)
    named = _NAMED.search(name)
    time = _moment("{}-{}-{}T{}:{}:{}".format(*named.groups())) if named else None
    return None if time is None else Beginning(time.replace(tzinfo=UTC), False)


def _moment(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text.strip())
        aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time
        # A day alone tells no time.
        return time if aware > _EARLIEST and len(text.strip()) > 10 else None
    except (ValueError, OverflowError):
        return None
