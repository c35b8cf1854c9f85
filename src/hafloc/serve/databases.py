"""The databases that are served: each by its name, opened anew when its file or what it learned
is another, and shared by all requests."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from hafloc.description import FeatureMaker
from hafloc.errors import HaflocError, IndexFileError
from hafloc.index import GeoIndex, folder_of, model_info, open_index, origin_of
from hafloc.locate import Localizer, shipped_calibrations
from hafloc.serve.files import AllowedPaths, allowed_paths
from hafloc.serve.problems import BAD_PARAMETER, NOT_FOUND, Problem

# Whether a file was replaced, or has learned, is looked at no more often than this.
_LOOK_S = 2.0

Told = TypeVar("Told")
OpenNetwork = Callable[[str], Localizer]


@dataclass(slots=True, eq=False)
class _Opened:
    """An open localizer, and how many are using it."""

    localizer: Localizer
    stamp: tuple[tuple[int, int] | None, bytes | None]
    users: int = 0
    retired: bool = False


@dataclass(slots=True, eq=False)
class Database:
    """One database by its name."""

    name: str
    location: str
    paths: AllowedPaths
    _open: OpenNetwork = field(repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _opened: _Opened | None = None
    _looked: float = 0.0

    @contextmanager
    def lent(self) -> Iterator[Localizer]:
        """The localizer, open for as long as the block lasts. Raises IndexFileError."""
        with self._lock:
            opened = self._current()
            opened.users += 1
        try:
            yield opened.localizer
        finally:
            with self._lock:
                opened.users -= 1
                if opened.retired and not opened.users:
                    opened.localizer.close()

    def close(self) -> None:
        with self._lock:
            self._retire()

    def facts(self) -> dict[str, Any]:
        """What GET /v1/databases tells of it. Raises IndexFileError."""
        with self.lent() as localizer:
            index = localizer.index
            info = index.info()
            return {
                "name": self.name,
                "photos": info.photos,
                "bbox": None if info.bounds is None else [float(edge) for edge in info.bounds],
                "model": info.model.name,
                "dimension": info.model.dimension,
                "calibration": _calibration(index),
                "verifies": info.verifiable > 0,
            }

    @property
    def places(self) -> dict[str, str]:
        """Where the database lies, in all ways that errors say that, with what clients are told."""
        folder = folder_of(self.location)
        return {self.location: self.name, str(Path(self.location).absolute()): self.name} | (
            {} if folder is None else {f"{folder}{os.sep}": ""}
        )

    def _current(self) -> _Opened:
        now = time.monotonic()
        if self._opened is not None and now - self._looked < _LOOK_S:
            return self._opened
        self._looked = now
        file = self._file()
        if self._opened is None or self._opened.stamp != (file, _learned(self._opened.localizer)):
            self._retire()
            localizer = self._open(self.location)
            self._opened = _Opened(localizer, (file, _learned(localizer)))
        return self._opened

    def _retire(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.retired = True
            if not opened.users:
                opened.localizer.close()

    def _file(self) -> tuple[int, int] | None:
        """Which file it is; None where it is none."""
        with suppress(OSError, ValueError):
            seen = Path(self.location).stat()
            return seen.st_dev, seen.st_ino
        return None


def _learned(localizer: Localizer) -> bytes | None:
    """What tells one calibration from another."""
    with suppress(HaflocError):
        text = localizer.index.calibration()
        return None if text is None else hashlib.blake2b(text.encode()).digest()
    return None


def _calibration(index: GeoIndex) -> str | None:
    text = index.calibration()
    if origin_of(text, index.model.hash) is not None:
        return "own"
    return "shipped" if shipped_calibrations(index.model.hash) else None


class Databases:
    """All databases of a server, in the order in which they were named."""

    def __init__(
        self,
        locations: Sequence[str],
        open_network: Callable[[str, AllowedPaths], Localizer],
        photos: Sequence[str] = (),
    ) -> None:
        self._by_name: dict[str, Database] = {}
        for location in locations:
            name = self._free_name(location)
            paths = allowed_paths(location, photos)

            def opened(at: str, paths: AllowedPaths = paths) -> Localizer:
                return open_network(at, paths)

            self._by_name[name] = Database(name, location, paths, opened)

    def __iter__(self) -> Iterator[Database]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def open(self) -> None:
        """Open all of them. Raises HaflocError for the first that cannot be."""
        for database in self:
            with database.lent():
                pass

    def close(self) -> None:
        for database in self:
            database.close()

    def one(self, name: str | None) -> Database:
        """The database of that name, or the only one where none is named. Raises Problem."""
        if name is None:
            if len(self) > 1:
                raise Problem(
                    BAD_PARAMETER, f"several databases are served ({self._known()}); name one"
                )
            return next(iter(self))
        if name not in self._by_name:
            raise Problem(NOT_FOUND, f"there is no database {name!r}; there are {self._known()}")
        return self._by_name[name]

    def several(self, names: Sequence[str]) -> list[Database]:
        """Those of that names, or all for "*". Raises Problem."""
        if "*" in names:
            return list(self)
        return [self.one(name) for name in dict.fromkeys(names)] or [self.one(None)]

    def readable(self, tell: Callable[[Database], Told]) -> list[Told]:
        """What is told of each that can be read now: one that is gone does not hide the others.

        Raises IndexFileError where none can be.
        """
        told, errors = [], []
        for database in self:
            try:
                told.append(tell(database))
            except IndexFileError as error:
                errors.append(error)
        if errors and not told:
            raise errors[0]
        return told

    def words(self, text: str) -> str:
        """The text of an error without where on this machine anything lies."""
        places = {place: told for database in self for place, told in database.places.items()}
        # The longest first: one database's folder may hold another's.
        for place in sorted(places, key=len, reverse=True):
            text = text.replace(place, places[place])
        return text

    def _known(self) -> str:
        return ", ".join(self._by_name)

    def _free_name(self, location: str) -> str:
        end = location.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
        stem = (
            "".join(
                letter if letter.isalnum() or letter in "-_." else "-"
                for letter in end.removesuffix(".gpkg")
            )
            or "photos"
        )
        name, number = stem, 2
        while name in self._by_name:
            name, number = f"{stem}-{number}", number + 1
        return name


class SharedNetworks:
    """Opens localizers, of which those of one network share it."""

    def __init__(self, open_describer: Callable[[str, str], FeatureMaker]) -> None:
        self._open_describer = open_describer
        self._lock = threading.Lock()
        self._by_hash: dict[str, FeatureMaker] = {}

    def localizer(self, location: str, paths: AllowedPaths) -> Localizer:
        """A localizer of the index at `location`, which reads only what `paths` leads to."""
        with open_index(location) as index:
            model = index.model
        with self._lock:
            describer = self._by_hash.get(model.hash)
            if describer is None:
                describer = self._open_describer(location, model.name)
        info = model_info(cast(Any, describer))
        opened = open_index(location, model=info)
        with self._lock:
            self._by_hash.setdefault(info.hash, describer)
        return Localizer(opened, describer, paths=paths)
