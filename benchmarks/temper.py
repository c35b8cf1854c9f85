"""A checkpoint a part of the way from its start to what `learn_masks.py` learned.

    python benchmarks/temper.py haf runs/masks/m5.pt runs/haf.safetensors \
        --masks 0.15 --whitenings 0.75

Masks trained to the end over-fit: they gain on what they saw and lose elsewhere. Scaled to a part
of their logits they gain on every set (`results/masks.md`). Whitenings are mixed with the start's.
"""

import argparse
from pathlib import Path

import torch

from hafloc.nn import HAF, LEVELS, build_network, load_checkpoint, save_checkpoint
from hafloc.nn.haf_level import ContextMask


def temper(start: str, learned: Path, masks: float, whitenings: float) -> HAF:
    """The start with the learned masks' logits times `masks`, whitenings lerped by `whitenings`."""
    found = load_checkpoint(start)
    state = {key: value.float() for key, value in torch.load(learned).items()}
    network = build_network("haf", {**found.options, "mask_filters": filters_of(state)})
    assert isinstance(network, HAF)
    weights = {k: v for k, v in found.network.state_dict().items() if ".mask." not in k}
    for key, value in state.items():
        if ".whitening." in key or key.startswith("compact."):
            weights[key] = torch.lerp(weights[key], value, whitenings)
        elif ".mask." in key:
            weights[key] = value
    network.load_state_dict(weights)
    with torch.no_grad():
        for name in LEVELS:
            mask = network.level(name).mask
            assert isinstance(mask, ContextMask)
            for parameter in mask.accumulate.parameters():
                parameter *= masks
    return network.eval()


def filters_of(state: dict[str, torch.Tensor]) -> tuple[int, int, int]:
    """How many filters of each size the low level's mask has."""
    near, middle, far = (
        len(state.get(f"levels.low.mask.{part}.bias", ())) for part in ("near", "middle", "far")
    )
    return near, middle, far


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("start")
    parser.add_argument("learned", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--masks", type=float, default=0.15)
    parser.add_argument("--whitenings", type=float, default=0.75)
    a = parser.parse_args()
    start = load_checkpoint(a.start)
    network = temper(a.start, a.learned, a.masks, a.whitenings)
    provenance = {
        "trained": True,
        "started from": {"hash": start.hash, "provenance": start.provenance},
        "recipe": f"benchmarks/learn_masks.py, {a.learned.name}; benchmarks/temper.py",
        "masks": a.masks,
        "whitenings": a.whitenings,
    }
    print(save_checkpoint(a.out, network, name="haf", provenance=provenance))


if __name__ == "__main__":
    main()
