"""Photos of a folder on the device, with positions in metres."""

import csv
import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

DEGREE = 111_195.0  # metres


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
