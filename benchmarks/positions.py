"""How far from the truth are positions: the first hit's, the consensus's, where views meet?

    python benchmarks/positions.py --render FOLDER
    hafloc index build FOLDER/database.gpkg FOLDER/database --no-calibrate
    hafloc index build FOLDER/queries.gpkg FOLDER/queries --no-calibrate
    python benchmarks/positions.py FOLDER/database.gpkg FOLDER/queries.gpkg
    python benchmarks/positions.py /tmp/cambridge_val.gpkg

`--render` writes a part of the demo city: stops every 15 m, four views at each, and queries that
stand anywhere between the stops, at other times and with other lenses. Both are indexed, which
describes them once; what the queries' index says of their positions is the truth.

With one index, one photo of each standpoint is a query in turn, located by all others but those
taken together with it (`calibrate.visits`).

Errors are in metres, of the queries whose consensus is within REACH of the truth: which place it
is, is another question than where in it. "acts" are queries whose position is where views meet;
milliseconds are the processor's, of placing the camera alone. Ends with one JSON line.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from hafloc.calibrate.fit import ELSEWHERE
from hafloc.calibrate.visits import one_a_standpoint, taken_together
from hafloc.demo import write as demo
from hafloc.demo.city import build_city
from hafloc.demo.conditions import Conditions
from hafloc.files import write_whole
from hafloc.geo import Position, distance
from hafloc.index import (
    GeoIndex,
    Near,
    Record,
    open_index,
    search_for,
    stored_features_of,
)
from hafloc.locate import REACH, RERANK, agree
from hafloc.locate.meeting import sharpened
from hafloc.verify import Evidence, weigh

SPACING = 15.0  # metres between stops
STOPS, ASKED = 24, 64
SIZE = (480, 360)
BETWEEN = 9.0  # metres: a query has a stop that near

Floats = NDArray[np.float64]
Query = tuple[Position, list[Record], list[Evidence]]


@dataclass(frozen=True, slots=True)
class Placed:
    """Errors in metres of the three positions, photos the last rests on, its scale, its time."""

    first: float
    consensus: float
    meeting: float
    views: int
    scale: float
    seconds: float


def render(folder: Path, seed: int = 0) -> None:
    """Write `database/` with EXIF positions, and `queries/` with the truth in a table."""
    rng = np.random.default_rng([seed, 15])
    city = build_city(seed, (3, 3))
    photos: list[demo.DemoPhoto] = []
    for street in city.streets:
        for along in np.arange(demo._END, street.length - demo._END + 1e-9, SPACING):
            for view in range(4):
                camera = demo._stop(city, street, float(along), view, SIZE, rng)
                moment = Conditions(people=int(rng.integers(4)), seed=int(rng.integers(2**31)))
                path = folder / "database" / f"view_{len(photos):04}.jpg"
                when = demo._DRIVE + timedelta(seconds=4 * len(photos))
                photos.append(demo.DemoPhoto(path, camera, moment, when))
    lengths = np.array([street.length - 2 * demo._END for street in city.streets])
    cameras = []
    for _ in range(ASKED):
        street = city.streets[int(rng.choice(len(lengths), p=lengths / lengths.sum()))]
        span = SPACING * np.floor((street.length - 2 * demo._END) / SPACING)
        along, view = demo._END + float(rng.uniform(0, span)), int(rng.integers(4))
        cameras.append(demo._stop(city, street, along, view, SIZE, rng))
    names = [folder / "queries" / f"query_{k:04}.jpg" for k in range(ASKED)]
    asked = demo._queries(names, city, cameras, rng)
    stops = photos[: 4 * STOPS]
    asked = [query for query in asked if _nearest(query, stops) < BETWEEN]
    for photo in (*stops, *asked):
        photo.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(photo.path, demo._jpeg(city, photo, located=photo in stops))
    write_whole(folder / "queries" / "positions.csv", demo._truth(asked))


def _nearest(query: demo.DemoPhoto, stops: list[demo.DemoPhoto]) -> float:
    return min(distance(query.camera.position, stop.camera.position) for stop in stops)


def asked_from(queries: GeoIndex, database: GeoIndex) -> Iterator[Query]:
    for record in queries.iterate():
        yield record.position, *_candidates(database, queries, record, set())


def left_out(database: GeoIndex) -> Iterator[Query]:
    drawn = database.sample(database.count(), 0)
    mixed = [drawn[i] for i in np.random.default_rng(0).permutation(len(drawn))]
    for record in one_a_standpoint(mixed):
        together = taken_together(record, list(database.within(Near(record.position, ELSEWHERE))))
        yield record.position, *_candidates(database, database, record, together)


def _candidates(
    database: GeoIndex, queries: GeoIndex, record: Record, without: set[int]
) -> tuple[list[Record], list[Evidence]]:
    """The candidates of a photo that `queries` holds, strongest first."""
    (local,) = queries.local_features([record.id or 0])
    seen = stored_features_of(queries, record.id or 0)
    hits = search_for(database, [seen], RERANK + len(without))
    ranked = zip(hits.ids[0].tolist(), hits.similarities[0].tolist(), strict=True)
    kept = [pair for pair in ranked if pair[0] not in without][:RERANK]
    ids = [id_ for id_, _ in kept]
    by_id = dict(zip(ids, database.get(ids), strict=True))
    features = database.local_features(ids)
    evidence = weigh(ids, [value for _, value in kept], [[local]] * len(ids), features)
    return [by_id[item.id] for item in evidence], evidence


def place(query: Query) -> Placed:
    truth, records, evidence = query
    consensus = agree([record.position for record in records], evidence)
    start = time.process_time()
    meeting = sharpened(consensus, records, evidence)
    return Placed(
        distance(records[0].position, truth),
        distance(consensus.position, truth),
        distance(meeting.position, truth),
        meeting.views,
        meeting.scale,
        time.process_time() - start,
    )


def summed_up(placed: list[Placed]) -> dict[str, Any]:
    right = [one for one in placed if one.consensus <= REACH]
    acts = [one for one in right if one.views]
    return {
        "queries": len(placed),
        "in_the_right_place": len(right),
        "all": _errors(right),
        "acts_percent": round(100 * len(acts) / max(len(right), 1)),
        "where_it_acts": _errors(acts),
        "nearer_than_consensus": sum(one.meeting < one.consensus for one in acts),
        "median_scale_m": round(float(np.median([one.scale for one in acts] or [np.nan])), 1),
        "score_90_percent": {
            "consensus": _quantile([one.consensus / 20 for one in right], 90),
            "where_it_acts": _quantile([one.meeting / one.scale for one in acts], 90),
        },
        "cpu_ms_median": round(1000 * float(np.median([one.seconds for one in placed]))),
        "cpu_ms_mean": round(1000 * float(np.mean([one.seconds for one in placed]))),
    }


def _errors(placed: list[Placed]) -> dict[str, list[float]]:
    """Median and 90th percentile of each position's error."""
    return {
        name: [_quantile([getattr(one, name) for one in placed], q) for q in (50, 90)]
        for name in ("first", "consensus", "meeting")
    }


def _quantile(values: list[float], q: float) -> float:
    return round(float(np.percentile(values, q)), 2) if values else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("database", type=Path, nargs="?")
    parser.add_argument("queries", type=Path, nargs="?")
    parser.add_argument("--render", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    if given.render is not None:
        render(given.render)
        return
    with open_index(given.database) as database:
        if given.queries is None:
            placed = [place(query) for query in left_out(database)]
        else:
            with open_index(given.queries) as queries:
                placed = [place(query) for query in asked_from(queries, database)]
    figures = summed_up(placed)
    table = Table("position", "median m", "90 % m", "median m, acts", "90 % m, acts")
    for name in ("first", "consensus", "meeting"):
        numbers = [*figures["all"][name], *figures["where_it_acts"][name]]
        table.add_row(name, *(f"{number:.1f}" for number in numbers))
    Console().print(table)
    print(json.dumps({given.database.stem: figures}))


if __name__ == "__main__":
    main()
