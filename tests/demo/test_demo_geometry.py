"""Where the camera sees things: worked by hand, and by slow independent ways."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hafloc.demo import Camera, project
from hafloc.demo.city import ORIGIN
from hafloc.demo.rays import meet
from hafloc.geo import LocalFrame

FRAME = LocalFrame(ORIGIN)


def test_a_point_worked_by_hand_is_seen_where_the_tangent_says():
    # Given a camera that looks east with a focal length of 100 pixels (90° over 200),
    camera = Camera(ORIGIN, heading=90, field_of_view=90, height=2, size=(200, 100), rise=0.1)
    # when a point lies 10 m ahead, 2 m to the right (south) and 3 m above the street,
    x, y, depth = project(camera, FRAME, [10.0, -2.0, 3.0])[0]
    # then it is 100·2/10 right of 99.5, and 100·1/10 above the horizon at 49.5 + 10.
    assert (x, y, depth) == pytest.approx((119.5, 49.5, 10.0), abs=1e-6)


def test_a_point_behind_the_camera_is_not_seen():
    x, y, depth = project(Camera(ORIGIN, heading=0), FRAME, [0.0, -5.0, 1.0])[0]
    assert math.isnan(x)
    assert math.isnan(y)
    assert depth == pytest.approx(-5.0, abs=1e-6)


@given(
    heading=st.floats(0, 359.9),
    turn=st.floats(-60, 60),
    distance=st.floats(1, 200),
    up=st.floats(0, 30),
)
def test_a_point_is_seen_at_its_bearing(heading, turn, distance, up):
    camera = Camera(ORIGIN, heading=heading, rise=0.0)
    bearing = math.radians(heading + turn)
    point = [distance * math.sin(bearing), distance * math.cos(bearing), up]
    x, y, _ = project(camera, FRAME, point)[0]
    depth = distance * math.cos(math.radians(turn))
    assert x == pytest.approx(239.5 + camera.focal * math.tan(math.radians(turn)), abs=1e-4)
    assert y == pytest.approx(179.5 - camera.focal * (up - camera.height) / depth, abs=1e-4)


@given(st.integers(0, 2**32))
def test_rays_meet_walls_where_the_linear_equations_say(seed):
    rng = np.random.default_rng(seed)
    start, end, directions = rng.normal(0, 9, (3, 4, 2))
    origin = rng.normal(0, 9, 2)
    reach, along = meet(origin, directions, start, end)
    for i, direction in enumerate(directions):
        for k in range(4):
            wall = end[k] - start[k]
            steps, part = np.linalg.solve(np.stack([direction, -wall], 1), start[k] - origin)
            if steps > 0.05 and 0 <= part <= 1:
                assert reach[i, k] == pytest.approx(steps, rel=1e-6)
                assert along[i, k] == pytest.approx(part * math.hypot(*wall), rel=1e-6, abs=1e-9)
            else:
                assert np.isinf(reach[i, k])
