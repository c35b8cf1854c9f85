"""How many photos a second does training on cached cells take in, and what does a photo cost?

    python benchmarks/cells.py PHOTO…

Cells of the photos, shipped checkpoint, at 256 and 480 pixels; steps of 96 photos (InfoNCE over 48
pairs, gradients of masks and whitenings, Adam), read from memory and once from disk. `cosine` is
between vectors with bilinear and with nearest mask upsampling, masks shaken to move by a third.
Writes benchmarks/results/cells.json.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from hafloc.nn import HAF, LEVELS, build_network, load_checkpoint
from hafloc.nn.images import to_batch
from hafloc.photos import read
from hafloc.train.cell_folder import _read, _write
from hafloc.train.cell_trainee import CellTrainee
from hafloc.train.cells import find_directions, make_cells
from hafloc.train.pairs import pair_loss

HERE = Path(__file__).parent
BATCH = 96
STEPS = 2
SHAKE = 0.3


def network(upsampling: str) -> HAF:
    """The shipped network with masks that vary."""
    found = load_checkpoint("haf")
    net = build_network("haf", {**found.options, "mask_upsampling": upsampling})
    assert isinstance(net, HAF)
    net.load_state_dict(found.network.state_dict())
    net.eval().requires_grad_(False)
    random = torch.Generator().manual_seed(0)
    for name in LEVELS:
        mask, whitening = net.level(name).mask, net.level(name).whitening
        assert mask is not None
        assert whitening is not None
        mask.accumulate.weight.copy_(SHAKE * torch.randn(1, 84, 1, 1, generator=random))
        mask.requires_grad_(True)
        whitening.learn()
    return net


def measure(paths: list[Path], side: int, directions: int) -> dict[str, float]:
    net = network("nearest")
    images = [to_batch(read(path, longer_side=side).image, net.device) for path in paths]
    trainee = CellTrainee(net, find_directions(net, images, directions))
    cells = [make_cells(net, image, trainee._directions) for image in images]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.safetensors" for number in range(len(cells))]
        for path, found in zip(files, cells, strict=True):
            _write(path, found)
        size = sum(path.stat().st_size for path in files) / len(files)
        start = time.perf_counter()
        cells = [_read(files[number % len(files)]) for number in range(BATCH)]
        reading = BATCH / (time.perf_counter() - start)
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-4)
    unclear = torch.zeros(BATCH // 2, BATCH // 2, dtype=torch.bool)

    def step() -> None:
        optimizer.zero_grad()
        first, second = trainee.vectors(cells).chunk(2)
        pair_loss(first, second, unclear, 0.07).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        trainee.stay_within()

    step()
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    learning = STEPS * BATCH / (time.perf_counter() - start)
    return {
        "megabytes a photo": round(size / 1e6, 3),
        "photos read a second": round(reading),
        "photos learned from a second": round(learning),
    }


def cosine(paths: list[Path], side: int) -> float:
    """The least, over photos, between vectors of the two ways of upsampling masks."""
    nets = [network(way).requires_grad_(False) for way in ("bilinear", "nearest")]
    found = []
    for path in paths:
        image = to_batch(read(path, longer_side=side).image, nets[0].device)
        first, second = (net(image)[0] for net in nets)
        found.append(float(first @ second))
    return round(min(found), 5)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path, nargs="+")
    wanted = parser.parse_args()
    torch.set_num_threads(2)
    result: dict[str, object] = {"threads": 2, "photos a step": BATCH}
    for side, directions in ((256, 8), (256, 16), (480, 16)):
        key = f"{side} pixels, masks read {directions} directions"
        result[key] = measure(wanted.photos, side, directions)
    result["least cosine of bilinear and nearest masks"] = cosine(wanted.photos[:3], 480)
    print(json.dumps(result, indent=1))
    (HERE / "results" / "cells.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
