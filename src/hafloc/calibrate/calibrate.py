"""Learn how far off the answers of one database are, from photos whose position is known."""

from dataclasses import dataclass
from pathlib import Path

from hafloc.calibrate.fit import TooFewTrialsError, fit_kinds
from hafloc.calibrate.keep import today
from hafloc.calibrate.quality import HeldOut, cross_validate
from hafloc.calibrate.trials import Known, Trials, own_photos, photos_of
from hafloc.errors import PositionError
from hafloc.index import LearnedFrom, Location, Origin, Skipped, open_index
from hafloc.locate import (
    PROBABILITY,
    Calibration,
    Localizer,
    check_probability,
    read_calibrations,
    write_calibrations,
)
from hafloc.photos import CUTTING, Cutting
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
    path: Location,
    model: str | Path | None = None,
    *,
    queries: Path | None = None,
    csv: Path | None = None,
    sample: int = SAMPLE,
    probability: float = PROBABILITY,
    device: str = "cpu",
    runtime: str = "torch",
    precision: str = "auto",
    cutting: Cutting = CUTTING,
    progress: Progress,
) -> CalibrationReport:
    """Calibrate the index at `path` and store in it what was learned.

    `queries` is a folder of photos, of which panoramas are cut as `cutting` says, whose positions
    come from `csv`, a positions.csv in or beside it, file names or EXIF. Without it `sample` of the
    database's own photos are the queries, and none that was taken together with a query answers it
    (see `visits`). `probability` is that of the radii in `held_out`. Raises as `Localizer.open`
    does, PhotoError where the folder holds no photos, and PositionError where too few queries can
    be used; the index is then as before.
    """
    check_probability(probability)
    _prepare(path)
    copies = 0
    skipped: list[Skipped] = []
    opened = Localizer.open(path, model, device=device, runtime=runtime, precision=precision)
    with opened as localizer:
        trials = Trials(localizer.index, localizer.candidates.local_features)
        known = (
            own_photos(localizer.index, localizer.candidates.local_features, sample, progress)
            if queries is None
            else photos_of(localizer, queries, csv, cutting, progress)
        )
        for query in known:
            if isinstance(query, Known):
                trials.add(query)
            elif isinstance(query, Skipped):
                skipped.append(query)
            else:
                copies += 1
        checkpoint, photos = localizer.index.model.hash, localizer.index.count()
    try:
        calibrations = fit_kinds(trials.plain, trials.verified)
    except TooFewTrialsError as few:
        skips = f" ({len(skipped):,} more were skipped)" if skipped else ""
        raise PositionError(f"{few}{skips}") from few
    best = calibrations[-1]
    origin = Origin(
        LearnedFrom.OWN_PHOTOS if queries is None else LearnedFrom.QUERIES,
        photos,
        best.queries,
        len(best.scores),
        today(),
    )
    with open_index(path, write=True) as index:
        index.store_calibration(write_calibrations(checkpoint, calibrations, origin))
    tried = trials.verified if best.verified else trials.plain
    held_out = cross_validate(tried, verified=best.verified, probability=probability)
    return CalibrationReport(best, held_out, copies, tuple(skipped))


def _prepare(path: Location) -> None:
    """Make sure, before the work, that the index can be written to, and opens."""
    with open_index(path, write=True) as index:
        text = index.calibration()
        try:
            if text is not None:
                read_calibrations(text, index.model.hash)
        except ValueError:
            # A damaged one would keep the index from being opened to make it anew.
            index.store_calibration(write_calibrations(index.model.hash, []))
