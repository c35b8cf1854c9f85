"""An untrained network that already works: heads and whitening fitted on unrelated photos.

The trunk brings its ImageNet weights. What comes after it starts from data: heads that pass the
trunk's responses on at a scale where ReLU6 rarely cuts, masks and fusion near neutral, and a
whitening for each level.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from hafloc.errors import HaflocError
from hafloc.nn import HAF, LEVELS, Whitening
from hafloc.nn.haf import Level
from hafloc.nn.vgg import Taps

PLACES = 150  # sampled of each image for the heads
# A channel's responses up to this quantile stay below ReLU6's bound.
UNCUT = 0.999


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
def fit_whitening(
    net: HAF, vectors: Mapping[str, Tensor], *, power: float, shrinkage: float
) -> None:
    """Fit each level's whitening, then the compact PCA, on vectors v_l `[M, n_l]`."""
    fewest = 1 + max(len(w.projection) for w in _whitenings(net))
    found = len(vectors[LEVELS[0]])
    if found < fewest:
        raise HaflocError(
            f"{found:,} photos are too few to fit the whitening; it needs at least {fewest:,}"
        )
    for name in LEVELS:
        whitening = net.level(name).whitening
        if whitening is not None:
            whitening.fit(vectors[name], power=power, shrinkage=shrinkage)
    if net.compact is not None:
        net.compact.fit(net.fuse_full(dict(vectors)), power=0.0)


def _whitenings(net: HAF) -> Iterator[Whitening]:
    for module in net.modules():
        if isinstance(module, Whitening):
            yield module


def stack(rows: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Level vectors of single images as one `[M, n_l]` a level."""
    return {name: torch.cat([row[name] for row in rows]) for name in LEVELS}
