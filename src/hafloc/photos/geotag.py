"""Write down where a photo was taken: in an XMP sidecar, or into the file by exiftool."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from hafloc.errors import MissingExtraError, OutputError, PhotoError
from hafloc.files import write_whole
from hafloc.geo import Position, distance
from hafloc.photos.decode import read_metadata
from hafloc.photos.exif import Exif, metadata
from hafloc.photos.formats import JXL_SUFFIXES, RAW_SUFFIXES, SUFFIXES
from hafloc.photos.photo import Metadata
from hafloc.photos.stored import file_bytes, shown
from hafloc.photos.xmp import file_kind

SUFFIX = ".xmp"
KEPT = "_original"  # behind the name of what was there before, as exiftool has it
_PHOTOS = SUFFIXES | RAW_SUFFIXES | JXL_SUFFIXES
_TOOLKIT = "hafloc"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_RDF_END = re.compile(r"</(?:([A-Za-z_][\w.-]*):)?RDF\s*>\s*(?=</|<\?|\Z)")
_ABOUT = re.compile(r"""\babout=(?:"([^"<]*)"|'([^'<]*)')""")
_SECONDS = 60.0  # for exiftool and one photo
_SAME = 0.1  # metres between what was written and what is read


@dataclass(frozen=True, slots=True)
class Tag:
    """What is to be written: `accuracy` in metres and `heading` in degrees clockwise from true
    north, None where unknown; `method` names how the position was found."""

    position: Position
    accuracy: float | None = None
    heading: float | None = None
    method: str = "hafloc"


def sidecars_of(photo: Path) -> list[Path]:
    """The XMP sidecars that lie beside a photo: photo.jpg.xmp, and photo.xmp unless that is another
    photo's. Raises PhotoError where one cannot be read."""
    own, shared = (
        [
            path
            for suffix in (SUFFIX, SUFFIX.upper())
            if (path := photo.with_name(name + suffix)).is_file()
        ]
        for name in (photo.name, photo.stem)
    )
    return own + [path for path in shared if path not in own and _is_of(path, photo)]


def _is_of(sidecar: Path, photo: Path) -> bool:
    """Whether photo.xmp is about photo.jpg, where photo.nef lies beside it too."""
    kind = file_kind(file_bytes(sidecar))
    return not kind or kind == photo.suffix.lstrip(".").casefold()


def _has_others(sidecar: Path, photo: Path) -> bool:
    """Whether photo.xmp is about several photos, for it does not say about which."""
    return sidecar.stem == photo.stem and any(
        other.stem == photo.stem and other != photo and other.suffix.lower() in _PHOTOS
        for other in photo.parent.iterdir()
    )


def tagged(photo: Path) -> Metadata:
    """What a photo says of where and when, in its file or in a sidecar. Raises PhotoError."""
    own = read_metadata(photo)
    if own.position is not None:
        return own
    for path in sidecars_of(photo):
        said = metadata(Exif(xmp=file_bytes(path)))
        if said.position is not None:
            return said
    return own


def write_sidecar(photo: Path, tag: Tag) -> Path:
    """Write `tag` into the photo's sidecar, and say which that is.

    A sidecar of another program is added to, and the one before kept beside it as "…_original".
    Raises OutputError where it cannot be written, or holds a position or what is no XMP;
    what was there before is then untouched.
    """
    others = [
        path for path in sidecars_of(photo) if not _is_ours(path) and not _has_others(path, photo)
    ]
    if not others:
        target = photo.with_name(photo.name + SUFFIX)
        write_whole(target, packet(tag))
        return target
    target = others[0]
    before = file_bytes(target)
    after = _added(before, tag)
    if after is None:
        raise OutputError(
            f"cannot write {shown(target)}: it is a sidecar that nothing can be added to; "
            "write into the photo (--in-place)"
        )
    kept = target.with_name(target.name + KEPT)
    if not kept.exists():
        write_whole(kept, before)
    write_whole(target, after)
    return target


def packet(tag: Tag) -> bytes:
    """An XMP packet that says where a photo was taken. Source: XMP part 1, 2012, 7.4."""
    return (
        f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="{_TOOLKIT}">\n'
        f' <rdf:RDF xmlns:rdf="{_RDF}">\n{_description(tag, "rdf:", "")}\n </rdf:RDF>\n'
        '</x:xmpmeta>\n<?xpacket end="w"?>\n'
    ).encode()


def _description(tag: Tag, prefix: str, about: str) -> str:
    properties = {
        "GPSVersionID": "2.3.0.0",
        "GPSLatitude": _coordinate(tag.position.lat, "NS"),
        "GPSLongitude": _coordinate(tag.position.lon, "EW"),
        "GPSMapDatum": "WGS-84",
        "GPSProcessingMethod": tag.method,
    }
    if tag.accuracy is not None:
        properties["GPSHPositioningError"] = _rational(max(0.01, tag.accuracy))
    if tag.heading is not None:
        properties["GPSImgDirection"] = _rational(tag.heading % 360)
        properties["GPSImgDirectionRef"] = "T"
    lines = "\n".join(
        f"   <exif:{name}>{escape(_printable(value))}</exif:{name}>"
        for name, value in properties.items()
    )
    return (
        f"  <{prefix}Description {prefix}about={quoteattr(about)} "
        f'xmlns:exif="http://ns.adobe.com/exif/1.0/">\n{lines}\n  </{prefix}Description>'
    )


def _coordinate(degrees: float, sides: str) -> str:
    """Degrees and minutes as XMP has them: "48,12.3456789N"."""
    ten_millionths = round(abs(degrees) * 60 * 10**7)
    whole, minutes = divmod(ten_millionths, 60 * 10**7)
    side = sides[degrees < 0]
    return f"{whole},{minutes // 10**7}.{minutes % 10**7:07}{side}"


def _rational(value: float) -> str:
    return f"{round(value * 100)}/100"


def _printable(text: str) -> str:
    # XML 1.0 has no way to write control characters.
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _is_ours(path: Path) -> bool:
    return f'x:xmptk="{_TOOLKIT}"'.encode() in file_bytes(path)


def _added(before: bytes, tag: Tag) -> bytes | None:
    """A sidecar with the position beside what it holds; None where that cannot be done."""
    try:
        text = before.decode("utf-8")
    except UnicodeDecodeError:
        return None
    end = None
    for end in _RDF_END.finditer(text):  # noqa: B007  the last one
        pass
    if end is None or metadata(Exif(xmp=before)).position is not None:
        return None
    prefix = f"{end[1]}:" if end[1] else ""
    # All descriptions of a packet are about the same thing.
    about = _ABOUT.search(text)
    named = (about[1] or about[2] or "") if about else ""
    after = f"{text[: end.start()]}{_description(tag, prefix, named)}\n{text[end.start() :]}"
    read = metadata(Exif(xmp=after.encode())).position
    right = read is not None and distance(read, tag.position) < _SAME
    return after.encode() if right else None


def exiftool() -> str:
    """The program exiftool. Raises MissingExtraError where it is not installed."""
    found = shutil.which("exiftool")
    if found is None:
        raise MissingExtraError(
            "writing into photos needs exiftool, which is not installed; install it "
            "(exiftool.org), or leave out --in-place for sidecars"
        )
    return found


def write_into(photo: Path, tag: Tag, program: str) -> Path:
    """Write `tag` into a photo's file; exiftool keeps the one before as "…_original".

    Raises OutputError where that fails, or the position is not there afterwards.
    """
    lat, lon = tag.position.lat, tag.position.lon
    values = {
        "GPSLatitude": f"{lat:.9f}",
        "GPSLatitudeRef": "S" if lat < 0 else "N",
        "GPSLongitude": f"{lon:.9f}",
        "GPSLongitudeRef": "W" if lon < 0 else "E",
        "GPSMapDatum": "WGS-84",
        "GPSProcessingMethod": _printable(tag.method),
        # What was said of another position.
        "GPSHPositioningError": "" if tag.accuracy is None else f"{max(0.01, tag.accuracy):.2f}",
    }
    if tag.heading is not None:
        values |= {"GPSImgDirection": f"{tag.heading % 360:.2f}", "GPSImgDirectionRef": "T"}
    words = [program, "-n", "-q", "-m", *(f"-{name}={value}" for name, value in values.items())]
    try:
        # An absolute path begins with no "-"; and a link is not to be replaced by a file.
        done = subprocess.run(
            [*words, str(photo.resolve())],
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise OutputError(
            f"cannot write {shown(photo)}: exiftool did not end well; write a sidecar instead"
        ) from error
    said = " ".join(done.stderr.decode("utf-8", "replace").split())[:200]
    if done.returncode != 0:
        raise OutputError(
            f"cannot write {shown(photo)}: exiftool says {said or 'nothing'}; write "
            "a sidecar instead"
        )
    try:
        read = read_metadata(photo).position
    except PhotoError as error:
        raise OutputError(f"{error}; it was written just now, see {photo.name}{KEPT}") from error
    if read is None or distance(read, tag.position) > _SAME:
        raise OutputError(
            f"cannot write {shown(photo)}: its format keeps no position; write a sidecar instead"
        )
    return photo
