"""A rendered picture shows what stands in the city, where it stands."""

from dataclasses import replace

import numpy as np
import pytest

from hafloc.demo import Camera, City, Conditions, Season, build_city, render
from hafloc.demo.atlas import GRASS, MATTE, build_atlas
from hafloc.demo.city import ORIGIN
from hafloc.geo import LocalFrame

# 90° over 200 pixels: a focal length of 100; the horizon at row 74.5.
CAMERA = Camera(ORIGIN, heading=0, field_of_view=90, height=1.65, size=(200, 150), rise=0)
NIGHT = Conditions(sun_elevation=-20, people=0, parked=0, noise=0)
MOMENTS = {
    "overcast": Conditions(cloudiness=1, people=0, noise=0),
    "snow": Conditions(cloudiness=1, season=Season.SNOW, people=0, noise=0),
    "dusk": Conditions(sun_elevation=-3, people=0, noise=0),
    "night": NIGHT,
}


def _field(walls: list[tuple[tuple[float, float], tuple[float, float], float]]) -> City:
    """A flat field with free-standing walls 4 m wide: red left, blue right, green above 2 m."""
    poster = np.zeros((100, 100, 4), np.uint8)
    poster[..., 3] = MATTE
    poster[:, :50, 0], poster[:, 50:, 2] = 250, 250
    poster[:50, :, 1], poster[:50, :, ::2] = 250, 0
    grass = np.full((800, 800, 4), (90, 90, 90, GRASS), np.uint8)
    corners = np.array([wall[:2] for wall in walls], float).reshape(-1, 2, 2)
    return City(
        seed=0,
        frame=LocalFrame(ORIGIN),
        streets=(),
        wall_start=corners[:, 0],
        wall_end=corners[:, 1],
        wall_height=np.array([wall[2] for wall in walls], float),
        wall_texture=np.ones(len(walls), np.int64),
        atlas=build_atlas([(grass, 8.0), (poster, 25.0)]),
        corner=(-50.0, -50.0),
        extent=(100.0, 100.0),
        trees=np.empty((0, 2)),
        lamps=np.empty((0, 2)),
        bays=np.empty((0, 3)),
        skyline=np.zeros(1440),
    )


EMPTY = _field([((-2, -30), (2, -30), 3.0)])
WALL = _field([((-2, 10), (2, 10), 3.0)])


def _seen(moment: Conditions, camera: Camera = CAMERA) -> tuple[int, int, int, int]:
    """Left, right, top, bottom of the pixels that the wall changes."""
    changed = (render(WALL, camera, moment) != render(EMPTY, camera, moment)).any(-1)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    return int(columns[0]), int(columns[-1]), int(rows[0]), int(rows[-1])


def test_a_wall_fills_the_pixels_worked_by_hand():
    # 4 m wide and 10 m away: 99.5 ± 20; from 16.5 below the horizon at 74.5 to 13.5 above it.
    assert _seen(NIGHT) == (80, 119, 61, 91)


def test_a_turned_and_moved_camera_sees_the_wall_elsewhere():
    # From 10 m west, looking north-west: the wall is behind the right edge of the view.
    west = LocalFrame(ORIGIN).to_position(-10.0, 0.0)
    # Its near corner lies at 8 m east, 10 m north: 100·tan(38.66° - 20°) right of the middle.
    left, right, _, _ = _seen(NIGHT, replace(CAMERA, position=west, heading=20))
    assert left == pytest.approx(99.5 + 100 * np.tan(np.radians(38.660 - 20)), abs=1)
    assert right == pytest.approx(99.5 + 100 * np.tan(np.radians(50.194 - 20)), abs=1)


@pytest.mark.parametrize("name", MOMENTS)
def test_conditions_change_pixels_but_not_geometry(name):
    assert _seen(MOMENTS[name]) == (80, 119, 61, 91)
    others = [render(WALL, CAMERA, MOMENTS[other]) for other in MOMENTS if other != name]
    here = render(WALL, CAMERA, MOMENTS[name])
    assert all(np.abs(here.astype(int) - other).mean() > 1 for other in others)


def test_what_is_painted_on_a_wall_is_the_right_way_round():
    image = render(WALL, CAMERA, MOMENTS["overcast"]).astype(int)
    assert image[85, 85].argmax() == 0  # red, low on the left
    assert image[85, 115].argmax() == 2  # blue, low on the right
    assert image[63, 100].argmax() == 1  # green, high up


def test_a_nearer_wall_hides_a_farther_one():
    both = _field([((-2, 10), (2, 10), 3.0), ((-1, 5), (1, 5), 3.0)])
    near = _field([((-1, 5), (1, 5), 3.0)])
    hidden = (slice(50, 100), slice(81, 119))
    assert np.array_equal(render(both, CAMERA, NIGHT)[hidden], render(near, CAMERA, NIGHT)[hidden])


def test_a_taller_wall_is_seen_above_a_nearer_one():
    both = _field([((-2, 20), (2, 20), 4.0), ((-2, 10), (2, 10), 2.0)])
    image = render(both, CAMERA, MOMENTS["overcast"]).astype(int)
    # The far top is at 74.5 - 100·2.35/20 = 62.75, the near one at 74.5 - 3.5 = 71.
    assert image[66, 100].argmax() == 1
    assert image[58, 100].argmax() == 2  # the sky


def test_a_shadow_falls_away_from_the_sun():
    # Given the evening sun low in the west, then the ground east of a wall is the darker.
    west = Conditions(sun_azimuth=270, sun_elevation=20, cloudiness=0, people=0, noise=0)
    wall = _field([((0, 8), (0, 14), 3.0)])
    image = render(wall, CAMERA, west).astype(int).sum(-1)
    # At 10 m, row 91: columns 40 pixels left and right are 4 m west and east of the wall.
    assert image[91, 139] < 0.8 * image[91, 59]


def test_the_same_arguments_give_the_same_picture():
    moment = Conditions(people=3, cars=1, seed=5)
    assert np.array_equal(render(WALL, CAMERA, moment), render(WALL, CAMERA, moment))
    assert not np.array_equal(
        render(WALL, CAMERA, moment), render(WALL, CAMERA, replace(moment, seed=6))
    )


def test_a_picture_has_the_size_that_was_asked_for():
    image = render(WALL, replace(CAMERA, size=(63, 41)), Conditions())
    assert image.shape == (41, 63, 3)
    assert image.dtype == np.uint8


def test_no_two_facades_are_alike():
    atlas = build_city(3, (2, 2)).atlas
    looks = {atlas.texels[first : first + 4000].tobytes() for first in atlas.offset[:, 2].tolist()}
    assert len(looks) == len(atlas.offset)


def test_a_city_of_one_block_is_refused():
    with pytest.raises(ValueError, match="2×2"):
        build_city(0, (1, 2))
