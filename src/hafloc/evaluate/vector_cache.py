"""Vectors on disk, so that an evaluation goes on where it stopped and a second one is quick.

One SQLite file a network and its options; a vector's key is what its pixels come from (the file's
content and the steps from file to network), so vectors of different networks or protocols cannot
mix and moved files are found again.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import EvaluationError
from hafloc.evaluate.benchmark import Picture
from hafloc.files import make_folder
from hafloc.photos import content

Vector = NDArray[np.float32]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files
    (path BLOB PRIMARY KEY, size INTEGER, changed INTEGER, content TEXT) WITHOUT ROWID;
"""


class VectorCache:
    """The vectors `[D]` float32 of one network, by key; use as a context."""

    def __init__(self, folder: Path, model_hash: str, options: str, dimension: int) -> None:
        identity = hashlib.blake2b(f"{model_hash} {options} {dimension}".encode(), digest_size=16)
        self._path = folder / f"{identity.hexdigest()}.sqlite"
        self._bytes = 4 * dimension
        make_folder(folder, "name another --cache")
        with self._troubles():
            self._connection = sqlite3.connect(self._path, timeout=30)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def keys(self, pictures: Iterable[Picture]) -> list[bytes]:
        """The key of each picture. A file unchanged in size and time is not read again.

        Raises PhotoError naming a file that cannot be read.
        """
        keys = []
        with self._troubles(), self._connection:
            known = self._files()
            for picture in pictures:
                text = f"{self._content(picture.path, known)} {picture.recipe}"
                keys.append(hashlib.blake2b(text.encode(), digest_size=16).digest())
        return keys

    def _files(self) -> dict[bytes, tuple[int, int, str]]:
        found = self._connection.execute("SELECT path, size, changed, content FROM files")
        return {path: (size, changed, text) for path, size, changed, text in found}

    def _content(self, path: Path, known: dict[bytes, tuple[int, int, str]]) -> str:
        name = os.fsencode(path.absolute())  # a name need not be text
        try:
            status = path.stat()
        except OSError:
            return content(path)  # which says why
        stamp = status.st_size, status.st_mtime_ns
        if name not in known or known[name][:2] != stamp:
            known[name] = (*stamp, content(path))
            self._connection.execute(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (name, *known[name])
            )
        return known[name][2]

    def get(self, keys: Iterable[bytes]) -> Iterator[tuple[bytes, Vector]]:
        """The vectors that there are."""
        with self._troubles():
            for key in keys:
                row = self._connection.execute(
                    "SELECT vector FROM vectors WHERE key = ?", (key,)
                ).fetchone()
                if row is not None and len(row[0]) == self._bytes:
                    yield key, np.frombuffer(row[0], dtype="<f4")

    def put(self, vectors: Mapping[bytes, Vector]) -> None:
        """Store vectors in one transaction."""
        with self._troubles(), self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?)",
                [(key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()],
            )

    @contextmanager
    def _troubles(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise EvaluationError(
                f"cannot use the cache {self._path}: {error}; remove it, or name another --cache"
            ) from error
