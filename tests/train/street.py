"""A drawn street to train on: one long wall, photographed every six metres."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from hafloc.nn.vgg import LAYERS

METRE = 1 / 111_195  # degrees of latitude
SIDE = 64


def wall(length: int, seed: int) -> np.ndarray:
    """Random blocks of several sizes, `SIDE` pixels high."""
    random = np.random.default_rng(seed)
    picture = np.zeros((SIDE, length, 3))
    for block in (4, 8, 16, 32):
        coarse = random.uniform(0, 60, (SIDE // block, -(-length // block), 3))
        picture += coarse.repeat(block, 0).repeat(block, 1)[:, :length]
    return picture.clip(0, 255).astype(np.uint8)


def write_street(
    folder: Path, places: int, *, seed: int, views: int = 1, lat: float = 48.0
) -> Path:
    """`places` six metres apart, 16 pixels further along the wall each; PNGs and positions.csv.

    `views` photos of each place differ by a little light.
    """
    (folder / "images").mkdir(parents=True)
    picture = wall(16 * places + SIDE, seed)
    rows = ["image,lat,lon,heading,time"]
    for place in range(places):
        for view in range(views):
            name = f"{place:03}_{view}.png"
            crop = picture[:, 16 * place : 16 * place + SIDE]
            Image.fromarray((crop * (1 - 0.1 * view)).astype(np.uint8)).save(
                folder / "images" / name
            )
            rows.append(f"{name},{lat + place * 6 * METRE:.8f},11.0,{90 * (view % 2)},")
    (folder / "positions.csv").write_text("\n".join(rows) + "\n")
    return folder


def write_trunk(path: Path, seed: int = 0) -> Path:
    """Random start weights of VGG16 that keep the size of responses."""
    random = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, (inputs, outputs) in LAYERS.items():
        weight = torch.randn(outputs, inputs, 3, 3, generator=random)
        tensors[f"{name}.weight"] = (weight * (2 / (9 * inputs)) ** 0.5).half()
        tensors[f"{name}.bias"] = torch.zeros(outputs).half()
    save_file(tensors, path)
    return path


def small_table(town: Path, **changes: dict[str, object]) -> dict[str, dict[str, object]]:
    """A recipe's tables for a run of seconds on the photos of `town`."""
    tables: dict[str, dict[str, object]] = {
        "network": {
            "name": "haf",
            "start": str(town / "vgg.safetensors"),
            "train_from": "heads",
            "options": {"channels": [6, 6, 6], "level_sizes": [6, 6, 6]},
        },
        "data": {
            "train": [str(town / "train")],
            "validation": [str(town / "val")],
            "longer_side": 32,
            "queries_per_epoch": 8,
            "cache": str(town / "cache"),
        },
        "mining": {
            "random_negatives": 20,
            "remembered_negatives": 3,
            "negatives": 2,
            "margin": 2.0,
            "refresh": 4,
        },
        "loss": {"local": 1.0, "vector": 1.0, "places": 8},
        "optimizer": {"lr": 1e-3, "epochs": 2, "halve_every": 1, "batch": 2, "clip": 1.0},
        "run": {"device": "cpu", "checkpoint_every": 2},
    }
    for name, table in changes.items():
        tables[name] = {**tables.get(name, {}), **table}
    return tables
