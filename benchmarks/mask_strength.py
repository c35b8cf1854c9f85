"""How strong may trained masks be? Recall on every set by a part of their logits.

    python benchmarks/mask_strength.py DATA haf runs/masks/m1.pt …

DATA as of `learn_views.py`; the files are what `learn_masks.py` wrote, the argument after DATA
is the start. Masks are constant on each cell here. Prints a line for each and writes
`benchmarks/results/mask_strength.json`. Seconds on a GPU, half an hour on two cores.
"""

import argparse
import json
from pathlib import Path

import torch

from hafloc.nn import HAF, load_checkpoint
from learn_masks import hold, judge
from temper import temper
from views.judging import judged, said
from views.network import without_masks

RESULTS = Path(__file__).parent / "results" / "mask_strength.json"
MASKS = (0.0, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
WHITENINGS = (0.0, 0.75, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("start")
    parser.add_argument("learned", nargs="+", type=Path)
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    start = load_checkpoint(arguments.start).network.to(device)
    assert isinstance(start, HAF)
    held = hold(start, judged(arguments.data, device))
    results = {"start": judge(without_masks(start), held)}
    print(f"start: {said(results['start'])}", flush=True)
    for learned in arguments.learned:
        for masks in MASKS:
            for whitenings in WHITENINGS:
                network = temper(arguments.start, learned, masks, whitenings).to(device)
                name = f"{learned.stem}, masks {masks:g}, whitenings {whitenings:g}"
                results[name] = judge(network, held)
                print(f"{name}: {said(results[name])}", flush=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
