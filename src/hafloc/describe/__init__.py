"""Photos to descriptions: the network with its sizes, and decoding beside it."""

from hafloc.describe.describer import Described, Describer

__all__ = ["Described", "Describer"]
