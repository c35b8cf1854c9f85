"""Learning from pairs of views by InfoNCE, until a time is spent."""

import math
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hafloc.nn import (
    HAF,
    LEVELS,
    Whitening,
    build_network,
    load_checkpoint,
)
from hafloc.nn.vgg import LAYERS
from views.changes import Changes
from views.judging import is_dark
from views.network import describe, level_vectors, some_phases, whole
from views.pairs import Cubes, Mined, Views, mine
from views.photos import read_photos


def pair_loss(vectors: Tensor, groups: Sequence[Views], temperature: float) -> Tensor:
    """InfoNCE both ways over all pairs of a step; vectors `[2P, D]` go as `groups` do.

    Views of one group within 25 m of each other that are no pair say nothing.
    """
    partner, offset = [], 0
    total = len(vectors)
    near = torch.zeros((total, total), dtype=torch.bool, device=vectors.device)
    for views in groups:
        count = len(views.xy)
        half = count // 2
        own = torch.arange(count, device=vectors.device)
        partner.append(offset + (own + half) % count)
        block = torch.cdist(views.xy, views.xy) <= 25
        near[offset : offset + count, offset : offset + count] = block
        offset += count
    target = torch.cat(partner)
    near[torch.arange(total, device=vectors.device), target] = False
    similarity = (vectors @ vectors.T / temperature).masked_fill(near, -torch.inf)
    return F.cross_entropy(similarity, target)


@dataclass
class Plan:
    """One run. Rates are Adam's; a rate of 0 leaves that part as it is."""

    name: str = "run"
    seconds: float = 60.0
    steps: int = 10_000
    layers: str = "heads"  # the first trunk layer that learns
    trunk: float = 1e-5
    heads: float = 1e-5
    masks: float = 3e-4
    fusion: float = 3e-4
    change: float = 2e-4
    power: float = 0.0
    logits: float = 0.003  # weight of the masks' mean squared logit
    decay: float = 0.01
    temperature: float = 0.07
    compact: float = 0.5
    night: float = 0.15
    counts: tuple[int, int, int, int] = (96, 40, 56, 12)  # cambridge, getty, campus, park
    mask_filters: tuple[int, int, int] = (0, 16, 0)
    mine_every: int = 150
    every: int = 50
    seed: int = 0


CAMPUS = 2  # the source with real nights of its own
SIZES = [(288, 384), (384, 288), (384, 384), (256, 336), (336, 448)]


def prepare(start: str, plan: Plan, device: torch.device) -> HAF:
    """The start with fresh masks, and whitenings that learn."""
    found = load_checkpoint(start)
    torch.manual_seed(plan.seed)
    options = {**found.options, "mask_filters": plan.mask_filters}
    net = build_network("haf", options)
    assert isinstance(net, HAF)
    weights = found.network.state_dict()
    net.load_state_dict({k: v for k, v in weights.items() if ".mask." not in k}, strict=False)
    net.eval().requires_grad_(False)
    for name in LEVELS:
        fusion = net.level(name).fusion
        if fusion is not None and plan.fusion:
            # From exactly zero the layer before it would never get a gradient.
            torch.nn.init.normal_(fusion.weigh.weight, std=1e-3)
    for part in net.modules():
        if isinstance(part, Whitening) and part is not getattr(net.local, "whitening", None):
            part.learn()
    return net.to(device)


def optimizer_of(net: HAF, plan: Plan) -> torch.optim.Optimizer:
    names = list(LAYERS)
    learning = names[names.index(plan.layers) :] if plan.layers in names else []
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        rate = 0.0
        if name.startswith("trunk."):
            rate = plan.trunk if name.split(".")[1] in learning else 0.0
        elif ".mask." in name:
            rate = plan.masks
        elif ".fusion." in name:
            rate = plan.fusion
        elif ".head." in name:
            rate = plan.heads
        elif name.endswith(".change") and not name.startswith("local"):
            rate = plan.change
        elif name.endswith(".power"):
            rate = plan.power
        parameter.requires_grad_(rate > 0)
        if rate:
            groups.setdefault(rate, []).append(parameter)
    parts = [{"params": p, "lr": r, "initial_lr": r} for r, p in groups.items()]
    return torch.optim.AdamW(parts, betas=(0.9, 0.99), weight_decay=plan.decay)


class School:
    """What there is to learn from."""

    def __init__(self, data: Path, device: torch.device) -> None:
        self.cambridge = read_photos(data / "cambridge" / "train", device)
        self.getty = read_photos(data / "getty" / "train", device)
        self.campus = read_photos(data / "campus_night" / "train", device)
        self.park = read_photos(data / "park_seasons", device)
        self.dark = is_dark(self.campus)
        count = len(self.park)
        self.seasons = Mined(self.park, torch.arange(count).view(-1, 2))

    def sources(self, net: HAF) -> list[Callable[[int, tuple[int, int], Any], Views]]:
        """Where each kind of pair comes from, mined with the network as it stands."""
        cube, _ = whole(net, describe(net, self.cambridge))
        similar = torch.einsum("ahd,bhd->abh", *(cube.unflatten(0, (-1, 4)),) * 2)
        # Neighbours behind a wall look like nobody: some heading must find them among its first.
        rank = similar.argsort(1, descending=True).argsort(1)
        cubes = Cubes(self.cambridge, (rank < 12).any(2))
        getty, _ = whole(net, describe(net, self.getty))
        names = [name.rpartition("_")[0] for name in self.getty.names]
        pano = torch.tensor([names.index(name) for name in names], device=getty.device)
        others = pano[:, None] != pano
        every = torch.ones(len(self.getty), dtype=torch.bool, device=getty.device)
        rooms = Mined(self.getty, mine(getty, self.getty.xy, every, others, 10, 5))
        campus, _ = whole(net, describe(net, self.campus))
        across = self.dark[:, None] != self.dark
        all_campus = torch.ones_like(self.dark)
        day_night = Mined(self.campus, mine(campus, self.campus.xy, all_campus, across, 10, 20))
        print(
            f"pairs: neighbours {int(cubes.near.sum())}, rooms {len(rooms.pairs)}, "
            f"day to night {len(day_night.pairs)}",
            flush=True,
        )
        return [cubes.pairs, rooms.pairs_of, day_night.pairs_of, self.seasons.pairs_of]


def look(
    net: HAF,
    plan: Plan,
    sources: Sequence[Callable[[int, tuple[int, int], Any], Views]],
    changes: Changes,
    rng: np.random.Generator,
) -> tuple[list[Views], list[dict[str, Tensor]], list[Tensor]]:
    """A step's pairs, their level vectors, and the mean square of their masks' logits."""
    groups, levels, flat = [], [], []
    phases = some_phases(net, rng)
    for kind, (source, count) in enumerate(zip(sources, plan.counts, strict=True)):
        if not count:
            continue
        street = SIZES[int(rng.integers(len(SIZES)))]
        phone = (256, 192) if rng.random() < 0.5 else (384, 288)
        views = source(count, (street, (304, 416), phone, (240, 640))[kind], rng)
        images = changes(views.images, plan.night if kind != CAMPUS else 0.0, rng)
        found, logits = level_vectors(net, images, plan.layers, phases)
        groups.append(views)
        levels.append(found)
        flat.append(torch.stack([part.square().mean() for part in logits.values()]).mean())
    return groups, levels, flat


def learn(
    net: HAF, plan: Plan, school: School, changes: Changes, report: Callable[[HAF, int], None]
) -> HAF:
    rng = np.random.default_rng(plan.seed)
    torch.manual_seed(plan.seed)
    optimizer = optimizer_of(net, plan)
    sources = school.sources(net)
    began, step = time.monotonic(), 0
    mean = deepcopy(net)
    spent = 0.0
    while step < plan.steps and time.monotonic() - began - spent < plan.seconds:
        done = max(step / plan.steps, (time.monotonic() - began - spent) / plan.seconds)
        scale = min(1, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * min(1, done)))
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * scale
        groups, levels, flat = look(net, plan, sources, changes, rng)
        joined = {name: torch.cat([found[name] for found in levels]) for name in LEVELS}
        full = net.fuse_full(joined)
        assert net.compact is not None
        loss = pair_loss(full, groups, plan.temperature)
        total = loss + plan.logits * torch.stack(flat).mean()
        if plan.compact:
            small = net.compact(full.detach())
            total = total + plan.compact * pair_loss(small, groups, plan.temperature)
        optimizer.zero_grad()
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        step += 1
        with torch.no_grad():
            keep = min(0.98, step / (step + 10))
            for a, b in zip(mean.parameters(), net.parameters(), strict=True):
                a.lerp_(b, 1 - keep)
        if step % 10 == 0 or step <= 2:
            spread = float(torch.stack(flat).mean().detach()) ** 0.5
            print(
                f"{plan.name} step {step} {time.monotonic() - began:.0f} s "
                f"loss {float(loss.detach()):.3f} norm {float(norm):.3f} logits {spread:.3f}",
                flush=True,
            )
        if step % plan.every == 0:
            aside = time.monotonic()
            report(mean, step)
            spent += time.monotonic() - aside
        if step % plan.mine_every == 0:
            aside = time.monotonic()
            sources = school.sources(mean)
            spent += time.monotonic() - aside
    return mean
