"""Queries of known position, located with their place in the database and without it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hafloc.calibrate.fit import ELSEWHERE, Trial
from hafloc.description import LocalFeatures
from hafloc.errors import HaflocError, PositionError
from hafloc.geo import Position, distance, distances
from hafloc.index import Record, Skipped
from hafloc.locate import RERANK, Consensus, Localizer, agree
from hafloc.photos import Positions, photo_paths, read
from hafloc.progress import Progress
from hafloc.verify import Evidence

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


class Trials:
    """Queries of known position, located with their place and without it.

    `plain` are the trials with similarity alone, `verified` those with key points compared, as
    far as the queries have some.
    """

    def __init__(self, localizer: Localizer) -> None:
        self._localizer = localizer
        self._photos = list(localizer.index.iterate())
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
        evidence = self._localizer.candidates.weigh(records, [value for _, value in left], local)
        return _Candidates([records[item.id].position for item in evidence], evidence)


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Candidates of one query, strongest first."""

    positions: list[Position]
    evidence: list[Evidence]

    def agree(self) -> Consensus:
        return agree(self.positions, self.evidence)


def own_photos(localizer: Localizer, sample: int, progress: Progress) -> Iterator[Known]:
    """`sample` photos of the database as queries, or all where it holds no more."""
    records = localizer.index.sample(sample, _SEED)
    progress.start("locating its own photos", len(records))
    for done, record in enumerate(records, 1):
        assert record.id is not None, "it comes from the index"
        (vector,) = localizer.index.vectors([record.id])
        (local,) = localizer.candidates.local_features([record])
        yield Known(record.position, vector, local, record)
        progress.advance(done)


def photos_of(
    localizer: Localizer, folder: Path, csv: Path | None, progress: Progress
) -> Iterator[Known | Skipped | Record]:
    """Each photo below `folder` as a query, why it is none, or the record it is a copy of."""
    files = photo_paths(folder)
    names = [file.relative_to(folder).as_posix() for file in files]
    positions = Positions.for_folder(folder, names, csv)
    progress.start("locating queries", len(files))
    for done, file in enumerate(files, 1):
        try:
            yield _query(localizer, file, positions, folder)
        except HaflocError as error:
            yield Skipped(str(file), str(error))
        progress.advance(done)


def _query(localizer: Localizer, file: Path, positions: Positions, folder: Path) -> Known | Record:
    photo = read(file, longer_side=localizer.describer.longer_side)
    twin = localizer.candidates.twin_of(photo)
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
