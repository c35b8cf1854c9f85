"""Photos to descriptions: the network with its sizes, and decoding beside it."""

from hafloc.describe.describer import Describer
from hafloc.describe.device import DEVICES, choose_device
from hafloc.describe.export_onnx import Exported, export_onnx
from hafloc.describe.in_turn import Described
from hafloc.describe.known_networks import KnownNetwork, known_networks
from hafloc.describe.projection import Loss
from hafloc.describe.shorten import shorten
from hafloc.describe.worker import run_at

__all__ = [
    "DEVICES",
    "Described",
    "Describer",
    "Exported",
    "KnownNetwork",
    "Loss",
    "choose_device",
    "export_onnx",
    "known_networks",
    "run_at",
    "shorten",
]
