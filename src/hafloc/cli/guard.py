"""Ends every command well: one line and one exit status for whatever went wrong or stopped it.

Nothing here imports what could itself be interrupted for long; commands load their rooms later.
"""

import errno
import io
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from hafloc.cli.output import is_terminal, tell
from hafloc.cli.statuses import BROKEN, BY_SIGNAL, REFUSED
from hafloc.errors import HaflocError, Interrupted

DEBUG = "--debug"
_SIGPIPE = 13  # Windows does not know it
_STOPPING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_SHOW_CURSOR = b"\x1b[?25h"
_LONGEST = 400  # characters of a stranger's message
_WORDS = {
    errno.EACCES: "no permission; change its permissions or choose another place",
    errno.EPERM: "no permission; change its permissions or choose another place",
    errno.EROFS: "the disk is read-only; choose another place",
    errno.ENOSPC: "the disk is full; free some space and run it again",
    errno.EDQUOT: "your share of the disk is full; free some space and run it again",
    errno.EMFILE: "too many files are open; allow more with `ulimit -n 4096`",
    errno.ENFILE: "too many files are open on this machine; close other programs",
    errno.ENOENT: "it is not there; check the path",
    errno.ENOTDIR: "a part of the path is a file, not a folder; check it",
    errno.EISDIR: "it is a folder; name a file",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ELOOP: "its links lead in a circle; name the file itself",
    errno.EIO: "the disk refused; check its health, then run it again",
    errno.ENOMEM: "there is not enough memory; close other programs",
}


def guarded(work: Callable[[list[str]], int]) -> int:
    """The exit status of `work`, called with the command line's words.

    Errors and signals become a line on standard error; with --debug among the words, or
    HAFLOC_DEBUG set, a trace goes before it. A second Ctrl-C ends the process at once.
    """
    words, debug = _without_debug(sys.argv[1:])
    _quiet_libraries(debug)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with _signals() as received, _own_warnings(debug):
        try:
            status = work(words)
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:
            return _reader_gone()
        except SystemExit as end:
            # So rich ends a process that cannot print any more.
            if isinstance(end.__context__, BrokenPipeError):
                return _reader_gone()
            raise
        except BaseException as error:
            if debug:
                traceback.print_exception(error)
            line, status = explain(error, received)
            # The output may be what fails, and must not fail once more at the very end.
            _drop_unwritten(sys.stdout)
            with suppress(OSError):
                tell(f"hafloc: {line}")
    return status


def explain(error: BaseException, received: list[int] | None = None) -> tuple[str, int]:
    """An error in one line, and the exit status for it; `received` are the signals that came."""
    if isinstance(error, HaflocError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        number = received[0] if received else int(signal.SIGINT)
        kept = f"; {error}" if isinstance(error, Interrupted) and str(error) else ""
        return f"interrupted{kept}", BY_SIGNAL + number
    if _is_out_of_memory(error):
        return (
            "there is not enough memory; close other programs, or give fewer or smaller photos",
            REFUSED,
        )
    if isinstance(error, OSError) and error.errno in _WORDS:
        return _explain_system(error), REFUSED
    return _explain_fault(error), BROKEN


def _is_out_of_memory(error: BaseException) -> bool:
    # torch's own kind, without loading torch, and its words where the processor's memory ends.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator: can't allocate memory" in str(error)
    )


def _explain_system(error: OSError) -> str:
    words = _WORDS[error.errno or 0]
    if error.filename is None:
        cause, _, cure = words.partition("; ")
        return f"a file cannot be read or written: {cause}; {cure}"
    name = error.filename if isinstance(error.filename, str) else os.fsdecode(error.filename)
    return f"cannot read or write {name}: {words}"


def _explain_fault(error: BaseException) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}…"
    url = _issues_url()
    report = f"report it at {url}" if url else "report it to its makers"
    return (
        f"something broke that should not: {text}{_place(error)}; {report}; {DEBUG} shows the trace"
    )


def _place(error: BaseException) -> str:
    """Where it broke: the innermost line of ours, else the innermost of all."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "hafloc" in frame.filename.replace("\\", "/").split("/")]
    for frame in reversed(ours or frames):
        parts = frame.filename.replace("\\", "/").split("/")
        below = len(parts) - parts[::-1].index("hafloc") - 1 if "hafloc" in parts else -1
        return f" ({'/'.join(parts[below:])}:{frame.lineno})"
    return ""


def _issues_url() -> str | None:
    from importlib.metadata import PackageNotFoundError, metadata

    with suppress(PackageNotFoundError):
        for entry in metadata("hafloc").get_all("Project-URL") or ():
            label, _, url = entry.partition(",")
            if "issue" in label.lower() or "tracker" in label.lower():
                return str(url).strip()
    return None


def _without_debug(words: list[str]) -> tuple[list[str], bool]:
    """The words without --debug, which may stand anywhere before `--`, and whether it is on."""
    end = words.index("--") if "--" in words else len(words)
    left = [word for word in words[:end] if word != DEBUG]
    wished = os.environ.get("HAFLOC_DEBUG", "").lower() not in ("", "0", "no", "false", "off")
    return left + words[end:], wished or len(left) < end


def _quiet_libraries(debug: bool) -> None:
    """Only our own warnings reach a person, as a line each; --debug shows the others' too."""
    if not debug:
        # These write to standard error by themselves, whatever Python says.
        os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    handler = _Lines()
    if not debug:
        handler.addFilter(logging.Filter("hafloc"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            tell(f"hafloc: {record.levelname.lower()}: {record.getMessage()}")


@contextmanager
def _own_warnings(debug: bool) -> Iterator[None]:
    before = warnings.showwarning
    if not debug:
        # Filters stay as they are: who turned warnings into errors still gets them.
        warnings.showwarning = lambda *_args, **_kwargs: None
    try:
        yield
    finally:
        warnings.showwarning = before


@contextmanager
def _signals() -> Iterator[list[int]]:
    """While it lasts, signals that end a process raise KeyboardInterrupt; those that came."""
    received: list[int] = []
    owner = os.getpid()
    before: dict[int, Any] = {}

    def stop(number: int, _frame: FrameType | None) -> None:
        # From now on the system's own way: at once, whatever the process is busy with.
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        if os.getpid() != owner:  # a forked worker, whose parent speaks for both
            os.kill(os.getpid(), number)
            return
        received.append(number)
        if is_terminal(sys.stderr):
            with suppress(OSError, ValueError):
                os.write(sys.stderr.fileno(), _SHOW_CURSOR)
        raise KeyboardInterrupt

    for name in _STOPPING:
        number = getattr(signal, name, None)
        # What nohup or a shell's `&` have turned off stays so. Threads may set no handlers.
        if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
            with suppress(ValueError):
                before[number] = signal.signal(number, stop)
    try:
        yield received
    finally:
        # After a signal its default stays: a second one ends what is still winding down.
        for number, handler in before.items():
            if not received:
                signal.signal(number, handler)


def _reader_gone() -> int:
    for stream in (sys.stdout, sys.stderr):
        _drop_unwritten(stream)
    return BY_SIGNAL + _SIGPIPE


def _drop_unwritten(stream: object) -> None:
    """Let the interpreter's last flush succeed where the stream cannot be written to any more."""
    try:
        if stream is not None:
            stream.flush()  # type: ignore[attr-defined]
    except (OSError, ValueError):
        with suppress(OSError, ValueError, AttributeError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())  # type: ignore[attr-defined]
            os.close(null)
