"""Give a HAF checkpoint compact key points: their whitening, fitted on unrelated photos.

    python benchmarks/fit_local.py ../shared/data/cambridge/train --model haf --out haf.safetensors

Everything else in the checkpoint stays as it is. Needed once after training, where the trunk
below conv4_3 was trained too; otherwise the key points of the start stay right.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from hafloc.nn import HAF, HAFOptions, load_checkpoint, save_checkpoint
from hafloc.nn.haf import local_responses
from hafloc.nn.images import to_batch
from hafloc.nn.local_features import join
from hafloc.photos import read, scan

# Chosen by benchmarks/results/verification.md: 24 KB a photo hold 680 of 32 int8 and a position.
POINTS, DIMENSION = 680, 32
# Photos, and key points of each, that the whitening is fitted on.
PHOTOS, SAMPLE = 330, 300


@torch.inference_mode()
def sample_rows(net: HAF, folder: Path, longer_side: int, seed: int) -> torch.Tensor:
    """Whole descriptors of random key points of photos spread over a folder, `[M, n]`."""
    generator = torch.Generator().manual_seed(seed)
    files = list(scan(folder))
    rows = []
    for path in track(files[:: max(1, len(files) // PHOTOS)], console=Console(stderr=True)):
        image = to_batch(read(path, longer_side=longer_side).image, net.device)
        _, responses = local_responses(image, net.taps(image), 1_000)
        found = join(responses)
        rows.append(found[torch.randperm(len(found), generator=generator)[:SAMPLE]])
    return torch.cat(rows)


def with_local(net: HAF, rows: torch.Tensor, points: int, dimension: int) -> HAF:
    """The same network with a local head fitted on `rows`."""
    options = asdict(net.options) | {"local_features": points, "local_dimension": dimension}
    grown = HAF(HAFOptions(**options)).eval().requires_grad_(False)
    grown.load_state_dict(net.state_dict(), strict=False)
    assert grown.local is not None
    grown.local.whitening.fit(rows)
    return grown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="photos unlike those to be searched")
    parser.add_argument("--model", default="haf", help="checkpoint: shipped name or file")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint to write")
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--dimension", type=int, default=DIMENSION)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    checkpoint = load_checkpoint(given.model)
    if not isinstance(checkpoint.network, HAF):
        parser.error(f"{given.model} is no HAF; only HAF has compact key points")
    net = checkpoint.network
    rows = sample_rows(net, given.folder, net.options.longer_side, given.seed)
    grown = with_local(net, rows, given.points, given.dimension)
    provenance = checkpoint.provenance | {
        "key points fitted on": f"{len(rows):,} corners of photos of {given.folder.name}"
    }
    print(save_checkpoint(given.out, grown, name=checkpoint.name, provenance=provenance))


if __name__ == "__main__":
    main()
