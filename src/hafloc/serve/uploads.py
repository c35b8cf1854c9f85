"""Photos out of a request's body: read piece by piece into memory, bounded, never onto the disk.

Starlette's own form writes files of more than a megabyte to the disk and reads all parts before
any is looked at; here a body is refused at the very piece that exceeds a bound.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from hafloc.serve.options import Options
from hafloc.serve.problems import BAD_BODY, BAD_TYPE, BUSY, SLOW_UPLOAD, TOO_LARGE, Problem
from hafloc.serve.work import Dropped

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD = "photo"
# Of a part without a file: positions and the like.
_MOST_FIELD_BYTES = 1_000
_MOST_FIELDS = 20
_LONGEST_NAME = 200
_RAW = re.compile(r"image/[\w.+-]+|application/octet-stream", re.ASCII)
# Boundaries and headers of parts, over the photos themselves.
_FORM_BYTES = 20_000


@dataclass(frozen=True, slots=True)
class Upload:
    """One photo as it came, and what the client calls it."""

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Form:
    """The photos and the other fields of a request."""

    photos: tuple[Upload, ...]
    fields: dict[str, str] = field(default_factory=dict)


class Room:
    """How many bytes of uploads all requests together may hold."""

    def __init__(self, most: int) -> None:
        self.left = most

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """What one request takes of it, given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.left += share.taken


@dataclass(slots=True)
class Share:
    room: Room
    taken: int = 0

    def take(self, size: int) -> None:
        """Raises Problem where that is more than is left."""
        if size > self.room.left:
            raise Problem(BUSY, "too many uploads are in progress; try again in a few seconds")
        self.room.left -= size
        self.taken += size


async def read_form(request: Request, share: Share, options: Options) -> Form:
    """The photos of a request: parts of a form, or one as the body itself.

    Raises Problem for a body of another type, one that is no such form, holds none or more than is
    allowed, or takes too long; Dropped where the client goes away.
    """
    kind = request.headers.get("content-type", "")
    name, parameters = parse_options_header(kind)
    media_type = name.decode("latin-1").strip().lower()
    _check_length(request, options)
    pieces = _pieces(request, share, options)
    if media_type == "multipart/form-data":
        boundary = parameters.get(b"boundary", b"")
        if not 1 <= len(boundary) <= 70:  # RFC 2046
            raise Problem(BAD_BODY, "the form names no boundary of 1 to 70 letters")
        return await _of_form(boundary, pieces, options)
    if not _RAW.fullmatch(media_type):
        raise Problem(
            BAD_TYPE,
            f"a photo comes as a part called {FIELD} of multipart/form-data, or as the body itself "
            "with the content type image/… or application/octet-stream",
        )
    data = bytearray()
    async for piece in pieces:
        data += piece
        if len(data) > options.max_photo_bytes:
            raise _photo_too_large(options)
    if not data:
        raise Problem(BAD_BODY, "the body is empty; send a photo")
    return Form((Upload(_name(request.query_params.get("name"), "photo"), bytes(data)),))


def _check_length(request: Request, options: Options) -> None:
    """Refuse what says beforehand that it is too long."""
    most = options.max_photos * options.max_photo_bytes + _FORM_BYTES
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and len(length) < 20 and int(length) > most:
        raise Problem(
            TOO_LARGE,
            f"the body has {int(length):,} bytes, more than the {options.max_photos:,} photos of "
            f"{options.max_photo_bytes:,} bytes that a request may hold",
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(BAD_TYPE, "the body is compressed; send it as it is")


async def _pieces(request: Request, share: Share, options: Options) -> AsyncIterator[bytes]:
    end = time.monotonic() + options.upload_seconds
    stream = request.stream()
    while True:
        left = min(end - time.monotonic(), options.upload_pause)
        try:
            piece = await asyncio.wait_for(anext(stream), max(left, 0.0))
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Problem(
                SLOW_UPLOAD,
                f"the upload was not complete after {options.upload_seconds:g} s, or paused for "
                f"{options.upload_pause:g} s; send it faster, or smaller photos",
            ) from None
        except ClientDisconnect:
            raise Dropped from None
        share.take(len(piece))
        yield piece


async def _of_form(boundary: bytes, pieces: AsyncIterator[bytes], options: Options) -> Form:
    parts = _Parts(options)
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        async for piece in pieces:
            parser.write(piece)
        parser.finalize()
    except FormParserError as error:
        reason = " ".join(str(error).split())[:100]
        raise Problem(BAD_BODY, f"the form cannot be read: {reason}") from error
    if not parts.ended:
        raise Problem(BAD_BODY, "the form ends early; send it again")
    if not parts.photos:
        raise Problem(BAD_BODY, f"the form has no photo; name its part {FIELD}")
    return Form(tuple(parts.photos), parts.fields)


class _Parts:
    """Gathers the parts of a form as the parser finds them."""

    def __init__(self, options: Options) -> None:
        self.photos: list[Upload] = []
        self.fields: dict[str, str] = {}
        self.ended = False
        self._fields = 0
        self._options = options
        self._begin()

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._header = bytearray(), bytearray()
        self._data = bytearray()
        self._name, self._file = "", ""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._add_header(0, data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._add_header(1, data[start:end])

    def _add_header(self, which: int, piece: bytes) -> None:
        self._header[which].extend(piece)  # which the parser bounds

    def _header_end(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        kind, values = parse_options_header(self._headers.get(b"content-disposition"))
        if kind != b"form-data" or b"name" not in values:
            raise Problem(BAD_BODY, "a part of the form has no name")
        self._name = values[b"name"].decode("utf-8", "replace")
        self._file = values.get(b"filename", b"").decode("utf-8", "replace")
        if self._name != FIELD and self._file:
            raise Problem(
                BAD_BODY,
                f"the form's part {self._name[:40]!r} is a file; a photo's part is called {FIELD}",
            )
        if self._name == FIELD and len(self.photos) == self._options.max_photos:
            raise Problem(
                TOO_LARGE, f"a request may hold {self._options.max_photos:,} photos; send fewer"
            )

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]
        if self._name == FIELD and len(self._data) > self._options.max_photo_bytes:
            raise _photo_too_large(self._options)
        if self._name != FIELD and len(self._data) > _MOST_FIELD_BYTES:
            raise Problem(
                TOO_LARGE,
                f"a field of the form has more than {_MOST_FIELD_BYTES:,} bytes; a photo's part "
                f"is called {FIELD}",
            )

    def _part_end(self) -> None:
        if self._name == FIELD:
            name = _name(self._file, f"photo {len(self.photos) + 1}")
            self.photos.append(Upload(name, bytes(self._data)))
        else:
            # Not by their names: a name may come again and again.
            self._fields += 1
            if self._fields > _MOST_FIELDS:
                raise Problem(BAD_BODY, f"the form has more than {_MOST_FIELDS} fields")
            self.fields[self._name] = bytes(self._data).decode("utf-8", "replace").strip()
        self._data = bytearray()

    def _end(self) -> None:
        self.ended = True


def _photo_too_large(options: Options) -> Problem:
    return Problem(
        TOO_LARGE,
        f"a photo has more than {options.max_photo_bytes:,} bytes; scale it down and send it again",
    )


def _name(given: str | None, otherwise: str) -> str:
    """What the client calls a photo, without folders."""
    last = re.split(r"[/\\]", given or "")[-1]
    return last[:_LONGEST_NAME] or otherwise
