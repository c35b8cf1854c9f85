"""An untrained network that already works: heads and whitening fitted on unrelated photos.

The trunk brings its ImageNet weights. What comes after it starts from data: heads that pass the
trunk's responses on at a scale where ReLU6 rarely cuts, masks and fusion near neutral, and a
whitening for each level.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from hafloc.errors import TrainingError
from hafloc.nn import (
    HAF,
    LEVELS,
    Whitening,
    pair_whitening,
)
from hafloc.nn.haf import local_responses
from hafloc.nn.haf_level import Level
from hafloc.nn.images import to_batch
from hafloc.nn.local_features import join
from hafloc.nn.vgg import Taps
from hafloc.photos import read_flat

PLACES = 150  # sampled of each image for the heads
# A channel's responses up to this quantile stay below ReLU6's bound.
UNCUT = 0.999
# Photos, corners found in each and corners taken of them, that key points are whitened on.
LOCAL_PHOTOS, LOCAL_FOUND, LOCAL_TAKEN = 330, 1_000, 300


def sample_places(taps: Iterable[Taps], generator: torch.Generator) -> dict[str, Tensor]:
    """Trunk responses at random places of many images, by level: `[M, C]`."""
    samples: dict[str, list[Tensor]] = {name: [] for name in LEVELS}
    for image in taps:
        for name, tap in zip(LEVELS, image, strict=True):
            responses = tap[0].flatten(1)
            places = torch.randint(responses.shape[1], (PLACES,), generator=generator)
            samples[name].append(responses[:, places].T.clone())
    return {name: torch.cat(parts) for name, parts in samples.items()}


@torch.no_grad()
def fit_heads(net: HAF, samples: Mapping[str, Tensor], generator: torch.Generator) -> None:
    """Start the levels' heads from sampled responses `[M, C]`; see `fit_head`."""
    for name in LEVELS:
        fit_head(net.level(name), samples[name], generator)


def fit_head(level: Level, samples: Tensor, generator: torch.Generator) -> None:
    """Let a head pass on the tap's most variable channels, each scaled to ReLU6's range.

    Where it has more outputs than the tap has channels, all are passed on and the rest are random
    combinations of the centred channels: responses to what no single channel tells.
    """
    channels, outputs = samples.shape[1], level.head.out_channels
    kept = samples.var(0).argsort(descending=True)[:outputs].sort().values
    passed = torch.eye(channels)[kept]
    mixed = torch.randn(outputs - len(kept), channels, generator=generator) / channels**0.5
    weight = torch.cat([passed, mixed])
    bias = torch.cat([torch.zeros(len(kept)), -(mixed @ samples.mean(0))])
    responses = torch.relu(samples @ weight.T + bias)
    top = _quantile(responses, UNCUT).clamp(min=1e-3)
    centre = level.head.kernel_size[0] // 2
    level.head.weight.zero_()
    level.head.weight[:, :, centre, centre] = weight * (6 / top)[:, None]
    assert level.head.bias is not None
    level.head.bias.copy_(bias * 6 / top)


def _quantile(values: Tensor, quantile: float) -> Tensor:
    """The quantile of each column; torch.quantile refuses more than 16 million values."""
    rank = min(len(values) - 1, int(quantile * len(values)))
    return values.sort(0).values[rank]


@torch.no_grad()
def fit_whitening(net: HAF, vectors: Mapping[str, Tensor], pairs: Tensor) -> None:
    """Fit each level's whitening and the compact projection on vectors v_l `[M, n_l]`.

    `pairs` `[P, 2]` number photos of the same place; without any, the compact projection is a
    plain PCA. Raises TrainingError where there are fewer photos than dimensions.
    """
    whitenings = [part for part in net.modules() if isinstance(part, Whitening)]
    largest = max((len(part.projection) for part in whitenings), default=0)
    found = len(vectors[LEVELS[0]])
    if found <= largest:
        raise TrainingError(
            f"{found:,} photos are too few to fit a whitening to {largest:,} dimensions; "
            "give more photos than dimensions"
        )
    for name in LEVELS:
        whitening = net.level(name).whitening
        if whitening is not None:
            whitening.fit(vectors[name])
    if net.compact is None:
        return
    fused, size = net.fuse_full(dict(vectors)), len(net.compact.projection)
    if len(pairs):
        net.compact.set(*pair_whitening(fused, pairs, size))
    else:
        net.compact.fit(fused, power=0.0)


@torch.no_grad()
def fit_local(net: HAF, photos: Sequence[Path], generator: torch.Generator) -> int:
    """Fit the whitening of compact key points on random corners of photos; how many corners.

    Raises TrainingError where there are too few corners for its dimensions, PhotoError where a
    photo cannot be read, ValueError where the network has no local head.
    """
    if net.local is None:
        raise ValueError("the network has no local features; its options ask for none")
    rows = []
    for path in photos[:: max(1, len(photos) // LOCAL_PHOTOS)]:
        image = to_batch(read_flat(path, longer_side=net.options.longer_side).image, net.device)
        _, responses = local_responses(image, net.taps(image), LOCAL_FOUND)
        found = join(responses)
        rows.append(found[torch.randperm(len(found), generator=generator)[:LOCAL_TAKEN]].clone())
    corners = torch.cat(rows)
    wanted = len(net.local.whitening.projection)
    if len(corners) <= wanted:
        raise TrainingError(
            f"{len(corners):,} corners are too few to whiten key points to {wanted:,} dimensions; "
            "give more photos, or photos with more in them"
        )
    net.local.whitening.fit(corners)
    return len(corners)
