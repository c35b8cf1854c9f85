"""Panoramas of the city show what its own cameras show, each direction where it belongs."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from hafloc.demo import Camera, City, Conditions, build_city, render, render_panorama
from hafloc.photos import Sphere, View
from hafloc.photos.panorama import cut

STILL = Conditions(noise=0.0)


@pytest.fixture(scope="module")
def city() -> City:
    return build_city(3, (2, 2))


@pytest.fixture(scope="module")
def here(city: City) -> Camera:
    street = city.streets[0]
    return Camera(city.frame.to_position(*street.at(20.0, 0.0)), heading=37.0)


@pytest.fixture(scope="module")
def panorama(city: City, here: Camera) -> np.ndarray:
    return render_panorama(city, here, STILL, 512)


def soft(image: np.ndarray) -> np.ndarray:
    """Without lines finer than a pixel, which each way of drawing draws in its own way."""
    return np.asarray(cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.5))


@pytest.mark.parametrize("heading", [45, 160])
def test_a_cut_is_what_a_camera_of_that_heading_sees(
    city: City, here: Camera, panorama: np.ndarray, heading: float
) -> None:
    size = (120, 90)
    camera = Camera(here.position, (here.heading + heading) % 360, 75.0, size=size, rise=0.0)
    seen = soft(render(city, camera, STILL))

    found = cut(panorama, Sphere(), View(heading), size)

    # Of 255; a pixel to the side, or up, is worse.
    off = float(np.abs(soft(found) - seen).mean())
    assert off < 5
    for axis in (0, 1):
        for shift in (-1, 1):
            moved = soft(np.roll(found, shift, axis))
            assert float(np.abs(moved - seen).mean()) > 1.2 * off


def test_the_middle_of_a_panorama_is_its_heading(panorama: np.ndarray) -> None:
    assert panorama.shape == (256, 512, 3)
    # The last column and the first one are neighbours.
    seam = np.abs(panorama[:, 0].astype(int) - panorama[:, -1]).mean()
    usual = np.abs(np.diff(panorama.astype(int), axis=1)).mean()
    assert seam < 4 * usual


def test_a_panorama_of_a_few_pixels_is_refused(city: City, here: Camera, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shows nothing"):
        render_panorama(city, here, STILL, 10)
