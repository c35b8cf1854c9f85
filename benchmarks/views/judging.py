"""Recall of a network on the sets that it has not seen."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hafloc.nn import HAF
from views.network import describe, whole
from views.photos import Photos, read_photos

CUTS = (1, 5, 10)


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
