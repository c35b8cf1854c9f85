"""Errors by their true name: what a file is, why it cannot be read, and what to do."""

import errno
import io
import os
import socket
import struct
from pathlib import Path

import numpy as np
import pytest
from flat_fields import encoded, picture
from hypothesis import given, settings
from hypothesis import strategies as st

from hafloc.errors import PhotoError
from hafloc.photos import content, read, stored

STARTS = [b"", b"II*\0", b"\xff\xd8\xff", b"\0\0\0\x20ftypmif1", b"\xff\x0a", b"P6 ", b"IIU\0"]


def jpeg(marker: int = 0xC0, bits: int = 8) -> bytes:
    """A JPEG whose frame header claims another process or precision (ITU-T T.81, B.2.2)."""
    data = bytearray(encoded(picture(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "variant"),
    [
        (jpeg(bits=12), "12 bits a sample"),
        (jpeg(0xC3), "lossless"),
        (jpeg(0xC3, 16), "lossless, 16 bits a sample"),
        (jpeg(0xC5), "hierarchical"),
        (jpeg(0xCE), "hierarchical"),
        (jpeg(0xCB), "lossless, arithmetic"),
        (jpeg(0xF7), "JPEG-LS"),
    ],
)
def test_an_uncommon_jpeg_is_not_called_damaged(data, variant):
    expected = rf"this kind of JPEG \({variant}\) is not supported; convert it$"
    with pytest.raises(PhotoError, match=expected):
        read(data)


def test_a_common_jpeg_that_is_cut_is_still_said_to_end_early():
    data = encoded(picture(), "JPEG")
    with pytest.raises(PhotoError, match=r"ends early \(after .* bytes\); copy it again"):
        read(data[: len(data) * 3 // 4])


def tiff(compression: int = 1, bits: int = 8, sample_format: int = 1) -> bytes:
    """A grey TIFF of 4×4 with the tags given (TIFF 6.0)."""
    tags = [
        (256, 4), (257, 4), (258, bits), (259, compression), (262, 1), (273, 8), (277, 1),
        (278, 4), (279, 16 * bits // 8), (339, sample_format),
    ]  # fmt: skip
    body = bytes(16 * bits // 8)
    entries = b"".join(struct.pack("<HHII", tag, 3, 1, number) for tag, number in tags)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory


def test_the_small_tiff_itself_is_read():
    assert read(tiff()).image.shape == (4, 4, 3)


@pytest.mark.parametrize("data", [tiff(bits=64, sample_format=3), tiff(compression=34_713)])
def test_an_uncommon_tiff_is_not_called_damaged(data):
    with pytest.raises(PhotoError, match=r"this kind of TIFF \(.*\) is not supported; convert it$"):
        read(data)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"%PDF-1.7\n", "a PDF"),
        (b"8BPS\0\1", "a Photoshop document"),
        (b"%!PS-Adobe-3.0 EPSF", "a PostScript document"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><title>Sign in</title>", "a web page"),
        (b"PK\x03\x04\x14\0", "a ZIP archive"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a video"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "a video"),
        (b"\x1a\x45\xdf\xa3matroska", "a video"),
        (b"RIFF\x10\0\0\0AVI LIST", "a video"),
        (b"\0\x05\x16\x07\0\2\0\0Mac OS X", "what macOS keeps beside a file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (bytes(5_000), "nothing but zeros"),
    ],
)
def test_what_is_no_photo_is_named(tmp_path, data, what):
    (tmp_path / "IMG_1.jpg").write_bytes(data)
    with pytest.raises(PhotoError, match=rf"IMG_1\.jpg: it is {what}.*, not a photo; .* or HEIC$"):
        read(tmp_path / "IMG_1.jpg")


def test_a_film_in_place_of_a_photo_is_asked_for_a_frame(tmp_path: Path) -> None:
    (tmp_path / "drive.mp4").write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom")
    with pytest.raises(PhotoError, match=r"name one of its frames: .*drive\.mp4#t=12\.4"):
        read(tmp_path / "drive.mp4")


@given(st.sampled_from(STARTS), st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_photo_or_one_line(start, rest):
    said = ""
    try:
        read(start + rest, max_pixels=1_000_000)
    except PhotoError as error:
        said = str(error)
    assert "\n" not in said


# --- no regular file ---


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    for reader in (read, content):
        with pytest.raises(PhotoError, match="it is not a regular file but a pipe; give a photo"):
            reader(tmp_path / "a.jpg")


def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a.jpg")
        with pytest.raises(PhotoError, match="not a regular file but a socket"):
            read("a.jpg")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(device):
    with pytest.raises(PhotoError, match="not a regular file but a device"):
        read(device)


def test_a_pipe_that_takes_a_photo_s_place_while_it_is_opened_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(picture(), "JPEG"))
    genuine = os.open

    def swapped(name, *rest, **more):
        path.unlink()
        os.mkfifo(path)
        return genuine(name, *rest, **more)

    monkeypatch.setattr(stored.os, "open", swapped)
    with pytest.raises(PhotoError, match="not a regular file but a pipe"):
        read(path)


def test_a_file_beyond_the_bound_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(stored.MAX_BYTES + 1)
    for reader in (read, content):
        with pytest.raises(PhotoError, match=r"more than 1,000,000,000 bytes"):
            reader(tmp_path / "a.jpg")


def test_a_file_that_grows_beyond_the_bound_while_it_is_read_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(bytes(2_000))
    monkeypatch.setattr(stored, "MAX_BYTES", 1_000)
    monkeypatch.setattr(stored, "_check", lambda status, path: None)
    with pytest.raises(PhotoError, match="more than 1,000 bytes"):
        read(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "check its permissions"),
        (errno.EPERM, "check its permissions"),
        (errno.EIO, "the drive reports an error"),
        (errno.ESTALE, "network drive"),
        (errno.ELOOP, "link leads back to itself"),
        (errno.ENAMETOOLONG, "too long"),
        (errno.ENOTDIR, "no such file"),
        (errno.EMFILE, "check its permissions"),
    ],
)
def test_each_error_of_the_system_is_one_line(tmp_path, monkeypatch, number, words):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x")

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(stored.os, "open", refuse)
    with pytest.raises(PhotoError, match=f"cannot read .*a\\.jpg: .*{words}"):
        read(path)


def test_an_error_in_the_middle_of_a_file_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(b"x")

    class Failing(io.RawIOBase):
        def readinto(self, _):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(stored, "_open", lambda *given: Failing())
    with pytest.raises(PhotoError, match=r"a\.jpg: the drive reports an error"):
        read(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    "name",
    ["a\0b.jpg", "\ud800.jpg", "x" * 300 + ".jpg", "a.txt/b.jpg", "\udcff/nothing.jpg", "loop"],
)
def test_a_name_that_leads_to_no_file_is_one_line_that_can_be_written(tmp_path, name):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    for reader in (read, content):
        with pytest.raises(PhotoError, match="cannot read ") as error:
            reader(tmp_path / name)
        assert "\n" not in str(error.value)
        str(error.value).encode("utf-8")


@pytest.mark.parametrize("name", [b"new\nline.jpg", b"\xff\xfe.jpg", "née à Orléans.jpg".encode()])
def test_any_name_that_the_file_system_allows_is_read(tmp_path, name):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    path.write_bytes(encoded(picture(), "PNG"))
    photo = read(path)
    assert photo.path == path
    path.write_bytes(b"no photo")
    with pytest.raises(PhotoError) as error:
        read(path)
    assert "\n" not in str(error.value)
    str(error.value).encode("utf-8")


def test_a_damaged_cmyk_of_adobe_keeps_its_colours():
    # Adobe writes CMYK inverted and says so in an APP14 marker, as Pillow does when it saves.
    pure = np.full((16, 16, 4), (0, 255, 255, 0), np.uint8)  # red in ink
    from PIL import Image as Pillow

    image = read(encoded(Pillow.fromarray(pure, "CMYK"), "JPEG", quality=95)).image
    assert np.abs(image.astype(int) - [255, 0, 0]).max() < 12
