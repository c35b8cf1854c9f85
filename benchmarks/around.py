"""How sure answers to panoramas are: places seen in four headings, all taken as one query.

    hafloc index build cambridge.gpkg /data/cambridge/val
    python benchmarks/around.py cambridge.gpkg [--places 60] [--out FILE]

The index must hold several headings of each place. A place's photos are asked of the rest of the
database, as stored, without anything from that standpoint: once one by one, once together as the
views of a panorama; with the place there, and without anything within 100 m. So half of all
answers should be "not here". Confidence is that of the shipped calibration. A right answer lies
within 50 m. Intervals are of 95 %, places drawn anew. Ends with one JSON line.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hafloc.calibrate import calibration_error
from hafloc.calibrate.fit import ELSEWHERE, Trial
from hafloc.calibrate.trials import Known, Trials
from hafloc.description import LocalFeatures
from hafloc.files import write_whole
from hafloc.index import GeoIndex, Record, open_index, stored_features_of
from hafloc.locate import REACH, THRESHOLD, Calibration, shipped_calibrations
from hafloc.photos import View

Floats = NDArray[np.float64]
# Of each query: place, confidence, whether it is right, whether its place is there.
Said = list[tuple[int, float, bool, bool]]


def by_standpoint(index: GeoIndex) -> list[list[Record]]:
    places: dict[tuple[float, float], list[Record]] = defaultdict(list)
    for record in index.iterate():
        places[record.position.lat, record.position.lon].append(record)
    return [records for records in places.values() if len(records) > 1]


def known(index: GeoIndex, records: list[Record]) -> list[Known]:
    found = []
    for record in records:
        (local,) = index.local_features([record.id or 0])
        seen = stored_features_of(index, record.id or 0, local)
        found.append(Known(record.position, seen, record))
    return found


def stored(index: GeoIndex, records: Sequence[Record]) -> list[LocalFeatures | None]:
    return index.local_features([record.id or 0 for record in records])


def judged(trial: Trial, place: int, calibration: Calibration) -> Said:
    said = []
    if not REACH < trial.error <= ELSEWHERE:
        said.append((place, calibration.confidence(trial.here), trial.error <= REACH, True))
    if trial.elsewhere is not None:
        said.append((place, calibration.confidence(trial.elsewhere), False, False))
    return said


def told(said: Said) -> dict[str, object]:
    place, confidence, right, there = (np.array(column) for column in zip(*said, strict=True))
    found = confidence >= THRESHOLD
    groups = [place == one for one in np.unique(place)]
    drawn = np.random.default_rng(0).integers(len(groups), size=(2_000, len(groups)))
    excess = []
    for choice in drawn:
        rows = np.concatenate([np.flatnonzero(groups[k]) for k in choice])
        excess.append(confidence[rows].mean() - right[rows].mean())
    return {
        "answers": len(said),
        "right where it is there": round(float(right[there].mean()), 3),
        "found where it is there": round(float(found[there].mean()), 3),
        "called found where it is not": round(float(found[~there].mean()), 3),
        "mean confidence": round(float(confidence.mean()), 3),
        "share right": round(float(right.mean()), 3),
        "confidence above share right": [
            round(float(v), 3) for v in np.percentile(excess, (2.5, 50, 97.5))
        ],
        "calibration error": round(calibration_error(confidence, right), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("index", type=Path)
    parser.add_argument("--places", type=int, default=60)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    alone: Said = []
    together: Said = []
    with open_index(given.index) as index:
        (calibration,) = [c for c in shipped_calibrations(index.model.hash) if c.verified]
        standpoints = by_standpoint(index)
        order = np.random.default_rng(0).permutation(len(standpoints))[: given.places]
        for place in order.tolist():
            looks = known(index, standpoints[place])
            views = tuple(
                (View(record.heading or 0.0, 0, 90), look.features)
                for record, look in zip(standpoints[place], looks, strict=True)
            )
            for kept, queries in (
                (alone, looks),
                (together, [Known(looks[0].position, looks[0].features, looks[0].own, views)]),
            ):
                trials = Trials(index, partial(stored, index))
                for query in queries:
                    trials.add(query)
                for trial in trials.verified:
                    kept += judged(trial, place, calibration)
    result = {
        "places": given.places,
        "one heading alone": told(alone),
        "all headings together": told(together),
        "said": [(round(c, 4), bool(r), bool(t)) for _, c, r, t in together],
    }
    if given.out is not None:
        write_whole(given.out, (json.dumps(result, indent=1) + "\n").encode())
    print(json.dumps(result))


if __name__ == "__main__":
    main()
