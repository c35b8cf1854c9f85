"""Which kinds of files are photos: by suffix for a folder, by content for a reader."""

import struct
from importlib.util import find_spec

from PIL.TiffImagePlugin import COMPRESSION_INFO

_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp", ".mpo", ".jps")
# Insta360's single pictures are JPEGs.
_JPEG_360 = (".insp",)
_HEIF = (".heic", ".heif", ".hif", ".heics", ".heifs", ".avci", ".avif", ".avifs")
_JPEG_2000 = (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx")
_OTHER = (".png", ".apng", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".dib")
_PORTABLE = (".ppm", ".pgm", ".pbm", ".pnm")
SUFFIXES = frozenset({*_JPEG, *_JPEG_360, *_HEIF, *_JPEG_2000, *_OTHER, *_PORTABLE})

# The suffixes that LibRaw's list of cameras uses (libraw.org/supported-cameras).
RAW_SUFFIXES = frozenset(
    {
        ".3fr", ".ari", ".arw", ".bay", ".cap", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".eip",
        ".erf", ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mdc", ".mef", ".mos", ".mrw", ".nef",
        ".nrw", ".orf", ".ori", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".rwz", ".sr2", ".srf",
        ".srw", ".x3f",
    }
)  # fmt: skip
JXL_SUFFIXES = frozenset({".jxl"})
A_VIDEO = "a video"
VIDEO_SUFFIXES = frozenset(
    {
        ".mp4", ".m4v", ".mov", ".avi", ".mts", ".m2ts", ".3gp", ".3g2", ".mkv", ".webm", ".mpg",
        ".mpeg", ".wmv", ".lrv", ".insv", ".360", ".braw", ".r3d",
    }
)  # fmt: skip
# Films whose pictures are no photos as they are: small copies beside a film, pairs of fish eyes,
# halves of a cube, and what only a maker's program decodes.
_RAW_VIDEO = frozenset({".lrv", ".insv", ".360", ".braw", ".r3d"})
FILM_SUFFIXES = VIDEO_SUFFIXES - _RAW_VIDEO
# People see a picture in them, no reader here does.
PICTURE_SUFFIXES = frozenset(
    {
        ".psd", ".psb", ".xcf", ".livp", ".bpg", ".exr", ".svg", ".eps", ".pdf", ".tga", ".dcm",
        ".jls", ".wdp", ".jxr",
    }
)  # fmt: skip

# What installs the readers of formats that the core does not read.
EXTRAS = {
    "RAW": ("rawpy", "pip install hafloc[raw]"),
    "JXL": ("pillow_jxl", "pip install hafloc[jxl]"),
    "VIDEO": ("av", "pip install hafloc[video]"),
}

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs",
    b"mif1", b"mif2", b"msf1", b"MiHE", b"MiPr", b"MiHB", b"MiHA", b"miaf", b"avci", b"1pic",
}  # fmt: skip

_SIGNATURES: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    ("JPEG", (b"\xff\xd8\xff",)),
    ("PNG", (b"\x89PNG\r\n\x1a\n",)),
    ("GIF", (b"GIF87a", b"GIF89a")),
    ("BMP", (b"BM",)),
    ("JPEG2000", (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")),
    ("JXL", (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")),
    # Fujifilm, Olympus, Panasonic, Minolta, Sigma, Canon before CR2.
    ("RAW", (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"\0MRM", b"FOVb")),
    ("RAW", (b"II\x1a\0\0\0HEAPCCDR",)),
    ("TIFF", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"MM*\0", b"II\0*")),
)

_NO_PHOTOS: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    ("a PDF", (b"%PDF",)),
    ("a Photoshop document", (b"8BPS",)),
    ("a PostScript document", (b"%!PS", b"\xc5\xd0\xd3\xc6")),
    ("a GIMP document", (b"gimp xcf",)),
    ("a ZIP archive", (b"PK\x03\x04", b"PK\x05\x06")),
    ("an archive", (b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")),
    (A_VIDEO, (b"\x1a\x45\xdf\xa3", b"FLV\x01", b"OggS", b"\0\0\x01\xba", b"0&\xb2u")),
    ("what macOS keeps beside a file (AppleDouble)", (b"\0\x05\x16\x07",)),
    ("an icon", (b"\0\0\x01\0",)),
    ("an OpenEXR picture", (b"\x76\x2f\x31\x01",)),
    ("a Radiance picture", (b"#?RADIANCE", b"#?RGBE")),
    ("a BPG picture", (b"BPG\xfb",)),
    ("a JPEG XR picture", (b"II\xbc",)),
    ("an SQLite database", (b"SQLite format 3\0",)),
    ("an office document", (b"\xd0\xcf\x11\xe0",)),
    ("a Git LFS pointer to the photo (run `git lfs pull`)", (b"version https://git-lfs",)),
)

_SUBFILES, _PHOTOMETRIC, _COMPRESSION, _DNG_VERSION = 330, 262, 259, 50_706
_SENSOR = (32_803, 34_892)  # colour filter array, linear raw: TIFF/EP and DNG 1.7, tag 262
_MAX_DIRECTORIES = 32


def suffixes() -> frozenset[str]:
    """The suffixes that are tried in a folder, in lower case: with those of the extras at hand."""
    found = SUFFIXES
    found |= RAW_SUFFIXES if has_reader("RAW") else frozenset()
    return found | (JXL_SUFFIXES if has_reader("JXL") else frozenset())


def left_out_as(suffix: str) -> str | None:
    """As what a file that is not tried is counted: its suffix, "video", or None for no picture."""
    if suffix in VIDEO_SUFFIXES:
        return "video"
    known = RAW_SUFFIXES | JXL_SUFFIXES | PICTURE_SUFFIXES
    return suffix if suffix in known else None


def extra_for(suffix: str) -> str | None:
    """The command that installs a reader of files with this suffix, None where none is missing."""
    kind = "RAW" if suffix in RAW_SUFFIXES else "JXL" if suffix in JXL_SUFFIXES else None
    return None if kind is None or has_reader(kind) else EXTRAS[kind][1]


def has_reader(kind: str) -> bool:
    """Whether the optional package for this kind, a key of EXTRAS, is installed."""
    return find_spec(EXTRAS[kind][0]) is not None


def kind_of(data: bytes) -> str | None:
    """Which format a file's bytes are in, None where it is none of a photo; never the suffix.

    One of JPEG, PNG, GIF, BMP, WEBP, TIFF, HEIF, AVIF, JPEG2000, PPM, JXL, RAW.
    """
    if data[4:8] == b"ftyp":
        return _kind_of_boxes(data)
    if data[:4] == b"RIFF":
        return "WEBP" if data[8:12] == b"WEBP" else None
    if data[:1] == b"P" and data[1:2] in b"123456" and data[2:3] in b" \t\r\n#" and data[2:3]:
        return "PPM"
    for kind, starts in _SIGNATURES:
        if data.startswith(starts):
            return "RAW" if kind == "TIFF" and _is_sensor_data(data) else kind
    return None


def what_else(data: bytes) -> str | None:
    """What a file that is no photo is, in words with an article; None where that is unknown."""
    for words, starts in _NO_PHOTOS:
        if data.startswith(starts):
            return words
    if data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide") or data[8:12] == b"AVI ":
        return A_VIDEO
    if data[:1] == b"G" == data[188:189] == data[376:377]:
        return A_VIDEO
    if data[128:132] == b"DICM":
        return "a DICOM picture"
    text = data[:2000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "an SVG drawing"
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "a web page"
    return "nothing but zeros" if data and not data.strip(b"\0") else None


def jpeg_kind(data: bytes) -> str | None:
    """What is uncommon about a JPEG, for a message: "12 bits a sample", "lossless"; else None.

    ITU-T T.81, table B.1: the frame header's marker tells the process, its first byte the bits.
    """
    marker, bits = _frame_header(data)
    process = {0xC3: "lossless", 0xCB: "lossless, arithmetic", 0xF7: "JPEG-LS"}.get(marker)
    if marker in (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF):
        process = "hierarchical"
    elif marker in (0xC9, 0xCA):
        process = "arithmetic"
    precision = f"{bits} bits a sample" if marker and bits != 8 else None
    return ", ".join(part for part in (process, precision) if part) or None


def tiff_kind(data: bytes) -> str | None:
    """The compression of a TIFF, for a message, where Pillow knows none by its number; else None.

    TIFF 6.0, tag 259.
    """
    order = "<" if data[:2] == b"II" else ">"
    try:
        tags = _directory(data, struct.unpack_from(order + "I", data, 4)[0], order)
    except struct.error:
        return None
    (compression,) = tags.get(_COMPRESSION, (1,))[:1] or (1,)
    return None if compression in COMPRESSION_INFO else f"compression {compression}"


def _kind_of_boxes(data: bytes) -> str | None:
    """ISO base media: all brands tell, for the major one "mif1" says only that it is a picture."""
    length = max(min(int.from_bytes(data[:4], "big"), 1024), 16)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, length, 4))]
    if brands[0] == b"crx ":
        return "RAW"
    if brands[0] in _HEIF_BRANDS - {b"mif1", b"mif2", b"msf1", b"miaf"}:
        return "HEIF"
    if _AVIF_BRANDS.intersection(brands):
        return "AVIF"
    return "HEIF" if _HEIF_BRANDS.intersection(brands) else None


def _is_sensor_data(data: bytes) -> bool:
    """Whether a TIFF is a camera's RAW: its small first picture is then not the photo."""
    if data[8:10] == b"CR":
        return True
    order = "<" if data[:2] == b"II" else ">"
    try:
        pending, seen = [struct.unpack_from(order + "I", data, 4)[0]], set[int]()
        while pending and len(seen) < _MAX_DIRECTORIES:
            at = pending.pop()
            if at in seen:
                continue
            seen.add(at)
            tags = _directory(data, at, order)
            if _DNG_VERSION in tags or any(v in _SENSOR for v in tags.get(_PHOTOMETRIC, ())):
                return True
            pending += tags.get(_SUBFILES, ())
    except struct.error:
        pass
    return False


def _directory(data: bytes, at: int, order: str) -> dict[int, tuple[int, ...]]:
    """Whole numbers of the tags that are looked at here, from the TIFF directory at a byte."""
    found: dict[int, tuple[int, ...]] = {}
    (count,) = struct.unpack_from(order + "H", data, at)
    for number in range(count):
        entry = at + 2 + 12 * number
        tag, type_, length = struct.unpack_from(order + "HHI", data, entry)
        if tag not in (_SUBFILES, _PHOTOMETRIC, _COMPRESSION, _DNG_VERSION):
            continue
        letter, size = {3: ("H", 2), 4: ("I", 4), 13: ("I", 4)}.get(type_, ("B", 1))
        length = min(length, _MAX_DIRECTORIES)
        place = entry + 8
        if size * length > 4:
            (place,) = struct.unpack_from(order + "I", data, place)
        found[tag] = struct.unpack_from(f"{order}{length}{letter}", data, place)
    return found


def _frame_header(data: bytes) -> tuple[int, int]:
    """Marker and bits a sample of a JPEG's frame header; (0, 0) where it has none."""
    at = 2
    while at + 4 < len(data):
        if data[at] != 0xFF:
            return 0, 0
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            return marker, data[at + 4]
        else:
            at += 2 + max(int.from_bytes(data[at + 2 : at + 4], "big"), 2)
    return 0, 0
