"""Calls to one server of Milvus: opened when first needed, tried again, failing in one line."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from hafloc.errors import HaflocError, IndexBusyError, IndexFileError, MissingExtraError, reason_of
from hafloc.index.milvus.address import Address

# The engine's codes (of pymilvus and of Milvus' merr package) for what passes by itself: no
# connection, not started yet, loading after a restart, too many requests, a node gone, a channel
# on its way to another node. Not for a full disk or memory.
_PASSING = {1, 2, 4, 5, 8, 103, 106, 402, 500, 501, 502, 503, 504, 901, 903}
_NOT_LOADED = 101
_UNLOADED_WORDS = ("not loaded", "been loaded", "is in state 'released'")
_NOT_FOUND = 100
_REFUSED_WORDS = ("auth", "permission", "privilege", "token")
_PASSING_WORDS = (
    *("no available", "not ready", "not healthy", "recovering", "shard leader", "node offline"),
    *("not fully loaded", "connection refused", "unavailable", "fail to get shard", "no streaming"),
    *("channel not available", "node not found", "not match", "deadline exceeded", "timed out"),
)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_LONGEST_REASON = 200
_LITE_LOCKED = ("lock", "another process", "in use")


class Server:
    """Where a collection lies; any number of threads may call at once."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._client: Any = None
        self._process = 0
        self._closed = False

    def has(self, collection: str) -> bool:
        return bool(self.call("look at", "has_collection", collection_name=collection))

    def version(self) -> str:
        """What answers: "Milvus 2.3.5"."""
        said = str(self.call("look at", "get_server_version"))
        name, _, number = said.rpartition("-") if said.startswith("milvus_lite") else ("", "", said)
        return f"Milvus {'Lite ' if name else ''}{number.removeprefix('v')}"

    def call(self, doing: str, method: str, **arguments: Any) -> Any:
        """What a method of pymilvus' client answers, tried again until the time is up.

        All that is called may be done twice: rows are put by their ids. Raises IndexFileError.
        """
        end = time.monotonic() + self.address.timeout
        pause = _FIRST_PAUSE
        while True:
            left = max(end - time.monotonic(), 0.05)
            try:
                return getattr(self._connected(left), method)(timeout=left, **arguments)
            except HaflocError:
                raise
            except Exception as error:  # pymilvus raises its own, grpc's, and what lies below
                if not self._passes(error, end, arguments):
                    raise self._last_word(doing, error, arguments) from error
            time.sleep(min(pause, max(end - time.monotonic(), 0.0)))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def close(self) -> None:
        """Leave the server; what is called after it raises IndexFileError."""
        with self._lock:
            self._closed = True
            client, self._client = self._client, None
        if client is not None and self._process == os.getpid():
            client.close()

    def _connected(self, timeout: float) -> Any:
        with self._lock:
            if self._closed:
                raise IndexFileError(
                    f"cannot use {self.address.location}: it was closed; open it again"
                )
            # A child of this process must not talk on its parent's wire.
            if self._client is None or self._process != os.getpid():
                self._client = self._connect(timeout)
                self._process = os.getpid()
            return self._client

    def _connect(self, timeout: float) -> Any:
        pymilvus = library()
        address = self.address
        if address.folder is not None and not address.folder.absolute().parent.is_dir():
            folder = address.folder.absolute().parent
            raise IndexFileError(
                f"cannot open {address.location}: there is no folder {folder}; make it first"
            )
        _lite_said.error = None
        try:
            return pymilvus.MilvusClient(address.uri, timeout=timeout, **address.credentials)
        except Exception as error:
            if _lite_said.error is not None:
                raise _lite_said.error from error
            raise

    def _passes(self, error: Exception, end: float, arguments: dict[str, Any]) -> bool:
        if time.monotonic() >= end:
            return False
        code, text = _code(error), str(error).lower()
        unloaded = code == _NOT_LOADED or any(word in text for word in _UNLOADED_WORDS)
        if unloaded and "collection_name" in arguments:
            self._load(arguments["collection_name"], end)
            return True
        if self.address.folder is not None:
            return False
        if code == _NOT_FOUND or any(word in text for word in _REFUSED_WORDS):
            return False
        return code in _PASSING or any(word in text for word in _PASSING_WORDS)

    def _load(self, collection: str, end: float) -> None:
        left = max(end - time.monotonic(), 0.05)
        try:
            self._connected(left).load_collection(collection, timeout=left)
        except HaflocError:
            raise
        except Exception as error:  # the call that needed it tells, when its time is up
            logging.getLogger(__name__).debug("loading %s: %s", collection, error)

    def _last_word(self, doing: str, error: Exception, arguments: dict[str, Any]) -> IndexFileError:
        location = self.address.location
        reason = _short(error)
        if _code(error) == _NOT_FOUND:
            return IndexFileError(
                f"cannot {doing} {location}: there is no collection "
                f"{arguments.get('collection_name', self.address.collection)}; make it with "
                "`hafloc index build`"
            )
        if any(word in reason.lower() for word in _REFUSED_WORDS):
            return IndexFileError(
                f"cannot {doing} {location}: {reason}; give MILVUS_TOKEN, or MILVUS_USER and "
                "MILVUS_PASSWORD"
            )
        if self.address.folder is not None:
            if any(word in reason.lower() for word in _LITE_LOCKED):
                return IndexBusyError(
                    f"cannot {doing} {location}: another process has it open; wait for it, or "
                    "take a server"
                )
            return IndexFileError(
                f"cannot {doing} {location}: {reason}; `hafloc index verify` checks the folder"
            )
        if _code(error) in _PASSING or any(word in reason.lower() for word in _PASSING_WORDS):
            return IndexFileError(
                f"cannot {doing} {location}: no answer for {self.address.timeout:,.0f} seconds "
                f"({reason}); see that the server runs, and run it again"
            )
        return IndexFileError(f"cannot {doing} {location}: {reason}; see the server's log")


def library() -> Any:
    """pymilvus, quiet; raises MissingExtraError where it is not installed."""
    try:
        found = import_module("pymilvus")
    except ImportError as error:
        raise MissingExtraError(
            "an index in Milvus needs pymilvus; pip install hafloc[milvus]"
        ) from error
    # It writes every failed attempt with its traceback; whoever wants that adds a handler.
    for name in ("pymilvus", *logging.root.manager.loggerDict):
        if name.partition(".")[0] == "pymilvus":
            _silence(logging.getLogger(name), logging.NullHandler())
    _silence(logging.getLogger(_LITE), _lite_said)
    return found


class _LastSaid(logging.Handler):
    """Keeps what was last told of Milvus Lite, which tells its log alone why none opens."""

    error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.error = record.exc_info[1]


_LITE = "milvus_lite"
_lite_said = _LastSaid()


def _silence(logger: logging.Logger, handler: logging.Handler) -> None:
    if getattr(logger, "_hafloc_has_silenced", False):
        return
    logger.handlers = [handler]
    logger.propagate = "." in logger.name
    logger._hafloc_has_silenced = True  # type: ignore[attr-defined]


def _code(error: BaseException) -> int | None:
    # The client's own refusals have the code of a server that has not started.
    if type(error).__name__ in ("ParamError", "DataNotMatchException"):
        return None
    code = getattr(error, "code", None)
    return code if isinstance(code, int) else None


def _short(error: BaseException) -> str:
    message = getattr(error, "message", None)
    text = " ".join(message.split()) if isinstance(message, str) and message else reason_of(error)
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 1] + "…"


@contextmanager
def leaving(server: Server) -> Iterator[Server]:
    """The server, closed where what is done with it fails."""
    try:
        yield server
    except BaseException:
        server.close()
        raise
