"""The areas that photos are asked for: boxes, circles, polygons, also at the edges of the map."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from hafloc.errors import OptionError
from hafloc.geo import Position
from hafloc.sources import area_near, area_of_box, area_of_file
from hafloc.sources.area import quarters

SQUARE = [[16, 48], [17, 48], [17, 49], [16, 49], [16, 48]]
HOLE = [[16.4, 48.4], [16.6, 48.4], [16.6, 48.6], [16.4, 48.6], [16.4, 48.4]]


def in_boxes(boxes: tuple[tuple[float, float, float, float], ...], place: Position) -> bool:
    return any(w <= place.lon <= e and s <= place.lat <= n for w, s, e, n in boxes)


def test_a_box_is_given_longitudes_first() -> None:
    area = area_of_box("16.36,48.20,16.38,48.21")
    assert area.boxes == ((16.36, 48.2, 16.38, 48.21),)
    assert area.contains(Position(48.205, 16.37))
    assert not area.contains(Position(48.205, 16.39))


def test_a_box_across_the_180th_meridian_is_two() -> None:
    area = area_of_box("179,-20,-179,-10")
    assert area.boxes == ((179, -20, 180, -10), (-180, -20, -179, -10))
    assert area.contains(Position(-15, -179.5))
    assert area.contains(Position(-15, 179.5))
    assert not area.contains(Position(-15, 0))
    assert abs(area.centre.lon) == 180


@pytest.mark.parametrize(
    "text", ["1,2,3", "a,b,c,d", "16,49,17,48", "16,48,16,49", "200,1,201,2", "1,2,3,nan", ""]
)
def test_a_box_that_is_none_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(OptionError, match=r"--bbox .* give") as caught:
        area_of_box(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["48,16", "95,16,100", "48,16,0", "48,16,-5", "x,y,z", "48,16,1e9"]
)
def test_a_circle_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"--near .* give"):
        area_near(text)


@given(
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.floats(1, 200_000),
    st.floats(0, 360),
    st.floats(0, 1),
)
def test_the_boxes_around_a_circle_hold_all_of_it(
    lat: float, lon: float, radius: float, azimuth: float, share: float
) -> None:
    # Given a circle, also at a pole or across the 180th meridian, and a place in it
    area = area_near(f"{lat},{lon},{radius}")
    x, y, _ = Geod(ellps="WGS84").fwd(lon, lat, azimuth, radius * share * 0.999999)
    place = Position(y, x)
    # Then it is among what is asked for, and counts
    assert in_boxes(area.boxes, place)
    assert area.contains(place)
    assert all(-180 <= w <= e <= 180 and -90 <= s <= n <= 90 for w, s, e, n in area.boxes)


def test_polygons_of_a_file_hold_what_is_in_them_but_not_their_holes(tmp_path: Path) -> None:
    far = [[20, 50], [21, 50], [21, 51], [20, 50]]
    feature = {
        "type": "Feature",
        "properties": {},
        "geometry": {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [far]]},
    }
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    area = area_of_file(path)
    assert area.boxes == ((16, 48, 17, 49), (20, 50, 21, 51))
    assert area.contains(Position(48.1, 16.1))
    assert not area.contains(Position(48.5, 16.5))
    assert area.contains(Position(50.3, 20.6))
    assert not area.contains(Position(50.8, 20.2))


def test_boxes_of_polygons_that_overlap_are_asked_for_once(tmp_path: Path) -> None:
    beside = [[[lon + 0.5, lat] for lon, lat in SQUARE]]
    third = [[[lon + 1.2, lat] for lon, lat in SQUARE]]
    path = tmp_path / "area.geojson"
    shapes = {"type": "MultiPolygon", "coordinates": [[SQUARE], third, beside]}
    path.write_text(json.dumps(shapes))
    assert area_of_file(path).boxes == ((16, 48, 18.2, 49),)


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"type": "Point", "coordinates": [1, 2]}',
        '{"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]}',
        '{"type": "Polygon", "coordinates": [[[4e6, 2], [3, 4], [5, 6], [4e6, 2]]]}',
        '{"type": "Polygon", "coordinates": []}',
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": null}]}',
    ],
)
def test_a_file_without_polygons_in_degrees_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "area.geojson").write_text(text)
    with pytest.raises(OptionError, match=r"cannot (read|use) .*area\.geojson: "):
        area_of_file(tmp_path / "area.geojson")
    with pytest.raises(OptionError, match=r"No such file"):
        area_of_file(tmp_path / "none.geojson")


@given(st.floats(-170, 0), st.floats(-80, 0), st.floats(0.001, 10), st.floats(0.001, 10))
def test_quarters_cover_a_box_without_a_gap(
    w: float, s: float, width: float, height: float
) -> None:
    east, north = w + width, s + height
    parts = quarters((w, s, east, north))
    assert {part[0] for part in parts} | {part[2] for part in parts} == {w, (w + east) / 2, east}
    assert {part[1] for part in parts} | {part[3] for part in parts} == {s, (s + north) / 2, north}
