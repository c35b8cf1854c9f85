"""Read the FIT files of sports watches and cycling computers, with the extra `fit`."""

import io
import warnings
from datetime import UTC, datetime
from importlib.util import find_spec

from hafloc.errors import MissingExtraError
from hafloc.photos.tracks.found import Found

_HEIGHTS = ("enhanced_altitude", "altitude")
_DEGREES = 180 / 2**31  # in a semicircle, the unit of FIT
_LOST = 2**31 - 1  # the value of a position that is not known


def is_fit(data: bytes) -> bool:
    return data[8:12] == b".FIT"


def read_fit(data: bytes, found: Found) -> None:
    """The records of a FIT file. Raises MissingExtraError without fitdecode."""
    if find_spec("fitdecode") is None:
        raise MissingExtraError(
            "FIT needs an extra; `pip install 'hafloc[fit]'`, or export the track as GPX"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _read(data, found)
    # Damage makes the decoder raise anything at all; what came before is used.
    except Exception as error:
        found.problems.append(
            f"the FIT file is damaged ({type(error).__name__}); what stands before is used"
        )


def _read(data: bytes, found: Found) -> None:
    import fitdecode

    with fitdecode.FitReader(io.BytesIO(data), error_handling=fitdecode.ErrorHandling.IGNORE) as f:
        for frame in f:
            if not isinstance(frame, fitdecode.FitDataMessage) or frame.name != "record":
                continue
            lat, lon, time, precise, height = (
                frame.get_value(name, fallback=None)
                for name in ("position_lat", "position_long", "timestamp", *_HEIGHTS)
            )
            if not isinstance(lat, int) or not isinstance(lon, int) or _LOST in (lat, lon):
                continue  # a heart rate without a fix
            seconds = (
                (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
                if isinstance(time, datetime)
                else None
            )
            height = height if precise is None else precise
            altitude = float(height) if isinstance(height, int | float) else None
            found.add(seconds, lat * _DEGREES, lon * _DEGREES, altitude)
