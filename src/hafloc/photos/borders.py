"""Where in a picture its photo lies: bars and margins of one colour around it are no part of it.

Screenshots, letterboxed and framed photos have them, with a caption or a status bar on them at
times. A border is told from a plain sky, snow, fog or a wall by two things: it is of one colour up
to what JPEG makes of it, and the photo begins along a straight line across most of its width.
"""

import numpy as np
from numpy.typing import NDArray

from hafloc.photos.photo import Image, Window

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Rows = NDArray[np.int16]  # [H, W, 3]

# Of 255, in any channel: what JPEG does to one colour, and what it does beside an edge.
_NOISE, _RINGING = 4, 20
# Of a border's pixels that must be of its one colour, apart from rows with a caption.
_PURE = 0.75
# A night sky above a straight roof is of one colour too, but for the camera's noise. So what is
# darker than this must be as pure as what a program draws.
_DARK, _DARK_NOISE, _DARK_PURE = 48, 1, 0.95
# Of a row: what differs in one that is plain, in one beside an edge, and in one of the photo.
_PLAIN, _NEARLY_PLAIN, _FULL = 0.01, 0.1, 0.7
# Of what the photo differs from the border on the whole: by so much at once, as no fog does.
_SHARP = 0.5
# The same, where the opposite side has a border of that colour: dark streets between black bars.
_PAIRED = 0.35
# Rows, or columns, that an edge takes where the picture was reduced or JPEG rings.
_EDGE = 4
# What JPEG makes of the photo reaches to the end of its block, 16 rows with halved colour.
_BLOCK = 16
# Columns count where they differ from the border in this share of the rows: others are border too.
_ACTIVE = 0.2
# Of a side: less is not worth cutting, and of the whole this must remain.
_LEAST, _REMAINS = 0.02, 0.2
# One border may lie within another: a frame, bars of an app and of the system.
_NESTED = 4


def without_borders(image: Image) -> Window | None:
    """The part of an RGB image `H×W×3` that is a photo; None where that is all of it.

    All is left as it is where less than a fifth of a side would remain.
    """
    height, width = image.shape[:2]
    left, top, right, bottom = 0, 0, width, height
    for _ in range(_NESTED):
        part = image[top:bottom, left:right].astype(np.int16)
        above, below = _pair(part)
        before, behind = _pair(part[above : len(part) - below].transpose(1, 0, 2))
        if not any((above, below, before, behind)):
            break
        left, top, right, bottom = left + before, top + above, right - behind, bottom - below
        if right - left < _REMAINS * width or bottom - top < _REMAINS * height:
            return None
    window = Window(left, top, right, bottom)
    return None if window.size == (width, height) else window


def _pair(rows: Rows) -> tuple[int, int]:
    """How many of the first and of the last rows are a border."""
    first, last = _border(rows), _border(rows[::-1])
    if bool(first) != bool(last) and np.abs(_colour(rows) - _colour(rows[::-1])).max() <= _NOISE:
        first, last = first or _border(rows, _PAIRED), last or _border(rows[::-1], _PAIRED)
    return first, last


def _colour(rows: Rows) -> Rows:
    # The very first are mixed with the border around this one, where there is one.
    return np.asarray(np.median(rows[2 : 2 * _EDGE], axis=(0, 1)), dtype=np.int16)


def _border(rows: Rows, least: float = _FULL) -> int:
    """How many of the first rows are a border; 0 where there is none, as in most photos."""
    height = len(rows)
    if height <= 2 * _EDGE or rows.shape[1] <= 2 * _EDGE:
        return 0
    colour = _colour(rows)
    first = np.abs(rows[: 2 * _EDGE] - colour).max(axis=2) > _RINGING
    if (first.mean(axis=1) > _PLAIN).all():
        return 0
    away = np.abs(rows - colour).max(axis=2)
    differs = away > _RINGING
    active = differs.mean(axis=0) >= _ACTIVE
    if active.mean() < _REMAINS:
        return 0
    share = differs.mean(axis=1)
    full = differs[:, active].mean(axis=1) >= least
    contrast = away[:, active].mean(axis=1)
    for row in np.flatnonzero(full).tolist():
        if (share[max(row - _EDGE, 0) : row] <= _NEARLY_PLAIN).any() and _begins(
            full, contrast, row
        ):
            is_worth_it = row >= _LEAST * height
            is_dark = bool(colour.max() < _DARK)
            is_pure = _is_pure(away[:row], share[:row] <= _PLAIN, is_dark=is_dark)
            return row if is_worth_it and is_pure else 0
    return 0


def _begins(full: Flags, contrast: Floats, row: int) -> bool:
    """Whether a photo begins at a row: at once, and not a line of text.

    A tenth of what is left is `full` as well, and `contrast`, by which rows differ from the border,
    does not grow slowly.
    """
    ahead = slice(row, row + max(_EDGE, (len(full) - row) // 10))
    step = contrast[row : row + _EDGE].max() - contrast[max(row - _EDGE, 0)]
    return bool(full[ahead].mean() >= _FULL and step >= _SHARP * contrast[ahead].mean())


def _is_pure(away: Rows, plain: Flags, *, is_dark: bool) -> bool:
    """Whether plain rows are of one colour, but for those beside an edge of either side."""
    inner = plain.copy()
    for shift in range(1, _EDGE + 1):
        inner[:-shift] &= plain[shift:]
    inner[:_EDGE] = False
    if is_dark or plain[:-_EDGE].all():
        inner[-max(_EDGE, min(_BLOCK, len(plain) - 2 * _EDGE)) :] = False
    else:
        inner[-_EDGE:] = False
    if not inner.any():
        inner = plain
    noise, share = (_DARK_NOISE, _DARK_PURE) if is_dark else (_NOISE, _PURE)
    return bool((away[inner] <= noise).mean() >= share)
