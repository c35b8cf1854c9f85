"""How good are hafloc's answers: position, radius, and "not here"? Leave-one-out over one folder.

    python benchmarks/answers.py data/sf_west --index /tmp/sf_west.gpkg
    python benchmarks/answers.py data/cambridge/val --index /tmp/val.gpkg

The folder holds `images/`, `positions.csv` and, where there is one, `verified_pairs.csv`. One
photo of each standpoint is a query in turn, located by all others but those at that standpoint,
once as the database is, and once without any photo within 100 m of it. Its own position is the
truth.

Position: error of the first hit's position and of the consensus. Radius: how often it holds the
truth, over found answers that the calibration has not seen (5 folds, 10 draws of them). Open set:
half of the queries (drawn anew each time) lose their place; area under ROC of the confidence, and
its expected calibration error in 10 bins. All of it once with key points verified and once with
similarity alone, and once more as the calibration that ships with the checkpoint has it, which was
fitted on sf_west:

    python benchmarks/answers.py data/sf_west --index /tmp/sf_west.gpkg \
        --calibration src/hafloc/nn/checkpoints/haf.calibration.json

A query's place counts as known where it has a verified partner, or, without pairs, a photo within
25 m. The index is built at `--index` if it is not there. Ends with one JSON line.
"""

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import binom

from hafloc.calibrate.fit import Trial, fit
from hafloc.calibrate.quality import (
    HeldOut,
    area_under_roc,
    calibration_error,
    cross_validate,
    try_out,
)
from hafloc.calibrate.trials import Trials, own_photos
from hafloc.cli.progress import bar
from hafloc.describe import Describer
from hafloc.files import write_whole
from hafloc.geo import distances
from hafloc.index import Record, build_index
from hafloc.locate import (
    PROBABILITY,
    Calibration,
    Localizer,
    shipped_calibrations,
    write_calibrations,
)

TOLERANCE = 25.0  # metres
DRAWS = 10

Flags = NDArray[np.bool_]
Figures = dict[str, Any]


def known_places(root: Path, records: list[Record]) -> Flags:
    """Which photos have another of the same place in the database, at another position."""
    pairs = root / "verified_pairs.csv"
    lats = np.array([record.position.lat for record in records])
    lons = np.array([record.position.lon for record in records])
    same = (lats[:, None] == lats) & (lons[:, None] == lons)
    if pairs.exists():
        number = {Path(record.path).name: i for i, record in enumerate(records)}
        near = np.zeros(same.shape, dtype=bool)
        with pairs.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                a, b = number[row["image_a"]], number[row["image_b"]]
                near[a, b] = near[b, a] = True
    else:
        metres = np.stack([distances(record.position, lats, lons) for record in records])
        near = metres <= TOLERANCE
    return np.asarray((near & ~same).any(axis=1))


def position_errors(trials: list[Trial], known: Flags) -> Figures:
    figures: Figures = {}
    for name, errors in (
        ("first_hit", np.array([trial.first for trial in trials])),
        ("consensus", np.array([trial.error for trial in trials])),
    ):
        median, ninetieth = np.percentile(errors[known], [50, 90])
        figures[f"{name}_median_m"] = round(float(median), 1)
        figures[f"{name}_90_percent_m"] = round(float(ninetieth), 1)
    return figures


def radius_figures(drawn: list[HeldOut]) -> Figures:
    found = int(np.median([held.found.sum() for held in drawn]))
    low, high = binom.interval(0.95, found, PROBABILITY)
    return {
        "found_answers": found,
        "coverage": round(float(np.mean([held.coverage for held in drawn])), 3),
        "coverage_first_draw": round(drawn[0].coverage, 3),
        "band": [round(float(low) / found, 3), round(float(high) / found, 3)],
        "median_radius_m": round(float(np.mean([held.radius for held in drawn])), 1),
    }


def open_set(drawn: list[HeldOut], known: Flags) -> Figures:
    """Half of the queries keep their place, the others lose it."""
    areas, errors, clear_errors, wrongly, rightly = [], [], [], [], []
    for seed, held in enumerate(drawn):
        lost = np.random.default_rng(seed).permutation(len(known)) % 2 == 0
        kept = ~lost & known
        lost &= np.isfinite(held.elsewhere)
        areas.append(area_under_roc(held.here[kept], held.elsewhere[lost]))
        confidences = np.concatenate([held.here[kept], held.elsewhere[lost]])
        there = np.concatenate([np.ones(kept.sum(), bool), np.zeros(lost.sum(), bool)])
        errors.append(calibration_error(confidences, there))
        clear_errors.append(calibration_error(*held.judged()))
        rightly.append(held.found[kept].mean())
        wrongly.append((held.elsewhere[lost] >= 0.5).mean())
    means = {
        "auroc": areas,
        "ece_in_database": errors,
        "ece_answer_right": clear_errors,
        "known_places_found": rightly,
        "removed_places_found": wrongly,
    }
    return {name: round(float(np.mean(values)), 3) for name, values in means.items()}


def figures_of(
    trials: list[Trial], known: Flags, *, verified: bool, shipped: Sequence[Calibration] = ()
) -> Figures:
    figures: Figures = {"position": position_errors(trials, known)}
    drawn = [cross_validate(trials, verified=verified, seed=seed) for seed in range(DRAWS)]
    held = [one for one in drawn if one is not None]
    if len(held) == DRAWS:
        figures["radius"] = radius_figures(held)
        figures["open_set"] = open_set(held, known)
        figures["open_set_all_queries"] = open_set(held, np.ones(len(known), dtype=bool))
    for calibration in shipped:
        if calibration.verified == verified:
            said = [try_out(calibration, trials)] * DRAWS
            figures["shipped_radius"] = radius_figures(said)
            figures["shipped_open_set"] = open_set(said, known)
    return figures


def show(root: Path, results: dict[str, Figures]) -> None:
    table = Table("", *results, title=str(root))
    rows: dict[str, dict[str, Any]] = {}
    for name, figures in results.items():
        for group, values in figures.items():
            for key, value in values.items():
                rows.setdefault(f"{group} {key}", {})[name] = value
    for label, values in rows.items():
        table.add_row(label, *(str(values.get(name, "-")) for name in results))
    Console(width=140).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--index", type=Path, required=True, help="built here if not there yet")
    parser.add_argument("--model", default="haf", help="checkpoint: shipped name or file")
    parser.add_argument("--out", type=Path, help="write the results as JSON as well")
    parser.add_argument("--calibration", type=Path, help="fit one on all queries, write it here")
    arguments = parser.parse_args()
    with bar() as progress:
        if not arguments.index.exists():
            build_index(
                arguments.index,
                Describer.open(arguments.model),
                arguments.folder / "images",
                csv=arguments.folder / "positions.csv",
                progress=progress,
            )
        with Localizer.open(arguments.index, arguments.model) as localizer:
            index = localizer.index
            records = list(index.iterate())
            of_all = known_places(arguments.folder, records)
            number = {record.id: i for i, record in enumerate(records)}
            local_features = localizer.candidates.local_features
            trials = Trials(index, local_features)
            tried = []
            for query in own_photos(index, local_features, len(records), progress):
                assert query.own is not None
                before = len(trials.plain)
                # Partners of one walk count here, so only its standpoint is taken from a query.
                alone = replace(query, own=replace(query.own, time=None))
                trials.add(alone)
                tried += [number[query.own.id]] * (len(trials.plain) - before)
            known = of_all[tried]
            checkpoint = index.model.hash
    kinds = {"similarity": (trials.plain, False), "verified": (trials.verified, True)}
    if arguments.calibration is not None:
        fitted = [fit(made, verified=verified) for made, verified in kinds.values() if made]
        text = write_calibrations(checkpoint, fitted)
        write_whole(arguments.calibration, text.encode())
    # On the queries that it was fitted on it would only flatter itself.
    shipped = shipped_calibrations(checkpoint) if arguments.calibration is None else ()
    results = {
        name: figures_of(made, known, verified=verified, shipped=shipped)
        for name, (made, verified) in kinds.items()
        if made
    }
    show(arguments.folder, results)
    line = json.dumps({"photos": len(records), "known": int(known.sum())} | results)
    print(line)
    if arguments.out is not None:
        write_whole(arguments.out, f"{line}\n".encode())


if __name__ == "__main__":
    main()
