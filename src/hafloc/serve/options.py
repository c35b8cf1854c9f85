"""How a server is to run: what it shows, whom it lets in, and the bounds on what it accepts."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from hafloc.serve.keys import Keys


@dataclass(frozen=True, slots=True)
class Tiles:
    """Where the page gets the background of its map: a URL with {z}, {x} and {y}, and whose."""

    url: str
    attribution: str


@dataclass(frozen=True, slots=True)
class Options:
    """What `hafloc serve` was told.

    `photos` are folders, or beginnings of URLs, besides each index's own folder whose photos may
    be shown; `photos_folder` is where uploaded photos are kept (None: only what is found of them).
    `hosts` are the names under which the server may be called (None: any). Bounds: a photo's
    bytes, photos a request, all bytes of uploads held at once, photos that wait; seconds for an
    answer, for an upload, and for each piece of it.
    """

    keys: Keys = field(default_factory=Keys)
    writable: bool = False
    photos: tuple[str, ...] = ()
    photos_folder: Path | None = None
    cors: tuple[str, ...] = ()
    hosts: frozenset[str] | None = None
    root_path: str = ""
    tiles: Tiles | None = None
    pmtiles: Path | None = None
    max_photo_bytes: int = 30_000_000
    max_photos: int = 20
    max_upload_bytes: int = 600_000_000
    max_waiting: int = 64
    deadline: float = 60.0
    upload_seconds: float = 60.0
    upload_pause: float = 15.0
    workers: int = field(default_factory=lambda: min(8, (os.cpu_count() or 1) + 1))
    evidence_seconds: float = 600.0
    evidence_photos: int = 100
    evidence_bytes: int = 200_000_000

    @property
    def may_write(self) -> bool:
        """Whether anybody at all may."""
        return bool(self.keys.writing) if self.keys else self.writable
