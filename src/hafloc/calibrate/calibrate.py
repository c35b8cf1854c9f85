"""Learn how far off the answers of one database are, from photos whose position is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hafloc.calibrate.fit import fit
from hafloc.calibrate.quality import HeldOut, cross_validate
from hafloc.calibrate.trials import Known, Trials, own_photos, photos_of
from hafloc.errors import PositionError
from hafloc.index import Skipped, open_index
from hafloc.locate import PROBABILITY, Calibration, Localizer, check_probability, write_calibrations
from hafloc.progress import Progress

# Own photos that are tried out, drawn at random where there are more: minutes, not hours.
SAMPLE = 300


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """What `calibrate` did.

    `calibration` is that of verified answers, or of similarity alone where the network has no
    local features; `held_out` is how it did on queries that it was not fitted on, None where they
    are too few to tell. `copies` queries were left out as identical copies of database photos,
    the `skipped` ones for reasons of their own.
    """

    calibration: Calibration
    held_out: HeldOut | None
    copies: int
    skipped: tuple[Skipped, ...]


def calibrate(
    path: Path,
    model: str | Path | None = None,
    *,
    queries: Path | None = None,
    csv: Path | None = None,
    sample: int = SAMPLE,
    probability: float = PROBABILITY,
    device: str = "cpu",
    progress: Progress,
) -> CalibrationReport:
    """Calibrate the index at `path` and store in it what was learned.

    `queries` is a folder of photos whose positions come from `csv`, a positions.csv in or beside
    it, file names or EXIF. Without it `sample` of the database's own photos are the queries, and
    no photo at a query's very position answers it. `probability` is that of the radii in
    `held_out`. Raises as `Localizer.open` does, PhotoError where the folder holds no photos, and
    PositionError where too few queries can be used; the index is then as before.
    """
    check_probability(probability)
    # Better now than after the work: can the index be written to?
    open_index(path, write=True).close()
    copies = 0
    skipped: list[Skipped] = []
    with Localizer.open(path, model, device=device) as localizer:
        trials = Trials(localizer)
        known = (
            own_photos(localizer, sample, progress)
            if queries is None
            else photos_of(localizer, queries, csv, progress)
        )
        for query in known:
            if isinstance(query, Known):
                trials.add(query)
            elif isinstance(query, Skipped):
                skipped.append(query)
            else:
                copies += 1
        checkpoint = localizer.index.model.hash
    calibrations = _fit(trials, skipped)
    with open_index(path, write=True) as index:
        index.store_calibration(write_calibrations(checkpoint, calibrations))
    best = calibrations[-1]
    tried = trials.verified if best.verified else trials.plain
    held_out = cross_validate(tried, verified=best.verified, probability=probability)
    return CalibrationReport(best, held_out, copies, tuple(skipped))


def _fit(trials: Trials, skipped: Sequence[Skipped]) -> list[Calibration]:
    """One calibration for each kind of answers that teaches enough, verified ones last."""
    calibrations = []
    reason = None
    for tried, verified in ((trials.plain, False), (trials.verified, True)):
        try:
            calibrations.append(fit(tried, verified=verified))
        except PositionError as error:
            reason = error if verified == bool(trials.verified) else reason
    if reason is not None:
        skips = f" ({len(skipped):,} more were skipped)" if skipped else ""
        raise PositionError(f"{reason}{skips}") from reason
    return calibrations
