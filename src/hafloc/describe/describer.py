"""A checkpoint ready to describe photos: sizes, batches, and decoding beside the network."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage

from hafloc.describe.onnx_model import PREFIX, OnnxNetwork, find_from, load_onnx, name_from
from hafloc.description import Description, LocalFeatures
from hafloc.errors import HaflocError, PhotoError
from hafloc.nn import HAF, Checkpoint, load_checkpoint
from hafloc.nn.images import check_sides, to_batch
from hafloc.photos import Photo, read
from hafloc.prefetch import prefetch

Image = NDArray[np.uint8]
Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Described:
    """A photo that was read, with its image vector `[D]` of unit length and local features."""

    photo: Photo
    vector: Vector
    local: LocalFeatures | None = None


class Describer:
    """Turns images into vectors and descriptions with one checkpoint.

    `name`, `hash`, `options` (JSON text) and `dimension` identify the vectors; `longer_side` is
    the size in pixels to which larger images are reduced first.
    """

    def __init__(self, checkpoint: Checkpoint, *, device: str = "cpu") -> None:
        self._network = checkpoint.network.to(device)
        self.name = checkpoint.name
        self.hash = checkpoint.hash
        self.options = json.dumps(checkpoint.options, sort_keys=True)
        self.dimension = self._network.dimension
        self.longer_side = self._network.options.longer_side
        # Only HAF has local features so far, and only where its checkpoint was fitted with them.
        network = self._network
        self._local_network: HAF | None = None
        if isinstance(network, HAF) and network.local is not None:
            self._local_network = network

    @classmethod
    def open(
        cls, model: str | Path = "haf", *, device: str = "cpu", beside: Path | None = None
    ) -> Self:
        """Load a checkpoint by shipped name or path, or the network of others in `onnx:FILE`.

        With `beside`, the model is what `name_from` gave for that folder. Raises CheckpointError.
        """
        text = str(model)
        if beside is not None and text.startswith(PREFIX):
            text = find_from(text, beside)
        loaded = load_onnx(text) if text.startswith(PREFIX) else load_checkpoint(model)
        return cls(loaded, device=device)

    @property
    def has_local_features(self) -> bool:
        """Whether the network gives key points, by which candidates are verified."""
        return self._local_network is not None

    def name_from(self, folder: Path) -> str:
        """The name by which `open` finds the network again for a file in `folder`."""
        if isinstance(self._network, OnnxNetwork):
            return name_from(self._network.path, folder)
        return self.name

    def fit(self, image: Image) -> Image:
        """The image reduced to `longer_side` where it is larger; upright RGB `H×W×3`."""
        height, width = image.shape[:2]
        ratio = self.longer_side / max(height, width)
        if ratio >= 1:
            return image
        size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        resized = PillowImage.fromarray(image).resize(size, PillowImage.Resampling.LANCZOS)
        # A copy: Pillow's own memory is read-only, of which torch warns.
        return np.array(resized)

    def describe(self, image: Image) -> Description:
        """Everything the network says of one image, in the pixels of `fit(image)`.

        Raises PhotoError for a side below 32 px.
        """
        return self._network.describe([self.fit(image)])[0]

    @torch.inference_mode()
    def vector(self, image: Image) -> Vector:
        """The image vector `[D]` alone, which is quicker. Raises PhotoError as `describe` does."""
        batch = to_batch(self.fit(image), self._network.device)
        check_sides(batch)
        # A copy of its own: a view would keep the network's last large block alive.
        return np.array(self._network(batch)[0].cpu().numpy(), dtype=np.float32)

    @torch.inference_mode()
    def vector_and_local(self, image: Image) -> tuple[Vector, LocalFeatures | None]:
        """The image vector `[D]` and the local features from one pass of the network.

        Features are None where the network has none. Raises PhotoError as `describe` does.
        """
        if self._local_network is None:
            return self.vector(image), None
        batch = to_batch(self.fit(image), self._network.device)
        vector, local = self._local_network.vector_and_local(batch)
        return np.array(vector.cpu().numpy(), dtype=np.float32), local

    def describe_files(
        self,
        paths: Iterable[Path],
        check: Callable[[Path, Photo], None] = lambda path, photo: None,
        *,
        local: bool = False,
    ) -> Iterator[tuple[Path, Described | HaflocError]]:
        """Each file's photo and vector in the order of `paths`, or why it has none.

        With `local`, its local features as well.

        The next files are decoded while the network works on this one. `check` may raise a
        HaflocError to spare a decoded photo the network.
        """

        def decode(path: Path) -> Photo | HaflocError:
            try:
                photo = read(path, longer_side=self.longer_side)
                check(path, photo)
            except HaflocError as error:
                return error
            return photo

        for path, photo in prefetch(paths, decode):
            if isinstance(photo, HaflocError):
                yield path, photo
                continue
            try:
                if local:
                    yield path, Described(photo, *self.vector_and_local(photo.image))
                else:
                    yield path, Described(photo, self.vector(photo.image))
            except PhotoError as error:
                yield path, PhotoError(f"cannot describe {path}: {error}")
