"""How large are the gradients of HAF's fusion and masks beside those of its heads?

    python benchmarks/gradients.py data/cambridge/val [--tuples 10] [--side 160]

For configs/haf_paper.toml and configs/haf.toml, at the start of training, tuple by tuple: the norm
of each layer's gradient, by level; and how far a step moves the layer for its size (gradient over
weights) beside how far it moves the level's head. Medians over mined tuples. Layers whose weights
are all 0 have no size to compare. Writes benchmarks/results/gradients.json.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from hafloc.progress import Silent
from hafloc.train import read_recipe
from hafloc.train.loop import epoch_order, load_tuples, mine_next, tuple_loss
from hafloc.train.prepare import Prepared, prepare
from hafloc.train.state import Cursor

CONFIGS = Path("configs")
RESULT = Path("benchmarks/results/gradients.json")
Numbers = dict[str, float]


def layers(run: Prepared) -> dict[str, torch.nn.Parameter]:
    """Weights of the levels by layer: levels.low.mask.near.weight is low.mask.near."""
    return {
        name.removeprefix("levels.").removesuffix(".weight"): values
        for name, values in run.network.named_parameters()
        if name.startswith("levels.") and name.endswith(".weight") and values.requires_grad
    }


def measure(name: str, photos: str, tuples: int, side: int) -> dict[str, Numbers]:
    """Medians over tuples by layer, as the module's head says."""
    changes = ["data.queries=[]", f'data.train="{photos}"', f'data.validation="{photos}"']
    changes += ["data.validation_from=[]", "mining.negatives=3", "mining.heading_within=45.0"]
    changes += [f"data.longer_side={side}", f"data.queries_per_epoch={4 * tuples}"]
    changes += ["whitening.refit=false"]
    if name == "haf_paper":
        changes += ["network.options.compact=8"]
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as out:
        run = prepare(read_recipe(CONFIGS / f"{name}.toml", changes), Path(out), Silent())
        cursor = Cursor()
        mine_next(run, cursor, epoch_order(run, 0))
        # A query without violators gives no tuple, so more were asked for.
        cursor.waiting = cursor.waiting[:tuples]
        inputs = load_tuples(run, cursor)
        for number in range(len(cursor.waiting)):
            run.optimizer.zero_grad()
            on_tuple, _ = tuple_loss(run, cursor.waiting[number], next(inputs))
            if not on_tuple.requires_grad:
                continue
            on_tuple.backward()
            for layer, values in layers(run).items():
                assert values.grad is not None
                sizes = float(values.grad.norm()), float(values.detach().norm())
                found.setdefault(layer, []).append(sizes)
    return {layer: medians(found, layer) for layer in found}


def medians(found: dict[str, list[tuple[float, float]]], layer: str) -> Numbers:
    own, head = (np.array(found[key]).T for key in (layer, layer.split(".")[0] + ".head"))
    counts = head[0] > 0
    ratio = own[0][counts] / head[0][counts]
    numbers = {
        "tuples": int(counts.sum()),
        "weight": float(own[1][0]),
        "gradient": float(np.median(own[0])),
        "to head": float(np.median(ratio)),
    }
    if own[1][0] > 0:
        numbers["to head, for its size"] = float(np.median(ratio) * head[1][0] / own[1][0])
    return {key: float(f"{value:.3g}") for key, value in numbers.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photos")
    parser.add_argument("--tuples", type=int, default=10)
    parser.add_argument("--side", type=int, default=160)
    asked = parser.parse_args()
    found = {
        name: measure(name, asked.photos, asked.tuples, asked.side) for name in ("haf_paper", "haf")
    }
    RESULT.write_text(json.dumps({"side": asked.side, "recipes": found}, indent=1) + "\n")
    for name, parts in found.items():
        for part, numbers in parts.items():
            print(name, part, " ".join(f"{key} {value:.2g};" for key, value in numbers.items()))


if __name__ == "__main__":
    main()
