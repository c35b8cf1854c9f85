"""Positions that other programs wrote down: a real shape of each, and hostile ones."""

import json
import math
import sqlite3
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hafloc.errors import HaflocError, PositionError
from hafloc.geo import LocalFrame, Position, distance
from hafloc.photos import Positions, read_table
from hafloc.photos.projects.similarity import fit_similarity
from hafloc.photos.projects.turning import (
    heading_of,
    rotation_of_quaternion,
    rotation_of_vector,
)

VIENNA = Position(48.2, 16.37)
FRAME = LocalFrame(VIENNA)


def saved(folder: Path, name: str, value: Any) -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def looking(heading: float) -> Rotation:
    """From a world of east, north and up into a level camera (x right, y down, z ahead)."""
    angle = math.radians(heading)
    right = [math.cos(angle), -math.sin(angle), 0]
    ahead = [math.sin(angle), math.cos(angle), 0]
    return Rotation.from_matrix(np.array([right, [0, 0, -1], ahead]))


# --- OpenSfM and OpenDroneMap ---


def shot(east: float, north: float, up: float, heading: float) -> dict[str, Any]:
    turning = looking(heading)
    return {
        "rotation": turning.as_rotvec().tolist(),
        "translation": (-turning.as_matrix() @ [east, north, up]).tolist(),
        "camera": "v2 apple iphone 12 4032 3024 perspective 0.7222",
        "orientation": 1,
        "capture_time": 1717164000.0,
        "gps_dop": 5.0,
        "gps_position": [0.0, 0.0, 0.0],
        "vertices": [],
        "faces": [],
        "scale": 1.0,
        "covariance": [],
        "merge_cc": 0,
    }


def test_a_reconstruction_of_opensfm_gives_centres_heights_and_headings(tmp_path: Path) -> None:
    shots = {"IMG_1.jpg": shot(100, 200, 5, 30), "IMG_2.jpg": shot(-50, 0, -2, 275)}
    path = saved(
        tmp_path,
        "reconstruction.json",
        [
            {
                "cameras": {"v2 apple": {"projection_type": "perspective", "focal": 0.7}},
                "shots": shots,
                "points": {"1": {"coordinates": [1, 2, 3], "color": [1, 2, 3]}},
                "biases": {},
                "rig_cameras": {},
                "rig_instances": {},
                "reference_lla": {"latitude": 48.2, "longitude": 16.37, "altitude": 170.0},
            }
        ],
    )
    rows = read_table(path).rows
    first, second = rows["IMG_1.jpg"], rows["IMG_2.jpg"]
    assert distance(first.position, FRAME.to_position(100, 200)) < 0.01
    assert (first.altitude, first.heading) == (pytest.approx(175), pytest.approx(30))
    assert distance(second.position, FRAME.to_position(-50, 0)) < 0.01
    assert second.heading == pytest.approx(275)
    assert first.source == "table"


def test_an_old_reconstruction_takes_its_reference_from_the_file_beside_it(tmp_path: Path) -> None:
    path = saved(
        tmp_path, "reconstruction.json", [{"cameras": {}, "shots": {"a": shot(0, 0, 0, 0)}}]
    )
    with pytest.raises(PositionError, match="it has no position of its reference"):
        read_table(path)
    lla = {"latitude": 48.2, "longitude": 16.37, "altitude": 0}
    saved(tmp_path, "reference_lla.json", lla)
    assert distance(read_table(path).rows["a"].position, VIENNA) < 0.01


def test_exif_overrides_give_what_a_person_said(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        "exif_overrides.json",
        {
            "a.jpg": {
                "gps": {"latitude": 48.2, "longitude": 16.37, "altitude": 171.0, "dop": 3.0},
                "compass": {"angle": 365.0, "accuracy": 5},
            },
            "b.jpg": {"orientation": 6},
            "c.jpg": {"gps": {"latitude": None, "longitude": 16.37}},
            "d.jpg": {"gps": {"latitude": 98.2, "longitude": 16.37}},
        },
    )
    table = read_table(path)
    found = table.rows["a.jpg"]
    assert set(table.rows) == {"a.jpg"}
    assert (found.position, found.altitude, found.accuracy, found.heading) == (VIENNA, 171, 3, 5)
    assert [problem.partition(":")[0] for problem in table.problems] == ["photo 3", "photo 4"]


@pytest.mark.parametrize("head", ["EPSG:32633", "WGS84 UTM 33N", "+proj=utm +zone=33 +datum=WGS84"])
def test_a_geo_txt_of_opendronemap_may_be_in_any_projection(tmp_path: Path, head: str) -> None:
    # 500,000 east is the middle of zone 33, at 15° E; 5,311,000 m north by Karney's series
    path = saved(tmp_path, "geo.txt", f"{head}\nDJI_1.JPG 500000 5316300.30 120 0 0 0 2.5 5\n")
    found = read_table(path).rows["DJI_1.JPG"]
    assert found.position is not None
    assert found.position.lon == pytest.approx(15, abs=1e-7)
    # … which the geodesic along that meridian gives too (the zone's scale is 0.9996)
    south = Position(found.position.lat - 0.5, 15)
    rows = read_table(
        saved(tmp_path, "geo.txt", f"{head}\na.jpg 500000 {5316300.30 - 55593.5 * 0.9996} 0\n")
    ).rows
    assert distance(rows["a.jpg"].position, south) < 30
    assert (found.altitude, found.accuracy) == (120, 2.5)


@pytest.mark.parametrize(
    "head", ["EPSG:999999", "+proj=utm +zone=33 +nadgrids=/etc/passwd", "EPSG:5714"]
)
def test_a_projection_that_is_none_is_refused(tmp_path: Path, head: str) -> None:
    path = saved(tmp_path, "geo.txt", f"{head}\na.jpg 500000 5300000\n")
    with pytest.raises(PositionError):
        read_table(path)


# --- COLMAP ---

TRUTH = [(0, 0, 0, 10), (100, 0, 2, 80), (100, 150, 1, 170), (0, 150, 3, 350), (50, 60, 9, 45)]
NAMES = [f"cam/{n} x.jpg" for n in range(len(TRUTH))]


def model(scale: float = 0.031) -> list[tuple[str, list[float], list[float]]]:
    """Name, quaternion (scalar first) and translation of each photo, in a world of its own."""
    tilt = Rotation.from_euler("xyz", [0.3, -1.1, 2.0])
    images = []
    for name, (east, north, up, heading) in zip(NAMES, TRUTH, strict=True):
        centre = scale * tilt.apply([east, north, up]) + [4, -2, 7]
        turning = looking(heading) * tilt.inv()
        x, y, z, w = turning.as_quat()
        moved = (-turning.apply(centre)).tolist()
        images.append((name, [float(part) for part in (w, x, y, z)], moved))
    return images


def as_text(images: list[tuple[str, list[float], list[float]]]) -> str:
    head = "# Image list with two lines of data per image:\n"
    head += "#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME\n"
    head += "#   POINTS2D[] as (X, Y, POINT3D_ID)\n# Number of images: 5\n"
    lines = [
        f"{at} {' '.join(map(repr, q + t))} 1 {name}\n"
        + ("" if at % 2 else "1.5 2.5 -1 3 4 7")
        + "\n"
        for at, (name, q, t) in enumerate(images, start=1)
    ]
    return head + "".join(lines)


def as_binary(images: list[tuple[str, list[float], list[float]]]) -> bytes:
    data = struct.pack("<Q", len(images))
    for at, (name, q, t) in enumerate(images, start=1):
        data += struct.pack("<I7dI", at, *q, *t, 1) + name.encode() + b"\0"
        data += struct.pack("<Q", 2) + struct.pack("<ddqddq", 1, 2, -1, 3, 4, 7)
    return data


def references(upto: int = 4, error: float = 0.0) -> str:
    lines = []
    for at, (name, (east, north, up, _)) in enumerate(zip(NAMES, TRUTH, strict=True)):
        place = FRAME.to_position(east + error * (-1) ** at, north)
        lines.append(f"{name} {place.lat!r} {place.lon!r} {170 + up}")
    return "\n".join(lines[:upto])


@pytest.mark.parametrize("name", ["images.txt", "images.bin", "sparse"])
def test_a_colmap_model_is_brought_to_earth_by_its_references(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "sparse":
        path.mkdir()
        saved(path, "images.txt", as_text(model()))
    elif name == "images.txt":
        saved(tmp_path, name, as_text(model()))
    else:
        path.write_bytes(as_binary(model()))
    saved(tmp_path, "ref_images.txt", "# name lat lon alt\n" + references())
    table = read_table(path)
    # Then the photo without a reference is where it was too, with its height and heading
    found = table.rows[NAMES[4]]
    assert distance(found.position, FRAME.to_position(50, 60)) < 0.05
    assert found.altitude == pytest.approx(179, abs=0.05)
    assert found.heading == pytest.approx(45, abs=0.1)
    assert found.accuracy == 0.1
    assert table.notes == ("fitted to 4 references of ref_images.txt: 0.0 m off, the worst 0.0 m",)


def test_a_text_model_may_leave_out_lines_of_points_or_comments(tmp_path: Path) -> None:
    # As in fvdb-reality-capture's 177 and supersplat's 643; RealityScan's exponents and names of
    # LichtFeld-Studio's 810
    lines = [line for line in as_text(model()).splitlines() if "jpg" in line]
    lines = [line.replace(" x.jpg", "-wp-2 (402).jpg") for line in lines]
    lines[0] += "\n" + " ".join(["775 1029 8574"] * 5)
    lines[1] += "\n# a remark\n"
    refs = references().replace(" x.jpg", "-wp-2 (402).jpg")
    saved(tmp_path, "ref_images.txt", refs)
    table = read_table(saved(tmp_path, "images.txt", "\n".join(lines)))
    assert len(table.rows) == 5
    assert table.problems == ()


def test_the_error_of_the_fit_is_said_and_stored(tmp_path: Path) -> None:
    saved(tmp_path, "ref_images.txt", references(5, error=2.0))
    table = read_table(saved(tmp_path, "images.txt", as_text(model())))
    accuracy = table.rows[NAMES[0]].accuracy
    assert accuracy is not None
    assert 1 < accuracy < 5
    assert f"{accuracy:,.1f} m off" in table.notes[0]


def test_a_reference_that_contradicts_the_others_is_left_out_and_said(tmp_path: Path) -> None:
    wrong = references(5).splitlines()
    wrong[1] = f"{NAMES[1]} 48.3 16.37 172"
    saved(tmp_path, "ref_images.txt", "\n".join(wrong))
    table = read_table(saved(tmp_path, "images.txt", as_text(model())))
    assert distance(table.rows[NAMES[1]].position, FRAME.to_position(100, 0)) < 0.1
    assert "fitted to 5 references of ref_images.txt, 1 of them left out" in table.notes[0]


def test_references_may_be_metres_from_the_earths_centre(tmp_path: Path) -> None:
    from pyproj import Transformer

    to_centre = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    lines = []
    for name, (east, north, up, _) in zip(NAMES, TRUTH, strict=True):
        place = FRAME.to_position(east, north)
        lines.append(
            f"{name} " + " ".join(map(repr, to_centre.transform(place.lon, place.lat, 170 + up)))
        )
    saved(tmp_path, "ref_images.txt", "\n".join(lines))
    rows = read_table(saved(tmp_path, "images.txt", as_text(model()))).rows
    assert distance(rows[NAMES[4]].position, FRAME.to_position(50, 60)) < 0.05


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "a COLMAP model needs ref_images.txt beside it"),
        ("", "none of its photos has a reference"),
        (references(2), "2 of its photos have a reference, and 3 are needed"),
        (
            "\n".join(f"{name} {48.2 + at / 1000} 16.37 0" for at, name in enumerate(NAMES[:3])),
            "lie on one line",
        ),
        ("\n".join(f"{name} 5000000 300000 12" for name in NAMES), "none of its photos has"),
    ],
)
def test_references_that_tell_too_little_are_refused(
    tmp_path: Path, text: str | None, words: str
) -> None:
    if text is not None:
        saved(tmp_path, "ref_images.txt", text)
    with pytest.raises(PositionError, match=words) as refusal:
        read_table(saved(tmp_path, "images.txt", as_text(model())))
    assert "\n" not in str(refusal.value)


@settings(max_examples=25)
@given(
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    scale=st.floats(1e-3, 1e3),
    shift=st.tuples(*[st.floats(-1e4, 1e4)] * 3),
    seed=st.integers(0, 99),
)
def test_a_similarity_is_found_again(
    angles: tuple[float, ...], scale: float, shift: tuple[float, ...], seed: int
) -> None:
    source = np.random.default_rng(seed).normal(size=(6, 3))
    turning = Rotation.from_euler("xyz", angles)
    target = scale * turning.apply(source) + shift
    fitted = fit_similarity(source, target)
    assert fitted.scale == pytest.approx(scale, rel=1e-6)
    assert np.allclose(fitted.rotation, turning.as_matrix(), atol=1e-6)
    assert fitted.error < 1e-6 * max(1, scale)


@given(vector=st.tuples(*[st.floats(-6, 6)] * 3))
def test_rotations_agree_with_scipys(vector: tuple[float, ...]) -> None:
    theirs = Rotation.from_rotvec(vector)
    x, y, z, w = theirs.as_quat()
    assert np.allclose(rotation_of_vector(np.array(vector)), theirs.as_matrix(), atol=1e-9)
    assert np.allclose(rotation_of_quaternion(w, x, y, z), theirs.as_matrix(), atol=1e-9)


def test_a_camera_that_looks_down_has_no_heading() -> None:
    assert heading_of(np.diag([1.0, -1.0, -1.0])) is None
    assert heading_of(looking(123).as_matrix()) == pytest.approx(123)


# --- Mapillary, exiftool ---


def test_a_description_of_mapillary_tools_is_read(tmp_path: Path) -> None:
    described = [
        {
            "filename": "/home/me/photos/IMG_1.JPG",
            "filetype": "image",
            "MAPLatitude": 48.2,
            "MAPLongitude": 16.37,
            "MAPAltitude": 171.0,
            "MAPCaptureTime": "2024_05_31_14_00_00_250",
            "MAPCompassHeading": {"TrueHeading": 90.5, "MagneticHeading": 86.0},
            "MAPSequenceUUID": "0",
            "MAPDeviceMake": "GoPro",
            "md5sum": "1e1b0cf6",
            "filesize": 1234,
        },
        {
            "error": {"type": "MapillaryGeoTaggingError", "message": "Unable to extract GPS"},
            "filename": "/home/me/photos/IMG_2.JPG",
        },
        {"filename": "clip.mp4", "filetype": "video", "MAPGPSTrack": []},
    ]
    table = read_table(saved(tmp_path, "mapillary_image_description.json", described))
    found = table.rows["/home/me/photos/IMG_1.JPG"]
    assert (found.position, found.altitude, found.heading) == (VIENNA, 171, 90.5)
    assert found.time == datetime(2024, 5, 31, 14, 0, 0, 250_000, tzinfo=UTC)
    assert table.problems == ("photo 2: mapillary_tools refused it (Unable to extract GPS)",)
    # Then its absolute path finds the photo on this computer
    path = tmp_path / "mapillary_image_description.json"
    positions = Positions.for_folder(tmp_path / "photos", ["IMG_1.JPG"], path)
    assert set(positions.rows) == {"IMG_1.JPG"}


@pytest.mark.parametrize(
    "tags",
    [
        {"GPSLatitude": "48 deg 12' 0.00\" N", "GPSLongitude": "16 deg 22' 12.00\" E",
         "GPSImgDirection": 90, "DateTimeOriginal": "2024:05:31 16:00:00", "ImageWidth": 4032},
        {"GPSLatitude": 48.2, "GPSLongitude": 16.37, "GPSImgDirection": 90,
         "DateTimeOriginal": "2024:05:31 16:00:00"},
        {"EXIF:GPSLatitude": 48.2, "EXIF:GPSLongitude": 16.37, "Composite:GPSLatitude": 48.2,
         "Composite:GPSLongitude": 16.37, "EXIF:GPSImgDirection": 90,
         "EXIF:DateTimeOriginal": "2024:05:31 16:00:00"},
        {"ExifTool": {"Version": 12.57}, "EXIF": {"DateTimeOriginal": "2024:05:31 16:00:00",
         "GPSImgDirection": 90}, "Composite": {"GPSLatitude": 48.2, "GPSLongitude": 16.37}},
        {"GPSPosition": "48 deg 12' 0.00\" N, 16 deg 22' 12.00\" E", "GPSImgDirection": 90,
         "DateTimeOriginal": "2024:05:31 16:00:00"},
        {"Composite:GPSPosition": "48.2 16.37", "GPSImgDirection": 90,
         "DateTimeOriginal": "2024:05:31 16:00:00"},
    ],
)  # fmt: skip
def test_json_of_exiftool_is_read_with_and_without_its_options(
    tmp_path: Path, tags: dict[str, Any]
) -> None:
    path = saved(tmp_path, "x.json", [{"SourceFile": "./a.jpg"} | tags, {"SourceFile": "b.jpg"}])
    table = read_table(path)
    found = table.rows["a.jpg"]
    assert distance(found.position, VIENNA) < 0.1
    assert (found.heading, found.time) == (90, datetime(2024, 5, 31, 16))
    assert table.problems == ()
    assert table.notes == ("1 of its photos have no GPSLatitude",)


# --- layers ---


def feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def point(*coordinates: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": list(coordinates)}


def test_points_of_geojson_are_read_by_their_file_column(tmp_path: Path) -> None:
    # As OpenDroneMap's shots.geojson, with a line among the points
    collection = {
        "type": "FeatureCollection",
        "features": [
            feature(point(16.37, 48.2, 171), filename="a.jpg", capture_time=1.0, heading=12),
            feature({"type": "LineString", "coordinates": [[1, 2], [3, 4]]}, filename="b.jpg"),
            feature(None, filename="c.jpg"),
            feature(point(16.37, 48.2), id=3),
        ],
    }
    table = read_table(saved(tmp_path, "shots.geojson", collection))
    found = table.rows["a.jpg"]
    assert (found.position, found.altitude, found.heading) == (VIENNA, 171, 12)
    assert [problem.partition(":")[0] for problem in table.problems] == [
        "feature 2", "feature 3", "feature 4",
    ]  # fmt: skip


def test_geojson_of_old_may_name_its_reference_system(tmp_path: Path) -> None:
    collection = {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}},
        "features": [feature(point(1822300.06, 6141868.12), photo="a.jpg")],
    }
    found = read_table(saved(tmp_path, "x.json", collection)).rows["a.jpg"]
    # Web Mercator by hand: lon = x / a, lat = gd(y / a), a = 6,378,137 m
    a = 6_378_137.0
    lat = math.degrees(math.atan(math.sinh(6141868.12 / a)))
    assert found.position is not None
    assert found.position.lat == pytest.approx(lat)
    assert found.position.lon == pytest.approx(math.degrees(1822300.06 / a))


def geopackage(path: Path, shapes: list[tuple[Any, str]], *, system: int = 4326) -> Path:
    with sqlite3.connect(path) as file:
        file.executescript(
            """
            CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT, srs_id INTEGER PRIMARY KEY,
                organization TEXT, organization_coordsys_id INTEGER, definition TEXT);
            INSERT INTO gpkg_spatial_ref_sys VALUES ('a', 4326, 'EPSG', 4326, ''),
                ('b', 990001, 'EPSG', 32633, '');
            CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT,
                geometry_type_name TEXT, srs_id INTEGER, z TINYINT, m TINYINT);
            INSERT INTO gpkg_geometry_columns VALUES ('my photos', 'geom', 'POINT', 4326, 0, 0);
            CREATE TABLE "my photos" (fid INTEGER PRIMARY KEY, geom BLOB, "File Name" TEXT,
                azimuth REAL);
            """
        )
        file.executemany(
            'INSERT INTO "my photos" (geom, "File Name", azimuth) VALUES (?, ?, 90)', shapes
        )
    return path


def blob(x: float, y: float, *, system: int = 4326, kind: int = 1, envelope: bool = False) -> bytes:
    """A point as GeoPackage has it: header (with or without envelope) and WKB."""
    head = b"GP\0" + bytes([0b11 if envelope else 1]) + struct.pack("<i", system)
    head += struct.pack("<4d", x, x, y, y) if envelope else b""
    return head + struct.pack("<BIdd", 1, kind, x, y)


def test_the_points_of_a_geopackage_are_read_in_their_reference_system(tmp_path: Path) -> None:
    path = geopackage(
        tmp_path / "layers.gpkg",
        [
            (blob(16.37, 48.2, envelope=True), "a.jpg"),
            (blob(500000, 5316300.3, system=990001), "b.jpg"),
            (blob(16.37, 48.2, kind=1001) + struct.pack("<d", 5), "c.jpg"),
            (None, "d.jpg"),
            (b"GP\0\x01", "e.jpg"),
            (blob(math.nan, math.nan), "f.jpg"),
            (blob(1, 2, kind=3), "g.jpg"),
        ],
    )
    table = read_table(path)
    assert set(table.rows) == {"a.jpg", "b.jpg", "c.jpg"}
    assert (table.rows["a.jpg"].position, table.rows["a.jpg"].heading) == (VIENNA, 90)
    assert table.rows["b.jpg"].position.lon == pytest.approx(15)
    assert [problem.partition(":")[0] for problem in table.problems] == [
        f"my photos, row {n}" for n in (4, 5, 6, 7)
    ]


def test_a_geopackage_cannot_run_what_it_likes(tmp_path: Path) -> None:
    # Given a layer that is a view over an endless query, beside no other
    path = geopackage(tmp_path / "evil.gpkg", [])
    with sqlite3.connect(path) as file:
        file.executescript(
            """
            DROP TABLE "my photos";
            CREATE VIEW "my photos" AS WITH RECURSIVE n(geom) AS (SELECT x'00' UNION ALL
                SELECT geom FROM n) SELECT geom, 'a.jpg' AS image FROM n;
            """
        )
    with pytest.raises(PositionError, match="no point layer of it has a column that names photos"):
        read_table(path)


def test_a_csv_layer_may_hold_its_points_as_wkt(tmp_path: Path) -> None:
    text = 'WKT,fid,filename,heading\n"POINT (16.37 48.2)",1,a.jpg,12\nPOINT Z (1 2 3),2,b.jpg,\n'
    table = read_table(saved(tmp_path, "layer.csv", text + "POINT EMPTY,3,c.jpg,\n,4,d.jpg,\n"))
    assert (table.rows["a.jpg"].position, table.rows["a.jpg"].heading) == (VIENNA, 12)
    assert table.rows["b.jpg"].position == Position(2, 1)
    assert len(table.problems) == 2


# --- what is of no use ---


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "its JSON is damaged in line 1"),
        (nested(100_000), "its JSON is nested too deep"),
        ('[{"SourceFile": 1' + "0" * 5000 + "}]", "a number that is too long"),
        ('{"a": 1}', "its JSON is of no known form"),
        ("[]", "its JSON is of no known form"),
        ("[null, 3]", "its JSON is of no known form"),
        ('{"type": "FeatureCollection", "features": 3}', "it holds no position of a photo"),
        ('[{"shots": 5}]', "it holds no position of a photo"),
        ('[{"MAPLatitude": NaN, "MAPLongitude": Infinity, "filename": "a"}]', "photo 1: NaN|nan"),
        ('[{"MAPLatitude": 1e400, "MAPLongitude": 1, "filename": {}}]', "is not a coordinate"),
        ('[{"MAPLatitude": [1], "MAPLongitude": true, "filename": "a"}]', "is not a coordinate"),
        ('[{"MAPLatitude": 91, "MAPLongitude": 1, "filename": "a"}]', "latitude 91 is not"),
        ('[{"MAPLatitude": 1, "MAPLongitude": 1, "filename": ["a"]}]', "it names no photo"),
    ],
)
def test_hostile_json_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = saved(tmp_path, "x.json", text)
    with pytest.raises(PositionError, match=words) as refusal:
        read_table(path)
    assert str(refusal.value).startswith(f"cannot read {path}: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["<gpx></gpx>", "<kml/>", "$GPRMC,140000,A,,,,,,,310524,,\n"])
def test_a_track_in_place_of_a_table_is_told_where_it_belongs(tmp_path: Path, text: str) -> None:
    with pytest.raises(PositionError, match="it is a track; name it with --track"):
        read_table(saved(tmp_path, "walk", text))


def test_a_photo_that_is_given_differently_has_no_position(tmp_path: Path) -> None:
    described = [
        {"filename": "a.jpg", "MAPLatitude": lat, "MAPLongitude": 16.37} for lat in (48, 49)
    ] + [{"filename": "b.jpg", "MAPLatitude": 48, "MAPLongitude": 16.37}] * 2
    table = read_table(saved(tmp_path, "m.json", described))
    assert set(table.rows) == {"b.jpg"}
    assert table.problems == ("photo 1 and photo 2: a.jpg is given differently; keep one",)


def test_a_thousand_faults_are_not_a_thousand_lines(tmp_path: Path) -> None:
    described = [{"filename": "a.jpg", "MAPLatitude": 1, "MAPLongitude": 1}]
    described += [
        {"filename": f"{n}.jpg", "MAPLatitude": 99, "MAPLongitude": 1} for n in range(1000)
    ]
    problems = read_table(saved(tmp_path, "m.json", described)).problems
    assert len(problems) == 101
    assert problems[-1] == "900 more of the same kind"


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8)
    | st.sampled_from(["a.jpg", 48.2, 16.37, [1, 2, 3], "Point"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from([
            "shots", "rotation", "translation", "reference_lla", "latitude", "longitude", "gps",
            "MAPLatitude", "MAPLongitude", "filename", "SourceFile", "GPSLatitude", "GPSLongitude",
            "type", "features", "geometry", "coordinates", "properties", "crs", "name", "compass",
            "title", "geoData", "photoTakenTime", "error", "MAPCompassHeading", "TrueHeading",
        ]),
        inner,
        max_size=5,
    ),
    max_leaves=15,
)  # fmt: skip


@settings(max_examples=50)
@given(value=VALUES)
def test_any_json_is_a_table_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, value: Any
) -> None:
    path = saved(tmp_path_factory.getbasetemp(), "any.json", value)
    refusal = ""
    try:
        for metadata in read_table(path).rows.values():
            assert metadata.position is not None
    except HaflocError as error:
        refusal = str(error)
    assert "\n" not in refusal


@settings(max_examples=50)
@given(
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 9), st.binary(max_size=9)), max_size=4
    ),
    binary=st.booleans(),
)
def test_a_damaged_model_is_a_table_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[float, int, bytes]], binary: bool
) -> None:
    data = as_binary(model()) if binary else as_text(model()).encode()
    for share, length, put in edits:
        at = int(share * len(data))
        data = data[:at] + put + data[at + length :]
    folder = tmp_path_factory.getbasetemp() / "damaged models"
    folder.mkdir(exist_ok=True)
    saved(folder, "ref_images.txt", references())
    (folder / "images").write_bytes(data)
    refusal = ""
    try:
        read_table(folder / "images")
    except HaflocError as error:
        refusal = str(error)
    assert "\n" not in refusal
