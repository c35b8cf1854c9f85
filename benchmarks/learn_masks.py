"""Train masks and whitenings on the cells of many drawn views, on one GPU, then conv5 from there.

    python benchmarks/learn_masks.py DATA --out runs/masks --things sprites

DATA and the views are those of `learn_views.py`. As long as trunk, heads and fusion stand still,
the image vector depends on a photo only through each 16×16 cell's mean response, which masks read,
and its power mean, which they scale. Both are computed once for a bank of views (2 MB a view,
40 GB in all), and a step over 400 of them takes hundredths of a second.

Every plan is judged at each `every` steps on all sets; the best that costs no set half a point at
recall@1 goes on to learn conv5 and the heads with `learn_learn_views`.
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hafloc.nn import HAF, LEVELS
from hafloc.nn.half_resolution import upsample
from views.arguments import parser_of, plans
from views.changes import Changes
from views.judging import Judged, judged, said
from views.judging import judge as judge_exactly
from views.learning import SIZES, School, pair_loss, prepare
from views.learning import Plan as ViewsPlan
from views.learning import learn as learn_views
from views.network import CHUNK, all_phases, between, phase, settled, whole, without_masks
from views.pairs import Views

CELL = 16
# Pairs a chunk, chunks in the bank, chunks a step: cambridge, getty, campus_night, park_seasons.
CHUNK_PAIRS = (48, 40, 48, 25)
BANK = (130, 34, 60, 16)
SETS = ("sf_west", "val", "night", "day")


@dataclass
class Cells:
    """Views of one size: by level what the mask reads and the power means, `[N, n, h, w]` float16.

    `weight` `[h, w]` is each cell's part of the image's places.
    """

    read: dict[str, Tensor]
    means: dict[str, Tensor]
    weight: Tensor
    xy: Tensor

    def __len__(self) -> int:
        return len(self.xy)


@torch.no_grad()
def cells_of(net: HAF, images: Tensor, xy: Tensor) -> Cells:
    """The cells of images `[N, 3, H, W]` in 0..255."""
    size = (images.shape[2], images.shape[3])
    grid = (-(-size[0] // 2), -(-size[1] // 2))
    ones = torch.ones((1, 1, *grid), device=images.device)
    counts = pool_cells(ones)[0, 0]
    read: dict[str, list[Tensor]] = {name: [] for name in LEVELS}
    means: dict[str, list[Tensor]] = {name: [] for name in LEVELS}
    every = all_phases(net)
    for part in images.split(CHUNK):
        with torch.autocast("cuda", torch.bfloat16, enabled=images.is_cuda):
            x = net.trunk.centre(part.float()).contiguous(memory_format=torch.channels_last)
            taps = net.trunk.from_layer("conv1_1", x)._asdict()
            for name in LEVELS:
                level = net.level(name)
                scale, ratio = level.stride // 2, CELL // level.stride
                responses = F.relu6(level.head(taps[name]))
                assert level.fusion is not None
                assert level.power is not None
                blend = upsample(level.fusion(responses).float(), scale, grid)
                sums = torch.zeros(responses.shape, device=images.device)
                for dy, dx in every[name]:
                    rows, columns = -(-(grid[0] - dy) // scale), -(-(grid[1] - dx) // scale)
                    smooth = phase(responses, scale, dy, dx)[:, :, :rows, :columns].float()
                    sharp = responses[:, :, :rows, :columns].float()
                    b = blend[:, :, dy::scale, dx::scale]
                    made = b[:, :1] * sharp + b[:, 1:] * smooth
                    sums[:, :, :rows, :columns] += made.pow(float(level.power))
                if ratio > 1:
                    padded = F.pad(sums, (0, -sums.shape[3] % ratio, 0, -sums.shape[2] % ratio))
                    sums = F.avg_pool2d(padded, ratio) * ratio**2
                read[name].append(level.mask_reads(responses).half())
                means[name].append((sums / counts).pow(1 / float(level.power)).half())
    return Cells(
        {name: torch.cat(parts) for name, parts in read.items()},
        {name: torch.cat(parts) for name, parts in means.items()},
        counts / counts.sum(),
        xy,
    )


def pool_cells(maps: Tensor) -> Tensor:
    """Sums over cells of a half-resolution map `N×C×h×w`."""
    side = CELL // 2
    padded = F.pad(maps, (0, -maps.shape[3] % side, 0, -maps.shape[2] % side))
    return F.avg_pool2d(padded, side) * side**2


def vectors_of(net: HAF, cells: Cells) -> tuple[dict[str, Tensor], Tensor]:
    """The levels' v under masks that are constant on each cell, and the logits' mean square."""
    found, squares = {}, []
    for name in LEVELS:
        level = net.level(name)
        mask: Any = 1.0
        if level.mask is not None:
            with torch.autocast("cuda", torch.bfloat16, enabled=cells.xy.is_cuda):
                logits = level.mask.logits(cells.read[name].float()).float()
            squares.append((logits - logits.mean()).square().mean())
            mask = logits.sigmoid()
        power = float(level.power)  # type: ignore[arg-type]
        scaled = (cells.means[name].float() * mask).clamp(min=1e-6).pow(power)
        means = torch.einsum("nchw,hw->nc", scaled, cells.weight)
        found[name] = F.normalize(means.pow(1 / power), dim=-1)
    return found, torch.stack(squares).mean() if squares else torch.zeros(())


@dataclass
class Plan(ViewsPlan):
    """Rates of a run on cells; trunk, heads and fusion stand still."""

    per_step: tuple[int, int, int, int] = (2, 1, 1, 1)  # chunks
    levels: float = 0.0  # rate of the logarithms of λ


def learn(
    net: HAF,
    plan: Plan,
    bank: Sequence[Sequence[Cells]],
    held: Mapping[str, tuple[Judged, list[tuple[list[int], Cells]]]],
    results: dict[str, Any],
) -> dict[str, Any]:
    """Best state by the rule of `score`, and its recalls."""
    rng = np.random.default_rng(plan.seed)
    torch.manual_seed(plan.seed)
    net.requires_grad_(False)
    groups: dict[float, list[Any]] = {}
    for name, parameter in net.named_parameters():
        rate = plan.masks if ".mask." in name else 0.0
        if name.endswith(".change") and not name.startswith("local"):
            rate = plan.change
        if rate:
            parameter.requires_grad_(True)
            groups.setdefault(rate, []).append(parameter)
    parts = [{"params": p, "lr": r, "initial_lr": r} for r, p in groups.items()]
    optimizer = torch.optim.AdamW(parts, betas=(0.9, 0.99), weight_decay=plan.decay)
    mean = deepcopy(net)
    best: dict[str, Any] = {"score": -1.0}
    for step in range(1, plan.steps + 1):
        scale = min(1, step / 50) * 0.5 * (1 + math.cos(math.pi * step / (plan.steps + 1)))
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * scale
        chosen = [
            kind[i]
            for kind, count in zip(bank, plan.per_step, strict=True)
            for i in rng.permutation(len(kind))[:count]
        ]
        found = [vectors_of(net, cells) for cells in chosen]
        joined = {name: torch.cat([v[name] for v, _ in found]) for name in LEVELS}
        full = net.fuse_full(joined)
        assert net.compact is not None
        step_groups = [Views(cells.xy, cells.xy) for cells in chosen]
        loss = pair_loss(full, step_groups, plan.temperature)
        flat = torch.stack([square for _, square in found]).mean()
        total = loss + plan.logits * flat
        if plan.compact:
            small = net.compact(full.detach())
            total = total + plan.compact * pair_loss(small, step_groups, plan.temperature)
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        with torch.no_grad():
            keep = min(0.99, step / (step + 10))
            for a, b in zip(mean.parameters(), net.parameters(), strict=True):
                a.lerp_(b, 1 - keep)
        if step % plan.every == 0 or step == plan.steps:
            recalls = judge(mean, held)
            results[f"{plan.name} {step}"] = recalls
            value = score(recalls, results["start"])
            print(
                f"{plan.name} {step} loss {float(loss.detach()):.3f} logits "
                f"{float(flat.detach()) ** 0.5:.2f} score {value:.4f}: {said(recalls)}",
                flush=True,
            )
            if value > best["score"]:
                best = {
                    "score": value, "step": step, "net": deepcopy(mean), "recalls": recalls,
                }  # fmt: skip
    return best


def score(found: Mapping[str, Sequence[float]], start: Mapping[str, Sequence[float]]) -> float:
    """Mean of recall@1 and half of recall@5 over the sets, less what a set loses beyond 0.005."""
    gain = np.mean([found[s][0] + 0.5 * found[s][1] for s in SETS])
    lost = sum(max(0.0, start[s][0] - 0.005 - found[s][0]) for s in SETS)
    small = np.mean([found[f"{s} 256"][0] for s in SETS])
    return float(gain + 0.3 * small - lost)


@torch.no_grad()
def judge(net: HAF, held: Mapping[str, Any]) -> dict[str, list[float]]:
    recalls: dict[str, list[float]] = {}
    described: dict[int, tuple[Tensor, Tensor]] = {}
    for name, (one, parts) in held.items():
        if id(one.photos) not in described:
            rows: dict[str, Tensor] = {}
            for numbers, cells in parts:
                for level, vectors in vectors_of(net, cells)[0].items():
                    empty = torch.zeros(len(one.photos), vectors.shape[1], device=vectors.device)
                    rows.setdefault(level, empty)[numbers] = vectors
            described[id(one.photos)] = whole(net, rows)
        full, compact = described[id(one.photos)]
        recalls[name], recalls[f"{name} 256"] = one.recall(full), one.recall(compact)
    return recalls


def hold(net: HAF, sets: Sequence[Judged]) -> dict[str, Any]:
    """The cells of the sets to judge by."""
    made: dict[int, list[tuple[list[int], Cells]]] = {}
    for one in sets:
        if id(one.photos) in made:
            continue
        sizes: dict[Any, list[int]] = {}
        for i, image in enumerate(one.photos.images):
            sizes.setdefault(image.shape, []).append(i)
        made[id(one.photos)] = [
            (part, cells_of(net, torch.stack([one.photos.images[i] for i in part]).float(),
                            one.photos.xy[part]))
            for numbers in sizes.values()
            for part in [numbers[i : i + 192] for i in range(0, len(numbers), 192)]
        ]  # fmt: skip
    return {one.name: (one, made[id(one.photos)]) for one in sets}


def fill(net: HAF, school: School, changes: Changes, part: float) -> list[list[Cells]]:
    """The bank: chunks of pairs of each source; `part` of its full size."""
    rng = np.random.default_rng(0)
    bank: list[list[Cells]] = []
    for kind, source in enumerate(school.sources(net)):
        chunks = []
        for _ in range(max(2, int(BANK[kind] * part))):
            size = SIZES[int(rng.integers(len(SIZES)))]
            size = [size, (304, 416), (256, 192) if rng.random() < 0.6 else (320, 240), (240, 640)][
                kind
            ]
            made = source(CHUNK_PAIRS[kind], size, rng)
            images = changes(made.images, 0.15 if kind != 2 else 0.0, rng)
            chunks.append(cells_of(net, images, made.xy))
        bank.append(chunks)
    return bank


def learned(net: HAF) -> dict[str, Tensor]:
    """What differs from the start's file but the trunk, small enough to carry."""
    state = settled(net).state_dict()
    return {k: v.half() for k, v in state.items() if not k.startswith(("trunk.", "local."))}


def main() -> None:
    parser = parser_of(__doc__.splitlines()[0])
    parser.add_argument("--bank", type=float, default=1.0, help="part of the bank's full size")
    parser.add_argument("--conv5", type=float, default=0.0, help="seconds for conv5 at the end")
    arguments = parser.parse_args()
    began = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = False
    arguments.out.mkdir(parents=True, exist_ok=True)
    sets = judged(arguments.data, device)
    school = School(arguments.data, device)
    changes = Changes(arguments.things, device)
    first = prepare(arguments.start, Plan(fusion=0), device)
    print(f"photos read: {time.monotonic() - began:.0f} s", flush=True)
    held = hold(first, sets)
    results: dict[str, Any] = {"start": judge(first, held)}
    print(f"start: {said(results['start'])}", flush=True)
    bank = fill(first, school, changes, arguments.bank)
    print(f"bank: {[len(x) for x in bank]} chunks, {time.monotonic() - began:.0f} s", flush=True)
    best: dict[str, Any] = {"score": -1.0}
    for plan in plans(Plan, arguments.plan, fusion=0, steps=600, every=100):
        if time.monotonic() - began > arguments.until - arguments.conv5 - 25:
            print(f"{plan.name}: no time left", flush=True)
            continue
        start = prepare(arguments.start, plan, device)
        found = learn(start, plan, bank, held, results)
        found["plan"] = plan
        plain = judge(without_masks(found["net"]), held)
        results[f"{plan.name} {found['step']} no masks"] = plain
        print(
            f"{plan.name} best {found['step']}, without its masks: {said(plain)} "
            f"({time.monotonic() - began:.0f} s)",
            flush=True,
        )
        torch.save(learned(found["net"]), arguments.out / f"{plan.name}.pt")
        if found["score"] > best["score"]:
            best = found
    plan = best["plan"]
    print(f"best: {plan.name} {best['step']}", flush=True)
    exact = judge_exactly(best["net"], sets)
    print(f"best, masks blended between cells: {said(exact)}", flush=True)
    results["best, blended"] = exact
    (arguments.out / "results.json").write_text(json.dumps(results, indent=1))
    del bank
    if arguments.conv5:
        torch.cuda.empty_cache()
        further(best["net"], arguments, plan, school, changes, sets, results, began)
    results["plan"] = asdict(plan)
    (arguments.out / "results.json").write_text(json.dumps(results, indent=1))
    print(f"all: {time.monotonic() - began:.0f} s", flush=True)


def further(
    net: HAF,
    arguments: Any,
    plan: Plan,
    school: School,
    changes: Changes,
    sets: Sequence[Judged],
    results: dict[str, Any],
    began: float,
) -> None:
    """conv5 and the heads learn from the mask-trained start; parts of the way are judged too."""
    left = arguments.until - (time.monotonic() - began) - 30
    again = ViewsPlan(
        **{
            **{k: v for k, v in asdict(plan).items() if k in ViewsPlan.__dataclass_fields__},
            "name": "conv5", "layers": "conv5_1", "seconds": min(arguments.conv5, left),
            "trunk": 5e-6, "heads": 3e-6, "fusion": 3e-4, "masks": plan.masks * 0.2,
            "change": plan.change * 0.5, "every": 1000, "steps": 10_000,
        }
    )  # fmt: skip
    start = deepcopy(net)
    end = learn_views(deepcopy(net), again, school, changes, lambda net, step: None)
    for part in (0.25, 0.5, 0.75, 1.0):
        made = between(start, end, part)
        results[f"conv5 {part}"] = found = judge_exactly(made, sets)
        print(f"conv5, {part} of the way: {said(found)}", flush=True)
    torch.save(learned(end), arguments.out / "conv5.pt")
    trunk = {k: v.half().cpu() for k, v in end.trunk.state_dict().items() if k.startswith("conv5")}
    torch.save(trunk, arguments.out / "conv5_trunk.pt")


if __name__ == "__main__":
    main()
