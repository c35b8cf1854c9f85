"""What a folder's files mean for an index: new, replaced, moved, to be read anew, or gone."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hafloc.errors import PhotoError
from hafloc.index.paths import PhotoPaths
from hafloc.index.records import Held
from hafloc.photos import PhotoFile, PhotoUrl


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
    bytes or time: then they are None.
    """

    name: str
    inside: str
    path: PhotoFile
    bytes: int | None
    modified: int | None
    stated: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A record whose vector stays, since `file` has the very bytes that it was made from.

    `restated` says that its metadata is to be read anew.
    """

    id: int
    file: ScannedFile
    restated: bool
    moved: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with the files of a scan.

    `describe` are new photos and those in place of another one, whose ids `replaced` has by name;
    `keep` are records to be brought up to date; `unchanged` counts those that need nothing;
    `gone` are records below the folder whose file is not there any more.
    """

    describe: tuple[ScannedFile, ...]
    replaced: dict[str, int]
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
) -> Plan:
    """Compare the files of a scan with what an index holds.

    A file of known size and time is taken for unchanged; otherwise its `content` is read, and may
    raise PhotoError. A file at a new path with the content of a record whose own file `is_gone`
    has been moved. A file of known content at a new path beside its twin is a copy, to be
    described like any other. `below` tells which of the missing records lie below the folder.
    """
    named = {file.name for file in files}
    here, elsewhere = {}, []
    for item in held:
        if item.path in named:
            here[item.path] = item
        else:
            elsewhere.append(item)
    lost = _Lost(elsewhere, [file for file in files if file.name not in here], is_gone)
    describe, replaced, keep, skipped = [], {}, [], []
    unchanged = 0
    for file in files:
        before = here.get(file.name)
        try:
            same = _same(before, file, lost, content)
        except PhotoError as error:
            skipped.append(Skipped(str(file.path), str(error)))
            continue
        if same is None:
            describe.append(file)
            if before is not None:
                replaced[file.name] = before.id
        elif _is_current(same, file):
            unchanged += 1
        else:
            keep.append(
                Kept(same.id, file, same.stated != file.stated, moved=same.path != file.name)
            )
    missing = [item for item in elsewhere if item.id not in lost.taken]
    inside = below(missing) if missing else set()
    gone = tuple(item for item in missing if item.id in inside and is_gone(item.path))
    return Plan(tuple(describe), replaced, tuple(keep), unchanged, gone, tuple(skipped))


def _same(
    before: Held | None, file: ScannedFile, lost: "_Lost", content: Callable[[PhotoFile], str]
) -> Held | None:
    """The record that was made from the very bytes of `file`, if there is one to keep."""
    if before is not None:
        known = file.bytes is not None
        if known and (before.bytes, before.modified) == (file.bytes, file.modified):
            return before
        if known and before.bytes not in (None, file.bytes):
            return None
        return before if before.content == content(file.path) else None
    return lost.find(content(file.path)) if lost.may_have(file.bytes) else None


def _is_current(held: Held, file: ScannedFile) -> bool:
    return (held.path, held.bytes, held.modified, held.stated) == (
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
        self._by_content: dict[str, list[Held]] = {}
        for item in reversed(found):
            self._by_content.setdefault(item.content, []).append(item)
        self.taken: set[int] = set()

    def may_have(self, size: int | None) -> bool:
        return size in self._sizes or None in self._sizes

    def find(self, content: str) -> Held | None:
        left = self._by_content.get(content)
        if not left:
            return None
        found = left.pop()
        self.taken.add(found.id)
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
