"""Find for each row of a table the photo that it names, and no other."""

import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hafloc.photos.photo import Metadata
from hafloc.photos.remote import PhotoFile
from hafloc.photos.table import image_name

_Fold = Callable[[str], str]
_ABSOLUTE = re.compile(r"[A-Za-z]:/|/")


@dataclass(frozen=True, slots=True)
class Partners:
    """The row of each photo that has one, and the rows that name no photo or not just one.

    Of the latter, `several` has the photos that a row might mean, where these are more than one.
    """

    row_of: Mapping[str, str]
    unmatched_rows: tuple[str, ...]
    several: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def find_partners(
    rows: Mapping[str, Metadata], names: Sequence[str], folder: PhotoFile, home: PhotoFile
) -> Partners:
    """The photos that the rows of a table name; `home` is the folder that the table lies in.

    `names` are the photos' paths within `folder`, with forward slashes. A row names a photo by its
    path within `folder` or within `home`, by an absolute path, or by the end of its path:
    a base name, or as many folders above it as the row gives. The absolute path of
    another computer counts from `folder`'s own name on. So a row that names a folder is never
    taken for a photo in another one: day1/a.jpg is not day2/a.jpg. Where letters
    differ in Unicode form or case only, the names are the same. Each step counts only
    where it leaves one photo for the row and, unless their values agree, one row for the photo.
    """
    found: dict[str, str] = {}
    several: dict[str, tuple[str, ...]] = {}
    left = tuple(rows)
    for claims_of in _steps(names, folder, home):
        if not left:
            break
        claims = claims_of(left)
        left = _settled(claims, rows, found)
        # The surest way that leads to several says which.
        for row in left:
            if len(claims[row]) > 1:
                several.setdefault(row, tuple(sorted(claims[row])))
    return Partners(found, left, {row: several[row] for row in left if row in several})


def _steps(
    names: Sequence[str], folder: PhotoFile, home: PhotoFile
) -> Iterator[Callable[[Iterable[str]], dict[str, set[str]]]]:
    """The ways to match, the surest first; each tells for rows which photos they may mean."""
    # As given and without links: a link may stand for the folder or lie above it.
    places = dict.fromkeys(((_absolute(folder), _absolute(home)), (_real(folder), _real(home))))
    for folds in ((str, image_name, _composed), (_caseless,)):
        for fold in folds:
            yield _Whole(names, fold, lambda row: row, lambda name: name)
        for fold in folds:
            for root, base in places:
                yield _Whole(names, fold, _below(base), _below(root))
    for fold in (_composed, _caseless):
        for root in dict.fromkeys(root for root, _ in places):
            yield _Ends(names, fold, root)


class _Whole:
    """Rows and photos with the same path."""

    def __init__(self, names: Sequence[str], fold: _Fold, row_path: _Fold, path: _Fold) -> None:
        self._fold, self._row_path = fold, row_path
        self._photos: dict[str, set[str]] = defaultdict(set)
        for name in names:
            self._photos[fold(path(name))].add(name)

    def __call__(self, rows: Iterable[str]) -> dict[str, set[str]]:
        return {row: self._photos.get(self._fold(self._row_path(row)), set()) for row in rows}


class _Ends:
    """Rows that are, or end in, the end of a photo's whole path."""

    def __init__(self, names: Sequence[str], fold: _Fold, root: str) -> None:
        self._fold = fold
        above = _parts(fold(root))
        self._photos = {name: (above, _parts(fold(name))) for name in names}

    def __call__(self, rows: Iterable[str]) -> dict[str, set[str]]:
        parts = {row: _parts(self._fold(row)) for row in rows}
        lengths = {len(part) for part in parts.values()}
        ends: dict[tuple[str, ...], set[str]] = defaultdict(set)
        from_folder: dict[tuple[str, ...], set[str]] = defaultdict(set)
        depths = set()
        for name, (above, below) in self._photos.items():
            path = above + below
            for length in lengths:
                if 0 < length <= len(path):
                    ends[path[-length:]].add(name)
            if above:
                depths.add(len(below) + 1)
                from_folder[path[-len(below) - 1 :]].add(name)
        claims = {row: set(ends.get(part, ())) for row, part in parts.items()}
        for row in filter(_ABSOLUTE.match, parts):
            for depth in depths:
                claims[row] |= from_folder.get(parts[row][-depth:], set())
        return claims


def _settled(
    claims: Mapping[str, set[str]], rows: Mapping[str, Metadata], found: dict[str, str]
) -> tuple[str, ...]:
    """Add to `found` what the claims settle; the rows that stay without a photo."""
    claimants: dict[str, list[str]] = defaultdict(list)
    for row, photos in claims.items():
        if len(photos) == 1:
            claimants[next(iter(photos))].append(row)
    settled = set()
    for photo, its_rows in claimants.items():
        first = found.get(photo, its_rows[0])
        agreeing = [row for row in its_rows if rows[row] == rows[first]]
        if photo not in found and len(agreeing) < len(its_rows):
            continue
        found[photo] = first
        settled.update(agreeing)
    return tuple(row for row in claims if row not in settled)


def _below(base: str) -> _Fold:
    def path(name: str) -> str:
        whole = name if _ABSOLUTE.match(name) else f"{base}/{name}"
        return posixpath.normpath(whole)

    return path


def _absolute(folder: PhotoFile) -> str:
    return posixpath.normpath(folder.absolute().as_posix())


def _real(folder: PhotoFile) -> str:
    return folder.resolve().as_posix()


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", image_name(name))


def _caseless(name: str) -> str:
    return unicodedata.normalize("NFC", _composed(name).casefold())


def _parts(path: str) -> tuple[str, ...]:
    """The folders and the base name of a path, without its drive and without steps upwards."""
    path = re.sub(r"^[A-Za-z]:(?=/)", "", path)
    return tuple(part for part in path.split("/") if part not in ("", ".."))
