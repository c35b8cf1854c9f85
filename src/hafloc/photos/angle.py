"""Read one coordinate from text: decimal degrees, or degrees, minutes and seconds."""

import math
import re

_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_ANGLE = re.compile(
    rf"""
    (?P<lead>[NSEW]?)\s*(?P<sign>[+-]?)\s*
    (?P<degrees>{_NUMBER}(?:E[+-]?[0-9]+)?)\s*(?:°|º|DEGREES|DEG)?
    (?:[\s:]*(?P<minutes>{_NUMBER})\s*(?:'|′|MIN)?)?
    (?:[\s:]*(?P<seconds>{_NUMBER})\s*(?:"|″|''|SEC)?)?
    \s*(?P<trail>N|S|E|W|NORTH|SOUTH|EAST|WEST)?
    """,
    re.VERBOSE | re.ASCII,
)
_PLAIN = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]+)?")
_PARTS = ("degrees", "minutes", "seconds")
_LONGEST = 64  # characters; the pattern takes the cube of the length on long rows of digits
_SAME = str.maketrans({"−": "-", "’": "'", "`": "'", "”": '"', "\u00a0": " "})


def degrees_of(text: str, axis: str) -> float | None:
    """Signed degrees of a text such as "-33.5", `48 deg 12' 30.5" N`, "48 12.5N" or "W122:24:30".

    `axis` is "NS" or "EW": a hemisphere of the other one makes the text no coordinate (None), as
    do minutes or seconds of 60 and more, and fractions of anything but the last number. A minus
    with S or W is negated once. The decimal sign is a point.
    """
    if len(text) > _LONGEST:
        return None
    if _PLAIN.fullmatch(text):  # nearly all of a large table, at a fifth of the time
        return float(text)
    match = _ANGLE.fullmatch(text.translate(_SAME).strip().upper())
    if match is None:
        return None
    hemispheres = {match[name][0] for name in ("lead", "trail") if match[name]}
    if len(hemispheres) > 1 or not hemispheres <= set(axis):
        return None
    whole, minutes, seconds = (float(match[name] or 0) for name in _PARTS)
    if max(minutes, seconds) >= 60 or _runs_together(match):
        return None
    # "48.2 16.4" is rather two coordinates than one.
    if (whole % 1 and match["minutes"]) or (minutes % 1 and match["seconds"]):
        return None
    value = whole + minutes / 60 + seconds / 3600
    if not math.isfinite(value):
        return None
    below = match["sign"] == "-" or bool(hemispheres & {"S", "W"})
    return -value if below else value


def _runs_together(match: re.Match[str]) -> bool:
    """Whether digits of one number were taken for two ("4812" is not 481 degrees 2 minutes)."""
    ends = [match.end("degrees"), match.end("minutes")]
    starts = [match.start("minutes"), match.start("seconds")]
    return any(end == start for end, start in zip(ends, starts, strict=True) if start >= 0)
