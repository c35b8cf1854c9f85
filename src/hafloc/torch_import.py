"""Torch imported without what only its compiler and its shape-only tensors read: a third less time.

On import torch registers a Python function for each of its operators that says what shape comes
out (`torch._meta_registrations`). Running a network never asks them. They are put off until
something does: `torch.compile` and `torch.export`, or code of others, which may do anything.
"""

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_PUT_OFF = "torch._meta_registrations"
_ASKS = "torch._dynamo"


class _Later(ModuleType):
    """Stands for the module until one of its names is read."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_load(), name)


class _PuttingOff:
    """A finder and loader that gives `_Later` in place of the module."""

    def find_spec(self, name: str, path: Sequence[str] | None, _: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name == _PUT_OFF else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Later(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _Waiting:
    """A finder that finds nothing, and loads the module before torch's compiler is loaded."""

    def find_spec(self, name: str, path: Sequence[str] | None, _: Any = None) -> None:
        if name == _ASKS:
            load_the_rest()


_waiting = _Waiting()


@contextmanager
def in_part() -> Iterator[None]:
    """Where torch is first imported within, a part of it is put off."""
    if "torch" in sys.modules:
        yield
        return
    finder = _PuttingOff()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        if isinstance(sys.modules.get(_PUT_OFF), _Later):
            sys.meta_path.insert(0, _waiting)


def load_the_rest() -> None:
    """Load what was put off, if anything was."""
    if isinstance(sys.modules.get(_PUT_OFF), _Later):
        _load()


def _load() -> ModuleType:
    sys.meta_path[:] = [
        finder for finder in sys.meta_path if not isinstance(finder, _PuttingOff | _Waiting)
    ]
    if isinstance(sys.modules.get(_PUT_OFF), _Later):
        del sys.modules[_PUT_OFF]
    return importlib.import_module(_PUT_OFF)
