"""Light, night, camera and things in the way."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


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
