"""Photos to descriptions: the network with its sizes, and decoding beside it."""

from hafloc.describe.describer import Described, Describer
from hafloc.describe.device import DEVICES, choose_device

__all__ = ["DEVICES", "Described", "Describer", "choose_device"]
