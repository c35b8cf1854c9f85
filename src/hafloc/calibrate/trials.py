"""Queries of known position, located with their place in the database and without it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hafloc.calibrate.fit import ELSEWHERE, Trial
from hafloc.calibrate.visits import one_a_standpoint, taken_together
from hafloc.description import ImageFeatures, LocalFeatures
from hafloc.errors import HaflocError, PhotoError, PositionError
from hafloc.geo import Position, distance
from hafloc.index import GeoIndex, Near, Record, Skipped, search_for, stored_features_of
from hafloc.locate import REACH, RERANK, Consensus, Localizer, agree, sharpened
from hafloc.photos import Positions, as_query, photo_paths
from hafloc.progress import Progress
from hafloc.verify import Evidence, Sizes, Verified, compare, rank, sizes_of

_SEED = 0
# Photos drawn for each standpoint wanted: a panorama is often cut into four.
_VIEWS = 4

LocalFeaturesOf = Callable[[Sequence[Record]], list[LocalFeatures | None]]
Ranked = list[tuple[int, float]]  # id and similarity of candidates, most similar first


@dataclass(frozen=True, slots=True)
class Known:
    """A query of known position, described. Where it is a photo of the database, its `own` record,
    no photo that was taken together with it may answer it."""

    position: Position
    features: ImageFeatures
    own: Record | None = None


class Trials:
    """Queries of known position, located with their place and without it.

    `plain` are the trials with similarity alone, `verified` those with key points compared, as
    far as the queries have some. `local_features` are those of candidates, by default stored ones
    or else those of the photos' files.
    """

    def __init__(self, index: GeoIndex, local_features: LocalFeaturesOf) -> None:
        self._index = index
        self._local_features = local_features
        self._least_left = min(RERANK, math.ceil(index.count() / 2))
        self.plain: list[Trial] = []
        self.verified: list[Trial] = []

    @property
    def right(self) -> int:
        """How many of the usual answers, verified ones where there are any, lie within REACH."""
        return sum(trial.error <= REACH for trial in self.verified or self.plain)

    def add(self, query: Known) -> None:
        """Locate a query; one for which the database holds nothing else is passed over."""
        around = list(self._index.within(Near(query.position, ELSEWHERE)))
        place = {record.id or 0 for record in around}
        together: set[int] = set()
        if query.own is not None:
            copies = self._index.find_content([query.own.content])
            together = taken_together(query.own, around) | {copy.id or 0 for copy in copies}
        hits = search_for(self._index, [query.features], RERANK + len(place | together))
        ranked = list(zip(hits.ids[0].tolist(), hits.similarities[0].tolist(), strict=True))
        here = [pair for pair in ranked if pair[0] not in together][:RERANK]
        elsewhere = [pair for pair in ranked if pair[0] not in place | together][:RERANK]
        # With hardly anything left to be mistaken for the place, "not here" would look too easy.
        if len(elsewhere) < self._least_left:
            elsewhere = []
        if here:
            self._locate(query, here, elsewhere)

    def _locate(self, query: Known, here: Ranked, elsewhere: Ranked) -> None:
        ids = sorted({id_ for id_, _ in (*here, *elsewhere)})
        records = dict(zip(ids, self._index.get(ids), strict=True))
        kinds: list[tuple[list[Trial], LocalFeatures | None]] = [(self.plain, None)]
        if query.features.local is not None:
            kinds.append((self.verified, query.features.local))
        for trials, local in kinds:
            # Most candidates come twice, so key points are compared before they are weighed.
            features = (
                [None] * len(ids) if local is None else self._local_features(list(records.values()))
            )
            compared = dict(zip(ids, compare(local, features), strict=True))
            sizes = {id_: sizes_of(local, own) for id_, own in zip(ids, features, strict=True)}
            found, evidence = _agree(here, compared, sizes, records)
            first = records[evidence[0].id].position
            # As an answer is; without its place nothing is asked of where it is.
            found = sharpened(found, [records[item.id] for item in evidence], evidence)
            trials.append(
                Trial(
                    error=distance(query.position, found.position),
                    first=distance(query.position, first),
                    here=found,
                    elsewhere=_agree(elsewhere, compared, sizes, records)[0] if elsewhere else None,
                    position=query.position,
                )
            )


def _agree(
    ranked: Ranked,
    compared: dict[int, Verified | None],
    sizes: dict[int, Sizes | None],
    records: dict[int, Record],
) -> tuple[Consensus, list[Evidence]]:
    """The consensus of candidates, and the evidence on each, strongest first."""
    ids = [id_ for id_, _ in ranked]
    evidence = rank(
        ids,
        [value for _, value in ranked],
        [compared[id_] for id_ in ids],
        [sizes[id_] for id_ in ids],
    )
    return agree([records[item.id].position for item in evidence], evidence), evidence


def own_photos(
    index: GeoIndex, local_features: LocalFeaturesOf, sample: int, progress: Progress
) -> Iterator[Known]:
    """At most `sample` photos of the database as queries, in any order, one from each standpoint.

    What several views from one spot say of the database is one piece of evidence, not several:
    they fail together, and counted apart they would promise a radius that rests on few places.
    """
    drawn = index.sample(_VIEWS * sample, _SEED)
    # In any order but theirs: whoever stops early has not seen one end of the database alone.
    mixed = [drawn[i] for i in np.random.default_rng(_SEED).permutation(len(drawn))]
    records = one_a_standpoint(mixed)[:sample]
    progress.start("locating its own photos", len(records))
    for done, record in enumerate(records, 1):
        assert record.id is not None, "it comes from the index"
        (local,) = local_features([record])
        yield Known(record.position, stored_features_of(index, record.id, local), record)
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
    photo = as_query(file, longer_side=localizer.describer.longer_side)
    if photo.sphere is not None:
        raise PhotoError(f"cannot calibrate with {file}: it is a panorama; give flat photos")
    twin = localizer.candidates.twin_of(photo)
    if twin is not None:
        return twin
    metadata = positions.of(photo, file.relative_to(folder))
    if metadata.position is None:
        reason = metadata.problem or "it has no GPS position"
        raise PositionError(
            f"cannot calibrate with {file}: {reason}; give its position in a CSV (image,lat,lon)"
        )
    seen = localizer.describer.features(photo.image, regions=localizer.index.regions > 0)
    return Known(metadata.position, seen)
