"""The focal length that EXIF tells is read where it can be trusted."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags
from PIL import Image as Pillow

from hafloc.photos import as_photo, as_query
from hafloc.photos.focal import focal_length
from hafloc.photos.tags import Directories

BASE = ExifTags.Base
SIZE = (400, 300)
PHONE = {BASE.ExifImageWidth: 400, BASE.ExifImageHeight: 300, BASE.FocalLengthIn35mmFilm: 26}
# 400 pixels at 2,032 an inch are 5 mm.
CAMERA = {
    BASE.ExifImageWidth: 400,
    BASE.ExifImageHeight: 300,
    BASE.FocalLength: 4.0,
    BASE.FocalPlaneXResolution: 2032,
    BASE.FocalPlaneResolutionUnit: 2,
}


def focal(tags: dict[int, object], size: tuple[int, int] = SIZE) -> float | None:
    return focal_length(Directories({}, tags, {}), size)


def test_an_equivalent_focal_length_refers_to_the_diagonal() -> None:
    # 26 mm to the film's diagonal of 43.27 mm; that of 4:3 is 5/4 of the longer side.
    assert focal(PHONE) == pytest.approx(26 / 43.2666 * 5 / 4, rel=1e-4)


def test_a_focal_length_needs_the_size_of_the_sensor() -> None:
    assert focal(CAMERA) == pytest.approx(4 / 5)
    del (other := dict(CAMERA))[BASE.FocalPlaneXResolution]
    assert focal(other) is None


def test_a_portrait_whose_sides_are_told_as_they_were_taken_is_trusted() -> None:
    assert focal(PHONE, (300, 400)) == focal(PHONE)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({BASE.FocalLengthIn35mmFilm: 0}, "unknown"),
        ({BASE.FocalLengthIn35mmFilm: 3}, "absurdly wide"),
        ({BASE.FocalLengthIn35mmFilm: 65_535}, "absurdly long"),
        ({BASE.FocalLengthIn35mmFilm: "wide"}, "no number"),
        ({BASE.FocalLengthIn35mmFilm: -26}, "negative"),
        ({BASE.DigitalZoomRatio: 2.0}, "digital zoom"),
        ({BASE.ExifImageWidth: 4000, BASE.ExifImageHeight: 3000}, "made smaller, or cut"),
        ({BASE.ExifImageWidth: 500}, "cut"),
        ({BASE.ExifImageWidth: None}, "size unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_focal_length_is_not_trusted(changed: dict[int, object], why: str) -> None:
    assert focal(PHONE | changed) is None


@pytest.mark.parametrize("resolution", [0, -5, 1e-9, 1e9, "x"])
def test_no_sensor_is_as_large_or_small(resolution: object) -> None:
    assert focal(CAMERA | {BASE.FocalPlaneXResolution: resolution}) is None


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*PHONE, *CAMERA, BASE.DigitalZoomRatio]),
        st.none() | st.integers() | st.floats() | st.sampled_from(["", "x", "1/0", b"\0"]),
    )
)
def test_whatever_the_tags_hold_a_focal_length_is_possible_or_none(tags: dict[int, object]) -> None:
    found = focal({**PHONE, **tags})
    assert found is None or 0.3 <= found <= 12


def as_file(image: np.ndarray) -> bytes:
    exif = Pillow.Exif()
    exif.get_ifd(ExifTags.IFD.Exif).update(PHONE)
    file = io.BytesIO()
    Pillow.fromarray(image).save(file, "JPEG", exif=exif, quality=95)
    return file.getvalue()


def test_a_photo_has_its_focal_length_and_a_framed_one_has_none() -> None:
    image = np.random.default_rng(0).integers(40, 216, (300, 400, 3), dtype=np.uint8)
    assert as_photo(as_file(image)).focal == pytest.approx(focal(PHONE))
    assert as_photo(Pillow.open(io.BytesIO(as_file(image)))).focal == pytest.approx(focal(PHONE))
    image[:100] = 0
    assert as_query(as_file(image), longer_side=400).window is not None
    assert as_query(as_file(image), longer_side=400).focal is None
