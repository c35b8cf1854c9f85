"""What an answer rests on, by link: photos kept in memory for minutes, bounded, never on disk."""

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hafloc.locate import Answer
from hafloc.photos import PhotoUrl
from hafloc.serve.databases import Database
from hafloc.serve.problems import NOT_FOUND, Problem


def _gone() -> Problem:
    return Problem(
        NOT_FOUND, "this evidence is not kept any more; locate the photo again with evidence=true"
    )


@dataclass(frozen=True, slots=True, order=True)
class HeldPhoto(PhotoUrl):
    """An uploaded photo that is nowhere but in memory, read as one behind a URL is."""

    data: bytes = field(default=b"", repr=False, compare=False)

    def read_bytes(self) -> bytes:
        return self.data

    def exists(self) -> bool:
        return True


@dataclass(slots=True, eq=False)
class Heat:
    """The heat maps of a photo by level, on the half-resolution grid of an image of `size`."""

    maps: dict[str, NDArray[np.float32]]
    size: tuple[int, int]


@dataclass(slots=True, eq=False)
class Kept:
    """A photo with its answer, until `ends` (of the monotonic clock)."""

    token: str
    photo: HeldPhoto
    answer: Answer
    database: Database
    ends: float
    expires: datetime
    heat: Heat | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bytes(self) -> int:
        return len(self.photo.data)

    def links(self, root: str) -> dict[str, Any]:
        here = f"{root}/v1/evidence/{self.token}"
        return {
            "id": self.token,
            "expires": self.expires.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "matches": f"{here}/matches?rank={{rank}}",
            "attention": f"{here}/attention?level={{level}}",
            "photo": f"{here}/photo",
        }


class Evidence:
    """Photos that clients asked to be kept: at most so many, of so many bytes, for so long.

    Where one more comes, the oldest goes. Safe in threads.
    """

    def __init__(self, photos: int, size: int, seconds: float) -> None:
        self._photos = photos
        self._size = size
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def __len__(self) -> int:
        with self._lock:
            self._forget()
            return len(self._kept)

    def keep(self, name: str, data: bytes, answer: Answer, database: Database) -> Kept | None:
        """None where the photo alone is larger than all that may be kept."""
        if len(data) > self._size or not self._photos:
            return None
        token = secrets.token_urlsafe(24)
        kept = Kept(
            token,
            HeldPhoto(f"memory://{name}", data),
            answer,
            database,
            time.monotonic() + self._seconds,
            datetime.now(UTC) + timedelta(seconds=self._seconds),
        )
        with self._lock:
            self._kept[token] = kept
            self._forget()
        return kept

    def get(self, token: str) -> Kept:
        """Raises Problem where it is not there any more, or never was."""
        with self._lock:
            self._forget()
            kept = self._kept.get(token)
        if kept is None:
            raise _gone()
        return kept

    def remove(self, token: str) -> None:
        """Raises Problem where it is not there."""
        with self._lock:
            if self._kept.pop(token, None) is None:
                raise _gone()

    def forget_old(self) -> None:
        """Let go of what has expired: to be called now and then, also where nobody asks."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        now = time.monotonic()
        size = sum(kept.bytes for kept in self._kept.values())
        for token, kept in list(self._kept.items()):
            if kept.ends > now and len(self._kept) <= self._photos and size <= self._size:
                break
            size -= kept.bytes
            del self._kept[token]
