"""Write an untrained checkpoint that already works: a network initialised on folders of photos."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hafloc.measure import neighbour_pairs
from hafloc.nn import HAF, LEVELS, HAFOptions, load_start_weights, save_checkpoint
from hafloc.nn.images import to_batch
from hafloc.nn.vgg import Taps
from hafloc.photos import Metadata, Positions, photo_paths, read_flat
from hafloc.progress import Progress, Silent
from hafloc.train.initialise import fit_heads, fit_local, fit_whitening, sample_places

# What validation preferred; docs/model-card.md has the numbers.
START = HAFOptions(
    level_weights=(0.3, 0.4, 0.3),
    compact=256,
    local_features=680,
    local_dimension=32,
    longer_side=480,
)
HEAD_PHOTOS = 200
NEIGHBOURS = 10.0  # metres
SAME_WAY = 30.0  # degrees between two headings


def fit_start(
    folders: Sequence[Path],
    start_weights: Path | None,
    out: Path,
    *,
    options: HAFOptions = START,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[str, int]:
    """Write an untrained checkpoint fitted on the photos of `folders`; its hash and their number.

    `start_weights` None takes the trunk of the shipped checkpoint; see `load_start_weights`.
    Raises CheckpointError for the start weights, PhotoError and TrainingError for the photos,
    OutputError where the checkpoint cannot be written.
    """
    progress = progress or Silent()
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # the layers' own initialisation draws from the global state
        net = HAF(options).eval().requires_grad_(False)
    started_from = load_start_weights(net.trunk, start_weights)
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
    fit_whitening(net, vectors, same_way_pairs([metadata for _, metadata in photos]))
    if net.local is not None:
        fit_local(net, [path for path, _ in photos], generator)
    provenance = {
        "start weights": started_from,
        "trained": False,
        "fitted on": f"{len(photos):,} photos of {', '.join(folder.name for folder in folders)}",
        "seed": seed,
    }
    return save_checkpoint(out, net, name="haf", provenance=provenance), len(photos)


def same_way_pairs(photos: Sequence[Metadata]) -> Tensor:
    """Numbers `[P, 2]` of photos that stand within `NEIGHBOURS` metres and look the same way.

    Photos without a heading have no pairs: neighbours may look apart.
    """
    headed = [
        (number, photo.position, photo.heading)
        for number, photo in enumerate(photos)
        if photo.position is not None and photo.heading is not None
    ]
    pairs = neighbour_pairs(
        [position for _, position, _ in headed],
        [heading for _, _, heading in headed],
        NEIGHBOURS,
        SAME_WAY,
    )
    numbers = np.array([number for number, _, _ in headed], dtype=np.int64)
    return torch.from_numpy(numbers[pairs])


def _photos(folders: Sequence[Path]) -> list[tuple[Path, Metadata]]:
    """All photos of the folders with what their CSV or name tells, for neighbours."""
    found = []
    for folder in folders:
        paths = {path.relative_to(folder).as_posix(): path for path in photo_paths(folder)}
        positions = Positions.for_folder(folder, list(paths))
        for name, path in paths.items():
            found.append((path, positions.complete(Metadata(), name)))
    return found


def _taps(
    net: HAF, photos: Sequence[tuple[Path, Metadata]], progress: Progress
) -> Iterator[tuple[Taps, tuple[int, int]]]:
    for done, (path, _) in enumerate(photos, 1):
        image = read_flat(path, longer_side=net.options.longer_side).image
        with torch.inference_mode():
            yield net.taps(to_batch(image, net.device)), (image.shape[0], image.shape[1])
        progress.advance(done)
