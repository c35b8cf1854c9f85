"""Train masks, whitenings, heads and the trunk's last layers on views, on one GPU, in minutes.

    python benchmarks/learn_views.py DATA --out runs/views
    python benchmarks/learn_views.py DATA --out runs/views --things sprites \
        --plan '{"layers": "conv4_1"}'

DATA holds `cambridge/train`, `getty/train`, `campus_night/train` and `park_seasons` to learn from,
`cambridge/val`, `campus_night/val` and `sf_west` to judge by: folders with a `positions.csv` and
the photos beside it or in `images/`.

A step sees pairs of views that show the same, and every other view is something else:

- cambridge: four faces of a cube are a whole panorama; two cameras at most 15 m apart look at one
  point, each with its own field of view and tilt
- campus_night: photos of day and night within 10 m, the most similar ones; mined anew on the way
- getty: the most similar views of panoramas within 10 m
- park_seasons: the same place green and in snow

Each view is changed (light, night, tint, blur, noise) and may get cut-outs of cars, people and
trees pasted in (`--things`: PNG files with an alpha channel). The loss is InfoNCE both ways, for
the image vector and the compact one.

Pooling is that of `HAF.forward` in its mean: of the s×s places of the half-resolution grid between
taps, a few are drawn anew at each step. Measuring takes all of them.
"""

import json
import time
from copy import deepcopy
from typing import Any

import torch

from hafloc.nn import HAF, load_checkpoint, save_checkpoint
from views.arguments import parser_of, plans
from views.changes import Changes
from views.judging import judge, judged, said
from views.learning import Plan, School, learn, prepare
from views.network import between, settled, without_masks


def main() -> None:
    arguments = parser_of(__doc__.splitlines()[0]).parse_args()
    began = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = False
    arguments.out.mkdir(parents=True, exist_ok=True)
    sets = judged(arguments.data, device)
    school = School(arguments.data, device)
    print(f"photos read: {time.monotonic() - began:.0f} s", flush=True)
    changes = Changes(arguments.things, device)
    first = load_checkpoint(arguments.start).network.to(device)
    assert isinstance(first, HAF)
    results: dict[str, Any] = {"start": judge(first, sets)}
    print(f"start: {said(results['start'])}", flush=True)
    for plan in plans(Plan, arguments.plan):
        left = arguments.until - (time.monotonic() - began)
        if left < 20:
            print(f"{plan.name}: no time left", flush=True)
            continue
        plan.seconds = min(plan.seconds, left - 15)
        start = prepare(arguments.start, plan, device)

        def report(net: HAF, step: int, plan: Plan = plan) -> None:
            results[f"{plan.name} {step}"] = found = judge(net, sets)
            print(f"{plan.name} {step}: {said(found)}", flush=True)

        net = learn(deepcopy(start), plan, school, changes, report)
        report(net, -1)
        plain = judge(without_masks(net), sets)
        results[f"{plan.name} no masks"] = plain
        print(f"{plan.name} no masks: {said(plain)}", flush=True)
        for part in (0.3, 0.5, 0.7):
            results[f"{plan.name} {part}"] = found = judge(between(start, net, part), sets)
            print(f"{plan.name} {part} of the way: {said(found)}", flush=True)
        save_checkpoint(
            arguments.out / f"{plan.name}.safetensors",
            settled(net),
            name="haf",
            provenance={"trained": True, "plan": plan.__dict__, "start": arguments.start},
        )
        (arguments.out / "results.json").write_text(json.dumps(results, indent=1))
    print(f"all: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
