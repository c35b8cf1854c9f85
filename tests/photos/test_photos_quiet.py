"""Reading is silent about damaged files, in many threads, and changes nobody else's warnings."""

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from flat_fields import encoded, oriented_exif, picture
from PIL import Image as Pillow

from hafloc.photos import as_photo, read
from hafloc.photos.quiet import without_warnings


def damaged_exif() -> bytes:
    """A JPEG whose EXIF points behind its end, of which Pillow warns."""
    data = encoded(picture(), "JPEG", exif=oriented_exif(6, (10, 10)))
    at = data.index(b"Exif\0\0") + 6
    return data[: at + 12] + b"\xff\xff\xff\x00" + data[at + 16 :]


def warn_as_pillow() -> None:
    warnings.warn_explicit("damaged", UserWarning, "x.py", 1, module="PIL.TiffImagePlugin")


def test_a_photo_with_damaged_exif_is_read_in_silence():
    for strict in ("error", "always", "default"):
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter(strict)
            read(damaged_exif())
        assert not heard


def test_warnings_of_others_and_of_other_threads_are_still_heard():
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with without_warnings():
            warn_as_pillow()
            warnings.warn("mine", stacklevel=1)
            other = threading.Thread(target=warn_as_pillow)
            other.start()
            other.join()
        warn_as_pillow()
    assert [str(item.message) for item in heard] == ["mine", "damaged", "damaged"]


def test_many_threads_read_at_once_and_leave_the_filters_as_they_found_them():
    with without_warnings():
        pass
    before = list(warnings.filters)
    files = [encoded(picture(), "JPEG"), damaged_exif(), encoded(picture(), "PNG")] * 40
    with ThreadPoolExecutor(16) as threads:
        images = list(threads.map(lambda data: read(data, longer_side=48).image, files))
    assert all((one == read(data, longer_side=48).image).all()
               for one, data in zip(images, files, strict=True))  # fmt: skip
    assert list(warnings.filters) == before


def test_pillow_s_own_bound_of_pixels_is_no_matter_for_an_image(monkeypatch):
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 4_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert as_photo(picture()).width == 96
        assert as_photo(np.asarray(picture())).width == 96
        for kind in ("GIF", "WEBP", "PNG", "TIFF", "AVIF", "HEIF"):
            assert read(encoded(picture(), kind)).width == 96
