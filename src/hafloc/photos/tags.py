"""Values of metadata tags as cameras and programs write them, read without ever raising."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Tags = Mapping[int, Any]
_RATIONAL = re.compile(r"([+-]?[0-9]+)/([0-9]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Directories:
    """The three directories of EXIF that matter, by tag number; empty where absent or broken."""

    main: Tags = field(default_factory=dict)
    detail: Tags = field(default_factory=dict)
    gps: Tags = field(default_factory=dict)


def number(value: Any) -> float | None:
    """A finite number from whatever a camera wrote, also from text like "12.5" or "25/2"."""
    if isinstance(value, bytes | str):
        value = text(value)
        if rational := _RATIONAL.fullmatch(value):
            return _quotient(int(rational[1]), int(rational[2]))
    elif isinstance(value, tuple | list) and len(value) == 1:
        value = value[0]
    try:
        result = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return result if math.isfinite(result) else None


def _quotient(above: int, below: int) -> float | None:
    try:
        return above / below
    except ArithmeticError:
        return None


def text(value: Any) -> str:
    """Text up to its first NUL, without the spaces around it; "" for what is no text."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value.partition("\0")[0].strip() if isinstance(value, str) else ""


def parts(value: Any) -> tuple[Any, ...]:
    """The components of a value: () without one, itself where it is single."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def is_zero_over_zero(value: Any) -> bool:
    """Whether a rational is 0/0, which is how "unknown" is written."""
    return getattr(value, "denominator", 1) == 0 and value.numerator == 0


def shown(value: str, longest: int = 40) -> str:
    """Text from a file in the form that a message can hold: one line, printable, not too long."""
    value = "".join(letter if letter.isprintable() else "?" for letter in value)
    return value if len(value) <= longest else f"{value[:longest]}…"
