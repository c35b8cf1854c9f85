"""Pairs of views that show the same, from panoramas or mined among photos."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from views.photos import Photos


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
        yaw = np.concatenate(list(zip(*yaws, strict=True))) + rng.normal(
            0, np.radians(6), 2 * count
        )
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


def mine(vectors: Tensor, xy: Tensor, ask: Tensor, may: Tensor, within: float, most: int) -> Tensor:
    """Pairs `[P, 2]`: a photo of `ask` `[N]`, and the most similar of `may` `[N, N]` within metres.

    Kept where fewer than `most` photos farther than that are more similar.
    """
    similarity = vectors @ vectors.T
    near = torch.cdist(xy, xy, compute_mode="donot_use_mm_for_euclid_dist") <= within
    best, found = similarity.masked_fill(~(near & may), -2).max(1)
    more = ((similarity > best[:, None]) & ~near & may).sum(1)
    kept = ask & (best > -2) & (more < most)
    return torch.stack([kept.nonzero()[:, 0], found[kept]], 1).cpu()
