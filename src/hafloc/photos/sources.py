"""Find the photos of a source: a folder, a URL that can be listed, or a table that names them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hafloc.errors import PhotoError
from hafloc.photos import formats
from hafloc.photos.films import is_film, require_reader
from hafloc.photos.folder import Scan, ScannedPhoto, is_folder, scan
from hafloc.photos.junk import is_junk_file, is_junk_folder
from hafloc.photos.positions import table_near
from hafloc.photos.projects import read_table
from hafloc.photos.remote import PhotoFile, PhotoUrl, Seen
from hafloc.photos.stored import reason, shown
from hafloc.prefetch import prefetch

# Photos behind a web address that are asked for at once: a server's answer takes a while.
REQUESTS = 16
_STILLS = frozenset({".heic", ".heif", ".jpg", ".jpeg"})


def find_photos(source: PhotoFile, csv: PhotoFile | None = None, *, films: bool = False) -> Scan:
    """All photos below `source`: of a folder what `scan` finds, of a URL the same by its listing.

    Films of a folder are among them if wanted; where `source` is a film, it is all there is.

    Web servers list nothing: there the table of positions names the photos, `csv` or the
    positions.csv below the URL, and of each the server tells size and time, or why not. Raises
    PhotoError where nothing can be found out, and for a web address without a table.
    """
    if isinstance(source, Path):
        if formats.left_out_as(source.suffix.lower()) == "video" and not is_folder(source):
            return _film_alone(source)
        found = _without_live_photos(scan(source, films=films))
        if any(map(is_film, found.paths)):
            require_reader(shown(source))
        return found
    if source.is_listable:
        return _listed(source)
    return _named(source, csv)


def _without_live_photos(found: Scan) -> Scan:
    """A scan without the films of two seconds that phones keep beside photos of the same name."""
    still = {_stem(photo.path) for photo in found.photos if photo.path.suffix.lower() in _STILLS}
    kept = [photo for photo in found.photos if not is_film(photo.path)
            or _stem(photo.path) not in still]  # fmt: skip
    if len(kept) == len(found.photos):
        return found
    left_out = Counter(found.left_out) + Counter(video=len(found.photos) - len(kept))
    return replace(found, photos=tuple(kept), left_out=dict(sorted(left_out.items())))


def _stem(path: PhotoFile) -> str:
    return str(path.parent / path.stem).casefold() if isinstance(path, Path) else ""


def _film_alone(film: Path) -> Scan:
    if not is_film(film):
        raise PhotoError(
            f"cannot read {shown(film)}: {film.suffix.lower()} holds no pictures as a lens sees "
            "them, or a small copy of a film; export it as MP4 with the maker's program"
        )
    require_reader(shown(film))
    try:
        status = film.stat()
    except (OSError, ValueError) as error:
        raise PhotoError(f"cannot read {shown(film)}: {reason(error)}") from error
    return Scan(film.parent, (ScannedPhoto(film, status.st_size, status.st_mtime_ns),))


def _listed(folder: PhotoUrl) -> Scan:
    try:
        found = list(folder.listing())
    except OSError as error:
        raise PhotoError(f"cannot read {shown(folder)}: {reason(error)}") from error
    kept, left_out = _sorted_out(name for name, _ in found)
    wanted = set(kept)
    photos = [_photo(folder / name, seen) for name, seen in found if name in wanted]
    return Scan(folder, tuple(sorted(photos)), left_out)


def _named(folder: PhotoUrl, csv: PhotoFile | None) -> Scan:
    if any(letter in folder.text for letter in "?#"):
        raise PhotoError(
            f"cannot read {shown(folder)}: photos' names are put after it, so it cannot have ? or "
            "#; give the address of a folder"
        )
    table = csv if csv is not None else table_near(folder)
    if table is None:
        raise PhotoError(
            f"cannot list {shown(folder)}: web servers have no listing; name the photos in a table "
            "(--positions, or positions.csv there)"
        )
    names = dict.fromkeys(name for row in read_table(table).rows if (name := _below(folder, row)))
    kept, left_out = _sorted_out(names)
    photos, unreadable = [], []
    files = (folder / name for name in kept)
    for file, seen in prefetch(files, _looked_at, 4 * REQUESTS, REQUESTS):
        if isinstance(seen, Seen):
            photos.append(_photo(file, seen))
        else:
            unreadable.append((file, f"cannot read {shown(file)}: {seen}"))
    return Scan(folder, tuple(sorted(photos)), left_out, tuple(sorted(unreadable)))


def _below(folder: PhotoUrl, row: str) -> str | None:
    """The path within `folder` that a table's row means; None where it means none."""
    # A table's reader takes one of two slashes away.
    whole = row.replace(":/", "://", 1) if row.startswith((f"{folder.scheme}:/",)) else row
    if whole != row:
        return PhotoUrl(whole).inside(folder)
    return None if row.startswith(("/", "../")) or row in ("", ".", "..") else row


def _sorted_out(names: Iterable[str]) -> tuple[Sequence[str], dict[str, int]]:
    """The names that may be photos, and how many pictures of which kind are not tried."""
    tried = formats.suffixes()
    kept, left_out = [], Counter[str]()
    for name in names:
        *folders, base = name.split("/")
        if is_junk_file(base) or any(map(is_junk_folder, folders)):
            continue
        _, dot, end = base.rpartition(".")
        suffix = f"{dot}{end}".lower()
        if suffix in tried:
            kept.append(name)
        elif (kind := formats.left_out_as(suffix)) is not None:
            left_out[kind] += 1
    return kept, dict(sorted(left_out.items()))


def _photo(file: PhotoUrl, seen: Seen) -> ScannedPhoto:
    return ScannedPhoto(file, seen.st_size, seen.st_mtime_ns)


def _looked_at(file: PhotoUrl) -> Seen | str:
    try:
        return file.stat()
    except OSError as error:
        return reason(error)
