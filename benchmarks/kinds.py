"""Queries of several kinds of photos, with all that calibration and its judgement need of them.

A kind is a set of photos and a way to ask it: phone to phone, street view, day to day, night to
day. Each query has the candidates that the index's own search gives it, compared by key points,
once with its place and once without, and a few random photos for databases of 1 to 30 photos.
Everything comes from indexes: vectors, key points, positions; no photo is read. Cut-out parts of
photos are kinds of their own: what the network says of them comes from `crops.py`, at two sizes, as
the product asks.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hafloc.calibrate.fit import ELSEWHERE
from hafloc.calibrate.keep import stored_features
from hafloc.calibrate.visits import one_a_standpoint, taken_together
from hafloc.description import ImageFeatures, LocalFeatures
from hafloc.geo import Position, distances
from hafloc.index import GeoIndex, Record, open_index, stored_features_of
from hafloc.locate import RERANK
from hafloc.locate.scales import Found, search_scales
from hafloc.progress import Progress
from hafloc.verify import Verified
from hafloc.verify.rerank import compare_each

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

# Sizes of small databases: the partner or none, and random photos of other places.
SMALL = (1, 3, 10, 30)
# Metres. Photos of one place by the field's usual bound; by phones on a campus, which fix better
# than among tall buildings, by the data's own.
NEAR, CAMPUS_NEAR, VIEW_NEAR = 25.0, 10.0, 10.0
# Metres around a query that are taken away with its place: the campus is 105 m long.
CAMPUS_ELSEWHERE = 40.0
# Most campus photos within 10 m look elsewhere. One truly shows what the query shows where fewer
# photos beyond 25 m than this are more similar and geometry says so: the data README's recipe.
MORE_SIMILAR = 5
# Hours of the day, local time: from here on, and before there, it is dark in December.
DUSK, DAWN = 16, 5
_SEED = 0
# Parts of photos that ask, as `crops.py` names them, of the kinds whose photos it cut.
CROPS = ("half off", "third off")
CROPPED = {"phone": "sf_west", "street view": "cambridge_val"}

# What the network says of parts of photos, at one size or more, by set/photo/part.
Parts = Mapping[str, Sequence[ImageFeatures]]


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate of one query: its position, similarity, geometry, and whether it is `right`.

    It surely `shows` what the query shows, is `unclear`, or surely does not: the rule learns from
    these, and recall counts `right` ones.
    """

    position: Position
    similarity: float
    verified: Verified | None
    right: bool
    shows: bool
    unclear: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A query of one kind, taken in one area, with its candidates, most similar first.

    `here` are those of the database as it is, `elsewhere` those without its place, empty where
    too little would remain; `others` random ones from elsewhere, and `partner` one that shows the
    same, for small databases. `known` says whether any photo of the database is right. Whether an
    answer is right is told `by_first` candidate where the area is too small for metres.
    """

    kind: str
    area: str
    position: Position
    here: tuple[Choice, ...]
    elsewhere: tuple[Choice, ...]
    others: tuple[Choice, ...]
    partner: Choice | None
    known: bool
    by_first: bool


# From a query's number and the others' metres and order to which are right, surely show the same,
# and are unclear.
Truth = Callable[[int, Floats, Sequence[int]], tuple[Flags, Flags, Flags]]


@dataclass(frozen=True, slots=True)
class Kind:
    """Which photos of a set ask, `queries`, and which may answer, `database`, by number."""

    name: str
    area: str
    records: tuple[Record, ...]
    queries: tuple[int, ...]
    database: Flags
    truth: Truth
    elsewhere: float = ELSEWHERE
    by_first: bool = False
    # What a query shows, at one size or more; else it is what the index holds of it.
    parts: Mapping[int, Sequence[ImageFeatures]] = field(default_factory=dict)


def read_kinds(data: Path, indexes: Path, parts: Parts) -> Iterator[tuple[Kind, GeoIndex]]:
    """Every kind whose set has an index, `sf_west.gpkg` and so on, in the folder `indexes`.

    With `parts`, each kind is followed by those of its photos' CROPS.
    """
    for name, kinds_of in (
        ("sf_west", _phones),
        ("cambridge_val", _street_view),
        ("campus_night_val", _day_and_night),
    ):
        file = indexes / f"{name}.gpkg"
        if file.exists():
            with open_index(file) as index:
                records = tuple(index.iterate())
                for kind in kinds_of(records, data):
                    yield kind, index
                    for crop in CROPS:
                        cut = _cut(kind, crop, parts)
                        if cut.queries:
                            yield cut, index


def _cut(kind: Kind, crop: str, parts: Parts) -> Kind:
    """The kind asked by parts of its photos."""
    folder = CROPPED.get(kind.name, "")
    keys = [f"{folder}/{Path(record.path).name}/{crop}" for record in kind.records]
    cut = {i: parts[key] for i, key in enumerate(keys) if key in parts}
    return replace(kind, name=f"{kind.name}, {crop}", queries=tuple(cut), parts=cut)


def _phones(records: tuple[Record, ...], data: Path) -> Iterator[Kind]:
    # Partners of one walk count here, so only its standpoint is taken from a query.
    records = tuple(replace(record, time=None) for record in records)
    number = {Path(record.path).name: i for i, record in enumerate(records)}
    partners = np.zeros((len(records), len(records)), dtype=bool)
    with (data / "sf_west" / "verified_pairs.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            a, b = number[row["image_a"]], number[row["image_b"]]
            partners[a, b] = partners[b, a] = True

    def truth(query: int, metres: Floats, _: Sequence[int]) -> tuple[Flags, Flags, Flags]:
        right = partners[query]
        return right, right, ~right & (metres <= NEAR)

    yield Kind(
        "phone", "San Francisco", records, _standpoints(records), np.ones(len(records), bool), truth
    )


def _street_view(records: tuple[Record, ...], _: Path) -> Iterator[Kind]:
    headings = np.array([record.heading for record in records], dtype=float)

    def truth(query: int, metres: Floats, _: Sequence[int]) -> tuple[Flags, Flags, Flags]:
        right = (metres <= NEAR) & (headings == headings[query])
        # Looking across a street, views 25 m apart share next to nothing.
        shows = right & (metres <= VIEW_NEAR)
        return right, shows, (metres <= NEAR) & ~shows

    everything = np.ones(len(records), bool)
    # Two of the four views from each standpoint ask, north and south or east and west.
    queries = tuple(i for i in range(len(records)) if (i // 4 + i) % 2 == 0)
    yield Kind("street view", "Cambridge", records, queries, everything, truth)


def _day_and_night(records: tuple[Record, ...], _: Path) -> Iterator[Kind]:
    hours = np.array([record.time.hour if record.time else 12 for record in records])
    night = (hours >= DUSK) | (hours < DAWN)

    def truth(_: int, metres: Floats, order: Sequence[int]) -> tuple[Flags, Flags, Flags]:
        ahead = np.zeros(len(metres), dtype=int)
        ahead[list(order)] = np.cumsum(metres[list(order)] > NEAR)
        shown = np.zeros(len(metres), bool)
        shown[list(order)] = True
        right = shown & (metres <= CAMPUS_NEAR)
        shows = right & (ahead < MORE_SIMILAR)
        return right, shows, metres <= CAMPUS_ELSEWHERE

    for name, asks in (("day", ~night), ("night", night)):
        queries = tuple(np.flatnonzero(asks).tolist())
        yield Kind(name, "campus", records, queries, ~night, truth, CAMPUS_ELSEWHERE, by_first=True)


def _standpoints(records: Sequence[Record]) -> tuple[int, ...]:
    number = {record.id: i for i, record in enumerate(records)}
    return tuple(number[record.id] for record in one_a_standpoint(records))


def queries_of(kind: Kind, index: GeoIndex, progress: Progress) -> Iterator[Query]:
    """The kind's queries; one for which the database holds nothing else is passed over."""
    number = {record.id: i for i, record in enumerate(kind.records)}
    lats = np.array([record.position.lat for record in kind.records])
    lons = np.array([record.position.lon for record in kind.records])
    features = stored_features(index)
    local = features(kind.records)
    random = np.random.default_rng(_SEED)
    progress.start(kind.name, len(kind.queries))
    for done, query in enumerate(kind.queries, 1):
        own = kind.records[query]
        metres = distances(own.position, lats, lons)
        around = [kind.records[i] for i in np.flatnonzero(metres <= ELSEWHERE)]
        together = {number[id_] for id_ in taken_together(own, around)} | {query}
        seen = kind.parts.get(query) or [stored_features_of(index, own.id or 0, local[query])]
        found = {number[f.id]: f for f in search_scales(index, seen, len(kind.records))}
        order = [i for i in found if kind.database[i] and i not in together]
        if order:
            truth = kind.truth(query, metres, order)
            choose = _Chooser(kind, metres, found, truth, [one.local for one in seen], local)
            yield choose.query(own.position, order, random)
        progress.advance(done)


class _Chooser:
    """Compares the candidates of one query, each once."""

    def __init__(
        self,
        kind: Kind,
        metres: Floats,
        found: dict[int, Found],
        truth: tuple[Flags, Flags, Flags],
        own: Sequence[LocalFeatures | None],
        local: list[LocalFeatures | None],
    ) -> None:
        self._kind, self._metres, self._found = kind, metres, found
        self._truth, self._own, self._local = truth, own, local

    def query(self, position: Position, order: list[int], random: np.random.Generator) -> Query:
        away = [i for i in order if self._metres[i] > self._kind.elsewhere]
        least = min(RERANK, len(order) / 2)
        elsewhere = away[:RERANK] if len(away) >= least else []
        others = random.permutation(away)[: max(SMALL)].tolist()
        right, shows, _ = self._truth
        partners = [i for i in order if shows[i]]
        partner = int(random.choice(partners)) if partners else None
        lists = order[:RERANK], elsewhere, others, [] if partner is None else [partner]
        needed = sorted({i for some in lists for i in some})
        choices = {i: self._choice(i, item) for i, item in self._compared(needed).items()}
        here, gone, beside, alone = (tuple(choices[i] for i in some) for some in lists)
        return Query(
            self._kind.name,
            self._kind.area,
            position,
            here,
            gone,
            beside,
            next((choice for choice in alone if choice.shows), None),
            bool(right[order].any()),
            self._kind.by_first,
        )

    def _compared(self, needed: Sequence[int]) -> dict[int, Verified | None]:
        """The clearest geometry of each, as `verify.weigh` has it."""
        pairs = [(i, scale) for i in needed for scale in range(self._found[i].scale, -1, -1)]
        each = compare_each([(self._own[scale], self._local[i]) for i, scale in pairs])
        clearest: dict[int, Verified | None] = {}
        for (i, _), item in zip(pairs, each, strict=True):
            before = clearest.get(i)
            if before is None or (item is not None and item.significance > before.significance):
                clearest[i] = item
        return clearest

    def _choice(self, i: int, verified: Verified | None) -> Choice:
        shows = bool(self._truth[1][i])
        if self._kind.by_first:
            shows = shows and verified is not None and verified.significance > 0
        return Choice(
            self._kind.records[i].position,
            self._found[i].similarity,
            verified,
            bool(self._truth[0][i]),
            shows,
            bool(self._truth[2][i]) and not shows,
        )
