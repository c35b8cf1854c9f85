"""How large are the gradients of HAF's fusion and masks beside those of its heads?

    python benchmarks/gradients.py data/cambridge/val [--tuples 3] [--side 192]

For configs/haf_paper.toml and configs/haf.toml: the root mean square per weight of each part's
gradient, and of its weights, by level, summed over mined tuples at the start of training. Writes
benchmarks/results/gradients.json.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path

import torch

from hafloc.progress import Silent
from hafloc.train import read_recipe
from hafloc.train.loop import epoch_order, load_tuples, mine_next, tuple_loss
from hafloc.train.prepare import prepare
from hafloc.train.state import Cursor

CONFIGS = Path("configs")
RESULT = Path("benchmarks/results/gradients.json")


def root_mean_square(tensors: list[torch.Tensor]) -> float:
    return float(torch.cat([t.detach().flatten() for t in tensors]).square().mean().sqrt())


def measure(name: str, photos: str, tuples: int, side: int) -> dict[str, dict[str, float]]:
    """Part of a level to rms of its gradient, of its weights, and the gradient's ratio to heads."""
    changes = ["data.queries=[]", f'data.train="{photos}"', f'data.validation="{photos}"']
    changes += [f"data.longer_side={side}", f"data.queries_per_epoch={tuples}"]
    changes += ["whitening.refit=false", "mining.negatives=3", "mining.heading_within=45.0"]
    if name == "haf_paper":
        changes += ["network.options.compact=8"]
    with tempfile.TemporaryDirectory() as out:
        run = prepare(read_recipe(CONFIGS / f"{name}.toml", changes), Path(out), Silent())
        cursor = Cursor()
        mine_next(run, cursor, epoch_order(run, 0))
        inputs = load_tuples(run, cursor)
        for found in cursor.waiting:
            on_tuple, on_anchors = tuple_loss(run, found, next(inputs))
            (on_tuple + on_anchors).backward()
    parts: dict[str, list[torch.nn.Parameter]] = defaultdict(list)
    for parameter, values in run.network.named_parameters():
        if parameter.startswith("levels.") and values.grad is not None:
            pieces = parameter.split(".")
            # Level, part and layer: levels.low.mask.near.weight is low.mask.near.
            if pieces[-1] == "weight":
                parts[".".join(pieces[1:-1])].append(values)
    found_rms = {}
    for part, values in parts.items():
        gradient = root_mean_square([v.grad for v in values if v.grad is not None])
        found_rms[part] = {"gradient": gradient, "weight": root_mean_square(list(values))}
    for part, numbers in found_rms.items():
        head = found_rms[part.split(".")[0] + ".head"]["gradient"]
        numbers["to_head"] = numbers["gradient"] / head if head else float("nan")
    return found_rms


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photos")
    parser.add_argument("--tuples", type=int, default=3)
    parser.add_argument("--side", type=int, default=192)
    asked = parser.parse_args()
    found = {
        name: measure(name, asked.photos, asked.tuples, asked.side) for name in ("haf_paper", "haf")
    }
    result = {"tuples": asked.tuples, "side": asked.side, "recipes": found}
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    for name, parts in found.items():
        for part, numbers in parts.items():
            print(name, part, " ".join(f"{key} {value:.2g}" for key, value in numbers.items()))


if __name__ == "__main__":
    main()
