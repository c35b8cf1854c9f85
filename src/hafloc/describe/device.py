"""The device that a network runs on, by the name that a person gives it."""

import torch

from hafloc.errors import OptionError

DEVICES = "auto, cpu, cuda, cuda:1, mps"


def choose_device(name: str = "auto") -> str:
    """The torch device of that name; "auto" takes the first CUDA device, else the processor.

    Raises OptionError where the name is none, or this machine has no such device.
    """
    kind, _, number = name.partition(":")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if (
        kind not in ("cpu", "cuda", "mps")
        or (number and not number.isdecimal())
        or name.endswith(":")
    ):
        raise OptionError(f"there is no device {name!r}; name one of {DEVICES}")
    kind, _, number = name.partition(":")
    if kind == "cuda":
        _check_cuda(name, int(number or 0))
    elif kind == "mps" and not torch.backends.mps.is_available():
        raise OptionError(f"--device {name}: there is no Apple GPU here; use --device cpu")
    # Processors have no number that matters, and torch knows no second Apple GPU.
    return name if kind == "cuda" else kind


def _check_cuda(name: str, number: int) -> None:
    if not torch.cuda.is_available():
        why = (
            "was built without CUDA"
            if torch.version.cuda is None
            else f"needs a driver for CUDA {torch.version.cuda} and a GPU"
        )
        raise OptionError(
            f"--device {name}: there is no CUDA device here: torch {torch.__version__} {why}; "
            "use --device cpu"
        )
    count = torch.cuda.device_count()
    if number >= count:
        raise OptionError(
            f"--device {name}: the last CUDA device here is cuda:{count - 1}; use that or cpu"
        )
