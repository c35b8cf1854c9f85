"""An untrained network that already works: heads and whitening fitted on unrelated photos.

The trunk brings its ImageNet weights. What comes after it starts from data: heads that pass the
trunk's responses on at a scale where ReLU6 rarely cuts, masks and fusion near neutral, and a
whitening for each level.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hafloc.errors import TrainingError
from hafloc.geo import distances
from hafloc.index.folder import Progress, Silent
from hafloc.nn import (
    HAF,
    LEVELS,
    HAFOptions,
    Whitening,
    load_start_weights,
    pair_whitening,
    save_checkpoint,
)
from hafloc.nn.haf import Level, local_responses
from hafloc.nn.images import to_batch
from hafloc.nn.local_features import join
from hafloc.nn.vgg import Taps
from hafloc.photos import Metadata, Photo, Positions, photo_paths, read

# What validation preferred; docs/model-card.md has the numbers.
START = HAFOptions(
    level_weights=(0.3, 0.4, 0.3),
    compact=256,
    local_features=680,
    local_dimension=32,
    longer_side=480,
)
HEAD_PHOTOS = 200
PLACES = 150  # sampled of each image for the heads
# A channel's responses up to this quantile stay below ReLU6's bound.
UNCUT = 0.999
# Photos, corners found in each and corners taken of them, that key points are whitened on.
LOCAL_PHOTOS, LOCAL_FOUND, LOCAL_TAKEN = 330, 1_000, 300
NEIGHBOURS = 10.0  # metres
SAME_WAY = 30.0  # degrees between two headings


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
    largest = max(len(part.projection) for part in net.modules() if isinstance(part, Whitening))
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
        image = to_batch(read(path, longer_side=net.options.longer_side).image, net.device)
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


def neighbour_pairs(photos: Sequence[Metadata]) -> Tensor:
    """Numbers `[P, 2]` of photos that stand within `NEIGHBOURS` metres and look the same way.

    Photos without a heading have no pairs: neighbours may look apart.
    """
    headed = [
        (number, photo.position, photo.heading)
        for number, photo in enumerate(photos)
        if photo.position is not None and photo.heading is not None
    ]
    lats = np.array([position.lat for _, position, _ in headed])
    lons = np.array([position.lon for _, position, _ in headed])
    headings = np.array([heading for _, _, heading in headed])
    pairs = []
    for a, (number, position, heading) in enumerate(headed[:-1]):
        metres = distances(position, lats[a + 1 :], lons[a + 1 :])
        turned = np.abs((headings[a + 1 :] - heading + 180) % 360 - 180)
        near = np.flatnonzero((metres <= NEIGHBOURS) & (turned <= SAME_WAY))
        pairs += [(number, headed[a + 1 + int(b)][0]) for b in near]
    return torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)


def fit_start(
    folders: Sequence[Path],
    start_weights: Path,
    out: Path,
    *,
    options: HAFOptions = START,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[str, int]:
    """Write an untrained checkpoint fitted on the photos of `folders`; its hash and their number.

    Raises CheckpointError for the start weights, PhotoError and TrainingError for the photos,
    OutputError where the checkpoint cannot be written.
    """
    progress = progress or Silent()
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # the layers' own initialisation draws from the global state
        net = HAF(options).eval().requires_grad_(False)
    load_start_weights(net.trunk, start_weights)
    photos = _photos(folders)
    few = photos[:: max(1, len(photos) // HEAD_PHOTOS)]
    progress.start("fitting heads", len(few))
    fit_heads(net, sample_places((t for t, _ in _taps(net, few, progress)), generator), generator)
    progress.start("fitting whitening", len(photos))
    # Rows of arrays made beforehand: small tensors kept between large ones fragment the heap.
    vectors = {n: torch.empty(len(photos), net.level(n).head.out_channels) for n in LEVELS}
    for i, (taps, size) in enumerate(_taps(net, photos, progress)):
        with torch.inference_mode():
            for name, vector in net.pool(taps, size).items():
                vectors[name][i] = vector[0]
    fit_whitening(net, vectors, neighbour_pairs([metadata for _, metadata in photos]))
    if net.local is not None:
        fit_local(net, [path for path, _ in photos], generator)
    provenance = {
        "start weights": "VGG16, ImageNet (Visual Geometry Group, University of Oxford; CC BY 4.0)",
        "trained": False,
        "fitted on": f"{len(photos):,} photos of {', '.join(folder.name for folder in folders)}",
        "seed": seed,
    }
    return save_checkpoint(out, net, name="haf", provenance=provenance), len(photos)


def _photos(folders: Sequence[Path]) -> list[tuple[Path, Metadata]]:
    """All photos of the folders with what their CSV or name tells, for neighbours."""
    found = []
    for folder in folders:
        positions = Positions.for_folder(folder)
        for path in photo_paths(folder):
            name = path.relative_to(folder)
            found.append((path, positions.of(_unread(path), name)))
    return found


def _unread(path: Path) -> Photo:
    return Photo(np.zeros((1, 1, 3), np.uint8), "", Metadata(), path)


def _taps(
    net: HAF, photos: Sequence[tuple[Path, Metadata]], progress: Progress
) -> Iterator[tuple[Taps, tuple[int, int]]]:
    for done, (path, _) in enumerate(photos, 1):
        image = read(path, longer_side=net.options.longer_side).image
        with torch.inference_mode():
            yield net.taps(to_batch(image, net.device)), (image.shape[0], image.shape[1])
        progress.advance(done)
