"""Learn from photos of known position how far off the answers of a database are."""

from hafloc.calibrate.calibrate import SAMPLE, CalibrationReport, calibrate
from hafloc.calibrate.fit import ELSEWHERE, FEW, FEWEST, Trial, fit
from hafloc.calibrate.keep import NotCalibrated, SelfCalibration, keep_calibrated
from hafloc.calibrate.neighbourhoods import neighbourhoods
from hafloc.calibrate.quality import (
    HeldOut,
    Promise,
    area_under_roc,
    calibration_error,
    cross_validate,
    interval,
    promise,
    try_out,
)
from hafloc.calibrate.trials import Known, Trials, own_photos, photos_of

__all__ = [
    "ELSEWHERE",
    "FEW",
    "FEWEST",
    "SAMPLE",
    "CalibrationReport",
    "HeldOut",
    "Known",
    "NotCalibrated",
    "Promise",
    "SelfCalibration",
    "Trial",
    "Trials",
    "area_under_roc",
    "calibrate",
    "calibration_error",
    "cross_validate",
    "fit",
    "interval",
    "keep_calibrated",
    "neighbourhoods",
    "own_photos",
    "photos_of",
    "promise",
    "try_out",
]
