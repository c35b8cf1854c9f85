"""Which runtime describes photos, and in which precision: what may be, and what is proven."""

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import torch

from hafloc.describe import sessions
from hafloc.errors import MissingExtraError, OptionError
from hafloc.nn import GRAPH_VERSION

RUNTIMES = ("auto", "torch", "openvino", "onnx")
PRECISIONS = ("auto", "float32", "bf16", "float16", "int8")
# Share of queries whose first photo may be wrong that was right in float32.
MOST_LOST = 0.005
# In which order "auto" asks, fastest first: benchmarks/results/runtimes.md.
_FASTEST = (("openvino", "int8"), ("onnx", "int8"))
_CAN = {
    "torch": ("float32", "bf16", "float16"),
    "openvino": ("float32", "bf16", "float16", "int8"),
    "onnx": ("float32", "int8"),
}
_UNPROVEN = ", unproven"


@dataclass(frozen=True, slots=True)
class Runtime:
    """What runs a network's convolutions, and in which precision.

    Vectors of proven ones may be compared: float32 is the same within rounding, and of others a
    table beside the checkpoint says what recall they cost.
    """

    name: str = "torch"
    precision: str = "float32"
    proven: bool = True

    def __str__(self) -> str:
        return f"{self.name} {self.precision}{'' if self.proven else _UNPROVEN}"


@dataclass(frozen=True, slots=True)
class Proofs:
    """What is known of a checkpoint in other runtimes: the `responses` that int8 needs, as JSON
    has them, and a `table` of rows, each of one runtime and precision."""

    responses: Mapping[str, Any] | None = None
    table: tuple[Mapping[str, Any], ...] = ()

    def proves(self, name: str, precision: str) -> bool:
        """Whether no set of photos lost more than MOST_LOST of its recall."""
        if precision == "float32":
            return True
        return any(
            (row["runtime"], row["precision"]) == (name, precision)
            and bool(row.get("recall"))
            and all(one["lost"] <= MOST_LOST for one in row["recall"].values())
            for row in self.table
        )


@cache
def proofs_of(checkpoint: str) -> Proofs:
    """What comes with hafloc about the checkpoint with that hash; nothing of any other."""
    for file in (files("hafloc.nn") / "checkpoints").iterdir():
        if not file.name.endswith(".runtimes.json"):
            continue
        content = json.loads(file.read_text(encoding="utf-8"))
        if (content["checkpoint"], content["graph"]) == (checkpoint, GRAPH_VERSION):
            return Proofs(content["responses"], tuple(content["rows"]))
    return Proofs()


def check_names(runtime: str, precision: str) -> None:
    """Raises OptionError where there is no such runtime or precision, or not both together."""
    if runtime not in RUNTIMES:
        raise OptionError(f"there is no runtime {runtime!r}; name one of {', '.join(RUNTIMES)}")
    if precision not in PRECISIONS:
        raise OptionError(
            f"there is no precision {precision!r}; name one of {', '.join(PRECISIONS)}"
        )
    if precision != "auto" and runtime != "auto" and precision not in _CAN[runtime]:
        raise OptionError(
            f"--runtime {runtime} has no --precision {precision}; it has {', '.join(_CAN[runtime])}"
        )


def choices(runtime: str, precision: str, checkpoint: str, device: str) -> Iterator[Runtime]:
    """What may serve, best first; the first is what was asked for, where both are named.

    "auto" names only what is proven and installed. Raises OptionError and MissingExtraError where
    nothing can be what was asked for.
    """
    check_names(runtime, precision)
    proofs = proofs_of(checkpoint)
    if device != "cpu" and runtime not in ("auto", "torch"):
        raise OptionError(
            f"--runtime {runtime} works on the processor, not on {device}; add --device cpu"
        )
    if "auto" not in (runtime, precision):
        yield Runtime(runtime, precision, proofs.proves(runtime, precision))
        return
    found = False
    for name, kind in _candidates(runtime, precision, device):
        if precision == "auto" and not proofs.proves(name, kind):
            continue
        if name == "torch" or runtime == name or sessions.is_installed(name):
            found = True
            yield Runtime(name, kind, proofs.proves(name, kind))
    if not found:
        raise MissingExtraError(
            f"--precision {precision} needs OpenVINO or ONNX Runtime; pip install hafloc[openvino]"
        )


def _candidates(runtime: str, precision: str, device: str) -> Iterator[tuple[str, str]]:
    if precision == "float32":
        # Through NNPACK torch is the fastest.
        yield "torch", precision
        return
    if precision != "auto":
        for name in ("openvino", "onnx", "torch"):
            if precision in _CAN[name] and (device == "cpu" or name == "torch"):
                yield name, precision
        return
    if device == "cpu" and _has_int8():
        yield from (each for each in _FASTEST if runtime in ("auto", each[0]))
    yield "torch" if runtime == "auto" else runtime, "float32"


def has_units(runtime: Runtime, device: str) -> bool:
    """Whether the device multiplies in that precision, rather than imitating it slowly."""
    if runtime.precision in ("float32", "int8"):
        return True
    if device != "cpu":
        return runtime.precision == "float16" or torch.cuda.is_bf16_supported()
    if runtime.name == "openvino":
        wanted = {"bf16": "BF16", "float16": "FP16"}[runtime.precision]
        return wanted in sessions.capabilities()
    return runtime.precision == "bf16" and bool(torch.cpu._is_avx512_bf16_supported())


def _has_int8() -> bool:
    # Measured on these alone; elsewhere int8 may be slower than float32.
    return platform.machine().lower() in ("x86_64", "amd64") and torch.cpu._is_avx2_supported()
