"""Keep an index calibrated on its own photos as it grows, without being asked."""

from dataclasses import dataclass
from datetime import UTC, datetime

from hafloc.calibrate.fit import FEW, TooFewTrialsError, fit_kinds
from hafloc.calibrate.trials import LocalFeaturesOf, Trials, own_photos
from hafloc.errors import HaflocError
from hafloc.index import (
    GeoIndex,
    LearnedFrom,
    Location,
    Origin,
    is_outdated,
    open_index,
    read_origin,
)
from hafloc.locate import (
    Calibration,
    read_calibrations,
    shipped_calibrations,
    write_calibrations,
)
from hafloc.progress import Progress

# At most so many of the photos are located, a second each on one core, and no more once so many
# were located right: the radius then holds 90 % give or take 3, with twice as many 2.
SAMPLE = 200
ENOUGH = 100
# By this share a database may grow or shrink before what was learned on it is learned anew.
GROWTH = 0.25


@dataclass(frozen=True, slots=True)
class SelfCalibration:
    """What an index learned from its own photos; `calibration` is that of its usual answers."""

    calibration: Calibration
    origin: Origin


@dataclass(frozen=True, slots=True)
class NotCalibrated:
    """Why an index's calibration stays as it is.

    `due` says whether a new one would have been wanted; where it is False nothing was wrong with
    the one there is.
    """

    reason: str
    due: bool


def keep_calibrated(
    path: Location, *, sample: int = SAMPLE, progress: Progress
) -> SelfCalibration | NotCalibrated:
    """Calibrate the index at `path` on `sample` of its own photos where that is due.

    It is due where nothing was learned yet, or the photos have become more or fewer by GROWTH
    since. What a person's own queries taught is never replaced. Everything needed is stored in
    the index: no photo is read, nor a network loaded. Nothing is raised for what a user can cause:
    the photos are indexed, and their calibration is not worth an error.
    """
    try:
        with open_index(path) as index:
            not_due = _not_due(index)
            if not_due is not None:
                return not_due
            learned = _learn(index, sample, progress)
            checkpoint = index.model.hash
        with open_index(path, write=True) as index:
            index.store_calibration(write_calibrations(checkpoint, *learned))
    except HaflocError as error:
        return NotCalibrated(str(error), due=True)
    calibrations, origin = learned
    if origin.reason is not None:
        return NotCalibrated(origin.reason, due=True)
    return SelfCalibration(calibrations[-1], origin)


def _not_due(index: GeoIndex) -> NotCalibrated | None:
    text, checkpoint, photos = index.calibration(), index.model.hash, index.count()
    try:
        known = text is not None and bool(read_calibrations(text, checkpoint))
        origin = read_origin(text, checkpoint)
    except ValueError:
        return None  # nobody can use it
    if is_outdated(text, checkpoint):
        if origin is not None and origin.learned_from is not LearnedFrom.QUERIES:
            return None
        return NotCalibrated(
            "it was calibrated by an earlier hafloc, perhaps with queries of yours, and evidence "
            "weighs otherwise since; `hafloc calibrate` renews that, with --queries if it was",
            due=True,
        )
    if origin is None:
        # Made before origins were written down, so perhaps with a person's queries.
        reason = "it was calibrated by `hafloc calibrate`, which alone renews that"
        return NotCalibrated(reason, due=False) if known else None
    if abs(photos - origin.photos) < GROWTH * origin.photos:
        return NotCalibrated(origin.reason or "it is calibrated already", due=False)
    if known and origin.learned_from is LearnedFrom.QUERIES:
        return NotCalibrated(
            f"it was calibrated with queries of yours when it held {origin.photos:,} photos, and "
            f"holds {photos:,} now; `hafloc calibrate --queries` renews that",
            due=True,
        )
    return None


def _learn(index: GeoIndex, sample: int, progress: Progress) -> tuple[list[Calibration], Origin]:
    """Calibrations, verified ones last, or none; and their origin, which tells why none."""
    photos = index.count()
    if photos < FEW:
        holds = "1 photo" if photos == 1 else f"{photos:,} photos"
        return [], _origin(photos, reason=f"it holds {holds}, and {FEW} are needed to learn from")
    trials = Trials(index, stored_features(index))
    for query in own_photos(index, stored_features(index), sample, progress):
        trials.add(query)
        if trials.right >= ENOUGH:
            break
    if not trials.plain:
        return [], _origin(photos, reason="its photos were all taken together")
    # Own photos know their own kind alone, visitors bring others: see results/answers.md.
    bases = {item.verified: item for item in shipped_calibrations(index.model.hash)}
    try:
        calibrations = fit_kinds(trials.plain, trials.verified, bases=bases, least=FEW)
    except TooFewTrialsError as few:
        reason = (
            f"only {few.count:,} of {few.queries:,} own photos {few.what}, "
            f"and {few.least} are needed to learn from"
        )
        return [], _origin(photos, few.queries, reason=reason)
    best = calibrations[-1]
    return calibrations, _origin(photos, best.queries, len(best.scores))


def _origin(photos: int, queries: int = 0, found: int = 0, reason: str | None = None) -> Origin:
    return Origin(LearnedFrom.BUILD, photos, queries, found, today(), reason)


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def stored_features(index: GeoIndex) -> LocalFeaturesOf:
    """Candidates' key points as the index holds them; no file is read."""
    return lambda records: index.local_features([record.id or 0 for record in records])
