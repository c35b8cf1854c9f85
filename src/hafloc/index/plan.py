"""What a folder's files mean for an index: new, replaced, moved, to be read anew, or gone."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hafloc.errors import PhotoError
from hafloc.index.paths import PhotoPaths
from hafloc.index.records import Held
from hafloc.photos import Frame, PhotoFile, PhotoUrl, file_name, split_name


@dataclass(frozen=True, slots=True)
class Skipped:
    """A photo that cannot be stored, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A photo's file as a scan found it.

    `name` is how the index writes it down, `inside` its path within the folder with forward
    slashes; `bytes` and `modified` (nanoseconds since 1970) those of the file; `stated` the
    fingerprint of what its table row and name say, see `Positions.stated`. A server may not tell
    bytes or time: then they are None. The records of a film have its `stated` once they are all
    there.
    """

    name: str
    inside: str
    path: PhotoFile
    bytes: int | None
    modified: int | None
    stated: str
    is_film: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """A record whose vector stays, since `file` has the very bytes that it was made from.

    `restated` says that its metadata is to be read anew.
    """

    id: int
    file: ScannedFile
    restated: bool
    moved: bool


# All records of one file: a photo's only one, or the views of a panorama.
Group = tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with the files of a scan.

    `describe` are new photos and those in place of others, which `replaced` has by the file's name;
    `keep` are records to be brought up to date; `unchanged` counts files that need nothing, of
    films their frames; `gone` are records below the folder whose file is not there any more. The
    views of one panorama share their fate.
    """

    describe: tuple[ScannedFile, ...]
    replaced: dict[str, Group]
    keep: tuple[Kept, ...]
    unchanged: int
    gone: tuple[Held, ...]
    skipped: tuple[Skipped, ...]


def make_plan(
    held: Iterable[Held],
    files: Sequence[ScannedFile],
    *,
    content: Callable[[PhotoFile], str],
    is_gone: Callable[[str], bool],
    below: Callable[[Sequence[Held]], set[int]],
    anew: Callable[[Group], bool] = lambda group: False,
) -> Plan:
    """Compare the files of a scan with what an index holds.

    A file of known size and time is taken for unchanged; otherwise its `content` is read, and may
    raise PhotoError. A file at a new path with the content of a record whose own file `is_gone`
    has been moved. A file of known content at a new path beside its twin is a copy, to be
    described like any other. `below` tells which of the missing records lie below the folder.
    A file is to be described `anew` though it has not changed where that says so of its records.
    """
    here, elsewhere = _by_file(held, {file.name for file in files})
    lost = _Lost(elsewhere, [file for file in files if file.name not in here], is_gone)
    describe: list[ScannedFile] = []
    replaced: dict[str, Group] = {}
    keep: list[Kept] = []
    skipped: list[Skipped] = []
    unchanged = 0
    for file in files:
        before = here.get(file.name)
        try:
            same = _same(before, file, lost, content)
        except PhotoError as error:
            skipped.append(Skipped(str(file.path), str(error)))
            continue
        current = same is not None and all(_is_current(item, file) for item in same)
        if same is None or _is_mixed(same) or anew(same) or (file.is_film and not current):
            describe.append(file)
            if before is not None or same is not None:
                replaced[file.name] = same or before or ()
        elif current:
            unchanged += _photos(same)
        else:
            keep += [
                Kept(item.id, file, item.stated != file.stated, file_name(item.path) != file.name)
                for item in same
            ]
    missing = [item for item in elsewhere if item.id not in lost.taken]
    inside = below(missing) if missing else set()
    gone = tuple(item for item in missing if item.id in inside and is_gone(item.path))
    return Plan(tuple(describe), replaced, tuple(keep), unchanged, gone, tuple(skipped))


def _by_file(held: Iterable[Held], named: set[str]) -> tuple[dict[str, Group], list[Held]]:
    """The records of the files that are `named`, and all others."""
    here: dict[str, Group] = {}
    elsewhere = []
    for item in held:
        name = file_name(item.path)
        if name in named:
            here[name] = (*here.get(name, ()), item)
        else:
            elsewhere.append(item)
    return here, elsewhere


def _is_mixed(group: Group) -> bool:
    """Whether a file is held as a whole and in views as well: a build was stopped between."""
    return len(group) > 1 and any(split_name(item.path)[1] is None for item in group)


def _same(
    before: Group | None, file: ScannedFile, lost: "_Lost", content: Callable[[PhotoFile], str]
) -> Group | None:
    """The records that were made from the very bytes of `file`, if there are some to keep."""
    if before is not None:
        known = file.bytes is not None
        now = file.bytes, file.modified
        if known and all((item.bytes, item.modified) == now for item in before):
            return before
        if known and any(item.bytes not in (None, file.bytes) for item in before):
            return None
        held = content(file.path)
        return before if all(item.content == held for item in before) else None
    return lost.find(content(file.path)) if lost.may_have(file.bytes) else None


def _photos(group: Group) -> int:
    """One, or the frames of a film."""
    parts = [split_name(item.path)[1] for item in group]
    return len({part.time for part in parts if isinstance(part, Frame)}) or 1


def _is_current(held: Held, file: ScannedFile) -> bool:
    return (file_name(held.path), held.bytes, held.modified, held.stated) == (
        file.name,
        file.bytes,
        file.modified,
        file.stated,
    )


class _Lost:
    """Records without their file, which a new file may turn out to be: moved or renamed."""

    def __init__(
        self,
        elsewhere: Sequence[Held],
        new: Sequence[ScannedFile],
        is_gone: Callable[[str], bool],
    ) -> None:
        sizes = {file.bytes for file in new}
        # Only records that could match are looked for on the disk.
        wanted = [item for item in elsewhere if new and (item.bytes is None or item.bytes in sizes)]
        found = [item for item in wanted if is_gone(item.path)]
        self._sizes = {item.bytes for item in found}
        files, _ = _by_file(found, {file_name(item.path) for item in found})
        self._by_content: dict[str, list[Group]] = {}
        for group in reversed(files.values()):
            self._by_content.setdefault(group[0].content, []).append(group)
        self.taken: set[int] = set()

    def may_have(self, size: int | None) -> bool:
        return size in self._sizes or None in self._sizes

    def find(self, content: str) -> Group | None:
        left = self._by_content.get(content)
        if not left:
            return None
        found = left.pop()
        self.taken.update(item.id for item in found)
        return found


def is_gone(paths: PhotoPaths, name: str) -> bool:
    """Whether nothing lies where a record's file was; False where that cannot be looked at."""
    file = paths.file_of(name)
    try:
        if isinstance(file, PhotoUrl):
            file.stat()
        else:
            os.lstat(file)
    except (FileNotFoundError, NotADirectoryError):
        return True
    # A forbidden folder, or a drive that does not answer: the photo may well be there.
    except (OSError, ValueError):
        return False
    return False
