"""The calibration that comes with hafloc."""

import numpy as np
import pytest

from hafloc.calibrate.fit import FEW
from hafloc.geo import Position
from hafloc.locate import agree, shipped_calibrations
from hafloc.nn import load_checkpoint
from hafloc.verify import Verified, rank


def test_the_shipped_checkpoint_has_its_own_calibration() -> None:
    found = shipped_calibrations(load_checkpoint("haf").hash)
    # Fit anew with benchmarks/answers.py --calibration where the checkpoint has changed.
    assert [item.verified for item in found] == [False, True]
    assert min(len(item.scores) for item in found) >= FEW
    assert all(min(item.weights) >= 0 for item in found)


def test_another_checkpoint_has_none() -> None:
    assert shipped_calibrations("0" * 32) == ()


def confidence_alone(similarity: float, item: Verified) -> float:
    """Of the shipped calibration in a database of one photo."""
    verified = shipped_calibrations(load_checkpoint("haf").hash)[1]
    evidence = rank([1], [similarity], [item], [None])
    return verified.confidence(agree([Position(52.2, 0.1)], evidence))


@pytest.mark.parametrize(("inliers", "significance"), [(30, 25.0), (51, 60.0), (120, 150.0)])
def test_strong_geometry_is_enough_in_a_database_of_one_photo(
    inliers: int, significance: float
) -> None:
    pairs = np.zeros((inliers, 4), np.float32)
    seen = Verified(2 * inliers, 3 * inliers, "homography", pairs, significance, 0.3)
    assert confidence_alone(0.5, seen) > 0.8


@pytest.mark.parametrize(("similarity", "matches"), [(0.05, 20), (0.15, 32), (0.25, 42)])
def test_a_stranger_alone_is_not_here(similarity: float, matches: int) -> None:
    seen = Verified(matches, 2 * matches, "", np.zeros((0, 4), np.float32), 0.0, 0.0)
    assert confidence_alone(similarity, seen) < 0.2


@pytest.mark.parametrize("similarity", [0.5, 0.9, 1.0])
def test_likeness_without_geometry_is_not_found(similarity: float) -> None:
    # As a mirrored photo of the database has it: much alike, with matches, in no geometry.
    seen = Verified(60, 150, "", np.zeros((0, 4), np.float32), 0.0, 0.0)
    assert confidence_alone(similarity, seen) < 0.5
