"""Is the first answer sharp, and does its radius hold? An index's own calibration on new photos.

    python benchmarks/first_answer.py --city 0 1 2 --keep /tmp/first_answer
    python benchmarks/first_answer.py data/cambridge/val --split places --keep DIR
    python benchmarks/first_answer.py data/campus_night/val --split days --keep DIR
    python benchmarks/first_answer.py data/sf_west --split places --keep DIR

A set is described once into `--keep`; what is there is not described again. Its photos are then
split into a database and queries that it does not hold, `--draws` times: by position (`places`: a
place is in one half or the other, drawn at random) or by day (`days`: each day's photos are the
queries of a database of the other days, so that another visit has to be answered). The demo city
comes with queries of its own.

Each database calibrates itself as after `index build`. Then its queries are located with their
place and without any photo within 100 m of it, and judged by the shipped calibration and by its
own: how many are found, how often the radius holds the truth, its median, and how many without
their place are found all the same. Ends with one JSON line.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from hafloc.calibrate import Known, NotCalibrated, Trials, keep_calibrated, try_out
from hafloc.calibrate.keep import SAMPLE, stored_features
from hafloc.cli.progress import bar
from hafloc.demo import render_city
from hafloc.describe import Describer
from hafloc.index import (
    GeoIndex,
    Record,
    build_index,
    create_index,
    open_index,
    stored_features_of,
)
from hafloc.locate.trust import Calibration, read_calibrations, shipped_calibrations
from hafloc.progress import Silent

Figures = dict[str, Any]
CITY = {"database": 150, "queries": 30, "size": (400, 300)}  # as `hafloc demo`
HALF = 0.5


def describe(folder: Path, csv: Path | None, kept: Path) -> Path:
    if not kept.exists():
        with bar() as progress:
            build_index(kept, Describer.open(), folder, csv=csv, progress=progress)
    return kept


def copy_part(source: GeoIndex, records: Sequence[Record], path: Path) -> None:
    ids = [record.id or 0 for record in records]
    with create_index(path, source.model, "float16") as part:
        part.add(records, source.vectors(ids), source.local_features(ids))


def splits(
    records: list[Record], kind: str, draws: int
) -> Iterator[tuple[str, list[Record], list[Record]]]:
    """The name, database and queries of each split."""
    if kind == "days":
        groups = [record.time.date().isoformat() if record.time else "" for record in records]
        chosen = [{day} for day in sorted(set(groups))]
    else:
        groups = [str(record.position) for record in records]
        places = np.array(sorted(set(groups)))
        random = np.random.default_rng(0)
        chosen = [set(places[random.random(len(places)) > HALF]) for _ in range(draws)]
    for number, asked in enumerate(chosen, 1):
        pairs = list(zip(records, groups, strict=True))
        name = next(iter(asked)) if kind == "days" else f"draw {number}"
        yield (
            name,
            [record for record, group in pairs if group not in asked],
            [record for record, group in pairs if group in asked],
        )


def judged(calibration: Calibration | None, trials: Trials) -> Figures:
    if calibration is None:
        return {}
    said = try_out(calibration, trials.verified)
    left = np.isfinite(said.elsewhere)
    return {
        "found": int(said.found.sum()),
        "held": int((said.errors <= said.radii)[said.found].sum()),
        "radius": said.radius,
        "left": int(left.sum()),
        "found_elsewhere": int((said.elsewhere[left] >= HALF).sum()),
    }


def measure(database: Path, asked: GeoIndex, queries: Sequence[Record], sample: int) -> Figures:
    start = perf_counter()
    done = keep_calibrated(database, sample=sample, progress=Silent())
    seconds = perf_counter() - start
    with open_index(database) as index:
        text, checkpoint = index.calibration(), index.model.hash
        own = {item.verified: item for item in read_calibrations(text or "{}", checkpoint)}
        shipped = {item.verified: item for item in shipped_calibrations(checkpoint)}
        trials = Trials(index, stored_features(index))
        for record in queries:
            (local,) = asked.local_features([record.id or 0])
            seen = stored_features_of(asked, record.id or 0, local)
            trials.add(Known(record.position, seen))
        return {
            "photos": index.count(),
            "queries": len(trials.verified),
            "error": float(np.median([trial.error for trial in trials.verified])),
            "reason": done.reason if isinstance(done, NotCalibrated) else None,
            "tried": 0 if isinstance(done, NotCalibrated) else done.origin.queries,
            "seconds": round(seconds, 1),
            "shipped": judged(shipped.get(True), trials),
            "own": judged(own.get(True), trials),
        }


def city(seed: int, kept: Path, sample: int) -> Iterator[tuple[str, Figures]]:
    folder = kept / f"city{seed}"
    if not folder.exists():
        render_city(folder, seed=seed, **CITY)  # type: ignore[arg-type]
    database = describe(folder / "database", None, kept / f"city{seed}_database.gpkg")
    queries = describe(
        folder / "queries", folder / "queries.csv", kept / f"city{seed}_queries.gpkg"
    )
    with tempfile.TemporaryDirectory() as scratch, open_index(queries) as asked:
        path = Path(scratch) / "city.gpkg"
        with open_index(database) as source:
            copy_part(source, list(source.iterate()), path)
        yield f"city {seed}", measure(path, asked, list(asked.iterate()), sample)


def real(
    folder: Path, name: str, kind: str, kept: Path, draws: int, sample: int
) -> Iterator[tuple[str, Figures]]:
    path = describe(folder / "images", folder / "positions.csv", kept / f"{name}.gpkg")
    with open_index(path) as source:
        records = list(source.iterate())
        for split, database, queries in splits(records, kind, draws):
            with tempfile.TemporaryDirectory() as scratch:
                part = Path(scratch) / "part.gpkg"
                copy_part(source, database, part)
                yield f"{name}, {split}", measure(part, source, queries, sample)


def row(name: str, figures: Figures) -> str:
    cells = [name, f"{figures['photos']:,}", f"{figures['queries']:,}", f"{figures['error']:.1f} m"]
    for key in ("shipped", "own"):
        of = figures[key]
        if not of or not of["found"]:
            cells += ["-", "-", "-", "-"]
            continue
        cells += [
            f"{of['found']}",
            f"{of['held'] / of['found']:.2f}",
            f"{of['radius']:.0f} m",
            f"{of['found_elsewhere']} of {of['left']}",
        ]
    return f"| {' | '.join([*cells, figures['reason'] or ''])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--name", help="of the set in --keep; by default of its folders")
    parser.add_argument("--split", choices=["places", "days"], default="places")
    parser.add_argument("--city", type=int, nargs="*", default=[], metavar="SEED")
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--sample", type=int, default=SAMPLE)
    options = parser.parse_args()
    options.keep.mkdir(exist_ok=True)
    results = {}

    def tell(measured: Iterator[tuple[str, Figures]]) -> None:
        for name, figures in measured:
            results[name] = figures
            print(row(name, figures), flush=True)

    for seed in options.city:
        tell(city(seed, options.keep, options.sample))
    if options.folder is not None:
        name = options.name or "_".join(options.folder.parts[-2:])
        tell(real(options.folder, name, options.split, options.keep, options.draws, options.sample))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
