"""Train masks, whitenings, heads and the trunk's last layers on views, on one GPU, in minutes.

    python benchmarks/learn_views.py DATA --out runs/views
    python benchmarks/learn_views.py DATA --out runs/views --things sprites --layers conv4_1 …

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
trees pasted in (`--things`: PNG files with an alpha channel). The loss is InfoNCE both ways, for the
image vector and the compact one.

Pooling is that of `HAF.forward` in its mean: of the s×s places of the half-resolution grid between
taps, a few are drawn anew at each step. Measuring takes all of them.
"""

import argparse
import csv
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from hafloc.nn import (
    HAF,
    LEVELS,
    Whitening,
    build_network,
    load_checkpoint,
    save_checkpoint,
)
from hafloc.nn.half_resolution import upsample
from hafloc.nn.vgg import LAYERS

DEGREE = 111_195.0  # metres
CUTS = (1, 5, 10)
PHASES = {"low": 2, "mid": 4, "high": 6}  # places a tap and step, of 4, 16 and 64
CHUNK = 48  # images whose maps are held at once


# --- photos -------------------------------------------------------------------------------------


@dataclass
class Photos:
    """The photos of one folder, on the device: `images` by size, and where each lies."""

    names: list[str]
    xy: Tensor  # metres, east and north
    heading: list[str]
    time: list[str]
    images: list[Tensor] = field(default_factory=list)  # 3×H×W uint8

    def __len__(self) -> int:
        return len(self.names)


def open_photo(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def read_photos(folder: Path, device: torch.device) -> Photos:
    with (folder / "positions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows.sort(key=lambda row: row["image"])
    lat = np.array([float(row["lat"]) for row in rows])
    lon = np.array([float(row["lon"]) for row in rows])
    east = (lon - lon[0]) * DEGREE * math.cos(math.radians(lat[0]))
    xy = np.stack([east, (lat - lat[0]) * DEGREE], 1)
    images = folder / "images" if (folder / "images").is_dir() else folder
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(open_photo, [images / row["image"] for row in rows], chunksize=16))
    return Photos(
        [row["image"] for row in rows],
        torch.tensor(xy, dtype=torch.float32, device=device),
        [row.get("heading", "") for row in rows],
        [row.get("time", "") for row in rows],
        [torch.from_numpy(x).permute(2, 0, 1).contiguous().to(device) for x in found],
    )


# --- the network, many images at once -----------------------------------------------------------


def phase(maps: Tensor, scale: int, dy: int, dx: int) -> Tensor:
    """Bilinear upsampling by `scale`, of which only places (dy, dx) of each tap: `N×C×h×w`."""

    def along(x: Tensor, d: int, dim: int) -> Tensor:
        offset = (d + 0.5) / scale - 0.5
        count = x.shape[dim]
        index = torch.arange(count, device=x.device)
        other = (index + (1 if offset > 0 else -1)).clamp(0, count - 1)
        return x * (1 - abs(offset)) + x.index_select(dim, other) * abs(offset)

    return along(along(maps, dy, 2), dx, 3)


def pool_level(
    net: HAF, name: str, tap: Tensor, size: tuple[int, int], phases: Sequence[tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    """v of one level `[N, n]` from some of the places of each tap, and the mask's logits."""
    level = net.level(name)
    scale, grid = level.stride // 2, (-(-size[0] // 2), -(-size[1] // 2))
    responses = F.relu6(level.head(tap))
    assert level.power is not None
    blend = None
    if level.fusion is not None:
        blend = upsample(level.fusion(responses).float(), scale, grid)
    logits = torch.zeros((len(tap), 1, 1, 1), device=tap.device)
    mask = torch.ones((len(tap), 1, *grid), device=tap.device)
    if level.mask is not None and net.options.masks:
        ratio = level.mask_stride // level.stride
        read = F.avg_pool2d(responses, ratio, ceil_mode=True) if ratio > 1 else responses
        logits = level.mask.logits(read).float()
        mask = upsample(logits.sigmoid(), level.mask_stride // 2, grid)
    total: Any = 0
    places: Any = 0
    for dy, dx in phases:
        rows, columns = -(-(grid[0] - dy) // scale), -(-(grid[1] - dx) // scale)
        smooth = phase(responses, scale, dy, dx)[:, :, :rows, :columns].float()
        if blend is not None:
            sharp = responses[:, :, :rows, :columns].float()
            b = blend[:, :, dy::scale, dx::scale]
            smooth = b[:, :1] * sharp + b[:, 1:] * smooth
        made = smooth * mask[:, :, dy::scale, dx::scale]
        total = total + made.clamp(min=1e-6).pow(level.power).sum((2, 3))
        places = places + rows * columns
    means = (total / places).clamp(min=1e-18)
    return F.normalize(means.pow(1 / level.power), dim=-1), logits


def all_phases(net: HAF) -> dict[str, list[tuple[int, int]]]:
    scales = {name: net.level(name).stride // 2 for name in LEVELS}
    return {n: [(y, x) for y in range(s) for x in range(s)] for n, s in scales.items()}


def some_phases(net: HAF, rng: np.random.Generator) -> dict[str, list[tuple[int, int]]]:
    return {
        name: [every[i] for i in rng.permutation(len(every))[: PHASES[name]]]
        for name, every in all_phases(net).items()
    }


def level_vectors(
    net: HAF,
    images: Tensor,
    first: str,
    phases: Mapping[str, Sequence[tuple[int, int]]],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The levels' v and masks' logits of `N×3×H×W`; layers before `first` get no gradient."""
    size = (images.shape[2], images.shape[3])
    names = list(LAYERS)
    vectors: dict[str, list[Tensor]] = {name: [] for name in LEVELS}
    logits: dict[str, list[Tensor]] = {name: [] for name in LEVELS}
    for part in images.split(CHUNK):

        def work(part: Tensor = part) -> list[Tensor]:
            with torch.autocast("cuda", torch.bfloat16, enabled=images.is_cuda):
                x = net.trunk.centre(part.float()).contiguous(memory_format=torch.channels_last)
                taps: dict[str, Tensor] = {}
                with torch.no_grad():
                    for layer in names[: names.index(first) if first in names else len(names)]:
                        x = F.relu(net.trunk._layer(layer, x))
                        taps |= {l: x for l, t in TAPS_OF.items() if t == layer}
                if first in names:
                    taps |= net.trunk.from_layer(first, x, taps)._asdict()
                found = [pool_level(net, n, taps[n], size, phases[n]) for n in LEVELS]
            return [part for pair in found for part in pair]

        if torch.is_grad_enabled():
            made = checkpoint(work, use_reentrant=False)
        else:
            made = work()
        for i, name in enumerate(LEVELS):
            vectors[name].append(made[2 * i])
            logits[name].append(made[2 * i + 1])
    return (
        {name: torch.cat(parts) for name, parts in vectors.items()},
        {name: torch.cat(parts) for name, parts in logits.items()},
    )


TAPS_OF = {"low": "conv3_2", "mid": "conv4_3", "high": "conv5_3"}


@torch.no_grad()
def describe(net: HAF, photos: Photos) -> dict[str, Tensor]:
    """Every photo's level vectors, in the order of `photos`: `[N, n]` by level."""
    sizes: dict[tuple[int, int], list[int]] = {}
    for i, image in enumerate(photos.images):
        sizes.setdefault((image.shape[1], image.shape[2]), []).append(i)
    rows = {n: torch.zeros((len(photos), net.level(n).head.out_channels)) for n in LEVELS}
    every = all_phases(net)
    for numbers in sizes.values():
        for part in [numbers[i : i + 192] for i in range(0, len(numbers), 192)]:
            images = torch.stack([photos.images[i] for i in part])
            found, _ = level_vectors(net, images, "heads", every)
            for name, vectors in found.items():
                rows[name][part] = vectors.float().cpu()
    return {name: part.to(net.device) for name, part in rows.items()}


def whole(net: HAF, levels: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The image vectors `[N, D]` and the compact ones."""
    full = net.fuse_full(dict(levels))
    assert net.compact is not None
    return full, net.compact(full)


# --- judging ------------------------------------------------------------------------------------


@dataclass
class Judged:
    """Queries of a set, what they may find and what is right: over photos `[N]`."""

    name: str
    photos: Photos
    right: Tensor  # [N, N]
    allowed: Tensor  # [N, N]

    def recall(self, vectors: Tensor) -> list[float]:
        similarity = vectors @ vectors.T
        similarity = similarity.masked_fill(~self.allowed, -2)
        asked = (self.right & self.allowed).any(1)
        best = similarity[asked].topk(max(CUTS), 1).indices
        hit = (self.right & self.allowed)[asked].gather(1, best)
        return [float(hit[:, :cut].any(1).float().mean()) for cut in CUTS]


def judged(data: Path, device: torch.device) -> list[Judged]:
    val = read_photos(data / "cambridge" / "val", device)
    apart = torch.cdist(val.xy, val.xy, compute_mode="donot_use_mm_for_euclid_dist")
    heading = torch.tensor([float(x) for x in val.heading], device=device)
    elsewhere = apart > 0.01
    same = heading[:, None] == heading
    night = read_photos(data / "campus_night" / "val", device)
    dark = is_dark(night)
    near = torch.cdist(night.xy, night.xy, compute_mode="donot_use_mm_for_euclid_dist") <= 10
    own = torch.eye(len(night), dtype=torch.bool, device=device)
    to_day = dark[:, None] & ~dark
    day_day = ~dark[:, None] & ~dark & ~own
    west = read_photos(data / "sf_west", device)
    pairs = torch.zeros((len(west), len(west)), dtype=torch.bool, device=device)
    number = {name: i for i, name in enumerate(west.names)}
    with (data / "sf_west" / "verified_pairs.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            a, b = number[row["image_a"]], number[row["image_b"]]
            pairs[a, b] = pairs[b, a] = True
    moved = torch.cdist(west.xy, west.xy, compute_mode="donot_use_mm_for_euclid_dist") > 0.001
    return [
        Judged("sf_west", west, pairs, moved),
        Judged("val", val, (apart <= 25) & same, elsewhere),
        Judged("night", night, near, to_day),
        Judged("day", night, near, day_day),
    ]


def is_dark(photos: Photos) -> Tensor:
    hours = [int(t[11:13]) for t in photos.time]
    return torch.tensor([not 6 <= hour < 16 for hour in hours], device=photos.xy.device)


def judge(net: HAF, sets: Sequence[Judged]) -> dict[str, list[float]]:
    found = {}
    described: dict[int, tuple[Tensor, Tensor]] = {}
    for one in sets:
        if id(one.photos) not in described:
            described[id(one.photos)] = whole(net, describe(net, one.photos))
        full, compact = described[id(one.photos)]
        found[one.name] = one.recall(full)
        found[f"{one.name} 256"] = one.recall(compact)
    return found


def said(found: Mapping[str, Sequence[float]]) -> str:
    return "  ".join(
        f"{name} " + " ".join(f"{x:.3f}" for x in (row if "256" not in name else row[:1]))
        for name, row in found.items()
    )


def without_masks(net: HAF) -> HAF:
    """The same network with masks that are 1 everywhere."""
    other = deepcopy(net)
    for name in LEVELS:
        other.level(name).mask = None
    return other


def between(start: HAF, end: HAF, part: float) -> HAF:
    """Weights on the way from start to end."""
    other = deepcopy(end)
    first = dict(start.named_parameters()) | dict(start.named_buffers())
    with torch.no_grad():
        for name, value in [*other.named_parameters(), *other.named_buffers()]:
            if name in first and first[name].shape == value.shape:
                value.lerp_(first[name], 1 - part)
            elif name.endswith("change"):
                value.mul_(part)
    return other


# --- pairs --------------------------------------------------------------------------------------


@dataclass
class Views:
    """Pairs of views: `images` `[2P, 3, H, W]` in 0..1, pair i at i and P + i; `xy` of each."""

    images: Tensor
    xy: Tensor


class Cubes:
    """Panoramas of four faces; the cameras of a pair look at one point."""

    def __init__(self, photos: Photos, alike: Tensor) -> None:
        headings = [float(x) for x in photos.heading]
        assert headings[:4] == [0, 90, 180, 270]
        self.faces = torch.stack(photos.images).unflatten(0, (-1, 4))  # [n, 4, 3, S, S]
        self.xy = photos.xy[::4]
        apart = torch.cdist(self.xy, self.xy)
        self.near = (apart < 15) & alike
        self.near.fill_diagonal_(True)
        self.dark = torch.zeros(len(self.xy), dtype=torch.bool)

    def pairs(self, count: int, size: tuple[int, int], rng: np.random.Generator) -> Views:
        near = self.near.cpu().numpy()
        xy = self.xy.cpu().numpy()
        one = rng.integers(len(xy), size=count)
        two, yaws = [], []
        for i in one:
            others = np.flatnonzero(near[i])
            yaw = rng.uniform(0, 2 * np.pi)
            j = rng.choice(others)
            point = xy[i] + rng.uniform(6, 35) * np.array([np.sin(yaw), np.cos(yaw)])
            east, north = point - xy[j]
            other = np.arctan2(east, north)
            turn = (other - yaw + np.pi) % (2 * np.pi) - np.pi
            if abs(turn) > np.radians(60):
                j, other = i, yaw
            two.append(j)
            yaws.append((yaw, other))
        places = np.concatenate([one, two])
        yaw = np.concatenate(list(zip(*yaws, strict=True))) + rng.normal(0, np.radians(6), 2 * count)
        images = self.look(places, yaw, size, rng)
        return Views(images, self.xy[torch.from_numpy(places).to(self.xy.device)])

    def look(
        self,
        places: np.ndarray,
        yaw: np.ndarray,
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> Tensor:
        """Photos `[N, 3, H, W]` in 0..1 at `places`, looking to `yaw` (radians, clockwise)."""
        device, count = self.xy.device, len(places)
        height, width = size

        def to(values: np.ndarray) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]

        wide = to(np.tan(np.radians(rng.uniform(48, 88, count)) / 2))
        wide = wide * (1.0 if width >= height else 0.75)
        pitch = to(np.radians(rng.normal(3, 5, count)))
        roll = to(np.radians(rng.normal(0, 3, count)))
        x = torch.linspace(-1, 1, width, device=device) * (1 - 1 / width)
        y = torch.linspace(-1, 1, height, device=device) * (1 - 1 / height)
        right = (x[None, None] * wide).expand(count, height, width)
        down = (y[None, :, None] * wide * height / width).expand(count, height, width)
        right, down = (
            right * roll.cos() - down * roll.sin(),
            right * roll.sin() + down * roll.cos(),
        )
        ahead, down = (
            pitch.cos() + down * pitch.sin(),
            down * pitch.cos() - pitch.sin(),
        )
        yaw_of = to(yaw) + torch.atan2(right, ahead)
        level = torch.hypot(right, ahead)
        face = torch.round(yaw_of / (math.pi / 2))
        off = yaw_of - face * (math.pi / 2)
        u = torch.tan(off)
        v = down / (level * off.cos())
        side = self.faces.shape[-1]
        # The four faces side by side: one picture to sample from.
        strip = self.faces[torch.from_numpy(places).to(device)].permute(0, 2, 3, 1, 4)
        strip = strip.reshape(count, 3, side, 4 * side).float() / 255
        column = (face.remainder(4) + ((u + 1) / 2).clamp(0.5 / side, 1 - 0.5 / side)) / 4
        grid = torch.stack([column * 2 - 1, v.clamp(-1, 1)], -1)
        return F.grid_sample(strip, grid, padding_mode="border", align_corners=False)


class Mined:
    """Photos of one size in pairs that mining found."""

    def __init__(self, photos: Photos, pairs: Tensor) -> None:
        self.photos = photos
        self.pairs = pairs  # [P, 2]

    def pairs_of(self, count: int, size: tuple[int, int], rng: np.random.Generator) -> Views:
        chosen = self.pairs[torch.from_numpy(rng.integers(len(self.pairs), size=count))]
        flip = torch.from_numpy(rng.random(count) < 0.5)
        chosen = torch.where(flip[:, None], chosen.flip(1), chosen)
        numbers = chosen.T.flatten().tolist()
        images = torch.stack([self.photos.images[i] for i in numbers]).float() / 255
        numbers_on = torch.tensor(numbers, device=self.photos.xy.device)
        return Views(askew(images, size, rng), self.photos.xy[numbers_on])


def askew(images: Tensor, size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """A part of each photo, a little turned and stretched, at `size`."""
    count, device = len(images), images.device
    kept = rng.uniform(0.6, 1.0, count)
    stretch = np.exp(rng.normal(0, 0.07, count))
    w, h = np.minimum(1, kept * stretch), np.minimum(1, kept / stretch)
    x0, y0 = rng.uniform(-1, 1, count) * (1 - w), rng.uniform(-1, 1, count) * (1 - h)
    theta = np.zeros((count, 3, 3))
    turn = np.radians(rng.normal(0, 3, count))
    theta[:, 0, 0], theta[:, 0, 1], theta[:, 0, 2] = w * np.cos(turn), -w * np.sin(turn), x0
    theta[:, 1, 0], theta[:, 1, 1], theta[:, 1, 2] = h * np.sin(turn), h * np.cos(turn), y0
    theta[:, 2, :2], theta[:, 2, 2] = rng.normal(0, 0.06, (count, 2)), 1
    m = torch.tensor(theta, dtype=torch.float32, device=device)
    x = torch.linspace(-1, 1, size[1], device=device)
    y = torch.linspace(-1, 1, size[0], device=device)
    points = torch.stack(
        [x.expand(size[0], -1), y[:, None].expand(-1, size[1]), torch.ones(size, device=device)], -1
    )
    mapped = torch.einsum("nij,hwj->nhwi", m, points)
    grid = mapped[..., :2] / mapped[..., 2:]
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def mine(
    vectors: Tensor, xy: Tensor, ask: Tensor, may: Tensor, within: float, most: int
) -> Tensor:
    """Pairs `[P, 2]`: a photo of `ask` `[N]`, and the most similar of `may` `[N, N]` within metres.

    Kept where fewer than `most` photos farther than that are more similar.
    """
    similarity = vectors @ vectors.T
    near = torch.cdist(xy, xy, compute_mode="donot_use_mm_for_euclid_dist") <= within
    best, found = similarity.masked_fill(~(near & may), -2).max(1)
    more = ((similarity > best[:, None]) & ~near & may).sum(1)
    kept = ask & (best > -2) & (more < most)
    return torch.stack([kept.nonzero()[:, 0], found[kept]], 1).cpu()


# --- changes ------------------------------------------------------------------------------------


class Changes:
    """Light, night, camera, and things in the way, for images `[N, 3, H, W]` in 0..1."""

    def __init__(self, things: Path | None, device: torch.device) -> None:
        self.things: dict[str, Tensor] = {}
        if things is not None:
            for kind in ("car", "person", "tree"):
                cut = [cut_out(path) for path in sorted(things.glob(f"{kind}_*.png"))]
                self.things[kind] = torch.from_numpy(np.stack(cut)).to(device)

    def __call__(self, images: Tensor, night: float, rng: np.random.Generator) -> Tensor:
        count, device = len(images), images.device

        def draw(low: float, high: float, *shape: int) -> Tensor:
            values = rng.uniform(low, high, (count, *(shape or (1,)), 1, 1))
            return torch.tensor(values, dtype=torch.float32, device=device)

        x = self.paste(images, rng) if self.things else images
        x = x.clamp(1e-3, 1) ** draw(-0.5, 0.5).exp()
        middle = x.mean((1, 2, 3), keepdim=True)
        x = (x - middle) * draw(-0.4, 0.4).exp() + middle
        grey = x.mean(1, keepdim=True)
        x = (grey + (x - grey) * draw(-0.6, 0.6).exp()) * draw(-0.15, 0.15, 3).exp()
        dark = rng.random(count) < night
        if dark.any():
            chosen = torch.from_numpy(dark).to(device)
            x = torch.where(chosen[:, None, None, None], self.night(x.clamp(0, 1), rng), x)
        # Out of focus, or enlarged from less: a smaller copy blown up, blended in.
        factor = float(rng.uniform(1.3, 3.0))
        small = F.interpolate(x, scale_factor=1 / factor, mode="bilinear", antialias=True)
        soft = F.interpolate(small, size=x.shape[2:], mode="bilinear")
        x = torch.lerp(x, soft, draw(0, 1) * (draw(0, 1) < 0.5).float())
        x = x + torch.randn_like(x) * draw(0, 0.05) * (draw(0, 1) < 0.5).float()
        return x.clamp(0, 1) * 255

    def night(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        """As `hafloc.train.augment` makes it: little light, lamps, noise."""
        count, _, height, width = x.shape
        device = x.device

        def to(values: Any) -> Tensor:
            return torch.tensor(np.asarray(values), dtype=torch.float32, device=device)

        light = x**2.2
        tint = to(rng.uniform((0.9, 1.0, 0.4), (1.6, 1.0, 1.1), (count, 3)))[:, :, None, None]
        light = light * to(np.exp(rng.uniform(-3.2, -1.6, count)))[:, None, None, None] * tint
        rows = torch.arange(height, device=device)[None, :, None]
        columns = torch.arange(width, device=device)[None, None]
        for lamp in range(6):
            y, c = to(rng.uniform(0.1, 0.8, count)) * height, to(rng.uniform(0, 1, count)) * width
            size = to(rng.uniform(0.02, 0.12, count)) * width
            away = (rows - y[:, None, None]) ** 2 + (columns - c[:, None, None]) ** 2
            away = (away / size[:, None, None] ** 2)[:, None]
            colour = rng.uniform((1.0, 0.6, 0.3), (1.0, 0.95, 0.8), (count, 3))
            shines = (rng.integers(1, 7, count) > lamp) * rng.uniform(0.2, 1.0, count)
            tone = to(colour * shines[:, None])[:, :, None, None]
            lit = to(rng.uniform(0, 8, count))[:, None, None, None] / (1 + away / 6)
            light = light * (1 + lit * tone) + torch.exp(-3 * away) * tone
        film = to(rng.uniform(0.3, 1.0, count))[:, None, None, None]
        gain = to(rng.uniform(1.0, 1.4, count))[:, None, None, None]
        exposed = (light / (light + film) * gain).clamp(0, 1) ** (1 / 2.2)
        noise = to(rng.uniform(0.005, 0.05, count))[:, None, None, None]
        return exposed + torch.randn_like(x) * noise

    def paste(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Up to four cut-outs into half of the images: cars and people below, trees beside."""
        count, _, height, width = images.shape
        device = images.device
        for _ in range(4):
            kind = rng.choice(["car", "car", "person", "person", "tree"])
            atlas = self.things[str(kind)]
            side = {"car": (0.2, 0.7), "person": (0.15, 0.75), "tree": (0.4, 1.2)}[str(kind)]
            tall = rng.uniform(*side, count)
            foot = rng.uniform(0.65, 1.1, count)
            middle = rng.uniform(-0.05, 1.05, count)
            flip = rng.choice([-1.0, 1.0], count)
            used = torch.tensor(rng.random(count) < 0.35, device=device)
            which = torch.from_numpy(rng.integers(len(atlas), size=count)).to(device)
            theta = np.zeros((count, 2, 3))
            # Square cut-outs stand on their lower edge; sizes are parts of the height.
            theta[:, 0, 0] = flip * width / height / tall
            theta[:, 0, 2] = -flip * (2 * middle - 1) * width / height / tall
            theta[:, 1, 1] = 1 / tall
            theta[:, 1, 2] = -(2 * (foot - tall / 2) - 1) / tall
            grid = F.affine_grid(
                torch.tensor(theta, dtype=torch.float32, device=device),
                [count, 4, height, width],
                align_corners=False,
            )
            picture = F.grid_sample(atlas[which].float() / 255, grid, align_corners=False)
            shade = images.mean((1, 2, 3), keepdim=True) / 0.45
            alpha = picture[:, 3:] * used[:, None, None, None]
            images = images * (1 - alpha) + picture[:, :3] * shade.clamp(0.3, 1.3) * alpha
        return images.clamp(0, 1)


def cut_out(path: Path) -> np.ndarray:
    """A cut-out `4×160×160`, standing in the middle of the lower edge."""
    with Image.open(path) as image:
        image = image.convert("RGBA")
        image.thumbnail((160, 160))
        square = Image.new("RGBA", (160, 160))
        square.paste(image, ((160 - image.width) // 2, 160 - image.height))
    return np.array(square).transpose(2, 0, 1)


# --- learning -----------------------------------------------------------------------------------


def pair_loss(vectors: Tensor, groups: Sequence[Views], temperature: float) -> Tensor:
    """InfoNCE both ways over all pairs of a step; vectors `[2P, D]` go as `groups` do.

    Views of one group within 25 m of each other that are no pair say nothing.
    """
    partner, unclear, offset = [], [], 0
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
        groups, levels, flat = [], [], []
        phases = some_phases(net, rng)
        for source, count, kind in zip(sources, plan.counts, range(4), strict=True):
            if not count:
                continue
            size = SIZES[int(rng.integers(len(SIZES)))]
            if kind == 2:
                size = (256, 192) if rng.random() < 0.5 else (384, 288)
            elif kind == 3:
                size = (240, 640)
            elif kind == 1:
                size = (304, 416)
            views = source(count, size, rng)
            images = changes(views.images, plan.night if kind != 2 else 0.0, rng)
            found, logits = level_vectors(net, images, plan.layers, phases)
            groups.append(views)
            levels.append(found)
            flat.append(torch.stack([part.square().mean() for part in logits.values()]).mean())
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
                f"{plan.name} step {step} {time.monotonic() - began:.0f} s loss {float(loss.detach()):.3f} "
                f"norm {float(norm):.3f} logits {spread:.3f}",
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


def settled(net: HAF) -> HAF:
    other = deepcopy(net).cpu()
    for part in other.modules():
        if isinstance(part, Whitening):
            part.settle()
    return other


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", default="haf")
    parser.add_argument("--things", type=Path)
    parser.add_argument("--plan", action="append", default=[], help="JSON over Plan's fields")
    parser.add_argument("--dump", action="store_true", help="write the start's level vectors")
    parser.add_argument("--until", type=float, default=1e9, help="seconds for all of it")
    arguments = parser.parse_args()
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
    if arguments.dump:
        dump(first, sets, school, changes, arguments.out)
        print(f"dumped: {time.monotonic() - began:.0f} s", flush=True)
    for text in arguments.plan or ["{}"]:
        plan = Plan(**{k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(text).items()})
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


def dump(net: HAF, sets: Sequence[Judged], school: School, changes: Changes, out: Path) -> None:
    """Level vectors before whitening, for trying whitenings elsewhere."""
    rows: dict[str, Any] = {}

    def keep(name: str, levels: Mapping[str, Tensor]) -> None:
        rows[name] = torch.cat([levels[n] for n in LEVELS], 1).half().cpu().numpy()

    for one in sets:
        if one.name != "day":
            keep(one.name, describe(net, one.photos))
    for name in ("cambridge", "getty", "campus", "park"):
        keep(f"{name}_train", describe(net, getattr(school, name)))
    np.savez(out / "levels.npz", **rows)
    drawn: dict[str, Any] = {}
    rng = np.random.default_rng(0)
    sources = school.sources(net)
    every = all_phases(net)
    for name, source, size in zip(
        ("cambridge", "getty", "campus", "park"),
        sources,
        ((288, 384), (304, 416), (256, 192), (240, 640)),
        strict=True,
    ):
        parts = []
        for _ in range(2000 // 100 if name == "cambridge" else 6):
            views = source(100, size, rng)
            with torch.no_grad():
                images = changes(views.images, 0.15 if name != "campus" else 0.0, rng)
                found, _ = level_vectors(net, images, "heads", every)
            parts.append(torch.cat([found[n] for n in LEVELS], 1).half().cpu().numpy())
            if len(parts) == 1:
                sheet = images[[0, 100, 1, 101, 2, 102, 3, 103]].permute(0, 2, 3, 1).byte().cpu()
                picture = np.concatenate(list(sheet.numpy()), 1)
                Image.fromarray(picture).save(out / f"views_{name}.png")
        drawn[name] = np.stack(parts)
    np.savez(out / "drawn.npz", **drawn)


if __name__ == "__main__":
    main()
