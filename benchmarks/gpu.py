"""How many photos a second does a GPU describe, and how near its matrix rate is that?

    python benchmarks/gpu.py [--out FILE]     under 5 minutes on one GPU
    python benchmarks/gpu.py --dry-run        the same steps on a processor, small: do they run?

640×480 photos of random patches, on the device for the trunk alone; batches of 1, 8 and 16;
float32, bf16 and float16, plain and with the trunk compiled (torch.compile; on a GPU alone). Rows:
the trunk alone, vectors with regions, and with key points. A photo's trunk is 188 GFLOP, so photos
a second times that, over the rate of one large matrix product in the same type, is the share of the
card that works. Cosines are to the same photos on the processor in float32. Needs torch and
hafloc.nn alone.
The last line is JSON.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hafloc.nn import HAF, HalfHAF, load_checkpoint

SIZE = (480, 640)  # rows, columns
TRUNK_GFLOP = 188 * (SIZE[0] * SIZE[1]) / (480 * 640)
BATCHES = (1, 8, 16)
TYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "float16": torch.float16}
RUNS = 5
ORDER = 8192  # of the square matrices whose product is the card's rate


def synchronised(device: str, work: Callable[[], object]) -> float:
    """Seconds until the device has done it."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def median_seconds(device: str, work: Callable[[], object], runs: int) -> float:
    work()  # plans, workspaces, compilation
    return statistics.median(synchronised(device, work) for _ in range(runs))


def matrix_rate(device: str, dtype: torch.dtype, order: int, runs: int) -> float:
    """TFLOP a second of one large product."""
    a, b = (torch.randn(order, order, device=device, dtype=dtype) for _ in range(2))
    return 2 * order**3 / median_seconds(device, lambda: a @ b, runs) / 1e12


def network_in(dtype: torch.dtype, device: str, *, compiled: bool) -> HAF:
    haf = load_checkpoint("haf").network
    assert isinstance(haf, HAF)
    haf = haf.to(device, memory_format=torch.channels_last).eval()
    if compiled:
        haf.trunk.responses = torch.compile(haf.trunk.responses)  # type: ignore[method-assign]
    return haf if dtype == torch.float32 else HalfHAF(haf, dtype)


@torch.inference_mode()
def measure(device: str, size: tuple[int, int], batches: tuple[int, ...], runs: int,
            order: int) -> list[dict[str, Any]]:  # fmt: skip
    rng = np.random.default_rng(0)
    # Patches of 16 pixels: about as many corners as a photo of houses has, where noise has tens of
    # thousands, which then take the longest.
    coarse = rng.integers(0, 256, (max(batches), 3, size[0] // 16, size[1] // 16), np.uint8)
    patches = torch.from_numpy(coarse.repeat(16, 2).repeat(16, 3))
    exact = load_checkpoint("haf").network
    assert isinstance(exact, HAF)
    wanted = [f.vector for f in exact.features(patches[:2], local=False, regions=False)]
    rows = []
    for name, dtype in TYPES.items():
        rate = matrix_rate(device, dtype, order, runs)
        for compiled in (False, True) if device == "cuda" else (False,):
            try:
                network = network_in(dtype, device, compiled=compiled)
                found = network.features(patches[:2].to(device), local=False, regions=False)
            except Exception as error:  # what this card or torch cannot do is a row too
                rows.append({"type": name, "compiled": compiled, "failed": str(error)[:200]})
                continue
            cosines = [float(a.vector @ b) for a, b in zip(found, wanted, strict=True)]
            for batch in batches:
                shown = patches[:batch]
                images = shown.to(device)
                works = {
                    "trunk": lambda: network.taps(images),  # noqa: B023
                    "vector, regions": lambda: network.features(shown, local=False, regions=True),  # noqa: B023
                    "with key points": lambda: network.features(shown, local=True, regions=True),  # noqa: B023
                }
                row: dict[str, Any] = {
                    "type": name, "compiled": compiled, "batch": batch,
                    "matrix TFLOP/s": round(rate, 2), "least cosine": round(min(cosines), 6),
                }  # fmt: skip
                for what, work in works.items():
                    seconds = median_seconds(device, work, runs)
                    row[f"{what}, photos/s"] = round(batch / seconds, 2)
                gflop = TRUNK_GFLOP * row["trunk, photos/s"]
                row["trunk / matrix rate"] = round(gflop / 1000 / rate, 3)
                rows.append(row)
                print(json.dumps(row), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dry-run", action="store_true", help="on the processor, small")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.dry_run:
        rows = measure("cpu", (96, 128), (1, 2), 1, 256)
    elif torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        rows = measure("cuda", SIZE, BATCHES, RUNS, ORDER)
    else:
        raise SystemExit("there is no GPU here; --dry-run tries the steps on the processor")
    card = "processor" if given.dry_run else torch.cuda.get_device_name()
    result = {
        "card": card,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "dry run": given.dry_run,
        "rows": rows,
    }
    if given.out:
        given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
