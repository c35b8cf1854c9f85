"""Positions from CSV files and file names, and which source wins."""

import re
from datetime import UTC, datetime
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
    read_positions_csv,
)


def table(folder: Path, text: str | bytes, name: str = "positions.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_csv_gives_positions_headings_and_times(tmp_path):
    path = table(
        tmp_path,
        "image,lat,lon,heading,time\n"
        "a.jpg,52.2,0.1,90,2024-05-31T16:20:00Z\n"
        "sub\\b.jpg,-33.5,-70.25,,\n"
        "\n"
        '"c, d.jpg",0,0,360,2024-05-31 16:20\n',
    )
    assert read_positions_csv(path) == {
        "a.jpg": Metadata(
            Position(52.2, 0.1), 90.0, time=datetime(2024, 5, 31, 16, 20, tzinfo=UTC), source="csv"
        ),
        "sub/b.jpg": Metadata(Position(-33.5, -70.25), source="csv"),
        "c, d.jpg": Metadata(Position(0, 0), 0.0, time=datetime(2024, 5, 31, 16, 20), source="csv"),
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_csv_may_have_a_byte_order_mark_and_any_line_end(tmp_path, encoding, line_end):
    text = line_end.join(["lon, Lat ,image", "2,1,Zürich.jpg", ""])
    path = table(tmp_path, text.encode(encoding))
    assert read_positions_csv(path)["Zürich.jpg"].position == Position(1, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty; the columns are image,lat,lon"),
        (b"\xef\xbb\xbf\n", "is empty"),
        (b"image,lat,lon\n", "holds no positions; the columns are"),
        (b"image,lat,lon\n\xe9.jpg,1,2\n", "is not UTF-8 text; save it as CSV in UTF-8"),
        (b"image,lat,lon,speed\na,1,2,3\n", 'row 1: unknown column "speed"; the columns are'),
        (b"image;lat;lon\na;1;2\n", 'unknown column "image;lat;lon"; .* separated by commas'),
        (b"image,lat\na,1\n", 'row 1: column "lon" is missing; the columns are'),
        (b"image,lat,lon,lat\na,1,2,3\n", 'column "lat" stands there twice; remove one'),
        (
            b"image,lat,lon\na,1,2\nb,95,2\n",
            "row 3: lat 95 is not between -90 and 90 degrees; .* look swapped",
        ),
        (
            b"image,lat,lon\na,95,120\n",
            "row 2: lat 95 is not between -90 and 90 degrees; correct it",
        ),
        (b"image,lat,lon\na,1,200\n", "row 2: lon 200 is not between -180 and 180"),
        (b"image,lat,lon\na,nan,2\n", 'row 2: lat "nan" is not a number; write decimal'),
        (b"image,lat,lon\na,1,inf\n", 'row 2: lon "inf" is not a number'),
        (b"image,lat,lon\na,,2\n", 'row 2: lat "" is not a number; .* or remove the row'),
        (b"image,lat,lon\na,-122.4,37.8\n", "row 2: lat -122.4 is not .*look swapped.*exchange"),
        (b"image,lat,lon\na,1,2\n\n./a,1,3\n", "row 4: a has a position in row 2 already"),
        (b"image,lat,lon\n,1,2\n", "row 2: the image name is empty"),
        (b"image,lat,lon\na,1\n", "row 2: 2 fields where the header has 3; complete the row"),
        (b"image,lat,lon\na,1,2,3\n", "row 2: 4 fields where the header has 3"),
        (b"image,lat,lon,heading\na,1,2,-5\n", "row 2: heading -5 is not between 0 and 360"),
        (b"image,lat,lon,heading\na,1,2,N\n", 'row 2: heading "N" is not a number'),
        (b"image,lat,lon,time\na,1,2,noon\n", 'row 2: time "noon" is not ISO 8601; write it like'),
        (b'image,lat,lon\n"a,1,2\n', "row 2: .*; save it as comma-separated text"),
    ],
)
def test_a_bad_csv_is_refused_with_file_row_and_remedy(tmp_path, text, message):
    path = table(tmp_path, text)
    with pytest.raises(PositionError, match=message) as error:
        read_positions_csv(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_missing_csv_is_named(tmp_path):
    with pytest.raises(PositionError, match=r"gone\.csv: .*; check the path"):
        read_positions_csv(tmp_path / "gone.csv")


@given(
    rows=st.dictionaries(
        st.text("abcXYZ019 _-,äß\"'", min_size=1).filter(lambda name: name == name.strip()),
        st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_written_as_csv_comes_back(rows, tmp_path_factory):
    lines = ["image,lat,lon"]
    for name, (lat, lon) in rows.items():
        lines.append(f'"{name.replace(chr(34), chr(34) * 2)}",{lat!r},{lon!r}')
    path = table(tmp_path_factory.mktemp("csv"), "\n".join(lines))
    found = read_positions_csv(path)
    assert {name: (m.position.lat, m.position.lon) for name, m in found.items()} == rows


@given(st.binary(max_size=60))
def test_any_bytes_as_csv_give_positions_or_a_position_error(tmp_path_factory, data):
    path = table(tmp_path_factory.mktemp("csv"), b"image,lat,lon\n" + data)
    try:
        found = read_positions_csv(path)
    except PositionError:
        return
    assert all(row.position is not None for row in found.values())


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


BY_EXIF = photo(position=Position(10, 10), heading=5.0, altitude=7.0, source="exif", magnetic=True)


def test_an_explicit_row_beats_the_name_which_beats_the_exif(tmp_path):
    photos_in(tmp_path, PITTS, "a.jpg", "b.jpg")
    without = Positions.for_folder(tmp_path)
    assert without.of(BY_EXIF, PITTS).source == "name"
    assert without.of(BY_EXIF, "a.jpg") == BY_EXIF.metadata
    table(tmp_path, f"image,lat,lon\n{PITTS},1,2\na.jpg,3,4\n")
    positions = Positions.for_folder(tmp_path)
    assert positions.of(BY_EXIF, PITTS).position == Position(1, 2)
    assert positions.of(BY_EXIF, "a.jpg").position == Position(3, 4)
    assert positions.of(BY_EXIF, "b.jpg") == BY_EXIF.metadata


def test_what_a_row_leaves_open_comes_from_the_exif(tmp_path):
    photos_in(tmp_path, "a.jpg", "b.jpg")
    table(tmp_path, "image,lat,lon,heading\na.jpg,3,4,\nb.jpg,3,4,20\n")
    positions = Positions.for_folder(tmp_path)
    open_row = positions.of(BY_EXIF, "a.jpg")
    assert (open_row.heading, open_row.magnetic, open_row.altitude) == (5.0, True, 7.0)
    full_row = positions.of(BY_EXIF, Path("b.jpg"))
    assert (full_row.heading, full_row.magnetic, full_row.source) == (20.0, False, "csv")


def test_a_position_from_elsewhere_settles_the_exif_s_problem(tmp_path):
    photos_in(tmp_path, "a.jpg")
    table(tmp_path, "image,lat,lon\na.jpg,3,4\n")
    broken = photo(problem="the GPS position in its EXIF is not on Earth (95, 0)")
    assert Positions.for_folder(tmp_path).of(broken, "a.jpg").problem is None
    assert Positions().of(broken, "a.jpg").problem is not None


@pytest.mark.parametrize("row", ["images/sub/a.jpg", "sub/a.jpg", "a.jpg", "elsewhere/a.jpg"])
def test_the_parent_s_csv_is_found_and_matched_by_path_or_unique_base_name(tmp_path, row):
    photos_in(tmp_path, "images/sub/a.jpg")
    table(tmp_path, f"image,lat,lon\n{row},3,4\n")
    found = Positions.for_folder(tmp_path / "images").of(photo(), "sub/a.jpg")
    assert found.position == Position(3, 4)


def test_the_folder_s_own_csv_comes_before_its_parent_s(tmp_path):
    photos_in(tmp_path, "images/a.jpg")
    table(tmp_path, "image,lat,lon\na.jpg,1,1\n")
    table(tmp_path / "images", "image,lat,lon\na.jpg,2,2\n")
    own = Positions.for_folder(tmp_path / "images")
    assert own.of(photo(), "a.jpg").position == Position(2, 2)
    given = Positions.for_folder(tmp_path / "images", csv=tmp_path / "positions.csv")
    assert given.of(photo(), "a.jpg").position == Position(1, 1)


def test_the_parent_of_the_current_folder_is_searched_too(tmp_path, monkeypatch):
    photos_in(tmp_path, "images/a.jpg")
    table(tmp_path, "image,lat,lon\na.jpg,1,1\n")
    monkeypatch.chdir(tmp_path / "images")
    assert Positions.for_folder(".").of(photo(), "a.jpg").position == Position(1, 1)


def test_a_base_name_that_two_photos_or_two_rows_share_matches_neither(tmp_path):
    photos_in(tmp_path, "x/a.jpg", "y/a.jpg", "b.jpg")
    table(tmp_path, "image,lat,lon\na.jpg,1,1\np/b.jpg,2,2\nq/b.jpg,3,3\n")
    positions = Positions.for_folder(tmp_path)
    for name in ("x/a.jpg", "y/a.jpg", "b.jpg"):
        assert positions.of(photo(), name).position is None


def test_a_given_csv_that_names_no_photo_is_refused(tmp_path):
    photos_in(tmp_path, "a.jpg")
    path = table(tmp_path, "image,lat,lon\nother.jpg,1,1\n")
    with pytest.raises(PositionError, match=re.escape(f"{path} names none of the photos in")):
        Positions.for_folder(tmp_path, csv=path)
