"""Names of photos that are a part of a file: a view of a panorama, as `pano.jpg#view=45`.

A fragment at the end of a name says which part is meant, so that whatever stores names stores parts
as well. Frames of a film will have one of another key.
"""

import math
import re
from dataclasses import dataclass

# Degrees that a view's name leaves out. Part of the format: names in indexes rest on it.
_PITCH, _FIELD_OF_VIEW = 0.0, 75.0
_WIDEST = 120.0
# A file's own name may hold a "#", but ends in a suffix, as a fragment never does.
_PART = re.compile(r"(?P<file>.*\.\w{1,8})#view=(?P<numbers>[-+.,0-9]{1,60})", re.DOTALL | re.ASCII)
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
        return "#view=" + ",".join(f"{number:.{_DECIMALS}f}".rstrip("0").rstrip(".") or "0"
                                   for number in numbers)  # fmt: skip


def part_name(file: str, part: View | None) -> str:
    """The name of a part of the file that is named `file`; None is all of it."""
    return file if part is None else file + part.fragment


def split_name(name: str) -> tuple[str, View | None]:
    """A file's name, and which part of it is named; None where that is all of it.

    What is no part's name as `part_name` writes them is a file's.
    """
    found = _PART.fullmatch(name) if "#view=" in name else None
    if found is None:
        return name, None
    try:
        numbers = [float(number) for number in found["numbers"].split(",")]
        part = View(*numbers) if len(numbers) <= _MOST_NUMBERS else None
    except (ValueError, OverflowError):
        return name, None
    if part is None or part.fragment != name[len(found["file"]) :]:
        return name, None
    return found["file"], part


def file_name(name: str) -> str:
    """The name of the file that holds the photo called `name`."""
    return split_name(name)[0]
