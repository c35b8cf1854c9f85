"""Read what a file holds as photos: itself, or the views that a panorama is cut into."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image as Pillow

from hafloc.errors import MissingExtraError, PhotoError
from hafloc.photos.decode import read, read_bytes, read_head
from hafloc.photos.exif import metadata, read_exif
from hafloc.photos.films import cut_frame, film_content, is_film, read_frame
from hafloc.photos.given import Given, GivenFile, as_file, as_photo, as_query, is_pixels
from hafloc.photos.gpano import Sphere, assumed_sphere, sphere_of
from hafloc.photos.panorama import VIEWS, cut, needed_side, view_size, views_of
from hafloc.photos.parts import Frame, Part, View, part_name, split_name, view_of
from hafloc.photos.photo import Metadata, Photo
from hafloc.photos.pixels import fitting
from hafloc.photos.remote import PhotoFile
from hafloc.photos.stored import file_bytes, shown
from hafloc.photos.xmp import may_tell_of_panorama

# PNG may compress what it holds of XMP.
_PNG, _COMPRESSIBLE = b"\x89PNG", b"XML:com.adobe.xmp"


@dataclass(frozen=True, slots=True)
class Cutting:
    """How panoramas are cut: into so many `views` all round; `assume` takes each photo of twice its
    height for one, also where it does not say so, and `told` has those of which others do."""

    views: int = VIEWS
    assume: bool = False
    told: frozenset[PhotoFile] = frozenset()

    def __post_init__(self) -> None:
        if self.views < 1:
            raise ValueError(f"a panorama cannot be cut into {self.views} views")

    def assumes(self, path: PhotoFile | None) -> bool:
        """Whether the photo is taken for a panorama where only its shape speaks for that."""
        return self.assume or (path is not None and path in self.told)


CUTTING = Cutting()


def read_photos(
    file: PhotoFile | GivenFile, *, longer_side: int, cutting: Cutting = CUTTING
) -> list[Photo]:
    """The photos that a file holds: itself, or a panorama's views, decoded once for all.

    The file may be at hand already. As `read`, with the `longer_side` of each photo. Which part of
    the file a view is says its `part`. A panorama too narrow for any view is itself, and `doubt`
    says so.
    """
    if not isinstance(file, GivenFile):
        file = GivenFile(file_bytes(file), shown(file), file)
    return _of_file(file, longer_side, cutting)


def read_flat(path: PhotoFile, *, longer_side: int | None = None) -> Photo:
    """As `read`, for work that knows no views. Raises PhotoError also for what could be cut."""
    photo = read(path, longer_side=longer_side)
    if photo.sphere is not None and views_of(photo.sphere, VIEWS):
        raise PhotoError(
            f"cannot use {shown(path)} as a flat photo: it is a panorama, and only `hafloc index` "
            "and `hafloc locate` cut those into views; leave it out, or give flat photos"
        )
    return photo


def read_facts(path: PhotoFile, cutting: Cutting = CUTTING) -> tuple[Metadata, bool]:
    """What a photo's file says of where and when, and whether `read_photos` would cut it.

    Raises PhotoError as `read_metadata` does.
    """
    exif, size = read_head(file_bytes(path), shown(path))
    sphere = _told(sphere_of(exif.xmp, size), size, assume=cutting.assumes(path))
    return metadata(exif), sphere is not None and bool(views_of(sphere, cutting.views))


def read_part(file: PhotoFile, part: Part | None, *, longer_side: int) -> Photo:
    """The photo that is `part` of a file, as a record's name says: see `split_name`.

    Raises PhotoError as `read` does, where the file is no panorama any more or has no such frame,
    and for a film without its reader.
    """
    if part is None:
        return read(file, longer_side=longer_side)
    if isinstance(part, Frame) and part.view is None:
        return _frame(file, part, longer_side)
    whole = whole_panorama(file, part, longer_side=longer_side)
    return cut_part(whole, part, longer_side=longer_side)


def whole_panorama(file: PhotoFile, part: Part, *, longer_side: int) -> Photo:
    """The panorama itself, just large enough for views of `longer_side`; its `sphere` is known.

    Of a 360° film, the frame. Raises as `read_part` does.
    """
    if isinstance(part, Frame):
        return _frame(file, part, longer_side)
    given = GivenFile(file_bytes(file), shown(file), file)
    known = _sphere(given, Cutting(assume=True))
    if known is None:
        raise PhotoError(
            f"cannot read {part_name(given.name, part)}: the file is no panorama any more; run "
            "`hafloc index build` again"
        )
    return _whole(given, *known, [part], longer_side)


def cut_part(whole: Photo, part: Part, *, longer_side: int) -> Photo:
    """One view of a panorama that `whole_panorama` read."""
    assert whole.sphere is not None, "a panorama"
    if isinstance(part, Frame):
        assert part.view is not None, "a view of a frame"
        return cut_frame(whole, part.time, part.view, longer_side)
    return _cut(whole, whole.sphere, [part], longer_side)[0]


def query_photos(
    given: Given, *, name: str = "the photo", longer_side: int, cutting: Cutting = CUTTING
) -> list[Photo]:
    """The photos that a query is: itself as `as_query` reads it, or a panorama's views.

    A path may name a frame of a film, as `clip.mp4#t=12.4`. Raises PhotoError as `as_photo` does.
    """
    given = _frame_of(given)
    if isinstance(given, Photo):
        return [as_query(given, name=name, longer_side=longer_side)]
    if is_pixels(given):
        sphere = _sphere_of_pixels(given, cutting)
        if sphere is None:
            return [as_query(given, name=name, longer_side=longer_side)]
        views = views_of(sphere, cutting.views)
        whole = as_photo(given, name=name)
        return _cut(whole, sphere, views, longer_side) if views else [whole]
    file = as_file(given, name)
    found = _panorama(file, longer_side, cutting)
    if found:
        return found
    return [as_query(file, name=file.name, longer_side=longer_side)]


def _of_file(file: GivenFile, longer_side: int, cutting: Cutting) -> list[Photo]:
    found = _panorama(file, longer_side, cutting)
    if found:
        return found
    photo = read_bytes(file.data, file.name, file.path, longer_side=longer_side)
    if photo.sphere is not None:
        photo = replace(photo, doubt="it shows too little for a view")
    return [photo]


def _panorama(file: GivenFile, longer_side: int, cutting: Cutting) -> list[Photo]:
    """The views of a panorama; none of what is no panorama, or shows too little for a view."""
    known = _sphere(file, cutting)
    if known is None:
        return []
    sphere, size = known
    views = views_of(sphere, cutting.views)
    if not views:
        return []
    return _cut(_whole(file, sphere, size, views, longer_side), sphere, views, longer_side)


def _sphere(file: GivenFile, cutting: Cutting) -> tuple[Sphere, tuple[int, int]] | None:
    """How a panorama lies on the sphere, and its width and height."""
    # Some formats decode as they open, so only what may be a panorama is opened twice.
    compressed = file.data.startswith(_PNG) and _COMPRESSIBLE in file.data
    assume = cutting.assumes(file.path)
    if not (assume or compressed or may_tell_of_panorama(file.data)):
        return None
    exif, size = read_head(file.data, file.name)
    sphere = _told(sphere_of(exif.xmp, size), size, assume=assume)
    return None if sphere is None else (sphere, size)


def _told(told: Sphere | str | None, size: tuple[int, int], *, assume: bool) -> Sphere | None:
    if isinstance(told, Sphere):
        return told
    # What contradicts itself is no panorama, whatever is assumed of others.
    return assumed_sphere(size) if assume and told is None else None


def _sphere_of_pixels(given: Given, cutting: Cutting) -> Sphere | None:
    if isinstance(given, Pillow.Image):
        return _told(sphere_of(read_exif(given).xmp, given.size), given.size, assume=cutting.assume)
    shape: tuple[int, ...] = getattr(given, "shape", ())
    return _told(
        None, (shape[1], shape[0]) if len(shape) in (2, 3) else (0, 0), assume=cutting.assume
    )


def _whole(
    file: GivenFile,
    sphere: Sphere,
    size: tuple[int, int],
    views: Sequence[View],
    longer_side: int,
) -> Photo:
    side = max(needed_side(sphere, size, view, longer_side) for view in views)
    whole = read_bytes(file.data, file.name, file.path, longer_side=side)
    return replace(whole, sphere=sphere)


def _cut(whole: Photo, sphere: Sphere, views: Sequence[View], longer_side: int) -> list[Photo]:
    photos = []
    for view in views:
        size = view_size(sphere, (whole.width, whole.height), view)
        width, height = fitting(size, longer_side)
        image = cut(whole.image, sphere, view, (max(1, width), max(1, height)))
        photos.append(
            Photo(
                image,
                whole.content,
                whole.metadata,
                whole.path,
                *size,
                focal=view.focal * size[0] / max(size),
                sphere=sphere,
                part=view,
                parts=len(views),
            )
        )
    return photos


def turned(heading: float | None, part: Part | None) -> float | None:
    """The heading of a photo in a file with that heading: a view looks its own way."""
    view = view_of(part)
    if heading is None or view is None:
        return heading
    return round(math.fmod(heading + view.heading, 360), 6)


def _frame_of(given: Given) -> Given:
    """The frame that a path names; what is none of a film stays as it is."""
    if not isinstance(given, str | os.PathLike):
        return given
    name, part = split_name(os.fsdecode(given))
    if part is None:
        _refuse_other_times(name)
    if not isinstance(part, Frame) or not is_film(name):
        return given
    film, whole = Path(name), replace(part, view=None)
    return read_frame(film, whole, longer_side=None, content=film_content(film), asked=True)


def _refuse_other_times(name: str) -> None:
    """Raises PhotoError for a film's name with a time that is not written as seconds."""
    film, mark, time = name.rpartition("#t=")
    if not mark or not is_film(film) or Path(name).exists():
        return
    try:
        example = Frame(float(time))
    except ValueError:
        example = Frame(12.4)
    raise PhotoError(
        f"cannot read {shown(name)}: {shown(time)!r} is no time of a frame; t is in seconds from "
        f"the film's first frame, such as {shown(part_name(Path(film).name, example))}"
    )


def _frame(file: PhotoFile, part: Frame, longer_side: int) -> Photo:
    if not isinstance(file, Path):
        raise PhotoError(
            f"cannot read {shown(file)}: films are read from disks only; download it first"
        )
    try:
        return read_frame(file, part, longer_side=longer_side, content=film_content(file))
    except MissingExtraError as error:
        # To whoever looks at a record it is one of the photos that cannot be read here.
        raise PhotoError(str(error)) from error
