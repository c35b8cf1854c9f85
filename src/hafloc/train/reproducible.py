"""The same bits from the same recipe, as far as torch's kernels allow.

Many kernels of a GPU add up in whatever order its threads come, so that two runs differ in the last
bits. Torch has others that keep an order, and uses them where it is asked. By its documentation
those cover all that HAF, NetVLAD and CRN compute, forwards and backwards; a test holds their
operations against that list. It has none for the gradient of bicubic sampling, which SuperPoint's
descriptors need: on a GPU two of its runs agree closely, not to the bit, and torch warns. None of
this was run on a GPU; on a processor tests compare the bits.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import deterministic as torch_memory


@contextmanager
def deterministic() -> Iterator[None]:
    """Torch's ordered kernels within the block; an operation without one is warned of."""
    # Read when a GPU's first matrix product is made, so before any work.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_deterministic_debug_mode()
    memory: Any = torch_memory  # its types leave the setting out
    fills = memory.fill_uninitialized_memory
    # torch.use_deterministic_algorithms does the same, but loads torch's compiler first: seconds.
    torch.set_deterministic_debug_mode("warn")
    # Every value is written before it is read: filling memory first only costs time.
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
        memory.fill_uninitialized_memory = fills
