"""Whether code of others may run: asked once for each version of it, before it runs.

Who may say yes: `allowing()` around the call, the environment (HAFLOC_TRUST=all, or what messages
call the code), a file that remembers earlier answers, or whoever `ask_by` names, such as a person
at a terminal. A yes holds for exactly that commit, or that content of a folder.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from hafloc.errors import OptionError

ENVIRONMENT = "HAFLOC_TRUST"

_allowed: ContextVar[bool] = ContextVar("allowed", default=False)
_ask: ContextVar[Callable[[str], bool] | None] = ContextVar("ask", default=None)


@contextmanager
def allowing(allowed: bool = True) -> Iterator[None]:
    """Code of others may run within, unless `allowed` is False: then nothing changes."""
    token = _allowed.set(_allowed.get() or allowed)
    try:
        yield
    finally:
        _allowed.reset(token)


def ask_by(ask: Callable[[str], bool] | None) -> None:
    """From now on `ask` answers the question whether code may run; None where nobody can."""
    _ask.set(ask)


def allow_always(allowed: bool = True) -> None:
    """From now on code of others may run unasked in this process, or not."""
    _allowed.set(allowed)


def check_consent(code: str, version: str) -> None:
    """Whether `code`, in that `version` of its content, may run; raises OptionError unless so."""
    if _allowed.get() or os.environ.get(ENVIRONMENT) in ("all", code):
        return
    line = f"{version} {code}"
    if line in _remembered():
        return
    ask = _ask.get()
    if ask is not None:
        if not ask(
            f"{code} is code by others: it can do on this computer whatever you can, and may fetch "
            "more. Run it?"
        ):
            raise OptionError(f"{code} was not run; use a network that is data only, as onnx:FILE")
        _remember(line)
        return
    raise OptionError(
        f"cannot ask whether {code} may run: it is code by others; allow it by --trust, "
        f"{ENVIRONMENT}=all, or trust=True in Python"
    )


def _file() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "hafloc" / "trusted.txt"


def _remembered() -> list[str]:
    try:
        return _file().read_text(encoding="utf-8").splitlines()
    except (OSError, RuntimeError, UnicodeDecodeError):
        return []


def _remember(line: str) -> None:
    # Who cannot write there is asked again.
    with suppress(OSError, RuntimeError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        # Added to, for another process may add at this moment; half a line says yes to nothing.
        with _file().open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
