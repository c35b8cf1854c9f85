"""A query that is a part of its picture: what was found in it, in the picture's own pixels."""

from dataclasses import dataclass, replace

import numpy as np

from hafloc.photos import Photo, Window
from hafloc.verify import Evidence


@dataclass(frozen=True, slots=True)
class Framed:
    """The part `window` of a picture whose (width, height) is `size`."""

    window: Window
    size: tuple[int, int]

    @classmethod
    def of(cls, photo: Photo) -> "Framed | None":
        return None if photo.window is None else cls(photo.window, (photo.width, photo.height))

    def in_picture(self, evidence: Evidence) -> Evidence:
        """Evidence on the part, its pairs and their size being those of the picture."""
        if evidence.sizes is None:
            return evidence
        scale = np.array(self.window.size) / np.array(evidence.sizes[0])
        pairs = evidence.pairs.copy()
        # Pixel centres lie at integers.
        pairs[:, :2] = (pairs[:, :2] + 0.5) * scale - 0.5 + (self.window.left, self.window.top)
        return replace(evidence, pairs=pairs, sizes=(self.size, evidence.sizes[1]))
