"""Whatever a caller gives as a photo is answered with one, or refused in one line."""

import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from flat_fields import CORNERS, encoded, oriented_exif, picture, turned_by_hand
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as Pillow
from PIL import ImageCms

from hafloc.errors import PhotoError
from hafloc.photos import as_photo, read

PIXELS = np.asarray(picture())


# --- paths and files ---


class Pathlike:
    def __init__(self, path: str | bytes) -> None:
        self.path = path

    def __fspath__(self) -> str | bytes:
        return self.path


@pytest.mark.parametrize("form", [str, Path, Pathlike, lambda path: Pathlike(os.fsencode(path))])
def test_a_path_of_any_form_is_read(tmp_path, form):
    path = tmp_path / "a.png"
    picture().save(path)
    photo = as_photo(form(str(path)))
    assert (photo.image == PIXELS).all()
    assert photo.path == path
    assert photo.content == read(path).content


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview, io.BytesIO])
def test_the_content_of_a_file_is_read_in_any_form(form):
    data = encoded(picture(), "PNG")
    photo = as_photo(form(data))
    assert (photo.image == PIXELS).all()
    assert photo.content == read(data).content


def test_a_memoryview_with_steps_is_read_as_it_looks():
    data = encoded(picture(), "PNG")
    spread = bytearray(2 * len(data))
    spread[::2] = data
    assert (as_photo(memoryview(spread)[::2]).image == PIXELS).all()


def test_an_open_file_is_read_from_where_it_stands(tmp_path):
    (tmp_path / "a").write_bytes(b"12345" + encoded(picture(), "PNG"))
    for buffering in (0, -1):
        with (tmp_path / "a").open("rb", buffering=buffering) as file:
            file.seek(5)
            assert (as_photo(file).image == PIXELS).all()
    with tempfile.SpooledTemporaryFile() as file:
        picture().save(file, "PNG")
        file.seek(0)
        assert (as_photo(file).image == PIXELS).all()


class Endless:
    def read(self, size=-1):
        return bytes(min(size, 100_000_000))


class Broken:
    def read(self, size=-1):
        raise RuntimeError("the\nline dropped")


def closed_file() -> io.BytesIO:
    file = io.BytesIO(b"x")
    file.close()
    return file


class Nameless:
    def __fspath__(self):
        raise RuntimeError("no path today")


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (None, "it is a NoneType; give a path"),
        (42, "it is an int"),
        ([[0, 0], [0, 0]], "it is a list"),
        (object(), "it is an object"),
        ("", "its path is empty"),
        (b"", "the file is empty"),
        (io.BytesIO(), "the file is empty"),
        (io.StringIO("text"), "the file gives a str; open it in binary mode"),
        (closed_file(), "closed file"),
        (Broken(), "the line dropped"),
        (Nameless(), "no path today"),
        ("https://example.org/a.jpg", "only local files are read; download it first"),
        ("a\0b.jpg", "no file can have this name"),
    ],
)
def test_what_is_no_photo_is_refused_with_what_is_wanted(thing, words):
    with pytest.raises(PhotoError, match=words) as error:
        as_photo(thing, name="query 7")
    assert "\n" not in str(error.value)
    assert "query 7" in str(error.value) or isinstance(thing, str)


def test_an_endless_file_is_read_up_to_the_bound(monkeypatch):
    monkeypatch.setattr("hafloc.photos.given.MAX_BYTES", 300_000_000)
    with pytest.raises(PhotoError, match="has more than"):
        as_photo(Endless())


# --- PIL images ---


@pytest.mark.parametrize(
    "mode",
    ["RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV", "LAB", "P", "PA", "L", "LA", "La", "1",
     "I", "I;16", "I;16B", "I;16L", "F"],
)  # fmt: skip
def test_a_white_image_of_any_mode_is_white(mode):
    white = {
        "CMYK": (0, 0, 0, 0), "YCbCr": (255, 128, 128), "HSV": (0, 0, 255), "LAB": (255, 128, 128),
        "I": 65_535, "F": 1.0, "P": 1, "PA": (1, 255),
        "I;16": 65_535, "I;16B": 65_535, "I;16L": 65_535,
    }.get(mode)  # fmt: skip
    image = Pillow.new(mode, (7, 5), "white" if white is None else white)
    if mode in ("P", "PA"):
        image.putpalette([0, 0, 0, 255, 255, 255])
    photo = as_photo(image)
    assert photo.image.shape == (5, 7, 3)
    assert photo.image.min() >= 254
    assert (photo.width, photo.height, photo.path, photo.content) == (7, 5, None, "")


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "RGBA", "RGBX", "P"])
def test_an_image_keeps_its_colours(mode):
    found = as_photo(picture().convert(mode)).image
    assert np.abs(found[16::32, 16::32].astype(int) - CORNERS).max() <= 4


def test_an_image_in_lab_keeps_its_colours():
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    image = ImageCms.profileToProfile(picture(), srgb, lab, outputMode="LAB")
    grey = ImageCms.profileToProfile(
        Pillow.new("RGB", (4, 4), (118, 118, 118)), srgb, lab, outputMode="LAB"
    )
    assert np.abs(as_photo(grey).image.astype(int) - 118).max() <= 2
    assert as_photo(image).image[16, 16, 0] > 240


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "AVIF", "HEIF", "WEBP"])
@pytest.mark.parametrize("form", ["opened", "loaded", "copied", "converted"])
def test_an_image_is_turned_as_its_file_would_be(kind, orientation, form):
    exif = oriented_exif(orientation)
    data = encoded(picture(), kind, exif=exif.tobytes() if kind == "AVIF" else exif, quality=95)
    with Pillow.open(io.BytesIO(data)) as image:
        if form == "loaded":
            image.load()
        elif form == "copied":
            image = image.copy()
        elif form == "converted":
            image = image.convert("RGBA")
        photo = as_photo(image)
    expected = turned_by_hand(CORNERS, orientation).astype(int)
    across = photo.image[16::32, 16::32].astype(int)
    assert across.shape == expected.shape
    assert np.abs(across - expected).max() < 60


def test_an_image_is_left_as_it_was():
    image = picture()
    image.getexif()[0x0112] = 6
    before = image.tobytes(), image.size, dict(image.getexif())
    assert as_photo(image, longer_side=48).image.shape == (48, 32, 3)
    assert (image.tobytes(), image.size, dict(image.getexif())) == before


def test_the_time_and_place_in_an_image_s_exif_are_kept():
    image = picture()
    image.getexif().get_ifd(0x8825).update({1: "N", 2: (48.0, 30.0, 0.0), 3: "E", 4: (16.0, 0, 0)})
    position = as_photo(image).metadata.position
    assert position is not None
    assert position.lat == pytest.approx(48.5)


def closed_image() -> Pillow.Image:
    image = Pillow.open(io.BytesIO(encoded(picture(), "PNG")))
    image.close()
    return image


def cut_image(kind: str) -> Pillow.Image:
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    data = encoded(Pillow.fromarray(noise), kind)
    return Pillow.open(io.BytesIO(data[: len(data) * 4 // 5]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Pillow.new("RGB", (0, 5)), "it has 0 × 5 pixels"),
        (closed_image, "cannot use query: "),
        (lambda: cut_image("JPEG"), "truncated"),
        (lambda: cut_image("PNG"), "cannot use query: "),
        (lambda: Pillow.new("L", (200, 101)), "200 × 101 pixels are more than the allowed 20,000"),
    ],
)
def test_an_image_that_has_no_pixels_to_give_is_refused(make, words):
    with pytest.raises(PhotoError, match=words) as error:
        as_photo(make(), name="query", max_pixels=20_000)
    assert "\n" not in str(error.value)


def test_floats_of_an_image_are_read_by_the_range_they_fit():
    def grey(values):
        return as_photo(Pillow.fromarray(np.array([values], np.float32))).image[0, :, 0].tolist()

    assert grey([0, 0.5, 1, np.nan]) == [0, 128, 255, 0]
    assert grey([0, 100, 255, np.inf]) == [0, 100, 255, 0]
    assert grey([-100, 0, 100]) == [0, 128, 255]


def test_transparency_is_laid_on_white():
    assert (as_photo(Pillow.new("RGBA", (4, 4), (0, 0, 0, 51))).image == 204).all()
    palette = Pillow.new("P", (4, 4), 0)
    palette.info["transparency"] = 0
    assert (as_photo(palette).image == 255).all()


# --- arrays ---


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (PIXELS, PIXELS),
        (PIXELS[:, :, 0], PIXELS[:, :, [0, 0, 0]]),
        (PIXELS[:, :, :1], PIXELS[:, :, [0, 0, 0]]),
        (PIXELS[::-1, ::-2], PIXELS[::-1, ::-2]),
        (PIXELS[:, :, ::-1], PIXELS[:, :, ::-1]),
        (np.asfortranarray(PIXELS), PIXELS),
        (PIXELS > 0, PIXELS),
        (PIXELS.astype(np.int64), PIXELS),
        (PIXELS.astype(np.uint16) * 257, PIXELS),
        (PIXELS.astype(">u2") * 257, PIXELS),
        (PIXELS.astype(np.int32) * 257, PIXELS),
        (PIXELS / 255.0, PIXELS),
        ((PIXELS / 255.0).astype(np.float16), PIXELS),
        (PIXELS.astype(np.float32), PIXELS),
        (PIXELS.astype(np.longdouble), PIXELS),
        (np.dstack([PIXELS, np.full(PIXELS.shape[:2], 255, np.uint8)]), PIXELS),
        (torch.from_numpy(PIXELS.copy()), PIXELS),
        (torch.from_numpy(PIXELS / 255.0), PIXELS),
    ],
)
def test_an_array_of_any_common_form_is_the_image_that_it_looks(array, expected):
    photo = as_photo(array)
    assert photo.image.dtype == np.uint8
    assert photo.image.flags.c_contiguous
    assert (photo.image == expected).all()
    assert (photo.height, photo.width) == expected.shape[:2]


def test_an_array_is_copied_never_changed_and_may_be_read_only():
    array = PIXELS.copy()
    array.flags.writeable = False
    photo = as_photo(array)
    photo.image[:] = 0
    assert (array == PIXELS).all()


def test_the_overshoot_of_resampling_is_clipped():
    array = np.array([[[-0.004, 0.5, 1.004]]])
    assert as_photo(array).image[0, 0].tolist() == [0, 128, 255]


def test_a_dark_sixteen_bit_array_stays_dark():
    assert as_photo(np.full((4, 4), 200, np.uint16)).image.max() == 1


def test_transparent_and_masked_places_of_an_array_are_white():
    clear = np.zeros((4, 4, 4), np.uint8)
    assert (as_photo(clear).image == 255).all()
    half = np.ma.masked_array(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), bool))
    half[0] = np.ma.masked
    assert as_photo(half).image[:, 0, 0].tolist() == [255, 0, 0, 0]
    assert (as_photo(np.ma.masked_all((4, 4), np.float64)).image == 255).all()


def test_not_a_number_is_black():
    assert (as_photo(np.full((4, 4), np.nan)).image == 0).all()


def test_a_large_array_is_reduced_like_a_photo():
    array = np.asarray(picture(960, 640))
    photo = as_photo(array, longer_side=96)
    assert photo.image.shape == (64, 96, 3)
    assert (photo.width, photo.height) == (960, 640)
    assert (photo.image[16::32, 16::32] == CORNERS).all()


class OnAnotherDevice:
    def __array__(self, dtype=None, copy=None):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 40, 50), np.uint8), r"shape \(3, 40, 50\).*colours come first.*H×W×3"),
        (torch.zeros(3, 40, 50), r"shape \(3, 40, 50\)"),
        (np.zeros((1, 40, 50, 3), np.uint8), r"shape \(1, 40, 50, 3\)"),
        (np.zeros((40, 50, 2), np.uint8), r"shape \(40, 50, 2\)"),
        (np.zeros(40, np.uint8), r"shape \(40,\)"),
        (np.array(7), r"shape \(\)"),
        (np.zeros((0, 5, 3), np.uint8), "it has 5 × 0 pixels"),
        (np.zeros((4, 4, 3), complex), "type complex128"),
        (np.full((4, 4, 3), "x"), "type <U1"),
        (np.full((4, 4, 3), None), "type object"),
        (np.full((4, 4), np.datetime64("2020-01-01")), r"type datetime64\[D\]"),
        (np.full((4, 4), -5, np.int16), "from -5 to -5"),
        (np.array([[0, 70_000]], np.int32), "from 0 to 70,000"),
        (np.array([[-3.0, 400.0]]), "from -3 to 400"),
        (OnAnotherDevice(), "can't convert cuda:0"),
        (torch.zeros(4, 4, requires_grad=True), "requires grad"),
        (np.broadcast_to(np.uint8(0), (100_000, 100_000, 3)), "100,000 × 100,000 pixels are more"),
    ],
)
def test_an_array_that_is_no_image_is_refused_by_what_it_is(array, words):
    with pytest.raises(PhotoError, match=words) as error:
        as_photo(array, name="query")
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("cannot use query: ")


@given(hnp.arrays(
    hnp.scalar_dtypes(),
    st.sampled_from([(3, 4), (3, 4, 1), (3, 4, 3), (3, 4, 4), (2, 2, 2), (5,), (0, 3, 3)]),
))  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_any_array_gives_an_image_or_one_line(array):
    said = ""
    try:
        photo = as_photo(array)
    except PhotoError as error:
        said = str(error)
    else:
        assert photo.image.shape == (*array.shape[:2], 3)
        assert photo.image.dtype == np.uint8
    assert "\n" not in said
