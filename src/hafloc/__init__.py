"""hafloc: where was this photo taken?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hafloc.locate import Answer, Localizer
    from hafloc.nn import Network

__version__ = "0.1.0"

__all__ = ["Answer", "HaflocError", "Localizer", "Position", "load_model"]

# Imported at first use: `import hafloc` stays free of torch.
_HOMES = {
    "Answer": "hafloc.locate",
    "HaflocError": "hafloc.errors",
    "Localizer": "hafloc.locate",
    "Position": "hafloc.geo",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hafloc' has no attribute {name!r}")


def load_model(model: str = "haf") -> "Network":
    """The network of a checkpoint (shipped name or path) as a torch module.

    Its `.describe(images)` gives Descriptions. Raises CheckpointError.
    """
    from hafloc.nn import load_checkpoint

    return load_checkpoint(model).network
