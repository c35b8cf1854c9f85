"""Write results to files, whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path

from hafloc.errors import OutputError


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` into `path`, replacing what is there only once all is on disk.

    Raises OutputError.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}; choose another folder or free some space"
        ) from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
