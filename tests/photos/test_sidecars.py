"""Sidecars: those of other programs are read, and ours are written and read back."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dated_photos import write_photo
from hypothesis import given, settings
from hypothesis import strategies as st

from hafloc.errors import MissingExtraError, OutputError, PositionError
from hafloc.geo import Position, distance
from hafloc.photos import Positions, Tag, exiftool, read_metadata, tagged, write_into, write_sidecar
from hafloc.photos.exif import Exif, metadata
from hafloc.photos.geotag import packet

VIENNA = Position(48.2, 16.37)
# As darktable writes it, shortened.
DARKTABLE = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:darktable="http://darktable.sf.net/"
    exif:DateTimeOriginal="2024:05:31 16:00:00.000"
   %s
   darktable:xmp_version="5"
   darktable:raw_params="0">
   <darktable:masks_history><rdf:Seq/></darktable:masks_history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""
PLACED = DARKTABLE % 'exif:GPSLatitude="48,12.0000N" exif:GPSLongitude="16,22.2000E"'
UNPLACED = DARKTABLE % 'xmp:Rating="1" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'


def takeout(title: str, lat: float = 48.2, lon: float = 16.37, **more: object) -> str:
    geo = {"latitude": lat, "longitude": lon, "altitude": 0.0}
    geo |= {"latitudeSpan": 0.0, "longitudeSpan": 0.0}
    return json.dumps(
        {
            "title": title,
            "description": "",
            "imageViews": "2",
            "creationTime": {"timestamp": "1717170000", "formatted": "31 May 2024, 15:40:00 UTC"},
            "photoTakenTime": {"timestamp": "1717164000", "formatted": "31 May 2024, 14:00:00 UTC"},
            "geoData": geo,
            "url": "https://photos.google.com/photo/x",
            "googlePhotosOrigin": {"mobileUpload": {"deviceType": "ANDROID_PHONE"}},
        }
        | more
    )


def positions(folder: Path, *names: str) -> Positions:
    return Positions.for_folder(folder, names, folder)


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.xmp", "A.JPG.XMP"])
def test_an_xmp_sidecar_places_the_photo_of_its_name(tmp_path: Path, name: str) -> None:
    put(tmp_path / "day" / name, PLACED)
    put(tmp_path / "day" / "other.xmp", UNPLACED)
    said = positions(tmp_path, "day/a.jpg", "a.jpg", "day/b.jpg")
    assert set(said.rows) == {"day/a.jpg"}
    found = said.rows["day/a.jpg"]
    assert distance(found.position, VIENNA) < 0.01
    assert (found.time, found.source) == (datetime(2024, 5, 31, 16), "sidecar")


@pytest.mark.parametrize(
    ("sidecar", "photo"),
    [
        ("IMG_1.jpg.json", "IMG_1.jpg"),
        ("IMG_1.jpg.supplemental-metadata.json", "IMG_1.jpg"),
        ("IMG_1.jpg.supplemental-me.json", "IMG_1.jpg"),
        ("IMG_1.jpg.s.json", "IMG_1.jpg"),
        ("IMG_1.jpg(1).json", "IMG_1(1).jpg"),
        ("IMG_1.jpg.supplemental-metadata(1).json", "IMG_1(1).jpg"),
        ("IMG_1.jpg.supplemental-metadata.json", "IMG_1-edited.jpg"),
        (
            "PXL_20240531_140000123.PORTRAIT-01.COVER-edit.json",
            "PXL_20240531_140000123.PORTRAIT-01.COVER-edit-later.jpg",
        ),
    ],
)
def test_takeout_names_sidecars_in_many_ways(tmp_path: Path, sidecar: str, photo: str) -> None:
    put(tmp_path / "Photos from 2024" / sidecar, takeout("another title.jpg"))
    others = ["IMG_1.jpg", "IMG_2.jpg", "IMG_1(2).jpg"]
    names = [f"Photos from 2024/{name}" for name in dict.fromkeys([photo, *others])]
    said = positions(tmp_path, *names)
    found = said.rows[names[0]]
    assert (found.position, found.altitude, found.source) == (VIENNA, None, "sidecar")
    assert found.time == datetime(2024, 5, 31, 14, tzinfo=UTC)
    assert set(said.rows) <= {names[0], "Photos from 2024/IMG_1.jpg"}


def test_a_sidecar_without_a_fix_takes_the_one_of_the_camera_or_says_nothing(
    tmp_path: Path,
) -> None:
    exif = {"latitude": 40.0, "longitude": 16.0, "altitude": 12.5}
    put(tmp_path / "a.jpg.json", takeout("a.jpg", 0, 0, geoDataExif=exif))
    put(tmp_path / "b.jpg.json", takeout("b.jpg", 0, 0))
    put(tmp_path / "c.jpg.json", takeout("c.jpg", 99, 0))
    put(tmp_path / "settings.json", '{"a": 1}')
    put(tmp_path / "broken.json", '{"a": ')
    said = positions(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    assert said.rows["a.jpg"].position == Position(40, 16)
    assert said.rows["a.jpg"].altitude == 12.5
    assert set(said.rows) == {"a.jpg"}
    assert [problem.partition(":")[0] for problem in said.problems] == ["broken.json", "c.jpg.json"]


def test_sidecars_of_renamed_photos_are_named(tmp_path: Path) -> None:
    put(tmp_path / "old.jpg.xmp", PLACED)
    put(tmp_path / "a.jpg.xmp", PLACED)
    assert positions(tmp_path, "a.jpg", "new.jpg").unmatched_rows == ("old.jpg",)


def test_a_single_sidecar_is_a_table_too(tmp_path: Path) -> None:
    put(tmp_path / "x" / "a.jpg.json", takeout("a.jpg"))
    said = Positions.for_folder(tmp_path, ["a.jpg", "b.jpg"], tmp_path / "x" / "a.jpg.json")
    assert set(said.rows) == {"a.jpg"}


def test_a_folder_without_a_position_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "a.jpg.xmp", UNPLACED)
    with pytest.raises(PositionError, match="no sidecar in it holds a position"):
        positions(tmp_path, "a.jpg")


# --- written ---

places = st.builds(Position, st.floats(-90, 90), st.floats(-180, 180))


@given(
    place=places,
    accuracy=st.none() | st.floats(0.1, 1e5),
    heading=st.none() | st.floats(0, 359.9),
    method=st.text(max_size=30),
)
def test_what_is_written_is_read_back(
    place: Position, accuracy: float | None, heading: float | None, method: str
) -> None:
    said = metadata(Exif(xmp=packet(Tag(place, accuracy, heading, method))))
    if abs(place.lat) < 1e-9 and abs(place.lon) < 1e-9:  # is what no fix looks like
        return
    assert said.position is not None
    assert distance(said.position, place) < 0.02
    assert said.accuracy == (accuracy and pytest.approx(accuracy, abs=0.006))
    assert said.heading == (None if heading is None else pytest.approx(heading, abs=0.006))
    assert not said.magnetic


def test_a_sidecar_of_ours_lies_beside_the_photo_and_indexing_reads_it(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.jpg", reading=datetime(2024, 5, 31, 16))
    before = photo.read_bytes()
    written = write_sidecar(photo, Tag(VIENNA, 12.5, 90.0, 'hafloc: looked up in <a> & "b"'))
    assert written == tmp_path / "a.jpg.xmp"
    assert photo.read_bytes() == before
    found = positions(tmp_path, "a.jpg").rows["a.jpg"]
    assert (distance(found.position, VIENNA) < 0.01, found.accuracy, found.heading) == (
        True,
        12.5,
        90,
    )
    assert distance(tagged(photo).position, VIENNA) < 0.01
    # Then it is written anew where it is ours
    assert write_sidecar(photo, Tag(Position(1, 2))) == written
    assert distance(tagged(photo).position, Position(1, 2)) < 0.01


def test_a_sidecar_of_another_program_is_added_to_and_kept(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.jpg")
    sidecar = tmp_path / "a.jpg.xmp"
    put(sidecar, UNPLACED)
    assert write_sidecar(photo, Tag(VIENNA)) == sidecar
    assert (tmp_path / "a.jpg.xmp_original").read_text() == UNPLACED
    assert 'darktable:xmp_version="5"' in sidecar.read_text()
    assert distance(tagged(photo).position, VIENNA) < 0.01


@pytest.mark.parametrize("text", [PLACED, "<html></html>", "", "<a></rdf:RDF>"])
def test_a_sidecar_that_cannot_take_a_position_is_left_alone(tmp_path: Path, text: str) -> None:
    photo = write_photo(tmp_path / "a.jpg")
    put(tmp_path / "a.xmp", text)
    with pytest.raises(OutputError, match=r"cannot write .*a\.xmp"):
        write_sidecar(photo, Tag(VIENNA))
    assert (tmp_path / "a.xmp").read_text() == text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "a.xmp"]


OF_RAW = UNPLACED.replace(
    "<rdf:Description", '<rdf:Description xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
    'photoshop:SidecarForExtension="NEF"',
)  # fmt: skip


def test_a_sidecar_of_the_raw_is_not_that_of_the_jpeg_beside_it(tmp_path: Path) -> None:
    # As in GeoTagNinja's issue 57 and osxphotos' 210: one name, two files, one sidecar
    photo = write_photo(tmp_path / "a.jpg")
    put(tmp_path / "a.xmp", OF_RAW)
    assert write_sidecar(photo, Tag(VIENNA)) == tmp_path / "a.jpg.xmp"
    assert (tmp_path / "a.xmp").read_text() == OF_RAW
    placed = OF_RAW.replace('xmp:Rating="1"', 'exif:GPSLatitude="1,2N" exif:GPSLongitude="3,4E"')
    put(tmp_path / "other" / "b.xmp", placed)
    said = positions(tmp_path / "other", "b.jpg", "b.nef")
    assert set(said.rows) == {"b.nef"}


def test_a_sidecar_that_two_photos_share_is_not_changed_for_one(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.jpg")
    write_photo(tmp_path / "a.jpeg")
    put(tmp_path / "a.xmp", UNPLACED)
    assert write_sidecar(photo, Tag(VIENNA)) == tmp_path / "a.jpg.xmp"
    assert (tmp_path / "a.xmp").read_text() == UNPLACED


needs_exiftool = pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="exiftool is not installed"
)


@needs_exiftool
@pytest.mark.parametrize("place", [VIENNA, Position(-33.5, -70.25)])
def test_exiftool_writes_into_the_photo_and_keeps_the_one_before(
    tmp_path: Path, place: Position
) -> None:
    photo = write_photo(tmp_path / "-a b.jpg", reading=datetime(2024, 5, 31, 16))
    before = photo.read_bytes()
    write_into(photo, Tag(place, 12.5, 270.25, "hafloc: looked up in a"), exiftool())
    found = read_metadata(photo)
    assert distance(found.position, place) < 0.01
    assert (found.accuracy, found.heading, found.source) == (12.5, 270.25, "exif")
    assert found.time == datetime(2024, 5, 31, 16)
    assert (tmp_path / "-a b.jpg_original").read_bytes() == before


@needs_exiftool
def test_exiftool_reads_our_sidecar_as_we_do(tmp_path: Path) -> None:
    import subprocess

    photo = write_photo(tmp_path / "a.jpg")
    sidecar = write_sidecar(photo, Tag(Position(-33.5, 16.37), 12.5, 90.0, "hafloc"))
    words = ["exiftool", "-json", "-n", "-GPSLatitude", "-GPSLongitude", "-GPSHPositioningError",
             "-GPSImgDirection", "-GPSProcessingMethod", str(sidecar)]  # fmt: skip
    done = subprocess.run(words, capture_output=True, check=True)
    (said,) = json.loads(done.stdout)
    assert said["GPSLatitude"] == pytest.approx(-33.5)
    assert said["GPSLongitude"] == pytest.approx(16.37)
    assert (said["GPSHPositioningError"], said["GPSImgDirection"]) == (12.5, 90)
    assert said["GPSProcessingMethod"] == "hafloc"


@needs_exiftool
def test_a_file_that_exiftool_cannot_write_is_said_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "a.jpg"
    broken.write_bytes(b"no photo")
    with pytest.raises(OutputError, match=r"cannot write .*a\.jpg: exiftool says") as refusal:
        write_into(broken, Tag(VIENNA), exiftool())
    assert "\n" not in str(refusal.value)


def test_without_exiftool_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingExtraError, match="needs exiftool, which is not installed"):
        exiftool()


@settings(max_examples=30)
@given(
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 20), st.binary(max_size=9)), max_size=4
    )
)
def test_no_sidecar_is_lost_however_odd(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[float, int, bytes]]
) -> None:
    data = UNPLACED.encode()
    for share, length, given_ in edits:
        at = int(share * len(data))
        data = data[:at] + given_ + data[at + length :]
    folder = tmp_path_factory.mktemp("odd")
    photo = write_photo(folder / "a.jpg")
    (folder / "a.xmp").write_bytes(data)
    try:
        write_sidecar(photo, Tag(VIENNA))
    except OutputError:
        assert (folder / "a.xmp").read_bytes() == data
        return
    kept = folder / "a.xmp_original"
    assert not kept.exists() or kept.read_bytes() == data
    assert tagged(photo).position is not None
