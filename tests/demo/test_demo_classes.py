"""Every pixel of a rendered photo has a class, and things can be cut out."""

import numpy as np
import pytest

from hafloc.demo import (
    Camera,
    Conditions,
    PixelClass,
    build_city,
    draw_occluders,
    render,
    render_classes,
)

CITY = build_city(3, (2, 2))
CAMERA = Camera(CITY.frame.to_position(*CITY.streets[0].at(12.0, 0.0)), 80.0, size=(160, 120))


def test_pixels_that_people_change_are_those_that_are_called_people() -> None:
    # Given the same moment with and without passers-by, and no noise
    quiet = Conditions(people=0, cars=0, noise=0, seed=4)
    busy = Conditions(people=3, cars=0, noise=0, seed=4)
    changed = (render(CITY, CAMERA, quiet) != render(CITY, CAMERA, busy)).any(-1)
    people = render_classes(CITY, CAMERA, busy) == PixelClass.PERSON
    # Then whatever is a person has changed, and what has changed lies at one or beside it
    assert people.sum() > 50
    assert (changed & people).sum() > 0.98 * people.sum()
    near = np.zeros_like(people)
    for y in (-1, 0, 1):
        for x in (-1, 0, 1):
            near |= np.roll(people, (y, x), (0, 1))
    assert not (changed & ~near).any()
    # And all else is what it was
    before = render_classes(CITY, CAMERA, quiet)
    assert (render_classes(CITY, CAMERA, busy)[~people] == before[~people]).mean() > 0.99


def test_the_sky_is_above_and_the_road_below_the_houses() -> None:
    classes = render_classes(CITY, CAMERA, Conditions(people=0, parked=0))
    rows = {kind: np.nonzero(classes == kind)[0].mean() for kind in np.unique(classes)}
    assert rows[PixelClass.SKY] < rows[PixelClass.FACADE] < rows[PixelClass.ROAD]
    assert classes.shape == (120, 160)
    assert PixelClass.CAR not in rows


@pytest.mark.parametrize("kind", [PixelClass.CAR, PixelClass.PERSON, PixelClass.TREE])
def test_a_cut_out_fills_its_picture_and_has_a_soft_outline(kind: PixelClass) -> None:
    for occluder in (o for o in draw_occluders(9, seed=2, longest=96) if o.shows == kind):
        alpha = occluder.picture[..., 3]
        assert max(alpha.shape) == 96
        assert all(edge.any() for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
        assert (alpha == 0).any()
        assert (alpha > 250).any()
        assert ((alpha > 0) & (alpha < 250)).sum() > 20
        lowest, highest = {"CAR": (1, 3), "PERSON": (1.4, 2), "TREE": (4, 9)}[kind.name]
        assert lowest < occluder.height < highest


def test_a_longer_list_of_cut_outs_begins_with_the_shorter_one() -> None:
    few, more = draw_occluders(2, seed=5), draw_occluders(4, seed=5)
    assert all((a.picture == b.picture).all() for a, b in zip(few, more, strict=False))
    assert (few[0].picture.shape != draw_occluders(1, seed=6)[0].picture.shape) or (
        few[0].picture != draw_occluders(1, seed=6)[0].picture
    ).any()
