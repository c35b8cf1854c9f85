"""Positions from file names, and which of several sources wins."""

import re
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from hafloc.errors import PhotoError, PositionError
from hafloc.geo import Position, distance
from hafloc.photos import (
    Metadata,
    Photo,
    Positions,
    photo_paths,
    position_from_name,
)


def table(folder: Path, text: str | bytes, name: str = "positions.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# --- names ---

PITTS = "@0584568.50@4477203.14@17@T@040.44118@-080.00283@pano@03@090@015@@@20190315_1230@note@.jpg"


def test_a_name_of_the_convention_gives_all_it_holds():
    found = position_from_name("queries/" + PITTS)
    assert found is not None
    assert distance(found.position, Position(40.44118, -80.00283)) < 3
    assert (found.heading, found.source) == (90.0, "name")
    assert found.time == datetime(2019, 3, 15, 12, 30)
    assert found.altitude is None


def name_of(lat, lon, band, zone, *, fields="@@@@@@@@"):
    northern = band >= "N"
    code = (32600 if northern else 32700) + zone
    east, north = Transformer.from_crs(4326, code, always_xy=True).transform(lon, lat)
    return f"@{east:010.2f}@{north:010.2f}@{zone:02d}@{band}@{lat:.5f}@{lon:.5f}@{fields}@.jpg"


@given(lat=st.floats(-79.9, 83.9), lon=st.floats(-179.9, 179.9))
def test_the_position_in_a_name_comes_back_anywhere_on_earth(lat, lon):
    zone = int((lon + 180) // 6) + 1
    band = "CDEFGHJKLMNPQRSTUVWX"[min(int((lat + 80) // 8), 19)]
    found = position_from_name(name_of(lat, lon, band, zone))
    assert found is not None
    assert distance(found.position, Position(lat, lon)) < 0.1


@pytest.mark.parametrize(
    "name",
    [
        "IMG_0042.jpg",
        "me@home.jpg",
        "mail@2x.png",
        "shot@1@2@x.jpg",
        "@handle@x@y.jpg",
        "",
        "@@@@.jpg",
    ],
)
def test_other_names_are_left_alone(name):
    assert position_from_name(name) is None


def test_a_prefix_before_the_convention_is_allowed():
    assert position_from_name("0042" + PITTS) == position_from_name(PITTS)


def test_latitude_and_longitude_serve_where_the_zone_is_empty():
    found = position_from_name("@584568.50@4477203.14@@@40.44118@-80.00283@.jpg")
    assert found is not None
    assert found.position == Position(40.44118, -80.00283)


def test_the_short_form_needs_its_zone():
    short = "@0584568.50@4477203.14@.jpg"
    with pytest.raises(PositionError, match=r"its UTM zone is not known; .*positions\.csv"):
        position_from_name(short)
    found = position_from_name(short, zone="17T")
    assert found is not None
    assert distance(found.position, Position(40.44118, -80.00283)) < 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("040.44118", "041.44118", "lie 111,.* m apart"),
        ("@17@", "@18@", "m apart"),
        ("@17@", "@61@", "UTM zone 61"),
        ("@T@", "@I@", '"17I" is not a UTM zone like 10S'),
        ("@T@", "@K@", "m apart"),
        ("@T@", "@U@", "is not in zone 17U"),
        ("-080.00283", "", "one of lat and lon is empty"),
        ("-080.00283", "west", 'lon "west" is not a number'),
        ("040.44118", "095.0", "latitude 95"),
        ("@090@", "@400@", "heading 400 is not between"),
        ("0584568.50", "0000000.00", "outside its zone"),
    ],
)
def test_a_name_that_contradicts_itself_is_refused(old, new, message):
    name = PITTS.replace(old, new, 1)
    assert name != PITTS
    with pytest.raises(PositionError, match=message) as error:
        position_from_name(name)
    assert str(error.value).startswith(name)


def test_without_letter_and_latitude_the_hemisphere_is_not_guessed():
    with pytest.raises(PositionError, match="hemisphere is not known"):
        position_from_name("@584568.50@4477203.14@17@@@@.jpg")


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("20190315", datetime(2019, 3, 15)),
        ("20190315_123059", datetime(2019, 3, 15, 12, 30, 59)),
        ("201903", None),
        ("20191399", None),
        ("soon", None),
    ],
)
def test_the_time_in_a_name_needs_at_least_its_day(text, time):
    found = position_from_name(PITTS.replace("20190315_1230", text))
    assert found is not None
    assert found.time == time


@given(st.lists(st.text("0123456789.-TS eN", max_size=9), max_size=16))
def test_any_name_gives_a_position_none_or_a_position_error(fields):
    try:
        found = position_from_name("@" + "@".join(fields) + "@.jpg")
    except PositionError:
        return
    assert found is None or found.position is not None


# --- folders ---


def photos_in(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_a_scan_is_recursive_sorted_and_skips_what_is_hidden_or_no_photo(tmp_path):
    photos_in(tmp_path, "b.JPG", "a/z.heic", "a/c.tif", ".hidden.jpg", ".cache/d.jpg", "notes.txt")
    photos_in(tmp_path, "a/.thumbs/e.png", "a.webp", "folder.jpg/f.jpeg")
    assert [path.relative_to(tmp_path).as_posix() for path in photo_paths(tmp_path)] == [
        "a/c.tif",
        "a/z.heic",
        "a.webp",
        "b.JPG",
        "folder.jpg/f.jpeg",
    ]


def test_a_scan_does_not_run_in_circles(tmp_path):
    photos_in(tmp_path, "a/b.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "dead.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "a" / "same.jpg").symlink_to(tmp_path / "a" / "b.jpg")
    assert [path.name for path in photo_paths(str(tmp_path))] == ["b.jpg", "same.jpg"]


def test_a_scan_of_nothing_says_what_to_do(tmp_path):
    photos_in(tmp_path, "notes.txt")
    for place, message in [
        (tmp_path / "gone", "there is no such folder; check the path"),
        (tmp_path / "notes.txt", "it is not a folder; give the folder of the photos"),
        (tmp_path, "holds no photos; give a folder with JPEG"),
    ]:
        with pytest.raises(PhotoError, match=message) as error:
            photo_paths(place)
        assert str(place) in str(error.value)


# --- which source wins ---


def photo(**metadata: object) -> Photo:
    return Photo(np.zeros((2, 3, 3), np.uint8), "", Metadata(**metadata))


BY_EXIF = photo(
    position=Position(10, 10),
    heading=5.0,
    altitude=7.0,
    source="exif",
    magnetic=True,
    accuracy=4.0,
    gps_status="A",
)


def positions_of(folder: Path, csv: Path | None = None) -> Positions:
    names = [path.relative_to(folder).as_posix() for path in photo_paths(folder)]
    return Positions.for_folder(folder, names, csv)


def test_an_explicit_row_beats_the_name_which_beats_the_exif(tmp_path):
    photos_in(tmp_path, PITTS, "a.jpg", "b.jpg")
    without = positions_of(tmp_path)
    assert without.of(BY_EXIF, PITTS).source == "name"
    assert without.of(BY_EXIF, "a.jpg") == BY_EXIF.metadata
    table(tmp_path, f"image,lat,lon\n{PITTS},1,2\na.jpg,3,4\n")
    positions = positions_of(tmp_path)
    assert positions.of(BY_EXIF, PITTS).position == Position(1, 2)
    assert positions.of(BY_EXIF, "a.jpg").position == Position(3, 4)
    assert positions.of(BY_EXIF, "b.jpg") == BY_EXIF.metadata


def test_what_a_row_leaves_open_comes_from_the_exif_but_not_the_quality_of_its_position(tmp_path):
    photos_in(tmp_path, "a.jpg", "b.jpg")
    table(tmp_path, "image,lat,lon,heading\na.jpg,3,4,\nb.jpg,3,4,20\n")
    positions = positions_of(tmp_path)
    open_row = positions.of(BY_EXIF, "a.jpg")
    assert (open_row.heading, open_row.magnetic, open_row.altitude) == (5.0, True, 7.0)
    assert (open_row.accuracy, open_row.gps_status) == (None, None)
    full_row = positions.of(BY_EXIF, Path("b.jpg"))
    assert (full_row.heading, full_row.magnetic, full_row.source) == (20.0, False, "csv")


def test_a_position_from_elsewhere_settles_the_exif_s_problem(tmp_path):
    photos_in(tmp_path, "a.jpg")
    table(tmp_path, "image,lat,lon\na.jpg,3,4\n")
    broken = photo(problem="the GPS position in its EXIF is not on Earth (95, 0)")
    assert positions_of(tmp_path).of(broken, "a.jpg").problem is None
    assert Positions().of(broken, "a.jpg").problem is not None


def test_the_folder_s_own_csv_comes_before_its_parent_s(tmp_path):
    photos_in(tmp_path, "images/a.jpg")
    table(tmp_path, "image,lat,lon\na.jpg,1,1\n")
    table(tmp_path / "images", "image,lat,lon\na.jpg,2,2\n")
    own = positions_of(tmp_path / "images")
    assert own.of(photo(), "a.jpg").position == Position(2, 2)
    given = positions_of(tmp_path / "images", csv=tmp_path / "positions.csv")
    assert given.of(photo(), "a.jpg").position == Position(1, 1)


def test_the_parent_of_the_current_folder_is_searched_too(tmp_path, monkeypatch):
    photos_in(tmp_path, "images/a.jpg")
    table(tmp_path, "image,lat,lon\na.jpg,1,1\n")
    monkeypatch.chdir(tmp_path / "images")
    positions = Positions.for_folder(".", ["a.jpg"])
    assert positions.of(photo(), "a.jpg").position == Position(1, 1)


def test_a_given_csv_that_names_no_photo_is_refused(tmp_path):
    photos_in(tmp_path, "a.jpg")
    path = table(tmp_path, "image,lat,lon\nother.jpg,1,1\n")
    with pytest.raises(PositionError, match=re.escape(f"{path} names none of the photos in")):
        positions_of(tmp_path, csv=path)
    path = table(tmp_path, "image,lat,lon\na.jpg,,\n")
    with pytest.raises(PositionError, match=r"names none of the photos.* row 2: it has no lat"):
        positions_of(tmp_path, csv=path)


def test_bare_names_find_photos_in_folders_below_and_several_are_told_apart(tmp_path):
    photos_in(tmp_path, "a/x.jpg", "a/y.jpg", "b/y.jpg")
    table(tmp_path, "image,lat,lon\nx.jpg,1,1\ny.jpg,2,2\n")
    positions = positions_of(tmp_path)
    assert list(positions.rows) == ["a/x.jpg"]
    assert positions.unmatched_rows == ()
    assert positions.problems == (
        "y.jpg may be any of 2 photos here: a/y.jpg, b/y.jpg; write its path within the folder",
    )
    path = table(tmp_path, "image,lat,lon\ny.jpg,2,2\n")
    with pytest.raises(PositionError, match=r"names none of the photos.*y.jpg may be any of 2"):
        positions_of(tmp_path, csv=path)


def test_rows_and_photos_without_a_partner_are_named(tmp_path):
    photos_in(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    path = table(tmp_path, "image,lat,lon\na.jpg,1,1\nlost.jpg,2,2\nb.jpg,north,3\n")
    positions = positions_of(tmp_path)
    assert positions.path == path
    assert positions.unmatched_rows == ("lost.jpg",)
    assert positions.unmatched_photos == ("b.jpg", "c.jpg")
    assert [problem.split(";")[0] for problem in positions.problems] == [
        'row 4: lat "north" is not a number'
    ]
    assert positions.of(BY_EXIF, "b.jpg") == BY_EXIF.metadata


# --- has anything been said anew? ---


def stated(folder: Path, text: str | None, name: str = "a.jpg") -> str:
    if text is None:
        return Positions.for_folder(folder, [name]).stated(name)
    table(folder, "image,lat,lon,heading,time,altitude,accuracy,magnetic,note\n" + text)
    return Positions.for_folder(folder, [name]).stated(name)


def test_what_is_stated_changes_with_every_value_of_the_row_and_with_nothing_else(tmp_path):
    nothing = stated(tmp_path, None)
    rows = [
        "a.jpg,1,2,,,,,,",
        "a.jpg,1.0000001,2,,,,,,",
        "a.jpg,1,2,90,,,,,",
        "a.jpg,1,2,90,,,,1,",
        "a.jpg,1,2,,2024-01-01T00:00:00,,,,",
        "a.jpg,1,2,,2024-01-01T00:00:00Z,,,,",
        "a.jpg,1,2,,,5,,,",
        "a.jpg,1,2,,,,5,,",
    ]
    prints = [stated(tmp_path, row) for row in rows]
    assert len({nothing, *prints}) == len(rows) + 1
    assert all(re.fullmatch("[0-9a-f]{16}", value) for value in prints)
    assert stated(tmp_path, "b.jpg,7,7,,,,,,\n./A.JPG,1.0,2.00,,,,,,a note") == prints[0]
    assert stated(tmp_path, "b.jpg,7,7,,,,,,") == nothing


def test_what_is_stated_changes_with_the_position_in_the_name(tmp_path):
    plain = Positions().stated("a.jpg")
    assert Positions().stated("sub/b.jpg") == plain
    assert Positions().stated(PITTS) != plain
    moved = PITTS.replace("0584568.50", "0584569.50")
    assert Positions().stated(moved) != Positions().stated(PITTS)
    contradictory = PITTS.replace("@17@", "@18@")
    assert Positions().stated(contradictory) not in (plain, Positions().stated(PITTS))
