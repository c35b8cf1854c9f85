"""Which records no longer tell of the file that they were made from."""

from collections.abc import Iterator
from dataclasses import dataclass

from hafloc.errors import PhotoError
from hafloc.index.paths import PhotoPaths
from hafloc.index.records import GeoIndex, Held
from hafloc.photos import REQUESTS, content, split_name
from hafloc.prefetch import prefetch
from hafloc.progress import Progress, Silent

_NAMED = 5  # how many photos a message names


@dataclass(frozen=True, slots=True)
class Stale:
    """Paths of records by what became of their files.

    `changed` ones hold something else now, `missing` ones are not there, `unreadable` ones cannot
    be looked at. `compared` is how many files there were to look for.
    """

    changed: tuple[str, ...]
    missing: tuple[str, ...]
    unreadable: tuple[str, ...]
    compared: int = 0

    def in_words(self, pictures: int = 0) -> Iterator[str]:
        """A line for each kind that there is: how many, the first few, and what to do.

        An index that has small `pictures` was made to do without its photos.
        """
        missing = self.missing
        if missing and (pictures or len(missing) == self.compared):
            yield self._not_here(pictures)
            missing = ()
        for paths, what, cure in (
            (self.changed, "now hold something else", "run `hafloc index build` again"),
            (missing, "are gone", "`hafloc index build --prune` takes them out"),
            (self.unreadable, "cannot be read", "check their permissions"),
        ):
            if paths:
                named = ", ".join(paths[:_NAMED]) + (", …" if len(paths) > _NAMED else "")
                yield f"{len(paths):,} of the photos' files {what}: {named}; {cure}"

    def _not_here(self, pictures: int) -> str:
        count = len(self.missing)
        if count < self.compared:
            said = f"{count:,} of the photos' files are not here"
        else:
            said = "none of the photos' files is here"
        if pictures:
            return f"{said}; {pictures:,} small pictures in the index stand for them"
        return f"{said}, which a shared index does without; or is their disk not connected?"


def find_stale(index: GeoIndex, paths: PhotoPaths, *, progress: Progress | None = None) -> Stale:
    """Compare each record with its file: size and time, and the content where these differ."""
    progress = progress or Silent()
    found: dict[str, list[str]] = {"changed": [], "missing": [], "unreadable": []}
    progress.start("comparing files", index.count())
    looked = prefetch(
        _once_a_file(index),
        lambda held: None if held is None else _state(held, paths),
        4 * REQUESTS,
        REQUESTS,
    )
    compared = 0
    for done, (held, state) in enumerate(looked, 1):
        compared += held is not None
        if held is not None and state is not None:
            found[state].append(split_name(held.path)[0])
        progress.advance(done)
    return Stale(**{kind: tuple(names) for kind, names in found.items()}, compared=compared)


def _once_a_file(index: GeoIndex) -> Iterator[Held | None]:
    """The records, with None for further views of a panorama: they all lie in one file."""
    seen: set[tuple[str, str, int | None]] = set()
    for held in index.held():
        name, view = split_name(held.path)
        key = name, held.content, held.modified
        yield None if view is not None and key in seen else held
        if view is not None:
            seen.add(key)


def _state(held: Held, paths: PhotoPaths) -> str | None:
    file = paths.file_of(held.path)
    try:
        status = file.stat()
        if (held.bytes, held.modified) == (status.st_size, status.st_mtime_ns):
            return None
        return None if content(file) == held.content else "changed"
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except (OSError, ValueError, PhotoError):
        return "unreadable"
