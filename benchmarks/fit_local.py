"""Give a HAF checkpoint compact key points: their whitening, fitted on unrelated photos.

    python benchmarks/fit_local.py data/cambridge/train --model haf --out haf.safetensors

Everything else in the checkpoint stays as it is. `hafloc fit` does this too; needed by itself for
checkpoints from before key points were kept, and after a training that changed the trunk up to
conv4_3.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import torch

from hafloc.nn import HAF, HAFOptions, load_checkpoint, save_checkpoint
from hafloc.photos import scan
from hafloc.train.fit import START
from hafloc.train.initialise import fit_local


def with_local(net: HAF, points: int, dimension: int) -> HAF:
    """The same network with a local head, still to be fitted."""
    options = asdict(net.options) | {"local_features": points, "local_dimension": dimension}
    grown = HAF(HAFOptions(**options)).eval().requires_grad_(False)
    kept = {key: value for key, value in net.state_dict().items() if not key.startswith("local.")}
    grown.load_state_dict(kept, strict=False)
    return grown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="photos unlike those to be searched")
    parser.add_argument("--model", default="haf", help="checkpoint: shipped name or file")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint to write")
    parser.add_argument("--points", type=int, default=START.local_features)
    parser.add_argument("--dimension", type=int, default=START.local_dimension)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    checkpoint = load_checkpoint(given.model)
    if not isinstance(checkpoint.network, HAF):
        parser.error(f"{given.model} is no HAF; only HAF has compact key points")
    grown = with_local(checkpoint.network, given.points, given.dimension)
    generator = torch.Generator().manual_seed(given.seed)
    corners = fit_local(grown, list(scan(given.folder)), generator)
    provenance = checkpoint.provenance | {
        "key points fitted on": f"{corners:,} corners of photos of {given.folder.name}"
    }
    print(save_checkpoint(given.out, grown, name=checkpoint.name, provenance=provenance))


if __name__ == "__main__":
    main()
