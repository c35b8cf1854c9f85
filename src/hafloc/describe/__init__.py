"""Photos to descriptions: the network with its sizes, and decoding beside it."""

from hafloc.describe.describer import Described, Describer
from hafloc.describe.device import DEVICES, choose_device
from hafloc.describe.known_networks import KnownNetwork, known_networks
from hafloc.describe.projection import Loss
from hafloc.describe.shorten import shorten
from hafloc.describe.worker import run_at

__all__ = [
    "DEVICES",
    "Described",
    "Describer",
    "KnownNetwork",
    "Loss",
    "choose_device",
    "known_networks",
    "run_at",
    "shorten",
]
