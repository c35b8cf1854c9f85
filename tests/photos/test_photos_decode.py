"""Decoding: every kind of file becomes upright RGB, or a PhotoError of one line."""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from flat_fields import CORNERS, encoded, oriented_exif, picture, turned_by_hand
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from hafloc.errors import PhotoError
from hafloc.photos import content, read


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header claims any size, with next to no data."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("kind", "options", "error"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 95, "subsampling": 0}, 6),
        ("HEIF", {"quality": 95}, 40),
    ],
)
def test_each_format_gives_the_same_rgb(kind, options, error):
    photo = read(encoded(picture(), kind, **options))
    assert photo.image.dtype == np.uint8
    assert photo.image.shape == (64, 96, 3)
    assert (photo.width, photo.height) == (96, 64)
    # The middles of the fields: lossy formats smear the borders.
    middles = photo.image[16::32, 16::32].astype(int)
    assert np.abs(middles - CORNERS.astype(int)).max() <= error


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16"])
def test_a_white_photo_of_any_mode_is_white(mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    if mode == "I;16":
        white = Pillow.fromarray(np.full((40, 50), 65_535, np.uint16))
    else:
        white = Pillow.new("RGB", (50, 40), "white").convert(mode)
    assert (read(encoded(white, kind)).image == 255).all()


def test_a_cmyk_jpeg_keeps_its_colours():
    image = read(encoded(picture().convert("CMYK"), "JPEG", quality=95)).image
    assert np.abs(image[16::32, 16::32].astype(int) - CORNERS).max() < 16


def test_sixteen_bit_grey_is_scaled_not_clipped():
    values = np.array([[0, 257, 128 * 257, 65_535]], np.uint16)
    image = read(encoded(Pillow.fromarray(values), "PNG")).image
    assert image[0, :, 0].tolist() == [0, 1, 128, 255]


def test_a_dark_sixteen_bit_photo_stays_dark():
    image = read(encoded(Pillow.fromarray(np.ones((4, 4), np.uint16)), "PNG")).image
    assert image.max() == 0


def test_sixteen_bit_rgb_keeps_the_high_byte():
    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    row = b"\0" + struct.pack(">HHH", 200 * 257, 100 * 257, 50 * 257)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(row))
        + chunk(b"IEND", b"")
    )
    assert read(data).image[0, 0].tolist() == [200, 100, 50]


def test_float_tiffs_are_read_by_the_unit_range():
    values = np.array([[0.0, 0.5, 1.0, np.nan]], np.float32)
    image = read(encoded(Pillow.fromarray(values), "TIFF")).image
    assert image[0, :, 0].tolist() == [0, 128, 255, 0]


def test_transparency_is_laid_on_white():
    half = Pillow.new("RGBA", (4, 4), (0, 0, 0, 51))
    assert (read(encoded(half, "PNG")).image == 204).all()


def test_a_transparent_palette_entry_is_laid_on_white():
    image = Pillow.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    assert (read(encoded(image, "PNG", transparency=bytes([0, 255]))).image == 255).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(kind):
    first, second = (Pillow.new("RGB", (20, 10), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(first, kind, save_all=True, append_images=[second], **options)
    assert (read(data).image == [255, 0, 0]).all()


def test_of_a_multi_picture_jpeg_the_first_picture_is_read():
    first, second = picture(), Pillow.new("RGB", (32, 32), "blue")
    photo = read(encoded(first, "MPO", save_all=True, append_images=[second]), longer_side=48)
    assert (photo.width, photo.height) == (96, 64)
    assert np.abs(photo.image[8::16, 8::16].astype(int) - CORNERS).max() < 16


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_phone_photo_is_described_upright(kind, orientation):
    stored = picture(12, 8)
    options = {"lossless": True} if kind == "WEBP" else {}
    photo = read(encoded(stored, kind, exif=oriented_exif(orientation), **options))
    expected = turned_by_hand(np.asarray(stored), orientation)
    assert (photo.image == expected).all()
    assert (photo.height, photo.width) == expected.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_heic_is_turned_once(orientation):
    photo = read(encoded(picture(), "HEIF", quality=95, exif=oriented_exif(orientation)))
    expected = turned_by_hand(CORNERS, orientation).astype(int)
    assert np.abs(photo.image[16::32, 16::32].astype(int) - expected).max() < 40


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_undefined_orientation_turns_nothing(orientation):
    photo = read(encoded(picture(), "JPEG", exif=oriented_exif(orientation)))
    assert photo.image.shape == (64, 96, 3)


@pytest.mark.parametrize(
    ("stored", "camera", "turned"),
    [
        ((360, 640), (2576, 1448), False),  # scaled and upright, tag kept
        ((1448, 2576), (2576, 1448), False),  # upright at full size, tag kept
        ((640, 360), (2576, 1448), True),  # scaled as stored: the tag holds
        ((640, 360), (640, 360), True),
        ((360, 640), None, True),  # nothing contradicts the tag
        ((360, 640), (0, 0), True),
        ((360, 640), (4000, 3000), True),  # a crop: the aspect proves nothing
        ((400, 400), (2576, 1448), True),
    ],
)
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_stale_orientation_is_recognised_by_the_camera_s_own_size(
    stored, camera, turned, orientation
):
    data = encoded(Pillow.new("RGB", stored), "JPEG", exif=oriented_exif(orientation, camera))
    photo = read(data)
    assert (photo.width, photo.height) == (stored[::-1] if turned else stored)
    assert photo.image.shape[:2] == (photo.height, photo.width)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "HEIF"])
def test_a_reduced_photo_keeps_aspect_and_tells_the_original_size(kind):
    photo = read(encoded(picture(1200, 800), kind, exif=oriented_exif(6)), longer_side=150)
    assert photo.image.shape == (150, 100, 3)
    assert (photo.width, photo.height) == (800, 1200)
    expected = turned_by_hand(CORNERS, 6).astype(int)
    assert np.abs(photo.image[25::50, 25::50].astype(int) - expected).max() < 40


def test_a_small_photo_is_never_enlarged():
    assert read(encoded(picture(), "JPEG"), longer_side=640).image.shape == (64, 96, 3)


def test_reducing_does_not_alias():
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    for kind in ("PNG", "JPEG"):
        image = read(encoded(Pillow.fromarray(stripes), kind), longer_side=130).image
        assert np.abs(image[5:-5, 5:-5].astype(int) - 127).max() < 12


def textured(width: int, height: int) -> Pillow.Image:
    """Fine and coarse structure, as a photo has."""
    rng = np.random.default_rng(0)
    layers = [
        Pillow.fromarray(rng.integers(0, 256, (height // k, width // k, 3), np.uint8)).resize(
            (width, height), Pillow.Resampling.BICUBIC
        )
        for k in (4, 10, 40)
    ]
    return Pillow.fromarray(np.mean([np.asarray(layer) for layer in layers], 0).astype(np.uint8))


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {}),
        ("RGB", {"progressive": True, "subsampling": 0}),
        ("L", {}),
        ("CMYK", {}),
        ("RGB", {"exif": oriented_exif(8)}),
    ],
)
@pytest.mark.parametrize("side", [80, 127])
def test_a_large_jpeg_is_reduced_as_if_it_were_decoded_whole(mode, options, side):
    # Given a JPEG of eight times the wanted size and more
    data = encoded(textured(1024, 768).convert(mode), "JPEG", quality=95, **options)
    whole, reduced = read(data), read(data, longer_side=side)
    # Then it looks as the whole does, reduced: decoding to hardly more
    # than the wanted size is off by 1.3 to 5
    wanted = Pillow.fromarray(whole.image).resize(
        reduced.image.shape[1::-1], Pillow.Resampling.LANCZOS
    )
    assert max(reduced.image.shape) == side
    assert np.abs(reduced.image.astype(int) - np.asarray(wanted)).mean() < 1
    # And its original is still told of
    assert (reduced.width, reduced.height) == (whole.width, whole.height)
    assert reduced.content == whole.content


@pytest.mark.parametrize("size", [(1001, 747), (1023, 769), (761, 1017)])
def test_a_jpeg_that_no_block_divides_is_reduced_to_its_edge_and_not_beyond(size):
    # Given a white photo in blocks that are filled up with black
    blocks = Pillow.new("RGB", (-(-size[0] // 16) * 16, -(-size[1] // 16) * 16))
    blocks.paste((255, 255, 255), (0, 0, *size))
    data = bytearray(encoded(blocks, "JPEG", quality=95))
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", *size[::-1])
    # Then little of that is seen, at the edge alone, and the size is that of the photo's own aspect
    photo = read(bytes(data), longer_side=60)
    assert max(photo.image.shape) == 60
    assert min(photo.image.shape[:2]) == round(60 * min(size) / max(size))
    assert photo.image[:-1, :-1].min() >= 250
    assert min(photo.image[-1].mean(), photo.image[:, -1].mean()) > 200
    assert (photo.width, photo.height) == size


@given(width=st.integers(1, 300), height=st.integers(1, 300), side=st.integers(1, 200))
@settings(max_examples=40, deadline=None)
def test_a_reduced_photo_fits_and_keeps_its_aspect(width, height, side):
    photo = read(encoded(Pillow.new("RGB", (width, height)), "PNG"), longer_side=side)
    got_height, got_width = photo.image.shape[:2]
    assert max(got_height, got_width) == min(side, max(width, height))
    scale = max(got_height, got_width) / max(width, height)
    assert abs(got_width - max(1, width * scale)) <= 0.5
    assert abs(got_height - max(1, height * scale)) <= 0.5


def test_the_pixel_bound_is_checked_before_decoding():
    with pytest.raises(PhotoError, match=r"25,000 × 20,000 pixels .* 200,000,000; scale it down"):
        read(png_of_size(25_000, 20_000))


def test_pillow_s_own_bound_neither_warns_nor_refuses():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PhotoError, match=r"ends early|damaged"):
            read(png_of_size(200_000, 1_000), longer_side=10)


def test_the_pixel_bound_can_be_set():
    data = encoded(picture(), "PNG")
    assert read(data, max_pixels=96 * 64).width == 96
    with pytest.raises(PhotoError, match="6,143"):
        read(data, max_pixels=96 * 64 - 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF", "GIF"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.8])
def test_a_truncated_photo_is_refused_by_name(tmp_path, kind, part):
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    data = encoded(Pillow.fromarray(noise), kind)
    path = tmp_path / "IMG_0042.jpg"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(
        PhotoError, match=r"cannot read .*IMG_0042\.jpg: .*; copy it again"
    ) as error:
        read(path)
    assert "\n" not in str(error.value)


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "a.jpg"
    path.touch()
    with pytest.raises(PhotoError, match=r"a\.jpg: the file is empty; copy it again"):
        read(path)


@pytest.mark.parametrize("data", [b"hello", b"\xff", b"RIFF1234WAVE", b"P", b"P9 1"])
def test_what_is_not_an_image_is_refused(data):
    with pytest.raises(PhotoError, match="not a photo in a known format"):
        read(data)


@given(position=st.integers(0, 1500), junk=st.binary(min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_damage_anywhere_gives_a_photo_or_a_photo_error(position, junk):
    exif = oriented_exif(6, (96, 64))
    exif.get_ifd(0x8825).update({1: "N", 2: (1.0, 2.0, 3.0), 3: "E", 4: (4.0, 5.0, 6.0)})
    data = bytearray(encoded(picture(), "JPEG", exif=exif))
    position %= len(data)
    data[position : position + len(junk)] = junk
    try:
        photo = read(bytes(data), max_pixels=1_000_000)
    except PhotoError:
        return
    assert photo.image.shape == (photo.height, photo.width, 3)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(PhotoError, match=r"gone\.jpg: there is no such file"):
        read(tmp_path / "gone.jpg")
    with pytest.raises(PhotoError, match="it is a folder"):
        read(str(tmp_path))
    with pytest.raises(PhotoError, match=r"gone\.jpg"):
        content(tmp_path / "gone.jpg")


def test_content_is_that_of_the_bytes_wherever_they_lie(tmp_path: Path):
    data = encoded(picture(), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    photo = read(path)
    assert photo.content == content(path) == content(str(path)) == read(data).content
    assert photo.path == path
    assert read(data).path is None
    assert len(photo.content) == 32
    # b2sum -l 128 of an empty file.
    (tmp_path / "empty").touch()
    assert content(tmp_path / "empty") == "cae66941d9efbd404e4d88758ea67670"
