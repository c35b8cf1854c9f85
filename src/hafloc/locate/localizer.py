"""The main job: a photo in, the place where it was taken out."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hafloc import geo
from hafloc.describe import Describer
from hafloc.description import LocalFeatures
from hafloc.errors import CheckpointError, HaflocError, IndexFileError, PhotoError, PositionError
from hafloc.index import GeoIndex, ModelInfo, Near, Record, open_index, paths_of
from hafloc.locate.answer import Answer
from hafloc.locate.query import RankedQuery, check_times
from hafloc.locate.trust import (
    PROBABILITY,
    Calibration,
    Verdict,
    check_probability,
    judge,
    read_calibrations,
    shipped_calibrations,
)
from hafloc.locate.walk import draw_distances, smooth
from hafloc.photos import Given, Image, Photo, as_photo, read
from hafloc.verify.evidence import Evidence
from hafloc.verify.rerank import weigh

Query = Given

# Most similar photos that are verified by default: benchmarks/results/verification.md compares.
RERANK = 50
# Features that had to be computed from a candidate's file: at most 24 MB of them.
_REMEMBERED = 1_000


class VectorMaker(Protocol):
    """What a Localizer needs of `hafloc.describe.Describer`."""

    longer_side: int

    def vector(self, image: Image) -> NDArray[np.float32]: ...

    def vector_and_local(
        self, image: Image
    ) -> tuple[NDArray[np.float32], LocalFeatures | None]: ...


class Localizer:
    """Locates photos in one database with the network that described it.

    Use it as a context manager, or `close()` it. `index` is the database, `describer` the
    network's. Radius and confidence come from the calibration that the index holds, or else from
    the one that comes with the checkpoint.
    """

    def __init__(self, index: GeoIndex, describer: VectorMaker) -> None:
        self.index = index
        self.paths = paths_of(index.location)
        self.describer = describer
        self._calibrations = _calibrations_of(index)
        self._from_file = lru_cache(maxsize=_REMEMBERED)(self._describe_file)

    @classmethod
    def open(
        cls,
        path: str | Path,
        model: str | Path | None = None,
        *,
        device: str = "cpu",
    ) -> Self:
        """Open an index with its checkpoint: the one whose name it recorded, or `model`.

        Raises IndexFileError where the index is missing, damaged, or made with another
        checkpoint, CheckpointError where the checkpoint cannot be had.
        """
        describer = (
            _recorded_describer(Path(path), device)
            if model is None
            else Describer.open(model, device=device)
        )
        info = ModelInfo(describer.name, describer.hash, describer.options, describer.dimension)
        return cls(open_index(path, model=info), describer)

    def locate(
        self,
        query: Query,
        *,
        top: int = 10,
        near: Near | None = None,
        rerank: int = RERANK,
        probability: float = PROBABILITY,
    ) -> Answer:
        """Where `query` was taken, with its `top` best photos, only those `near` if given.

        The `rerank` most similar photos are verified by their key points and ranked anew by the
        learned rule; 0 leaves them in the order of similarity. The answer's radius holds the
        truth with `probability`.

        A query is a path, the bytes of a photo's file, a PIL image, or an upright RGB array, as
        `photos.as_photo` takes them. Raises PhotoError where it cannot be read, IndexFileError
        where the index is empty, PositionError where no photo is `near` or `probability` is none.
        """
        wanted = _Wanted(top, near, rerank, probability)
        self._check(wanted)
        name = "query" if _path(query) is None else str(query)
        return self._answer(self._find(name, query, wanted), wanted)

    def locate_many(
        self,
        queries: Iterable[Query],
        *,
        top: int = 10,
        near: Near | None = None,
        rerank: int = RERANK,
        probability: float = PROBABILITY,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[tuple[str, Answer | PhotoError]]:
        """Each query's name with its answer, or with why it cannot be read, in their order.

        Queries without a path are named by their number, "query 1" for the first. `progress`
        hears how many are done. Raises what `locate` raises on behalf of the index.
        """
        wanted = _Wanted(top, near, rerank, probability)
        self._check(wanted)
        return (
            (name, found if isinstance(found, PhotoError) else self._answer(found, wanted))
            for name, found in self._each(queries, wanted, progress)
        )

    def locate_walk(
        self,
        queries: Iterable[Query],
        *,
        top: int = 10,
        near: Near | None = None,
        rerank: int = RERANK,
        probability: float = PROBABILITY,
        progress: Callable[[int], None] | None = None,
    ) -> list[tuple[str, Answer | PhotoError]]:
        """As `locate_many`, for photos of one walk, which help each other by their times.

        How is told in `sequence`. The calibration is that of single photos: of an answer that
        the others changed the radius is no longer guaranteed, but never smaller. `progress` hears
        how many queries are read. Raises what `locate_many` raises, and PhotoError where a readable
        photo has no time.
        """
        wanted = _Wanted(top, near, rerank, probability)
        self._check(wanted)
        results: dict[str, Answer | PhotoError] = {}
        walk: list[RankedQuery] = []
        names = []
        for name, found in self._each(queries, wanted, progress):
            names.append(name)
            if isinstance(found, PhotoError):
                results[name] = found
            else:
                check_times(walk, found)
                walk.append(found)
        walk.sort(key=lambda found: found.seconds)
        for found, verdict in self._smooth(walk, probability):
            results[found.name] = found.answer(verdict, top)
        return [(name, results[name]) for name in names]

    def close(self) -> None:
        self.index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _each(
        self,
        queries: Iterable[Query],
        wanted: "_Wanted",
        progress: Callable[[int], None] | None,
    ) -> Iterator[tuple[str, RankedQuery | PhotoError]]:
        for number, query in enumerate(queries, start=1):
            name = f"query {number}" if _path(query) is None else str(query)
            try:
                yield name, self._find(name, query, wanted)
            except PhotoError as error:
                yield name, error
            if progress is not None:
                progress(number)

    def _check(self, wanted: "_Wanted") -> None:
        if wanted.top < 1:
            raise ValueError(f"top is {wanted.top}; ask for at least 1 photo")
        if wanted.rerank < 0:
            raise ValueError(f"rerank is {wanted.rerank}; give a number of photos, or 0 for none")
        check_probability(wanted.probability)
        near = wanted.near
        if near is not None and not (math.isfinite(near.radius) and near.radius > 0):
            raise PositionError(
                f"the search radius {near.radius:g} is not a positive number of metres; "
                "give one such as 500"
            )
        if not self.index.count():
            raise IndexFileError(
                f"cannot locate with {self.index.location}: it holds no photos; "
                "add some with `hafloc index add`"
            )

    def _answer(self, found: RankedQuery, wanted: "_Wanted") -> Answer:
        return found.answer(self._judge(found, wanted.probability), wanted.top)

    def _find(self, name: str, query: Query, wanted: "_Wanted") -> RankedQuery:
        photo = self._read(name, query)
        local = None
        try:
            if wanted.rerank:
                vector, local = self.describer.vector_and_local(photo.image)
            else:
                vector = self.describer.vector(photo.image)
        except PhotoError as error:
            raise PhotoError(f"cannot describe {name}: {error}") from error
        judged = wanted.rerank or RERANK
        hits = self.index.search(vector[np.newaxis], max(wanted.top, judged), wanted.near)
        ids = [int(id_) for id_ in hits.ids[0]]
        if not ids:
            raise self._nothing_near(wanted.near)
        records = dict(zip(ids, self.index.get(ids), strict=True))
        evidence = self.weigh(records, hits.similarities[0].tolist(), local, judged)
        ordered = [records[item.id] for item in evidence]
        twin = self.twin_of(photo, ordered)
        return RankedQuery(name, ordered, evidence, judged, twin, photo.path, photo.metadata.time)

    def _judge(self, found: RankedQuery, probability: float) -> Verdict:
        return judge(found.consensus(), self._calibration_for(found), probability)

    def _calibration_for(self, found: RankedQuery) -> Calibration | None:
        verified = found.evidence[0].verified
        return next((item for item in self._calibrations if item.verified == verified), None)

    def _smooth(
        self, walk: Sequence[RankedQuery], probability: float
    ) -> list[tuple[RankedQuery, Verdict]]:
        """Photos of one walk, in the order of time, with what is said of each given the others."""
        verdicts = [self._judge(found, probability) for found in walk]
        steps = [found.step(verdict) for found, verdict in zip(walk, verdicts, strict=True)]
        photos = list(self.index.iterate()) if steps else []
        chances = smooth(steps, draw_distances([record.position for record in photos]))
        smoothed = []
        for found, verdict, step, own in zip(walk, verdicts, steps, chances, strict=True):
            if own is step.chances:
                smoothed.append((found, verdict))
                continue
            helped = found.with_chances(own)
            consensus = helped.consensus()
            # Neighbours settle which place it is; how far off that is they do not know, so a
            # radius never shrinks.
            scale = max(found.consensus().scale, consensus.scale)
            said = judge(
                replace(consensus, scale=scale),
                self._calibration_for(found),
                probability,
                confidence=float(own.sum()),
            )
            smoothed.append((helped, said))
        return smoothed

    def weigh(
        self,
        records: dict[int, Record],
        similarities: Sequence[float],
        local: LocalFeatures | None,
        rerank: int = RERANK,
    ) -> list[Evidence]:
        """Evidence on a query's candidates, by id and most similar first.

        The first `rerank` are verified with the query's `local` features, where it has some, and
        ranked anew; the rest follow.
        """
        candidates = list(records.values())
        features: list[LocalFeatures | None] = [None] * len(candidates)
        if local is not None:
            features[:rerank] = self.local_features(candidates[:rerank])
        evidence = weigh(list(records), similarities, local, features)
        place = {id_: number for number, id_ in enumerate(records)}
        return sorted(evidence, key=lambda item: max(place[item.id] - rerank + 1, 0))

    def local_features(self, records: Sequence[Record]) -> list[LocalFeatures | None]:
        """Stored local features, or else those of the photos' files; None where there are none."""
        stored = self.index.local_features([record.id or 0 for record in records])
        return [
            self._from_file(record) if found is None else found
            for record, found in zip(records, stored, strict=True)
        ]

    def _describe_file(self, record: Record) -> LocalFeatures | None:
        """Local features from a candidate's file; None where it is gone, changed or unreadable."""
        try:
            photo = read(self.paths.file_of(record.path), longer_side=self.describer.longer_side)
            if photo.content != record.content:
                return None
            return self.describer.vector_and_local(photo.image)[1]
        except PhotoError:
            return None

    def _read(self, name: str, query: Query) -> Photo:
        return as_photo(query, name=name, longer_side=self.describer.longer_side)

    def twin_of(self, photo: Photo, records: Sequence[Record] = ()) -> Record | None:
        """The database photo with the very bytes of `photo`, of `records` if it is among them."""
        if not photo.content:
            return None
        for record in records:
            if record.content == photo.content:
                return record
        # Kept out of the list by `near`, or by `top` near-identical photos.
        return next(iter(self.index.find_content([photo.content])), None)

    def _nothing_near(self, near: Near | None) -> HaflocError:
        nearest = None if near is None else self.index.nearest(near.centre, 1)
        if near is None or not nearest:
            return IndexFileError("the index was emptied while it was searched; add its photos")
        metres = geo.distance(near.centre, nearest[0].position)
        return PositionError(
            f"no photo of the database lies within {near.radius:,.0f} m of {near.centre}: "
            f"the nearest is {metres:,.0f} m away; enlarge the radius or check the centre"
        )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """How queries are to be answered."""

    top: int
    near: Near | None
    rerank: int
    probability: float


def _calibrations_of(index: GeoIndex) -> tuple[Calibration, ...]:
    """The index's own calibrations, then those shipped with its checkpoint; () where none fit."""
    text = index.calibration()
    try:
        own = () if text is None else read_calibrations(text, index.model.hash)
    except ValueError as error:
        raise IndexFileError(
            f"cannot use the calibration of {index.location}: {error}; make it anew with "
            "`hafloc calibrate`"
        ) from error
    # Of each kind of answers the first counts: the database may have learned only one.
    return (*own, *shipped_calibrations(index.model.hash))


def _path(query: Query) -> Path | None:
    return Path(query) if isinstance(query, str | Path) else None


def _recorded_describer(path: Path, device: str) -> Describer:
    with open_index(path) as index:
        model = index.model
    try:
        return Describer.open(model.name, device=device, beside=path.absolute().parent)
    except CheckpointError as error:
        raise CheckpointError(
            f"cannot locate with {path}: its checkpoint {model.name!r} is not at hand ({error}); "
            "give the checkpoint's file as the model"
        ) from error
