"""What a person sees as a photo is read upright, whatever its container, suffix or maker."""

import io
import sys

import numpy as np
import pytest
from flat_fields import CORNERS, encoded, oriented_exif, picture, turned_by_hand
from PIL import Image as Pillow
from tiny_raw import dng

from hafloc.errors import PhotoError
from hafloc.photos import formats, photo_paths, read

has_raw = pytest.mark.skipif(not formats.has_reader("RAW"), reason="the extra `raw` is absent")
has_jxl = pytest.mark.skipif(not formats.has_reader("JXL"), reason="the extra `jxl` is absent")
ORIENTATIONS = pytest.mark.parametrize("orientation", range(1, 9))


def fields(image: np.ndarray) -> np.ndarray:
    """The colours in the middles of the six fields."""
    across = (3, 2) if image.shape[1] > image.shape[0] else (2, 3)
    height, width = image.shape[0] // across[1], image.shape[1] // across[0]
    return image[height // 2 :: height, width // 2 :: width].astype(int)


def in_format(kind: str, exif: Pillow.Exif) -> bytes:
    # Pillow writes the rotation into an AVIF's container only from bytes.
    given = exif.tobytes() if kind == "AVIF" else exif
    return encoded(picture(), kind, exif=given, quality=95)


def shows(image: np.ndarray, orientation: int) -> bool:
    expected = turned_by_hand(CORNERS, orientation).astype(int)
    found = fields(image)
    return found.shape == expected.shape and np.abs(found - expected).max() < 60


@ORIENTATIONS
@pytest.mark.parametrize("kind", ["AVIF", "HEIF", "TIFF", "WEBP", "PNG", "JPEG"])
@pytest.mark.parametrize("longer_side", [None, 48])
def test_each_of_the_eight_orientations_is_undone_once(kind, orientation, longer_side):
    data = in_format(kind, oriented_exif(orientation))
    photo = read(data, longer_side=longer_side)
    assert shows(photo.image, orientation)
    assert (photo.width, photo.height) == ((64, 96) if orientation > 4 else (96, 64))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_the_rotation_of_an_avif_is_its_own_and_never_stale(orientation):
    # A converter wrote the upright size as the camera's, which makes a JPEG's tag a stale one.
    exif = oriented_exif(orientation, (64, 96))
    assert shows(
        read(encoded(picture(), "AVIF", exif=exif.tobytes(), quality=95)).image, orientation
    )


def test_an_orientation_in_the_xmp_of_an_avif_turns_nothing():
    # lovell/sharp#4585: the pixels are turned already, the XMP of the original came along.
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    assert shows(read(encoded(picture(), "AVIF", xmp=xmp, quality=95)).image, 1)


def test_an_avif_rotated_by_its_container_alone_is_upright():
    data = in_format("AVIF", oriented_exif(6))
    assert b"irot" in data
    assert b"Exif" not in data
    assert shows(read(data).image, 6)


@pytest.mark.parametrize(
    ("kind", "brand"), [("AVIF", b"mif1"), ("AVIF", b"miaf"), ("HEIF", b"mif1"), ("HEIF", b"MiHE")]
)
def test_a_container_that_names_itself_a_mere_picture_is_read_by_its_other_brands(kind, brand):
    data = encoded(picture(), kind, quality=95)
    assert shows(read(data[:8] + brand + data[12:]).image, 1)


@pytest.mark.parametrize(
    "name", ["a.jpe", "b.jfif", "c.insp", "d.JIF", "e.pjpeg", "f.pjp", "g.jps", "h.MPO", "i.png"]
)
def test_a_jpeg_is_one_under_any_of_its_suffixes(tmp_path, name):
    (tmp_path / name).write_bytes(encoded(picture(), "JPEG", quality=95))
    (found,) = photo_paths(tmp_path)
    assert shows(read(found).image, 1)


@pytest.mark.parametrize("kind", ["JPEG2000", "PPM", "BMP"])
def test_older_formats_are_read_too(kind):
    assert shows(read(encoded(picture(), kind)).image, 1)


def test_a_jpeg_with_bytes_after_its_end_is_read():
    # A motion photo's video, a panorama camera's trailer.
    assert shows(read(encoded(picture(), "JPEG", quality=95) + b"\0\0\0\x18ftypmp42" * 9).image, 1)


def test_a_jpeg_with_two_bytes_too_many_before_its_end_is_read():
    data = encoded(picture(), "JPEG", quality=95)
    assert shows(read(data[:-2] + b"\x12\x34" + data[-2:]).image, 1)


def test_a_white_tiff_in_lab_is_white():
    white = Pillow.new("LAB", (4, 4), (255, 128, 128))
    assert (read(encoded(white, "TIFF")).image > 250).all()


# --- camera RAW ---


@has_raw
@ORIENTATIONS
def test_a_raw_is_developed_as_the_camera_was_held(orientation):
    photo = read(dng(np.asarray(picture()), orientation, lat=48.5))
    assert shows(photo.image, orientation)
    assert (photo.width, photo.height) == ((64, 96) if orientation > 4 else (96, 64))
    assert photo.metadata.position is not None
    assert photo.metadata.position.lat == pytest.approx(48.5)


@has_raw
def test_a_raw_is_reduced_like_any_photo_and_keeps_the_size_of_the_whole():
    photo = read(dng(np.asarray(picture(120, 80)), 6), longer_side=45)
    assert photo.image.shape == (45, 30, 3)
    assert (photo.width, photo.height) == (80, 120)


@has_raw
def test_the_raw_of_a_monochrome_camera_is_grey():
    image = read(dng(np.asarray(picture()), monochrome=True)).image
    assert image.shape == (64, 96, 3)
    assert (image == image[:, :, :1]).all()
    assert image.std() > 30


@has_raw
def test_the_pixel_bound_holds_for_raw():
    with pytest.raises(PhotoError, match="96 × 64 pixels are more than the allowed 6,143"):
        read(dng(np.asarray(picture())), max_pixels=6_143)


@has_raw
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_truncated_raw_is_refused_in_one_line(part):
    data = dng(np.asarray(picture()))
    with pytest.raises(PhotoError, match="cannot read the photo: ") as error:
        read(data[: int(len(data) * part)])
    assert "\n" not in str(error.value)


def test_without_the_extra_a_raw_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(formats, "has_reader", lambda kind: False)
    (tmp_path / "a.tif").write_bytes(dng(np.asarray(picture())))
    with pytest.raises(PhotoError, match=r"a\.tif: it is camera RAW.*pip install hafloc\[raw\]"):
        read(tmp_path / "a.tif")
    with pytest.raises(PhotoError, match=r"it is JPEG XL.*pip install hafloc\[jxl\]"):
        read(b"\xff\x0a" + bytes(20))


@has_raw
def test_a_reader_that_does_not_start_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rawpy", None)
    monkeypatch.setattr(formats, "has_reader", lambda kind: True)
    with pytest.raises(PhotoError, match="the reader of camera RAW does not start"):
        read(dng(np.asarray(picture())))


def test_a_common_tiff_is_no_raw():
    assert formats.kind_of(encoded(picture(), "TIFF", exif=oriented_exif(6))) == "TIFF"


# --- JPEG XL ---


def encoded_jxl(image: Pillow.Image | None = None, **options: object) -> bytes:
    import pillow_jxl  # noqa: F401

    return encoded(image or picture(), "JXL", **{"quality": 95, **options})


def jxl(orientation: int) -> bytes:
    """A bare codestream of `picture()` whose header says an orientation (ISO/IEC 18181-1, D.3)."""
    stored = encoded_jxl(use_container=False)
    # Bits, lowest first: the size takes 9 (small, height / 8, ratio 3:2), all else is by default.
    size = [stored[2] >> n & 1 for n in range(8)] + [stored[3] & 1]
    turn = [orientation - 1 >> n & 1 for n in range(3)]
    #       default, extra   orientation, size, preview, animation, float, depth, 16 bits
    header = [0, 1, *turn, 0, 0, 0, 0, 0, 0, 1]
    #          channels, xyb, colour, tone, extensions, transform
    header += [0, 0, 1, 1, 1, 0, 0, 1]
    bits = size + header
    bits += [0] * (-len(bits) % 8)
    packed = bytes(sum(bits[at + n] << n for n in range(8)) for at in range(0, len(bits), 8))
    return stored[:2] + packed + stored[4:]


@has_jxl
@ORIENTATIONS
def test_a_jpeg_xl_is_turned_once(orientation):
    assert shows(read(jxl(orientation)).image, orientation)


@has_jxl
def test_the_exif_of_a_jpeg_xl_turns_nothing_for_its_codestream_does():
    assert shows(read(encoded_jxl(exif=oriented_exif(6).tobytes())).image, 1)


@has_jxl
@ORIENTATIONS
def test_a_jpeg_packed_as_jpeg_xl_is_as_upright_as_the_jpeg(tmp_path, orientation, recwarn):
    import pillow_jxl  # noqa: F401

    picture().save(tmp_path / "a.jpg", exif=oriented_exif(orientation), quality=95)
    packed = io.BytesIO()
    with Pillow.open(tmp_path / "a.jpg") as opened:
        opened.save(packed, "JXL", lossless_jpeg=True)
    assert shows(read(packed.getvalue()).image, orientation)


@has_jxl
@pytest.mark.parametrize(
    "size", [(96, 64), (50, 37), (3000, 2000), (1, 700), (1920, 1080), (513, 9)]
)
def test_the_pixel_bound_holds_for_jpeg_xl_before_it_is_decoded(size):
    data = encoded_jxl(Pillow.new("RGB", size), effort=1)
    shown = f"{size[0]:,} × {size[1]:,}"
    with pytest.raises(PhotoError, match=f"{shown} pixels are more than the allowed"):
        read(data, max_pixels=size[0] * size[1] - 1)
    assert (read(data, max_pixels=size[0] * size[1]).width) == size[0]


@has_jxl
@pytest.mark.parametrize("keep", [2, 3, 5, 40])
def test_a_truncated_jpeg_xl_is_refused(keep):
    with pytest.raises(PhotoError, match=r"the file ends early|is damaged"):
        read(encoded_jxl(use_container=False)[:keep])
