"""Positions, distances and frames against hand-worked values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hafloc.errors import PositionError
from hafloc.geo import LocalFrame, Position, distance, distances, utm_to_position

lats = st.floats(-80, 80)
lons = st.floats(-179, 179)


@pytest.mark.parametrize(
    ("lat", "lon"), [(91, 0), (-90.1, 0), (0, 180.5), (math.nan, 0), (0, math.inf)]
)
def test_a_place_that_is_not_on_earth_is_refused(lat: float, lon: float) -> None:
    with pytest.raises(PositionError):
        Position(lat, lon)


def test_a_degree_of_latitude_at_the_equator() -> None:
    # WGS84: a (1 - e²) π / 180 at the equator is 110,574.4 m for the first degree.
    assert distance(Position(0, 0), Position(1, 0)) == pytest.approx(110_574.4, abs=0.5)


def test_a_degree_of_longitude_at_the_equator() -> None:
    assert distance(Position(0, 0), Position(0, 1)) == pytest.approx(
        6_378_137 * math.pi / 180, abs=0.01
    )


@given(lats, lons, st.floats(-5_000, 5_000), st.floats(-5_000, 5_000))
def test_a_local_frame_there_and_back(lat: float, lon: float, x: float, y: float) -> None:
    frame = LocalFrame(Position(lat, lon))
    place = frame.to_position(x, y)
    assert frame.to_metres([place.lat], [place.lon])[0] == pytest.approx([x, y], abs=1e-3)
    assert distance(frame.origin, place) == pytest.approx(math.hypot(x, y), abs=1e-3)


@given(lats, lons, lats, lons)
def test_many_distances_are_the_single_ones(a: float, b: float, c: float, d: float) -> None:
    here, there = Position(a, b), Position(c, d)
    both = distances(here, [there.lat, here.lat], [there.lon, here.lon])
    assert both == pytest.approx([distance(here, there), 0], abs=1e-6)


def test_utm_of_a_known_place() -> None:
    # The intersection of a zone's central meridian and the equator, by definition.
    centre = utm_to_position(500_000, 0, 31, northern=True)
    assert (centre.lat, centre.lon) == pytest.approx((0, 3), abs=1e-9)
    south = utm_to_position(500_000, 10_000_000, 31, northern=False)
    assert (south.lat, south.lon) == pytest.approx((0, 3), abs=1e-9)


@pytest.mark.parametrize(
    ("easting", "northing", "zone"),
    [(500_000, 0, 0), (500_000, 0, 61), (5, 0, 31), (500_000, -1, 31), (4_000_000, 500_000, 31)],
)
def test_utm_outside_its_zone_is_refused(easting: float, northing: float, zone: int) -> None:
    with pytest.raises(PositionError):
        utm_to_position(easting, northing, zone, northern=True)
