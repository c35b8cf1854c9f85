"""Tables of positions as people have them."""

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hafloc.errors import PositionError
from hafloc.geo import Position, distance
from hafloc.photos import Metadata, read_positions_csv
from hafloc.photos.angle import degrees_of

VIENNA = Position(48.2, 16.37)


def write(folder: Path, text: str | bytes, name: str = "positions.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows_of(folder: Path, text: str | bytes) -> dict[str, Metadata]:
    table = read_positions_csv(write(folder, text))
    assert table.problems == ()
    return dict(table.rows)


def the_row(folder: Path, text: str | bytes) -> Metadata:
    (row,) = rows_of(folder, text).values()
    return row


def near(metadata: Metadata, position: Position = VIENNA) -> bool:
    return distance(metadata.position, position) < 0.01


def test_our_own_columns_give_positions_headings_and_times(tmp_path):
    text = (
        "image,lat,lon,heading,time\n"
        "a.jpg,52.2,0.1,90,2024-05-31T16:20:00Z\n"
        "sub\\b.jpg,-33.5,-70.25,,\n"
        "\n"
        '"c, d.jpg",0,0,360,2024-05-31 16:20\n'
    )
    assert rows_of(tmp_path, text) == {
        "a.jpg": Metadata(
            Position(52.2, 0.1), 90.0, time=datetime(2024, 5, 31, 16, 20, tzinfo=UTC), source="csv"
        ),
        "sub/b.jpg": Metadata(Position(-33.5, -70.25), source="csv"),
        "c, d.jpg": Metadata(Position(0, 0), 0.0, time=datetime(2024, 5, 31, 16, 20), source="csv"),
    }


def test_all_that_an_export_holds_comes_back(tmp_path):
    found = the_row(
        tmp_path,
        "image,lat,lon,heading,time,path,altitude,width,height,source,content,accuracy,magnetic,"
        "gps_status,licence,producer,source_url\n"
        "p/a.jpg,48.2,16.37,90.5,2024-05-31T16:20:00+02:00,p/a.jpg,171.5,160,120,exif,"
        "0f,4.5,True,A,CC-BY-SA-4.0,Ada \x1b[31m,https://example.org/1\n",
    )
    assert found == Metadata(
        VIENNA,
        90.5,
        171.5,
        datetime(2024, 5, 31, 16, 20, tzinfo=timezone(timedelta(hours=2))),
        "csv",
        True,
        accuracy=4.5,
        gps_status="A",
        licence="CC-BY-SA-4.0",
        producer="Ada ?[31m",
        source_url="https://example.org/1",
    )
    for written in ("False", "0", "", "T"):
        row = f"image,lat,lon,heading,magnetic\na,1,2,3,{written}\n"
        assert not the_row(tmp_path, row).magnetic


def test_a_licence_that_stands_there_twice_costs_the_licence_alone(tmp_path):
    table = "image,lat,lon,XMP-cc:License,XMP-xmpRights:License\na.jpg,48.2,16.37,by,by-sa\n"
    assert the_row(tmp_path, table) == Metadata(VIENNA, source="csv")


EXIFTOOL = (
    "SourceFile,FileName,GPSLatitude,GPSLongitude,GPSAltitude,GPSImgDirection,GPSImgDirectionRef,"
    "DateTimeOriginal,OffsetTimeOriginal,SubSecTimeOriginal,GPSHPositioningError,GPSStatus\n"
    './p/a.jpg,a.jpg,"48 deg 12\' 0.00"" N","16 deg 22\' 12.00"" E",123 m Below Sea Level,271.5,'
    "Magnetic North,2018:05:06 10:11:12,+02:00,25,4.5 m,Measurement Active\n"
)


def test_a_table_of_exiftool_is_read_as_it_prints_it(tmp_path):
    found = the_row(tmp_path, EXIFTOOL)
    assert near(found)
    assert (found.altitude, found.heading, found.magnetic) == (-123.0, 271.5, True)
    assert (found.accuracy, found.gps_status) == (4.5, "A")
    assert found.time == datetime(2018, 5, 6, 8, 11, 12, 250_000, UTC)
    assert list(rows_of(tmp_path, EXIFTOOL)) == ["p/a.jpg"]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("SourceFile,GPSLatitude,GPSLongitude", "a.jpg,-33.5,-70.25"),
        (
            "SourceFile,GPSLatitude,GPSLatitudeRef,GPSLongitude,GPSLongitudeRef",
            "a.jpg,33.5,S,70.25,W",
        ),
        (
            "SourceFile,GPSLatitude,GPSLatitudeRef,GPSLongitude,GPSLongitudeRef",
            "a.jpg,-33.5,South,-70.25,West",
        ),
        (
            "SourceFile,EXIF:GPSLatitude,Composite:GPSLatitude,Composite:GPSLongitude",
            "a.jpg,33.5,-33.5,-70.25",
        ),
        ("filename,latitude,longitude", "a.jpg,33.5S,70.25 W"),
        ("Name, LATITUDE ,Lng", 'a.jpg,"33° 30\' S", W70.25'),
        ("File Name;Latitude (deg);Long.", "a.jpg;-33,5;-70,25"),
        ("#Label,X/Longitude,Y/Latitude,Z/Altitude", "a.jpg,-70.25,-33.5,12"),
        ("photo\tgps_lat\tgps_lon", "a.jpg\t-33,5\t-70.25"),
        ("path|lat|lon", '"a.jpg"|"-33.5"|-70.25'),
        ("image,lat,lon", 'a.jpg,"-33,5","-70,25"'),
        ("image,lat,lon", "a.jpg,−33.5,-70.25"),
        ("image,lat,lon,", "a.jpg,-33.5,-70.25,"),
        ("image,lat,lon,,", "a.jpg,-33.5,-70.25"),
        ("image,lat,lon", "a.jpg,-33.5,-70.25,,,"),
        ("image lat lon", "a.jpg  -33.5 -70.25"),
        ("sep=;\nimage;lat;lon", "a.jpg;-33.5;-70.25"),
        ("sep=\t\nimage\tlat\tlon", "a.jpg\t-33.5\t-70.25"),
        ("\n\n# positions of the walk\nimage,lat,lon", "a.jpg,-33.5,-70.25"),
        ("EPSG:4326", "a.jpg -70.25 -33.5 12 0 0 0 1 1 a note"),
        ("image,lat,lon,lat_note,note,note", "a.jpg,-33.5,-70.25,x,y,z"),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_columns_are_told_by_their_names_and_separators_by_the_header(
    tmp_path, header, row, line_end
):
    text = f"{header}\n{row}\n".replace("\n", line_end)
    table = rows_of(tmp_path, text)
    assert list(table) == ["a.jpg"]
    assert near(table["a.jpg"], Position(-33.5, -70.25))


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]
)
def test_code_pages_of_spreadsheets_are_told(tmp_path, encoding):
    text = "lon;Lat ;image\r\n16,37;48,2;Zürich.jpg\r\n"
    assert near(rows_of(tmp_path, text.encode(encoding))["Zürich.jpg"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty; the columns are image,lat,lon"),
        (b"\xef\xbb\xbf\n", "is empty"),
        (b"image,lat,lon\n", "holds no positions; the columns are"),
        (b"image,lat,lon,speed\n\n,,,\n", "holds no positions"),
        (b"image;lat\na;1\n", 'row 1: no image, lat and lon among its columns "image", "lat"; the'),
        (b"\n\nfilename,x,y\na,1,2\n", 'row 3: no image, .* columns "filename", "x", "y"; the col'),
        (b"a.jpg,48.2,16.37\nb.jpg,48.3,16.4\n", 'columns "a.jpg", "48.2", "16.37"'),
        (b"image,lat,lon,lat\na,1,2,3\n", 'row 1: column "lat" stands there twice; remove one'),
        (b"Image;LAT;lon;Lat\na;1;2;3\n", 'column "Lat" stands there twice'),
        (b"EPSG:999999\na.jpg 500000 5300000\n", "row 1: coordinates in EPSG:999999 are not"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "no image, lat and lon among its columns"),
        (b"sep=,\nimage;lat;lon\na;1;2\n", 'row 2: .* columns "image;lat;lon"'),
        (b"image," + b"x" * 200_000 + b"\n", "no image, lat and lon"),
    ],
)
def test_a_table_that_cannot_be_told_is_refused_in_one_line(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(PositionError, match=message) as error:
        read_positions_csv(path)
    assert str(error.value).startswith(str(path))
    assert str(error.value).isprintable()
    assert len(str(error.value)) < len(str(path)) + 300


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(PositionError, match=r"gone\.csv: .*; check the path"):
        read_positions_csv(tmp_path / "gone.csv")
    with pytest.raises(PositionError, match="it is not a file"):
        read_positions_csv(tmp_path)
    with pytest.raises(PositionError, match="it is not a file"):
        read_positions_csv("/dev/null")
    with pytest.raises(PositionError, match="check the path"):
        read_positions_csv("a\0b.csv")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("b,,", "it has no lat and lon; write decimal degrees or remove the row"),
        ("b", "it has no lat and lon"),
        ("b,NaN,nan", "it has no lat and lon"),
        ("b,,2", 'lat "" is not a number'),
        ("b,1,", 'lon "" is not a number; .* or remove the row'),
        ("b,nan,2", 'lat "nan" is not a number; write decimal'),
        ("b,1,inf", 'lon "inf" is not a number'),
        ("b,1e400,2", 'lat "1e400" is not a number'),
        ("b,1_0,2", 'lat "1_0" is not a number'),
        ("b,48 E,2", 'lat "48 E" is not a number'),
        ("b,48 75 0,2", 'lat "48 75 0" is not a number'),
        ("b,95,2", "lat 95 is not between -90 and 90 degrees; .* look swapped"),
        ("b,95,120", "lat 95 is not between -90 and 90 degrees; correct it"),
        ("b,1,200", "lon 200 is not between -180 and 180"),
        ("b,-122.4,37.8", "lat -122.4 is not .*look swapped.*exchange"),
        (",1,2", "the image name is empty; fill it in or remove the row"),
        ("b,48,2,16,4", "5 fields where the header has 3; put those that hold a separator"),
        ('"b,1,2', ".*; check its quotation marks"),
        ('"b"x,1,2', ".*; check its quotation marks"),
    ],
)
def test_a_row_that_cannot_be_used_is_told_and_never_stops_the_rest(tmp_path, row, problem):
    table = read_positions_csv(write(tmp_path, f"image,lat,lon\na,1,2\n\n{row}\nc,3,4\n"))
    assert list(table.rows) == ["a", "c"]
    assert len(table.problems) == 1
    assert re.match(f"row 4: {problem}", table.problems[0])
    assert table.problems[0].isprintable()


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("heading", "-5", "heading -5 is not between 0 and 360 degrees; it is left out"),
        ("heading", "N", 'heading "N" is not a number; it is left out'),
        ("time", "noon", 'time "noon" is not ISO 8601; it is left out; write it like'),
        ("timestamp", "1525601472", 'time "1525601472" is not ISO 8601'),
        ("altitude", "high", 'altitude "high" is not a number'),
        ("accuracy", "-1", "accuracy -1 is not above 0 metres; it is left out"),
    ],
)
def test_a_value_that_cannot_be_used_costs_itself_only(tmp_path, column, value, problem):
    table = read_positions_csv(write(tmp_path, f"image,lat,lon,{column}\na,48.2,16.37,{value}\n"))
    assert table.rows == {"a": Metadata(VIENNA, source="csv")}
    assert len(table.problems) == 1
    assert table.problems[0].startswith(f"row 2: {problem}")


@pytest.mark.parametrize(
    ("column", "value"),
    [("time", "0000:00:00 00:00:00"), ("heading", "undef"), ("altitude", "n/a"), ("time", "-")],
)
def test_words_for_nothing_are_nothing(tmp_path, column, value):
    text = f"image,lat,lon,{column}\na,48.2,16.37,{value}\n"
    assert rows_of(tmp_path, text) == {"a": Metadata(VIENNA, source="csv")}


def test_the_same_row_twice_is_fine_and_two_that_differ_are_told_and_not_used(tmp_path):
    same = "image,lat,lon\na,1,2\n./a,1.0,2\n"
    assert list(rows_of(tmp_path, same)) == ["a"]
    table = read_positions_csv(write(tmp_path, "image,lat,lon\na,1,2\nb,1,2\n\n./a,1,3\n"))
    assert list(table.rows) == ["b"]
    assert table.problems == ("rows 2, 5: a is given differently; keep one",)


def test_a_datum_beside_the_coordinates_counts(tmp_path):
    text = "image,lat,lon,GPSMapDatum\na,35.66,139.75,TOKYO\nb,1,2,GCJ-02\nc,1,2,WGS-84\n"
    table = read_positions_csv(write(tmp_path, text))
    assert 400 < distance(table.rows["a"].position, Position(35.66, 139.75)) < 500
    assert table.rows["c"].position == Position(1, 2)
    assert table.problems == ("row 3: the datum GCJ-02 is not known",)


@given(
    rows=st.dictionaries(
        st.text("abcXYZ019 _-,äß\"'", min_size=1).filter(lambda name: name == name.strip()),
        st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
        min_size=1,
        max_size=8,
    ),
    separator=st.sampled_from(",;\t|"),
)
def test_what_is_written_comes_back(rows, separator, tmp_path_factory):
    lines = [separator.join(["image", "lat", "lon"])]
    for name, (lat, lon) in rows.items():
        quoted = f'"{name.replace(chr(34), chr(34) * 2)}"'
        lines.append(separator.join([quoted, repr(lat), repr(lon)]))
    path = write(tmp_path_factory.mktemp("csv"), "\n".join(lines))
    found = read_positions_csv(path).rows
    assert {name: (m.position.lat, m.position.lon) for name, m in found.items()} == rows


@given(st.binary(max_size=60), st.sampled_from([b"image,lat,lon\n", b"", b"\xff\xfe"]))
def test_any_bytes_give_positions_or_a_position_error(tmp_path_factory, data, head):
    path = write(tmp_path_factory.mktemp("csv"), head + data)
    try:
        table = read_positions_csv(path)
    except PositionError:
        return
    assert all(row.position is not None for row in table.rows.values())
    assert all(problem.isprintable() for problem in table.problems)


# --- coordinates ---


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("48.2", 48.2),
        ("+48.2°", 48.2),
        ("-48.2", -48.2),
        ("48 12", 48.2),
        ("48:12:00", 48.2),
        ("48°12'0\"N", 48.2),
        ("48° 12′ 0″ S", -48.2),
        ("S 48 12 0", -48.2),
        ("-48.2 S", -48.2),
        ("48 deg 12' 0.00\" North", 48.2),
        ("4.82e1", 48.2),
        (".5", 0.5),
    ],
)
def test_one_coordinate_in_many_writings(text, degrees):
    assert degrees_of(text, "NS") == pytest.approx(degrees)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "N",
        "48.2 E",
        "48.2 16.4",
        "48.2.1",
        "1 2 3 4",
        "48 60",
        "48 12 60",
        "N 48 S",
        "4 8 . 2",
        "nan",
        "inf",
        "1e400",
        "٤٨",
        "9" * 100_000 + "x",
        "48..2",
        "--48",
    ],
)
def test_what_is_no_coordinate_is_none(text):
    assert degrees_of(text, "NS") is None


@given(st.integers(0, 89), st.integers(0, 59), st.integers(0, 59_999), st.sampled_from("NS"))
def test_degrees_minutes_seconds_in_text_come_back(whole, minutes, thousandths, hemisphere):
    seconds = thousandths / 1000
    expected = (whole + minutes / 60 + seconds / 3600) * (1 if hemisphere == "N" else -1)
    for form in ("{} deg {}' {:.3f}\" {}", "{}:{}:{:.3f}{}", "{} {} {:.3f} {}", "{}°{}′{:.3f}″{}"):
        text = form.format(whole, minutes, seconds, hemisphere)
        assert degrees_of(text, "NS") == pytest.approx(expected, abs=1e-9)
