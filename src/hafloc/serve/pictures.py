"""Pictures that a server draws: thumbnails of the database, and what an answer rests on."""

import hashlib
import io
import threading
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from hafloc.errors import HaflocError, PhotoError
from hafloc.index import GeoIndex, Record, picture_of, read_thumbnail, thumbnail_of
from hafloc.locate import Comparison, Localizer
from hafloc.photos import Image as Pixels
from hafloc.photos import PhotoFile, content, read
from hafloc.serve.databases import Database
from hafloc.serve.evidence import Heat, Kept
from hafloc.serve.problems import BAD_PARAMETER, NOT_FOUND, Problem

LEVELS = ("low", "mid", "high", "fused")
EVIDENCE_SIDE = 1_024
_CACHE_BYTES = 64_000_000


class ThumbnailCache:
    """The thumbnails that were last asked for, of so many bytes together. Safe in threads."""

    def __init__(self, most: int = _CACHE_BYTES) -> None:
        self._most = most
        self._size = 0
        self._lock = threading.Lock()
        self._known: OrderedDict[str, bytes] = OrderedDict()

    def get(self, tag: str) -> bytes | None:
        with self._lock:
            if tag in self._known:
                self._known.move_to_end(tag)
            return self._known.get(tag)

    def put(self, tag: str, jpeg: bytes) -> None:
        with self._lock:
            if tag in self._known or len(jpeg) > self._most:
                return
            self._known[tag] = jpeg
            self._size += len(jpeg)
            while self._size > self._most:
                self._size -= len(self._known.popitem(last=False)[1])


def thumbnail_tag(record: Record, side: int) -> str:
    """What tells a thumbnail from all others, as long as the record's file is what it was."""
    facts = f"{record.path}\n{record.content}\n{record.modified}\n{side}"
    return hashlib.blake2b(facts.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def thumbnail(
    database: Database, index: GeoIndex, record: Record, side: int, cache: ThumbnailCache
) -> bytes:
    """A JPEG of a record's photo, its longer side at most `side` pixels; else of what its `index`
    keeps of it.

    Raises Problem where its file is gone, not to be read by this server, or unreadable, and the
    index keeps no picture.
    """
    tag = thumbnail_tag(record, side)
    jpeg = cache.get(tag)
    if jpeg is None:
        from hafloc.show import small_jpeg

        try:
            picture = picture_of(index, record, longer_side=side, paths=database.paths)
        except PhotoError as error:
            _there(database, record)
            raise _not_shown(database, record, "its file cannot be read") from error
        jpeg = small_jpeg(picture.image, side)
        if not picture.small:  # the file may come back
            cache.put(tag, jpeg)
    return jpeg


def _there(database: Database, record: Record) -> PhotoFile:
    try:
        file = database.paths.file_of(record.path)
        if file.is_file():
            return file
    except HaflocError as error:
        raise Problem(NOT_FOUND, str(error)) from error
    except (OSError, ValueError):
        pass
    raise _not_shown(database, record, "its file is gone")


def _not_shown(database: Database, record: Record, reason: str) -> Problem:
    return Problem(NOT_FOUND, f"cannot show {database.paths.shown(record.path)}: {reason}")


def kept_photo(kept: Kept) -> bytes:
    """The photo of an answer, upright and small, as JPEG; raises PhotoError."""
    from hafloc.show import small_jpeg

    return small_jpeg(read(kept.photo, longer_side=EVIDENCE_SIDE).image, EVIDENCE_SIDE)


def matches_picture(kept: Kept, localizer: Localizer, rank: int) -> bytes:
    """What `hafloc show matches` draws, as PNG.

    Raises Problem where the answer has no such candidate, or its file is gone or has changed.
    """
    from hafloc.show import match_picture

    answer, database = kept.answer, kept.database
    if not 1 <= rank <= len(answer.candidates):
        raise Problem(
            NOT_FOUND,
            f"there is no candidate {rank:,}: the answer has {len(answer.candidates):,}",
        )
    candidate = answer.candidates[rank - 1]
    if not answer.evidence or not answer.evidence[rank - 1].verified:
        raise Problem(NOT_FOUND, f"no key points were compared with candidate {rank:,}")
    (record,) = localizer.index.get([candidate.id])
    file, small = _to_compare(database, localizer.index, record)
    shown = replace(candidate, path=database.paths.shown(candidate.path))
    comparison = Comparison(
        replace(answer, file=kept.photo), shown, answer.evidence[rank - 1], file, small
    )
    return _png(match_picture(comparison, _seer(localizer), localizer.index))


def _to_compare(
    database: Database, index: GeoIndex, record: Record
) -> tuple[PhotoFile, Pixels | None]:
    """A record's file; or, where that cannot be shown, the index's own picture of it besides."""
    try:
        file = _there(database, record)
        try:
            changed = content(file) != record.content
        except PhotoError as error:
            raise _not_shown(database, record, "its file cannot be read") from error
        if changed:
            raise _not_shown(database, record, "its file has changed since it was indexed")
    except Problem:
        stored = thumbnail_of(index, record)
        if stored is None:
            raise
        # No file is read where there is a picture; this one only says what it is called.
        return Path(record.path), read_thumbnail(stored)
    return file, None


def attention_picture(kept: Kept, localizer: Localizer, level: str, *, plain: bool) -> bytes:
    """The heat map of a level over the photo as PNG, or `plain` alone with transparency.

    Raises Problem for a level that the network has not.
    """
    from hafloc.show import heat_layer, overlay

    image = read(kept.photo, longer_side=EVIDENCE_SIDE).image
    with kept.lock:  # whoever moves the slider asks for all of them at once
        if kept.heat is None:
            kept.heat = _heat(image, localizer)
    heat = kept.heat
    if level not in heat.maps:
        known = ", ".join(heat.maps)
        raise Problem(BAD_PARAMETER, f"level {level!r} is not known; this network has {known}")
    size = image.shape[1], image.shape[0]
    if plain:
        return _png(heat_layer(heat.maps[level], heat.size, size))
    return _png(overlay(image, heat.maps[level], heat, size))


def _heat(image: Pixels, localizer: Localizer) -> Heat:
    description = _seer(localizer).describe(image)
    maps = {name: level.contribution for name, level in description.levels.items()}
    return Heat(maps | {"fused": description.attention}, description.size)


def _seer(localizer: Localizer) -> Any:
    describer: Any = localizer.describer
    if not hasattr(describer, "describe"):
        raise Problem(NOT_FOUND, "this network tells nothing of where it looks")
    return describer


def _png(picture: Image.Image) -> bytes:
    memory = io.BytesIO()
    picture.save(memory, "PNG")
    return memory.getvalue()
