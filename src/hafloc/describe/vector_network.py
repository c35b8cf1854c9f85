"""The door of networks that others made: an image in, one vector out, and nothing else of it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from hafloc.describe.model_input import InputOptions, is_sound, what_is_wrong
from hafloc.description import Description, KeyPoints
from hafloc.errors import CheckpointError, PhotoError, reason_of

Floats = NDArray[np.float32]

_PROBE_SIDE = 224


class VectorNetwork(nn.Module, ABC):
    """What a network of others has to add: `answer`, and where it is found again.

    As every network it takes batches `N×3×H×W`, RGB 0..255, and gives unit vectors
    `[N, dimension]`; `label` is what messages call it.
    """

    name = ""
    dimension = 0

    def __init__(self, options: InputOptions, label: str, cure: str) -> None:
        super().__init__()
        self.options = options
        self.label = label
        self._cure = cure

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @abstractmethod
    def answer(self, values: Floats) -> Floats:
        """What the network says of normalised images `N×3×H×W`; raises whatever it raises."""

    @abstractmethod
    def name_from(self, folder: Path) -> str:
        """The name by which the network is found again for a file in `folder`."""

    def probe(self, photos: int) -> None:
        """Learn the dimension from an answer; raises CheckpointError where it is no vector.

        Several photos show what takes a batch for one photo, or gives all photos one vector.
        """
        height, width = self.options.input_size(_PROBE_SIDE, _PROBE_SIDE)
        random = np.random.default_rng(0)
        images = random.integers(0, 256, (photos, height, width, 3)).astype(np.uint8)
        vectors = self._asked(images)
        if not is_sound(vectors):
            raise CheckpointError(
                f"{self.label} answers with vectors that are zero or no numbers; {self._cure}"
            )
        self.dimension = vectors.shape[1]

    def forward(self, images: Tensor) -> Tensor:
        """Unit vectors `[N, dimension]`.

        Raises CheckpointError where the network fails, PhotoError where an answer is no vector.
        """
        arrays = np.asarray(images.permute(0, 2, 3, 1).cpu().numpy())
        vectors = self._asked(arrays)
        if vectors.shape[1] != self.dimension:
            raise CheckpointError(
                f"{self.label} answers with {vectors.shape[1]:,} numbers for this size and "
                f"{self.dimension:,} for another; give it one size"
            )
        if not is_sound(vectors):
            raise PhotoError(f"{self.label} answers with a vector that is zero or no numbers")
        return F.normalize(torch.from_numpy(vectors), dim=-1)

    def describe(self, images: Tensor | Sequence[NDArray[np.uint8]]) -> list[Description]:
        """Vectors alone: such a network has no levels, no key points, and even heat."""
        if isinstance(images, Tensor):
            images = list(images.permute(0, 2, 3, 1).cpu().numpy())
        return [self._describe(image) for image in images]

    def _describe(self, image: NDArray[np.uint8]) -> Description:
        height, width = image.shape[:2]
        batch = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
        none = np.zeros((0, 2), dtype=np.float32)
        return Description(
            vector=np.array(self(batch)[0].numpy(), np.float32),
            size=(width, height),
            levels={},
            fused_score=np.ones((-(-height // 2), -(-width // 2)), dtype=np.float32),
            key_points=KeyPoints(none, none[:, 0], np.zeros((0, 1), dtype=np.float32)),
        )

    def _asked(self, images: NDArray[np.uint8]) -> Floats:
        """The answer for images `N×H×W×3`, `[N, D]`; raises CheckpointError where it is not."""
        values = np.stack([self.options.values(image) for image in images])
        try:
            vectors = self.answer(values)
        except torch.OutOfMemoryError:
            raise
        # Others' code may raise anything.
        except Exception as error:
            height, width = values.shape[2:]
            reason = reason_of(error)
            raise CheckpointError(
                f"{self.label} cannot describe an image of {width}×{height} pixels: "
                f"{reason[:300]}; {self._cure}"
            ) from error
        if wrong := what_is_wrong(vectors, len(images)):
            raise CheckpointError(f"{self.label} {wrong}; {self._cure}")
        return vectors
