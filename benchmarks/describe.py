"""How long does describing a photo take, beside the bare trunk? By runtime, in one process.

    python benchmarks/describe.py [PHOTOS] [--runs 5]

PHOTOS is a folder of photos; without it, some of the demo city are rendered. The trunk is VGG16 up
to conv5_3 as anyone would run it: torch's own convolutions, float32, channels_last, on the same
photos. Describing gives what `hafloc index build` stores: vector, regions, key points. All take
turns; ratios are medians over the runs. Peers of other pipelines come along where `transformers` is
installed, with random weights, which serve for time: DINOv2 ViT-B/14 at 322×322 (the backbone of
SALAD and MegaLoc), ResNet-50 at 512×384 (that of CosPlace and EigenPlaces).

The last line is JSON; benchmarks/speed.py takes it into its table.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from hafloc.demo import render_city
from hafloc.describe import Describer
from hafloc.errors import HaflocError
from hafloc.nn import HAF, VGG16, load_checkpoint
from hafloc.nn.vgg import LAYERS
from hafloc.photos import read, scan

COUNT = 4
SIDE = 480
RUNS = 5
WAYS = (
    ("torch", "float32"),
    ("openvino", "float32"),
    ("openvino", "int8"),
    ("openvino", "bf16"),
    ("onnx", "float32"),
    ("onnx", "int8"),
)
Image = NDArray[np.uint8]


def bare_trunk(trunk: VGG16) -> Callable[[torch.Tensor], torch.Tensor]:
    """The trunk as anyone would run it: torch's convolutions, float32, channels_last."""
    weights = {
        name: (layer.weight.to(memory_format=torch.channels_last), layer.bias)
        for name, layer in ((name, trunk.get_submodule(name)) for name in LAYERS)
    }

    @torch.inference_mode()
    def run(images: torch.Tensor) -> torch.Tensor:
        x = trunk.centre(images).contiguous(memory_format=torch.channels_last)
        for name, (weight, bias) in weights.items():
            if name.endswith("_1") and name != "conv1_1":
                x = F.max_pool2d(x, 2)
            x = F.relu_(F.conv2d(x, weight, bias, padding=1))
        return x

    return run


def photos(folder: Path | None) -> list[Image]:
    """A few photos, reduced to SIDE."""
    if folder is not None:
        paths = scan(folder).not_empty().paths[:COUNT]
        return [read(path, longer_side=SIDE).image for path in paths]
    with tempfile.TemporaryDirectory() as scratch:
        render_city(Path(scratch), seed=3, database=COUNT, queries=0, size=(SIDE, SIDE * 3 // 4))
        return [read(path).image for path in scan(Path(scratch) / "database").paths]


def peers() -> dict[str, Callable[[Image], object]]:
    """Backbones of other pipelines; none where `transformers` is missing."""
    try:
        from transformers import Dinov2Config, Dinov2Model, ResNetConfig, ResNetModel
    except ImportError:
        return {}
    vision = Dinov2Model(
        Dinov2Config(hidden_size=768, num_hidden_layers=12, num_attention_heads=12,
                     patch_size=14, image_size=322)
    ).eval()  # fmt: skip
    residual = ResNetModel(ResNetConfig()).eval().to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def at(model: torch.nn.Module, size: tuple[int, int], image: Image) -> object:
        x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        return model(F.interpolate(x, size=size).contiguous(memory_format=torch.channels_last))

    return {
        "peer: DINOv2 ViT-B/14, 322×322": lambda image: at(vision, (322, 322), image),
        "peer: ResNet-50, 512×384": lambda image: at(residual, (384, 512), image),
    }


def describers() -> dict[str, Describer]:
    """Those that this machine can run; "auto" is the product's own choice."""
    found = {"auto": Describer.open(device="cpu", runtime="auto", precision="auto")}
    for runtime, precision in WAYS:
        try:
            made = Describer.open(device="cpu", runtime=runtime, precision=precision)
        except HaflocError as error:
            print(f"{runtime} {precision} is left out: {error}", flush=True)
            continue
        if made.runtime.precision == precision:
            found[f"{runtime} {precision}"] = made
    return found


def measure(folder: Path | None = None, runs: int = RUNS) -> dict[str, Any]:
    """Seconds a photo of each way, its share of the trunk's, and cosines to torch's float32."""
    images = photos(folder)
    network = load_checkpoint("haf").network
    assert isinstance(network, HAF)
    trunk = bare_trunk(network.trunk)
    ours = describers()
    works: dict[str, Callable[[Image], object]] = {
        "trunk": lambda image: trunk(torch.from_numpy(image).permute(2, 0, 1)[None]),
        "torch float32, vector alone": ours["torch float32"].vector,
    }
    works |= {name: describer.features for name, describer in ours.items()} | peers()
    times: dict[str, list[float]] = {name: [] for name in works}
    for run in range(1 + runs):
        for name, work in works.items():
            start = time.perf_counter()
            for image in images:
                work(image)
            if run:
                times[name].append((time.perf_counter() - start) / len(images))
    base = np.array(times["trunk"])
    rows = {
        name: {
            "s": round(statistics.median(found), 4),
            "over_trunk": round(float(np.median(np.array(found) / base)), 3),
        }
        for name, found in times.items()
    }
    exact = [ours["torch float32"].features(image).vector for image in images]
    for name, describer in ours.items():
        vectors = [describer.features(image).vector for image in images]
        cosines = [float(a @ b) for a, b in zip(vectors, exact, strict=True)]
        rows[name]["least_cosine"] = round(min(cosines), 6)
    int8 = [row["over_trunk"] for name, row in rows.items() if name.endswith(" int8")]
    return {
        "size": [images[0].shape[1], images[0].shape[0]],
        "auto_is": str(ours["auto"].runtime),
        "rows": rows,
        "torch_float32_over_trunk": rows["torch float32"]["over_trunk"],
        "auto_speedup_over_trunk": round(1 / rows["auto"]["over_trunk"], 3),
        "int8_speedup_over_trunk": round(1 / min(int8), 3) if int8 else None,
        "cosine_auto": rows["auto"]["least_cosine"],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--runs", type=int, default=RUNS)
    given = parser.parse_args(arguments)
    found = measure(given.photos, given.runs)
    for name, row in found.pop("rows").items():
        print(f"{name:36}" + "  ".join(f"{key} {value}" for key, value in row.items()))
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
