"""Queries of known position, located with their place in the database and without it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hafloc.calibrate.fit import ELSEWHERE, Trial
from hafloc.calibrate.visits import one_a_standpoint, taken_together
from hafloc.description import ImageFeatures, LocalFeatures
from hafloc.errors import HaflocError, PositionError
from hafloc.geo import Position, distance
from hafloc.index import GeoIndex, Near, Record, Skipped, search_for, stored_features_of
from hafloc.locate import REACH, RERANK, Localizer, RankedQuery, agree, join_views
from hafloc.photos import Cutting, Positions, View, photo_paths, query_photos, view_of
from hafloc.progress import Progress
from hafloc.verify import Sizes, Verified, compare, rank, sizes_of

_SEED = 0
# Photos drawn for each standpoint wanted: a panorama is often cut into four.
_VIEWS = 4

LocalFeaturesOf = Callable[[Sequence[Record]], list[LocalFeatures | None]]
Ranked = list[tuple[int, float]]  # id and similarity of candidates, most similar first


@dataclass(frozen=True, slots=True)
class Known:
    """A query of known position, described. Where it is a photo of the database, its `own` record,
    no photo that was taken together with it may answer it. Of a panorama, `views` are all views
    with what was seen in them, and `features` those of the first."""

    position: Position
    features: ImageFeatures
    own: Record | None = None
    views: tuple[tuple[View, ImageFeatures], ...] = ()

    @property
    def looks(self) -> tuple[tuple[View | None, ImageFeatures], ...]:
        return self.views or ((None, self.features),)


@dataclass(frozen=True, slots=True)
class _Look:
    """One view of a query, or all of it: its features, and what is most similar to it."""

    view: View | None
    features: ImageFeatures
    here: Ranked
    elsewhere: Ranked


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
        looks = [self._look(view, features, together, place) for view, features in query.looks]
        # With hardly anything left to be mistaken for the place, "not here" would look too easy.
        if any(len(look.elsewhere) < self._least_left for look in looks):
            looks = [replace(look, elsewhere=[]) for look in looks]
        if all(look.here for look in looks):
            self._locate(query, looks)

    def _look(
        self, view: View | None, features: ImageFeatures, together: set[int], place: set[int]
    ) -> _Look:
        hits = search_for(self._index, [features], RERANK + len(place | together))
        ranked = list(zip(hits.ids[0].tolist(), hits.similarities[0].tolist(), strict=True))
        here = [pair for pair in ranked if pair[0] not in together][:RERANK]
        elsewhere = [pair for pair in ranked if pair[0] not in place | together][:RERANK]
        return _Look(view, features, here, elsewhere)

    def _locate(self, query: Known, looks: Sequence[_Look]) -> None:
        ids = sorted({id_ for look in looks for id_, _ in (*look.here, *look.elsewhere)})
        records = dict(zip(ids, self._index.get(ids), strict=True))
        kinds = [(self.plain, False)]
        if all(look.features.local is not None for look in looks):
            kinds.append((self.verified, True))
        for trials, verified in kinds:
            # Most candidates come twice, so key points are compared before they are weighed.
            features = (
                self._local_features(list(records.values())) if verified else [None] * len(ids)
            )
            known = dict(zip(ids, features, strict=True))
            here, elsewhere = _judged(looks, known, records, verified=verified)
            # As an answer is; without its place nothing is asked of where it is.
            found = here.consensus()
            trials.append(
                Trial(
                    error=distance(query.position, found.position),
                    first=distance(query.position, here.records[0].position),
                    here=found,
                    elsewhere=None
                    if elsewhere is None
                    else agree(elsewhere.positions(), elsewhere.evidence[: elsewhere.judged]),
                    position=query.position,
                )
            )


def _judged(
    looks: Sequence[_Look],
    known: dict[int, LocalFeatures | None],
    records: dict[int, Record],
    *,
    verified: bool,
) -> tuple[RankedQuery, RankedQuery | None]:
    """The candidates of a query with its place and without it; those of several views joined."""
    here, elsewhere = [], []
    for look in looks:
        local = look.features.local if verified else None
        ids = sorted({id_ for id_, _ in (*look.here, *look.elsewhere)})
        features = [known[id_] for id_ in ids]
        compared = dict(zip(ids, compare(local, features), strict=True))
        sizes = {id_: sizes_of(local, own) for id_, own in zip(ids, features, strict=True)}
        here.append((look.view, _ranked(look.here, compared, sizes, records)))
        if look.elsewhere:
            elsewhere.append((look.view, _ranked(look.elsewhere, compared, sizes, records)))
    return _together(here), _together(elsewhere) if elsewhere else None


def _together(looks: Sequence[tuple[View | None, RankedQuery]]) -> RankedQuery:
    views = [(view, query) for view, query in looks if view is not None]
    return join_views(views) if views else looks[0][1]


def _ranked(
    ranked: Ranked,
    compared: dict[int, Verified | None],
    sizes: dict[int, Sizes | None],
    records: dict[int, Record],
) -> RankedQuery:
    """A look's candidates with the evidence on each, strongest first."""
    ids = [id_ for id_, _ in ranked]
    evidence = rank(
        ids,
        [value for _, value in ranked],
        [compared[id_] for id_ in ids],
        [sizes[id_] for id_ in ids],
    )
    ordered = [records[item.id] for item in evidence]
    return RankedQuery("", ordered, evidence, len(evidence), None, None, None)


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
    localizer: Localizer, folder: Path, csv: Path | None, cutting: Cutting, progress: Progress
) -> Iterator[Known | Skipped | Record]:
    """Each photo below `folder` as a query, why it is none, or the record it is a copy of."""
    files = photo_paths(folder)
    names = [file.relative_to(folder).as_posix() for file in files]
    positions = Positions.for_folder(folder, names, csv)
    progress.start("locating queries", len(files))
    for done, file in enumerate(files, 1):
        try:
            yield _query(localizer, file, positions, folder, cutting)
        except HaflocError as error:
            yield Skipped(str(file), str(error))
        progress.advance(done)


def _query(
    localizer: Localizer, file: Path, positions: Positions, folder: Path, cutting: Cutting
) -> Known | Record:
    photos = query_photos(file, longer_side=localizer.describer.longer_side, cutting=cutting)
    photo = photos[0]
    twin = localizer.candidates.twin_of(photo)
    if twin is not None:
        return twin
    metadata = positions.of(photo, file.relative_to(folder))
    if metadata.position is None:
        reason = metadata.problem or "it has no GPS position"
        raise PositionError(
            f"cannot calibrate with {file}: {reason}; give its position in a CSV (image,lat,lon)"
        )
    regions = localizer.index.regions > 0
    seen = [localizer.describer.features(one.image, regions=regions) for one in photos]
    views = tuple(
        (view, features)
        for one, features in zip(photos, seen, strict=True)
        if (view := view_of(one.part)) is not None
    )
    return Known(metadata.position, seen[0], views=views)
