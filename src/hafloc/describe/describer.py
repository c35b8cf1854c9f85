"""A checkpoint ready to describe photos: sizes, batches, and decoding beside the network."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage

from hafloc.cluster import Cluster
from hafloc.consent import allowing
from hafloc.describe.device import choose_device
from hafloc.describe.hub_model import find, load_hub
from hafloc.describe.hub_source import PREFIX as HUB
from hafloc.describe.in_turn import Decoded, Described, checked, each, in_processes, in_this_process
from hafloc.describe.known_networks import KnownNetwork, known_networks
from hafloc.describe.onnx_model import PREFIX as ONNX
from hafloc.describe.onnx_model import find_from, load_onnx
from hafloc.describe.projection import PREFIX as PCA
from hafloc.describe.projection import ProjectedNetwork, projected, read_projection
from hafloc.describe.run_by import run_by
from hafloc.describe.runtime import Runtime, check_names
from hafloc.describe.shards import Looked, OpenDescriber, look_on_cluster
from hafloc.describe.vector_network import VectorNetwork
from hafloc.describe.worker import run_at
from hafloc.description import Description, ImageFeatures
from hafloc.errors import CheckpointError, HaflocError, OptionError
from hafloc.nn import HAF, Checkpoint, check_sides, load_checkpoint, to_batch
from hafloc.photos import CUTTING, Cutting, Photo, PhotoFile, read_photos
from hafloc.prefetch import AHEAD, prefetch

Image = NDArray[np.uint8]
Vector = NDArray[np.float32]
Result = TypeVar("Result")

# Photos of one size that go through the network together. A processor gains nothing from it
# (benchmarks/results/locating.json); a GPU has the room.
_BATCH = {"cuda": 8}


class Describer:
    """Turns images into vectors and descriptions with one checkpoint.

    `name`, `hash`, `options` (JSON text) and `dimension` identify the vectors; `longer_side` is
    the size in pixels to which larger images are reduced first; `device` is where the network is.

    Safe in threads: one image, or batch, at a time goes through the networks on one device, which
    use all cores and most memory; the others wait. In a forked process it goes on, or raises
    CheckpointError where the network is on a GPU. One that `open` made and that is sent to another
    process is opened there anew.
    """

    # What `open` was given.
    _opened: tuple[str, str, Path | None, str, str] | None = None
    # What makes the vectors; of another than torch's float32, what `open` has chosen.
    runtime = Runtime()

    def __init__(self, checkpoint: Checkpoint, *, device: str = "auto") -> None:
        self.device = choose_device(device)
        self._network = checkpoint.network.to(self.device)
        self._process = os.getpid()
        self.name = checkpoint.name
        self.hash = checkpoint.hash
        self.options = json.dumps(checkpoint.options, sort_keys=True)
        self.dimension = self._network.dimension
        self.longer_side = self._network.options.longer_side
        # Only HAF has local features and regions so far.
        network = self._network
        self._shortened: ProjectedNetwork | None = None
        if isinstance(network, ProjectedNetwork):
            self._shortened, network = network, network.inner
        self._haf = network if isinstance(network, HAF) else None

    @classmethod
    def open(
        cls,
        model: str | Path = "haf",
        *,
        device: str = "auto",
        beside: Path | None = None,
        trust: bool = False,
        runtime: str = "torch",
        precision: str = "auto",
    ) -> Self:
        """Load a checkpoint by shipped name or path, or a network of others.

        That is `onnx:FILE`, `hub:OWNER/REPO:ENTRY@COMMIT` or `hub:./FOLDER:ENTRY` of torch.hub, or
        the short name of one in `known_networks()`; `pca:FILE` is any of them with shorter vectors.
        What is of torch.hub is code, which runs with
        `trust`, or where `hafloc.consent` lets it. With `beside`, the model is what `name_from`
        gave for that folder. `device` is what `choose_device` takes, `runtime` one of RUNTIMES and
        `precision` one of PRECISIONS: "auto" takes the fastest whose vectors are proven, and
        `describer.runtime` says which that is. Raises CheckpointError, also where a runtime
        disagrees with torch, MissingExtraError where a package is missing, and OptionError for a
        device or runtime that is none or code that may not run.
        """
        check_names(runtime, precision)
        with allowing(trust):
            load = _loader(str(model), beside)
        where = choose_device(device)

        def ready() -> tuple[Checkpoint, Runtime]:
            return run_by(load(), runtime, precision, where)

        checkpoint, chosen = run_at("cpu", ready)
        describer = cls(checkpoint, device=device)
        describer.runtime = chosen
        describer._opened = str(model), device, beside, chosen.name, chosen.precision
        return describer

    def __reduce__(self) -> tuple[Any, ...]:
        if self._opened is None:
            raise TypeError(
                "a Describer made of a loaded checkpoint stays in its process; use open"
            )
        model, device, beside, runtime, precision = self._opened
        # What may run here may run there.
        again = partial(
            type(self).open,
            device=device,
            beside=beside,
            trust=True,
            runtime=runtime,
            precision=precision,
        )
        return again, (model,)

    @property
    def shortens(self) -> str | None:
        """The hash of the network whose vectors these are the shorter ones of; None if whole."""
        return None if self._shortened is None else self._shortened.of

    @property
    def has_local_features(self) -> bool:
        """Whether the network gives key points, by which candidates are verified."""
        return self._haf is not None and self._haf.local is not None

    @property
    def regions(self) -> int:
        """How many regions of a photo get a vector of their own; 0 where the network has none."""
        return 0 if self._haf is None else self._haf.regions

    def name_from(self, folder: Path) -> str:
        """The name by which `open` finds the network again for a file in `folder`."""
        if isinstance(self._network, VectorNetwork | ProjectedNetwork):
            return self._network.name_from(folder)
        return self.name

    def way_from(self, folder: Path) -> str:
        """As `name_from`, but with the way to a checkpoint of one's own, whose name tells none."""
        model = self._opened[0] if self._opened is not None else ""
        if isinstance(self._network, VectorNetwork | ProjectedNetwork) or not Path(model).is_file():
            return self.name_from(folder)
        return os.path.relpath(model, folder.absolute())

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
        fitted = self.fit(image)
        return self._work(lambda: self._network.describe([fitted])[0])

    def vector(self, image: Image) -> Vector:
        """The image vector `[D]` alone, which is quicker. Raises PhotoError as `describe` does."""
        return self.features(image, local=False, regions=False).vector

    def features(self, image: Image, *, local: bool = True, regions: bool = True) -> ImageFeatures:
        """What the image is found and verified by, from one pass of the network.

        Raises PhotoError as `describe` does.
        """
        return self.features_of([image], local=local, regions=regions)[0]

    @property
    def at_once(self) -> int:
        """How many images are worth going through the network together; 1 on a processor."""
        return _BATCH.get(torch.device(self.device).type, 1)

    def features_of(
        self, images: Sequence[Image], *, local: bool = True, regions: bool = True
    ) -> list[ImageFeatures]:
        """As `features`, of N images that have one size once they are fitted, in one pass.

        Raises PhotoError as `describe` does.
        """
        fitted = [self.fit(image) for image in images]

        def work() -> list[ImageFeatures]:
            batch = torch.cat([to_batch(image, torch.device("cpu")) for image in fitted])
            if self._haf is not None:
                found = self._haf.features(batch, local=local, regions=regions)
                return found if self._shortened is None else list(map(self._shorter, found))
            check_sides(batch)
            batch = batch.to(self._network.device)
            # Copies of their own: views would keep the network's last large block alive.
            rows = self._network(batch).cpu().numpy()
            return [ImageFeatures(np.array(row, np.float32)) for row in rows]

        return self._work(work)

    def _shorter(self, features: ImageFeatures) -> ImageFeatures:
        assert self._shortened is not None, "asked for"
        reduce = self._shortened.reduce
        vector = reduce(torch.from_numpy(features.vector)[None])[0].cpu().numpy()
        regions = features.regions
        if regions is not None:
            regions = reduce(torch.from_numpy(regions)).cpu().numpy()
        return replace(features, vector=vector, regions=regions)

    def _work(self, work: Callable[[], Result]) -> Result:
        """What `work` returns, done when this network's turn comes."""
        if self._process != os.getpid() and self.device.startswith("cuda"):
            raise CheckpointError(
                f"cannot describe on {self.device}: the network was put there before this process "
                "was forked; open it in each worker, or start workers by spawn"
            )
        try:
            return run_at(self.device, torch.inference_mode()(work))
        except torch.OutOfMemoryError as error:
            raise OptionError(
                f"cannot describe on {self.device}: its memory is full; free some, or use "
                "--device cpu"
            ) from error

    def describe_files(
        self,
        paths: Iterable[PhotoFile],
        check: Callable[[PhotoFile, Photo], None] = lambda path, photo: None,
        *,
        local: bool = False,
        regions: bool = False,
        workers: int = 1,
        readers: int = 2,
        ray: str | None = None,
        is_placed: Callable[[PhotoFile], bool] = lambda path: True,
        cutting: Cutting = CUTTING,
    ) -> Iterator[tuple[PhotoFile, Described | HaflocError]]:
        """Each file's photo and vector in the order of `paths`, or why it has none.

        With `local` and `regions`, those as well. A panorama is cut as `cutting` says, and each of
        its views is described: as many in a row as their `photo.parts` says.

        The next files are decoded while the network works on this one; on a GPU, neighbours of
        one size go through it together. `check` may raise a HaflocError to spare a decoded photo
        the network. On a processor, several `workers` describe a photo each, in processes of their
        own: more photos a second, and more memory; see `Processes` for what a script needs.
        `readers` threads read the files: many, where servers are to answer.

        With the address of a `ray` cluster its workers describe, as many as `workers` says if that
        is not 1, and results come as they are made; a photo's `image` is empty then. Those
        that are not `is_placed`, and have no position in their file, come to `check` before
        the network, and panoramas are refused. See `Cluster` for what it raises.
        """

        def decode(path: PhotoFile) -> list[Photo] | HaflocError:
            try:
                photos = read_photos(path, longer_side=self.longer_side, cutting=cutting)
                check(path, photos[0])
            except HaflocError as error:
                return error
            return photos

        if ray is not None:
            files = self._by_cluster(paths, ray, workers, readers, is_placed, local, regions)
            for path, looked in files:
                yield path, checked(path, looked, check)
            return
        if workers > 1 and self.device == "cpu" and self._opened is not None:
            yield from in_processes(
                self,
                each(prefetch(paths, decode, AHEAD + 2 * readers - 4, readers)),
                workers,
                local=local,
                regions=regions,
            )
            return
        most = self.at_once
        ahead = AHEAD + most + 2 * readers - 5
        decoded = each(prefetch(paths, decode, ahead, readers))
        yield from in_this_process(self, decoded, local=local, regions=regions)

    def describe_photos(
        self,
        photos: Iterable[Photo],
        *,
        local: bool = False,
        regions: bool = False,
        workers: int = 1,
    ) -> Iterator[Described | HaflocError]:
        """As `describe_files`, of decoded photos with a path, such as the frames of a film.

        A few of them are asked for beforehand.
        """

        def beforehand() -> Iterator[Decoded]:
            ahead = iter(photos)
            # One thread, since each photo is decoded from where the last one was.
            for _, photo in prefetch(repeat(None), lambda _: next(ahead, None), AHEAD, 1):
                if photo is None:
                    return
                assert photo.path is not None, "from a file"
                yield photo.path, photo

        if workers > 1 and self.device == "cpu" and self._opened is not None:
            found = in_processes(self, beforehand(), workers, local=local, regions=regions)
        else:
            found = in_this_process(self, beforehand(), local=local, regions=regions)
        yield from (described for _, described in found)

    def _by_cluster(
        self,
        paths: Iterable[PhotoFile],
        address: str,
        workers: int,
        readers: int,
        is_placed: Callable[[PhotoFile], bool],
        local: bool,
        regions: bool,
    ) -> Iterator[tuple[PhotoFile, Looked | HaflocError]]:
        if self._opened is None:
            raise OptionError("only what Describer.open gives can be opened on other machines")
        model, _, beside, runtime, precision = self._opened
        model = str(Path(model).absolute()) if Path(model).is_file() else model
        opened = OpenDescriber(model, beside, runtime, precision, self.hash, local, regions)
        cluster = Cluster(
            address,
            opened,
            count=None if workers == 1 else workers,
            uses_gpus=runtime == Runtime().name,
        )
        return look_on_cluster(cluster, paths, is_placed, readers)


def _loader(model: str, beside: Path | None) -> Callable[[], Checkpoint]:
    """What loads the network of that name, once its files are found and its code may run."""
    if model.startswith(PCA):
        file = model if beside is None else find_from(model, beside, PCA)
        projection = read_projection(Path(file.removeprefix(PCA)).absolute())
        inner = _loader(projection.model, projection.path.parent)
        return lambda: projected(inner(), projection)
    if model.startswith(ONNX):
        return partial(load_onnx, model if beside is None else find_from(model, beside))
    if model.startswith(HUB):
        return partial(load_hub, find(model, beside))
    known = known_networks().get(model)
    if known is not None:
        return partial(load_hub, find(_name_of(known)))
    near = None if beside is None else beside / model
    return partial(load_checkpoint, near if near is not None and near.is_file() else model)


def _name_of(known: KnownNetwork) -> str:
    if not known.model:
        raise CheckpointError(
            f"cannot open {known.name}: {known.note}; its input is in the table of docs/networks.md"
        )
    return known.model
