"""What a server logs: JSON lines on standard error, without positions, names of files or keys."""

import json
import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO


class Log:
    """Writes one JSON object a line. Safe in threads."""

    def __init__(self, stream: TextIO | None = None, *, debug: bool = False) -> None:
        self._stream = stream
        self._debug = debug
        self._lock = threading.Lock()

    def write(self, event: str, **facts: Any) -> None:
        """`facts` are numbers and fixed words; nothing that a client or a photo has said."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"time": now, "event": event, **facts})
        stream = self._stream or sys.stderr
        try:
            with self._lock:
                print(line, file=stream, flush=True)
        except (OSError, ValueError, AttributeError):
            pass  # whoever reads the log has gone; that ends no request

    def fault(self, error: BaseException) -> None:
        """That something of ours is broken: its kind and the lines that led there. What it says
        may tell of photos, so that is written with --debug alone."""
        trace = [
            f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)
        ]
        facts: dict[str, Any] = {"kind": type(error).__name__, "trace": trace[-12:]}
        if self._debug:
            facts["detail"] = str(error)
        self.write("fault", **facts)

    @contextmanager
    def of_libraries(self) -> Iterator[None]:
        """What rooms below and libraries warn of comes as lines of this log, while it lasts: who
        warned and where, and what it says, which may name files, with --debug alone."""
        root = logging.getLogger()
        before = root.handlers
        root.handlers = [_Handler(self, self._debug)]
        try:
            yield
        finally:
            root.handlers = before


class _Handler(logging.Handler):
    def __init__(self, log: Log, debug: bool) -> None:
        super().__init__(logging.WARNING)
        self._log, self._debug = log, debug

    def emit(self, record: logging.LogRecord) -> None:
        facts: dict[str, Any] = {"by": record.name, "line": f"{record.filename}:{record.lineno}"}
        if self._debug:
            facts["detail"] = record.getMessage()
        self._log.write(record.levelname.lower(), **facts)
