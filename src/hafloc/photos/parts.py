"""Names of photos that are a part of a file: a view (`pano.jpg#view=45`) or a frame (`a.mp4#t=12`).

A fragment at the end of a name says which part is meant, so that whatever stores names stores parts
as well. A view of a 360° film's frame has both: `a.mp4#t=12.4&view=45`. The key of a frame is that
of W3C Media Fragments, so that players seek to it.
"""

import math
import re
from dataclasses import dataclass
from pathlib import PurePath

from hafloc.photos.formats import VIDEO_SUFFIXES

# Degrees that a view's name leaves out. Part of the format: names in indexes rest on it.
_PITCH, _FIELD_OF_VIEW = 0.0, 75.0
_WIDEST = 120.0
# A file's own name may hold a "#", but ends in a suffix, as a fragment never does.
_PART = re.compile(
    r"(?P<file>.*\.\w{1,8})#(?:t=(?P<time>[.0-9]{1,12}))?&?(?:view=(?P<numbers>[-+.,0-9]{1,60}))?",
    re.DOTALL | re.ASCII,
)
_MARKS = ("#t=", "#view=")
_MOST_NUMBERS = 3
_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class View:
    """A perspective view of a panorama, level with the horizon where its `pitch` is 0; degrees.

    `heading` is clockwise from the panorama's centre column, in [0, 360); `pitch` upwards from the
    horizon; `field_of_view` the horizontal angle.
    """

    heading: float
    pitch: float = _PITCH
    field_of_view: float = _FIELD_OF_VIEW

    def __post_init__(self) -> None:
        heading = round(self.heading, _DECIMALS) % 360
        object.__setattr__(self, "heading", heading)
        object.__setattr__(self, "pitch", round(self.pitch, _DECIMALS))
        object.__setattr__(self, "field_of_view", round(self.field_of_view, _DECIMALS))
        if not (-90 <= self.pitch <= 90 and 0 < self.field_of_view <= _WIDEST):
            raise ValueError(f"there is no view of {self.pitch}° up, {self.field_of_view}° wide")

    @property
    def focal(self) -> float:
        """The focal length in longer sides of the view's image."""
        return 0.5 / math.tan(math.radians(self.field_of_view) / 2)

    @property
    def fragment(self) -> str:
        """The end of the view's name, such as "#view=45"; what is usual is left out."""
        numbers = [self.heading, self.pitch, self.field_of_view]
        for usual in (_FIELD_OF_VIEW, _PITCH):
            if numbers[-1] != usual:
                break
            numbers.pop()
        return "#view=" + ",".join(map(_plain, numbers))


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of a film, `time` seconds after its first one; of a 360° film, a `view` in it."""

    time: float
    view: View | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", round(self.time, _DECIMALS) + 0.0)
        if not 0 <= self.time < math.inf:
            raise ValueError(f"there is no frame at {self.time} seconds")

    @property
    def fragment(self) -> str:
        """The end of the frame's name, such as "#t=12.4"."""
        view = "" if self.view is None else "&" + self.view.fragment[1:]
        return f"#t={_plain(self.time)}{view}"


Part = View | Frame


def part_name(file: str, part: Part | None) -> str:
    """The name of a part of the file that is named `file`; None is all of it."""
    return file if part is None else file + part.fragment


def split_name(name: str) -> tuple[str, Part | None]:
    """A file's name, and which part of it is named; None where that is all of it.

    What is no part's name as `part_name` writes them is a file's.
    """
    found = _PART.fullmatch(name) if any(mark in name for mark in _MARKS) else None
    if found is None:
        return name, None
    try:
        part = _part(found["file"], found["time"], found["numbers"])
    except (ValueError, OverflowError):
        return name, None
    if part is None or part.fragment != name[len(found["file"]) :]:
        return name, None
    return found["file"], part


def view_of(part: Part | None) -> View | None:
    """The view that a part is, or that it is of a 360° film's frame; None of what is none."""
    return part.view if isinstance(part, Frame) else part


def _part(file: str, time: str | None, numbers: str | None) -> Part | None:
    if time is not None and PurePath(file).suffix.lower() not in VIDEO_SUFFIXES:
        return None
    view = None
    if numbers is not None:
        values = [float(number) for number in numbers.split(",")]
        if len(values) > _MOST_NUMBERS:
            return None
        view = View(*values)
    return view if time is None else Frame(float(time), view)


def _plain(number: float) -> str:
    return f"{number:.{_DECIMALS}f}".rstrip("0").rstrip(".") or "0"


def file_name(name: str) -> str:
    """The name of the file that holds the photo called `name`."""
    return split_name(name)[0]
