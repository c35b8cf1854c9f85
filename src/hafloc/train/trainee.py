"""How each network is trained: from its inputs to the vectors and local maps of the losses."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from hafloc.nn import CRN, HAF, LEVELS, HAFPublicCode, NetVLAD, Network, SuperPoint
from hafloc.nn.haf_public_code import POOLED
from hafloc.nn.half_resolution import HalfResolution
from hafloc.nn.images import check_sides
from hafloc.nn.superpoint import PixelMaps
from hafloc.nn.vgg import LAYERS, LEVEL_OF_TAP, TAPS, VGG16, Taps
from hafloc.train.haf_maps import HafMaps
from hafloc.train.initialise import fit_heads, fit_whitening, sample_places
from hafloc.train.losses import LocalMaps
from hafloc.train.trunk import NOTHING, kept_layers, run_frozen

IMAGE = "image"
LAST = list(LAYERS)[-1]
START_PLACES = 100  # of each photo, as in NetVLAD's code


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a network reads of one photo of `size` (H, W) pixels.

    `tensors` hold either "image" `[1, 3, H, W]`, or the responses of frozen layers by name.
    """

    tensors: Mapping[str, Tensor]
    size: tuple[int, int]

    def to(self, device: torch.device) -> "Inputs":
        return Inputs({key: value.to(device) for key, value in self.tensors.items()}, self.size)


@dataclass(frozen=True, slots=True)
class View:
    """One photo as the losses see it: `vector` `[D]` where asked for, and a level's maps each."""

    vector: Tensor | None
    levels: Sequence[LocalMaps]


class Trainee(Protocol):
    """A network with what training asks of it.

    `weights` are the levels' λ; `kept` the frozen layers that the learning ones read. `whitens`
    says whether training compares whitened vectors; `start_photos` how many `start` wants.
    """

    weights: tuple[float, ...]
    kept: tuple[str, ...]
    whitens: bool
    pooled_size: int
    start_photos: int

    @property
    def network(self) -> Network: ...

    def start(self, photos: Iterable[Inputs], generator: torch.Generator) -> None:
        """Start what comes after the trunk from photos."""
        ...

    def view(self, inputs: Inputs, *, vector: bool, local: bool) -> View:
        """One photo for the losses, with gradient."""
        ...

    def pooled(self, inputs: Inputs) -> Tensor:
        """One photo's vector before whitening, `[pooled_size]`."""
        ...

    def finish(self, pooled: Tensor) -> Tensor:
        """The vectors `[M, D]` that training compares, of pooled ones."""
        ...

    def fit(self, pooled: Tensor, pairs: Tensor) -> None:
        """Fit the whitening to pooled vectors; `pairs` `[Q, 2]` number rows of the same place."""
        ...


class HafTrainee:
    """HAF: losses on three levels and on the fused vector."""

    whitens = True
    start_photos = 200

    def __init__(self, network: HAF, train_from: str) -> None:
        self._network = network
        self._train_from = train_from
        self.weights: tuple[float, ...] = network.options.level_weights
        self.kept = kept_layers(train_from, tuple(TAPS.values()))
        self._widths = [network.level(name).head.out_channels for name in LEVELS]
        self.pooled_size = sum(self._widths)

    @property
    def network(self) -> HAF:
        return self._network

    def start(self, photos: Iterable[Inputs], generator: torch.Generator) -> None:
        with torch.no_grad():
            taps = (self._taps(inputs) for inputs in photos)
            fit_heads(self._network, sample_places(taps, generator), generator)

    def view(self, inputs: Inputs, *, vector: bool, local: bool) -> View:
        net = self._network
        maps = net.maps(self._taps(inputs), inputs.size)
        fused, scores = None, dict.fromkeys(LEVELS)
        if vector:
            pooled = {name: self._pool(name, maps[name], local) for name in LEVELS}
            fused = net.fuse({name: found[0] for name, found in pooled.items()})[0]
            scores = {name: found[1] for name, found in pooled.items()}
        detection = net.options.detection
        levels = [HafMaps(maps[name], detection, scores[name]) for name in LEVELS] if local else []
        return View(fused, levels)

    def pooled(self, inputs: Inputs) -> Tensor:
        vectors = self._network.pool(self._taps(inputs), inputs.size)
        return torch.cat([vectors[name][0] for name in LEVELS])

    def finish(self, pooled: Tensor) -> Tensor:
        return self._network.fuse(self._split(pooled))

    def fit(self, pooled: Tensor, pairs: Tensor) -> None:
        fit_whitening(self._network, self._split(pooled), pairs)

    def _split(self, pooled: Tensor) -> dict[str, Tensor]:
        return dict(zip(LEVELS, torch.split(pooled, self._widths, -1), strict=True))

    def _taps(self, inputs: Inputs) -> Taps:
        if IMAGE in inputs.tensors and not self.kept:
            return self._network.taps(inputs.tensors[IMAGE])
        responses = frozen_responses(self._network.trunk, inputs, self.kept)
        below = {LEVEL_OF_TAP[key]: x for key, x in responses.items() if key in LEVEL_OF_TAP}
        if self._train_from == NOTHING:
            return Taps(**below)
        return self._network.trunk.from_layer(self._train_from, responses[self.kept[-1]], below)

    def _pool(self, name: str, maps: HalfResolution, local: bool) -> tuple[Tensor, Tensor | None]:
        """The level's vector, and its scores where one scan can serve `local` losses too."""
        level, detection = self._network.level(name), self._network.options.detection
        if level.power is not None:
            return (
                level.pool_and_detect(maps, detection) if local else (level.pool(maps, None), None)
            )

        def pool(responses: Tensor, blend: Tensor | None, mask: Tensor) -> tuple[Tensor, Tensor]:
            made = HalfResolution(responses, blend, mask, maps.scale)
            return level.pool_and_detect(made, detection)

        # Half-resolution rows are made again for the gradient, not kept.
        inputs = (maps.responses, maps.blend, maps.mask)
        pooled, scores = checkpoint(pool, *inputs, use_reentrant=False, preserve_rng_state=False)
        return pooled, scores.detach()


class VladTrainee:
    """NetVLAD and CRN: the loss on their vectors before whitening."""

    weights: tuple[float, ...] = ()
    whitens = False
    start_photos = 500

    def __init__(self, network: NetVLAD | CRN, train_from: str) -> None:
        self._network = network
        # conv5_3 counts before its ReLU here, so it is computed each time even when it is frozen.
        self._first = LAST if train_from == NOTHING else train_from
        self.kept = kept_layers(self._first, ())
        self.pooled_size = network.raw_dimension

    @property
    def network(self) -> NetVLAD | CRN:
        return self._network

    def start(self, photos: Iterable[Inputs], generator: torch.Generator) -> None:
        """Clusters by k-means on the descriptors of random places."""
        found = []
        for inputs in photos:
            with torch.no_grad():
                places = self._features(inputs)[0].flatten(1)
            drawn = torch.randint(places.shape[1], (START_PLACES,), generator=generator)
            found.append(F.normalize(places[:, drawn.to(places.device)], dim=0).T.cpu())
        descriptors = torch.cat(found).to(self._network.device)
        self._network.vlad.initialise(descriptors, generator)

    def view(self, inputs: Inputs, *, vector: bool, local: bool) -> View:
        return View(self.pooled(inputs) if vector else None, ())

    def pooled(self, inputs: Inputs) -> Tensor:
        return self._network.pool(self._features(inputs))[0]

    def finish(self, pooled: Tensor) -> Tensor:
        return pooled

    def fit(self, pooled: Tensor, pairs: Tensor) -> None:
        if self._network.whitening is not None:
            self._network.whitening.fit(pooled)

    def _features(self, inputs: Inputs) -> Tensor:
        trunk = self._network.trunk
        if IMAGE in inputs.tensors and not self.kept:
            return self._network.features(inputs.tensors[IMAGE])
        responses = frozen_responses(trunk, inputs, self.kept)
        return trunk.before_last_relu(self._first, responses[self.kept[-1]])


class PublicCodeTrainee(VladTrainee):
    """The public code's HAF: a NetVLAD that reads three levels of the trunk."""

    def __init__(self, network: HAFPublicCode, train_from: str) -> None:
        super().__init__(network, train_from)
        self._levels = network
        self._train_from = train_from
        self.kept = kept_layers(train_from, tuple(POOLED.values()))

    def _features(self, inputs: Inputs) -> Tensor:
        if IMAGE in inputs.tensors and not self.kept:
            return self._levels.features(inputs.tensors[IMAGE])
        responses = dict(frozen_responses(self._levels.trunk, inputs, self.kept))
        above = [layer for layer in POOLED.values() if layer not in responses]
        if above:
            last = responses[self.kept[-1]]
            responses |= self._levels.trunk.responses(above, last, self._train_from)
        return self._levels.gather(responses)


class SuperPointTrainee:
    """SuperPoint: losses on its one level and on its vector before whitening."""

    weights: tuple[float, ...] = (1.0,)
    kept: tuple[str, ...] = ()
    whitens = False
    start_photos = 0

    def __init__(self, network: SuperPoint) -> None:
        self._network = network
        self.pooled_size = network.raw_dimension

    @property
    def network(self) -> SuperPoint:
        return self._network

    def start(self, photos: Iterable[Inputs], generator: torch.Generator) -> None:
        self._network.initialise(generator)

    def view(self, inputs: Inputs, *, vector: bool, local: bool) -> View:
        scores, cells = self._network.dense(inputs.tensors[IMAGE])
        pooled = self._network.pool(scores, cells)[0] if vector else None
        return View(pooled, [PixelMaps(scores[0], cells[0])] if local else ())

    def pooled(self, inputs: Inputs) -> Tensor:
        return self._network.pool(*self._network.dense(inputs.tensors[IMAGE]))[0]

    def finish(self, pooled: Tensor) -> Tensor:
        return pooled

    def fit(self, pooled: Tensor, pairs: Tensor) -> None:
        if self._network.whitening is not None:
            self._network.whitening.fit(pooled)


def frozen_responses(trunk: VGG16, inputs: Inputs, kept: tuple[str, ...]) -> Mapping[str, Tensor]:
    """Responses of the frozen layers `kept`: those of the cache, or of the image."""
    if IMAGE not in inputs.tensors:
        return inputs.tensors
    check_sides(inputs.tensors[IMAGE])
    return run_frozen(trunk, inputs.tensors[IMAGE], kept)
