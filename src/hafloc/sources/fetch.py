"""Bring chosen photos of a source into a folder: what is there already is never fetched again."""

import hashlib
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from hafloc.errors import Interrupted, OutputError, PhotoError, SourceError
from hafloc.files import make_folder, write_whole
from hafloc.photos import as_photo
from hafloc.progress import Progress, Silent
from hafloc.sources.choose import choose
from hafloc.sources.street_photo import Source, StreetPhoto, Wanted
from hafloc.sources.table import Row, read_rows, row_of, write_credits, write_rows
from hafloc.sources.web import CONNECTIONS, Web

LOCK = ".hafloc-fetch.lock"
# Photos whose length is asked for, where the list of photos does not tell.
_SAMPLED = 8
# Rows are written ahead of so many photos, or of a share of those that are there: a table of a
# million rows must not be written anew for every few photos.
_AHEAD, _SHARE = 32, 0.1
_PLAIN = re.compile(r"[0-9a-z_-]{1,80}")
# Failures in a row, without one success, after which a source is given up.
_GIVEN_UP = 20


@dataclass(frozen=True, slots=True)
class Offer:
    """What a fetch would bring: `photos` in all, of which `held` lie in the folder already.

    `bytes` of the others is an estimate, None where nobody says. `licences` counts the photos
    under each; None stands for those whose licence is not known. `producers` is how many
    there are.
    """

    photos: tuple[StreetPhoto, ...]
    held: int
    bytes: int | None
    licences: dict[str | None, int]
    producers: int


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What was brought: numbers of photos and bytes, and what failed, a line each."""

    fetched: int
    held: int
    bytes: int
    failed: tuple[str, ...] = ()


def offer(
    source: Source,
    wanted: Wanted,
    folder: Path,
    web: Web,
    *,
    every: float | None = None,
    most: int | None = None,
    progress: Progress | None = None,
) -> Offer:
    """What `source` has of what is `wanted` and not too much alike; see `choose`.

    Raises SourceError where it does not answer, OptionError where the folder's table is not ours.
    """
    progress = progress or Silent()
    read_rows(folder)  # before anything is asked of anybody
    progress.start("listing", 0)
    listed: list[StreetPhoto] = []
    for photo in source.photos(wanted):
        listed.append(photo)
        if len(listed) % 100 == 0:
            progress.advance(len(listed))

    def is_held(photo: StreetPhoto) -> bool:
        return (folder / file_name(source, photo)).is_file()

    held = frozenset(photo.id for photo in listed if is_held(photo))
    photos = choose(listed, every=every, most=most, held=held)
    missing = [photo for photo in photos if photo.id not in held]
    return Offer(
        tuple(photos),
        len(photos) - len(missing),
        _estimate(missing, web),
        dict(Counter(photo.licence for photo in photos)),
        len({photo.producer for photo in photos if photo.producer}),
    )


def fetch(
    source: Source,
    photos: Sequence[StreetPhoto],
    folder: Path,
    web: Web,
    *,
    progress: Progress | None = None,
) -> FetchReport:
    """Bring `photos` into `folder`, with their positions and credits beside them.

    A photo's file appears whole and only once it has been looked at; what lies there already is
    left alone, so that whatever ends it, it is simply run again. Photos that cannot be had are
    listed, and the rest goes on. Raises OutputError where the folder cannot be written,
    SourceError where one photo after another fails, Interrupted on Ctrl-C.
    """
    make_folder(folder, "name another folder for the photos")
    with _alone(folder):
        return _Fetch(source, folder, web, progress or Silent()).run(photos)


def file_name(source: Source, photo: StreetPhoto) -> str:
    """The name of a photo's file: no other source's, and none that leaves the folder."""
    if _PLAIN.fullmatch(photo.id):
        return f"{source.name}-{photo.id}.jpg"
    digest = hashlib.blake2b(photo.id.encode("utf-8", "surrogatepass"), digest_size=16)
    return f"{source.name}-{digest.hexdigest()}.jpg"


class _Fetch:
    """One run: what is there, what is on its way, and the rows of both."""

    def __init__(self, source: Source, folder: Path, web: Web, progress: Progress) -> None:
        self._source, self._folder, self._web = source, folder, web
        self._progress = progress
        self._rows: dict[str, Row] = {
            name: row for name, row in read_rows(folder).items() if (folder / name).is_file()
        }
        self._fetched = self._bytes = 0
        self._failed: list[str] = []
        self._in_a_row = 0
        self._ahead: dict[str, Row] = {}
        self._stop = threading.Event()

    def run(self, photos: Sequence[StreetPhoto]) -> FetchReport:
        named = {file_name(self._source, photo): photo for photo in photos}
        missing = [name for name in named if not (self._folder / name).is_file()]
        held = {name: row_of(named[name], name) for name in named.keys() - set(missing)}
        self._rows |= held
        self._progress.start("fetching", len(missing))
        done = 0
        try:
            while done < len(missing):
                ahead = max(_AHEAD, round(len(self._rows) * _SHARE))
                batch = missing[done : done + ahead]
                # The rows first: a photo must never lie there without its credit.
                self._ahead = {name: row_of(named[name], name) for name in batch}
                write_rows(self._folder, (self._rows | self._ahead).values())
                self._bring({name: named[name] for name in batch})
                done += len(batch)
        except KeyboardInterrupt as stop:
            raise Interrupted(
                f"{len(self._rows):,} photos are in {self._folder}; "
                "run the same command again to go on"
            ) from stop
        finally:
            self._close()
        return FetchReport(self._fetched, len(held), self._bytes, tuple(self._failed))

    def _close(self) -> None:
        # Those as well which came while the work was being stopped.
        self._rows |= {
            name: row for name, row in self._ahead.items() if (self._folder / name).is_file()
        }
        # On a full disk the table that was written ahead stays, which holds all that is needed.
        with suppress(OutputError):
            write_rows(self._folder, self._rows.values())
            write_credits(self._folder, self._rows.values())

    def _bring(self, batch: dict[str, StreetPhoto]) -> None:
        threads = ThreadPoolExecutor(CONNECTIONS, "fetch")
        try:
            waiting = {
                threads.submit(self._one, name, photo): name for name, photo in batch.items()
            }
            while waiting:
                ready, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for outcome in ready:
                    name = waiting.pop(outcome)
                    self._take(name, outcome)
        except BaseException:
            self._stop.set()
            self._web.stop()
            raise
        finally:
            threads.shutdown(cancel_futures=True)

    def _one(self, name: str, photo: StreetPhoto) -> int:
        if self._stop.is_set():
            return 0
        data = self._web.photo(photo.image_url, size=photo.bytes, sha256=photo.sha256)
        # Decoded small, which reads it to its end all the same.
        as_photo(data, name=photo.source_url, longer_side=64)
        if not self._stop.is_set():
            write_whole(self._folder / name, data)
        return len(data)

    def _take(self, name: str, outcome: "Future[int]") -> None:
        try:
            self._bytes += outcome.result()
        except (SourceError, PhotoError) as error:
            self._failed.append(f"skipped {name}: {error}")
            self._in_a_row += 1
            if self._in_a_row >= _GIVEN_UP:
                raise SourceError(
                    f"cannot fetch from {self._source.said}: {self._in_a_row:,} photos in a row "
                    f"failed; the last: {error}"
                ) from error
        else:
            self._in_a_row = 0
            self._fetched += 1
            self._rows[name] = self._ahead[name]
        self._progress.advance(self._fetched + len(self._failed))


def _estimate(photos: Sequence[StreetPhoto], web: Web) -> int | None:
    """How many bytes photos have, by what their list says or by asking for a few."""
    known = [photo.bytes for photo in photos if photo.bytes is not None]
    unknown = [photo for photo in photos if photo.bytes is None]
    if not unknown:
        return sum(known)
    step = max(1, len(unknown) // _SAMPLED)
    asked = (web.size(photo.image_url) for photo in unknown[::step][:_SAMPLED])
    sizes = [size for size in asked if size is not None]
    sizes = sizes or known
    if not sizes:
        return None
    return sum(known) + round(sum(sizes) / len(sizes) * len(unknown))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder for this process alone. Raises OutputError while another has it."""
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputError(
            f"cannot fetch into {folder}: another process is fetching into it; wait for it"
        ) from error
    except OSError as error:
        raise OutputError(
            f"cannot write {folder}: {error.strerror}; name another folder for the photos"
        ) from error
    try:
        # What a killed process left half-written.
        for left in folder.glob(".????????????????.part"):
            with suppress(OSError):
                left.unlink()
        yield
    finally:
        lock.release()


def check_room(folder: Path, bytes_: int | None) -> None:
    """Raises OutputError where a folder's disk has less room than so many bytes."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if bytes_ is not None and free < bytes_:
        raise OutputError(
            f"cannot fetch into {folder}: about {bytes_ / 1e6:,.0f} MB are wanted and "
            f"{free / 1e6:,.0f} MB are free; fetch fewer (--every, --most), or name another disk"
        )
