"""The calibration that comes with hafloc."""

from hafloc.calibrate.fit import FEW
from hafloc.locate import shipped_calibrations
from hafloc.nn import load_checkpoint


def test_the_shipped_checkpoint_has_its_own_calibration() -> None:
    found = shipped_calibrations(load_checkpoint("haf").hash)
    # Fit anew with benchmarks/answers.py --calibration where the checkpoint has changed.
    assert [item.verified for item in found] == [False, True]
    assert min(len(item.scores) for item in found) >= FEW
    assert all(min(item.weights) >= 0 for item in found)


def test_another_checkpoint_has_none() -> None:
    assert shipped_calibrations("0" * 32) == ()
