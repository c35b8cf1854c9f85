"""Learn how far off the answers of one database are, from photos whose position is known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import HaflocError, PositionError
from hafloc.geo import Position, distance, distances
from hafloc.index import GeoPackageIndex, Progress, Record, Skipped
from hafloc.locate.calibration import (
    ELSEWHERE,
    PROBABILITY,
    Calibration,
    Trial,
    check_probability,
    fit,
    write_calibrations,
)
from hafloc.locate.evidence import Evidence
from hafloc.locate.localizer import RERANK, Localizer
from hafloc.locate.position import Consensus, agree
from hafloc.locate.quality import HeldOut, cross_validate
from hafloc.nn import LocalFeatures
from hafloc.photos import Positions, read, scan

# Own photos that are tried out, drawn at random where there are more: minutes, not hours.
SAMPLE = 300
_SEED = 0

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Known:
    """A query of known position, described. Where it is a photo of the database, its `own` record,
    neither photos at its very position nor copies of its file may answer it."""

    position: Position
    vector: NDArray[np.float32]
    local: LocalFeatures | None
    own: Record | None = None


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


class Trials:
    """Queries of known position, located with their place and without it.

    `plain` are the trials with similarity alone, `verified` those with key points compared, as
    far as the queries have some.
    """

    def __init__(self, localizer: Localizer) -> None:
        self._localizer = localizer
        self._photos = localizer.index.photos()
        self._lats = np.array([record.position.lat for record in self._photos])
        self._lons = np.array([record.position.lon for record in self._photos])
        self.plain: list[Trial] = []
        self.verified: list[Trial] = []

    def add(self, query: Known) -> None:
        """Locate a query; one for which the database holds nothing else is passed over."""
        metres = distances(query.position, self._lats, self._lons)
        own = np.zeros(len(self._photos), dtype=bool)
        if query.own is not None:
            own = np.array([_is_same(query.own, record) for record in self._photos])
        kinds: list[tuple[list[Trial], LocalFeatures | None]] = [(self.plain, None)]
        if query.local is not None:
            kinds.append((self.verified, query.local))
        for trials, local in kinds:
            here = self._candidates(query.vector, local, own)
            elsewhere = self._candidates(query.vector, local, own | (metres <= ELSEWHERE))
            if here.positions:
                found = here.agree()
                trials.append(
                    Trial(
                        error=distance(query.position, found.position),
                        first=distance(query.position, here.positions[0]),
                        here=found,
                        elsewhere=elsewhere.agree() if elsewhere.positions else None,
                    )
                )

    def _candidates(
        self, vector: NDArray[np.float32], local: LocalFeatures | None, left_out: Flags
    ) -> "_Candidates":
        banned = {self._photos[i].id for i in np.flatnonzero(left_out)}
        index = self._localizer.index
        hits = index.search(vector[np.newaxis], RERANK + len(banned))
        pairs = zip(hits.ids[0].tolist(), hits.similarities[0].tolist(), strict=True)
        left = [(id_, similarity) for id_, similarity in pairs if id_ not in banned][:RERANK]
        ids = [id_ for id_, _ in left]
        records = dict(zip(ids, index.get(ids), strict=True))
        evidence = self._localizer.weigh(records, [value for _, value in left], local)
        return _Candidates([records[item.id].position for item in evidence], evidence)


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Candidates of one query, strongest first."""

    positions: list[Position]
    evidence: list[Evidence]

    def agree(self) -> Consensus:
        return agree(self.positions, self.evidence)


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
    GeoPackageIndex.open(path, write=True).close()
    copies = 0
    skipped: list[Skipped] = []
    with Localizer.open(path, model, device=device) as localizer:
        trials = Trials(localizer)
        known = (
            own_photos(localizer, sample, progress)
            if queries is None
            else _photos_of(localizer, queries, csv, progress)
        )
        for query in known:
            if isinstance(query, Known):
                trials.add(query)
            elif isinstance(query, Skipped):
                skipped.append(query)
            else:
                copies += 1
        checkpoint = localizer.index.info().model.hash
    calibrations = _fit(trials, skipped)
    with GeoPackageIndex.open(path, write=True) as index:
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


def own_photos(localizer: Localizer, sample: int, progress: Progress) -> Iterator[Known]:
    """`sample` photos of the database as queries, or all where it holds no more."""
    records = localizer.index.photos()
    if len(records) > sample:
        chosen = np.random.default_rng(_SEED).choice(len(records), sample, replace=False)
        records = [records[int(i)] for i in np.sort(chosen)]
    progress.start("locating its own photos", len(records))
    for done, record in enumerate(records, 1):
        assert record.id is not None, "it comes from the index"
        (vector,) = localizer.index.vectors([record.id])
        (local,) = localizer.local_features([record])
        yield Known(record.position, vector, local, record)
        progress.advance(done)


def _photos_of(
    localizer: Localizer, folder: Path, csv: Path | None, progress: Progress
) -> Iterator[Known | Skipped | Record]:
    """Each photo below `folder` as a query, why it is none, or the record it is a copy of."""
    files = scan(folder)
    positions = Positions.for_folder(folder, csv)
    progress.start("locating queries", len(files))
    for done, file in enumerate(files, 1):
        try:
            yield _query(localizer, file, positions, folder)
        except HaflocError as error:
            yield Skipped(str(file), str(error))
        progress.advance(done)


def _query(localizer: Localizer, file: Path, positions: Positions, folder: Path) -> Known | Record:
    photo = read(file, longer_side=localizer.describer.longer_side)
    twin = localizer.twin_of(photo)
    if twin is not None:
        return twin
    metadata = positions.of(photo, file.relative_to(folder))
    if metadata.position is None:
        reason = metadata.problem or "it has no GPS position"
        raise PositionError(
            f"cannot calibrate with {file}: {reason}; give its position in a CSV (image,lat,lon)"
        )
    vector, local = localizer.describer.vector_and_local(photo.image)
    return Known(metadata.position, vector, local)


def _is_same(own: Record, record: Record) -> bool:
    return record.position == own.position or record.content == own.content
