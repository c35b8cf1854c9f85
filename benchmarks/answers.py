"""How good are hafloc's answers on several kinds of photos: position, radius, "not here"?

    python benchmarks/answers.py data --indexes sets --fit --out benchmarks/results/answers.json

`data` holds `sf_west`, `cambridge/val` and `campus_night/val`, `sets` their indexes `sf_west.gpkg`,
`cambridge_val.gpkg`, `campus_night_val.gpkg`, made with `hafloc index build --no-calibrate`. No
photo is read. Every kind of `kinds.py` is asked: each query once in the database as it is, once
without its place, and in databases of 1 to 30 photos with and without one of its place.

`--fit` writes the rule and the calibration that ship with hafloc, fitted on all kinds alike.
`--out` judges: everything there is of queries that neither rule nor calibration has seen, in five
folds of whole neighbourhoods (some 20 queries), and each kind once by the others alone. Intervals
draw neighbourhoods.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from crops import load_all
from fitting import (
    Asked,
    Tried,
    answer,
    ask,
    fit_calibration,
    fit_rule,
    rule_to_json,
    shares_of,
    usual_of,
)
from hafloc.calibrate import (
    HeldOut,
    area_under_roc,
    calibration_error,
    fit,
    interval,
    neighbourhoods,
    try_out,
)
from hafloc.cli.progress import bar
from hafloc.files import write_whole
from hafloc.locate import THRESHOLD, Calibration, write_calibrations
from hafloc.verify import Rule, Usual
from kinds import Parts, Query, queries_of, read_kinds

FOLDS = 5
# Which queries lose their place is drawn anew this often.
LOSSES = 10
CUTS = (1, 5, 10)
SOURCE = Path(__file__).parents[1] / "src" / "hafloc"

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]
Figures = dict[str, Any]
Kinds = Mapping[str, Sequence[Asked]]


class HeldOutAnswers:
    """The answers to one kind's queries, each by a rule and calibration that have not seen it."""

    def __init__(self, tried: Sequence[Tried], by: Sequence[Calibration], numbers: Numbers) -> None:
        self.tried, self.by, self.numbers = tried, by, numbers
        self.known = np.array([item.query.known for item in tried])
        self.first = np.array([item.here.first.right for item in tried])
        right = [item.is_right() for item in tried]
        self.clear = np.array([said is not None for said in right])
        self.right = np.array([bool(said) for said in right])
        parts = [
            try_out(calibration, [item.trial()])
            for item, calibration in zip(tried, by, strict=True)
        ]
        names = ("here", "elsewhere", "radii", "cautious", "errors")
        self.said = HeldOut(
            *(np.array([getattr(part, name)[0] for part in parts]) for name in names), numbers
        )

    def figures(self) -> Figures:
        return {
            "queries": len(self.tried),
            "known": int(self.known.sum()),
            "recall": self._recall(),
            "position": self._position(),
            "found": self._found(),
            "radius": {
                name: _rounded(asdict(kept))
                for name, kept in zip(
                    ("plain", "cautious"), self.said.plain_and_cautious(), strict=True
                )
            },
            "confidence": self._confidence(),
            "small": self._small(),
        }

    def trust(self) -> Figures:
        return {"found": self._found(), "confidence": self._confidence()}

    def _recall(self) -> Figures:
        known = [item for item, is_known in zip(self.tried, self.known, strict=True) if is_known]
        alone = [np.array([c.right for c in item.query.here]) for item in known]
        ranked = [np.array([c.right for c in item.here.ranked]) for item in known]
        return {
            name: {
                f"@{cut}": _share(
                    np.array([flags[:cut].any() for flags in rows]), self.numbers[self.known]
                )
                for cut in CUTS
            }
            for name, rows in (("alone", alone), ("verified", ranked))
        }

    def _position(self) -> Figures:
        figures: Figures = {}
        for name, errors in (
            ("first_hit", np.array([item.trial().first for item in self.tried])),
            ("consensus", self.said.errors),
        ):
            median, ninetieth = np.percentile(errors[self.known], [50, 90])
            figures[name] = [round(float(median), 1), round(float(ninetieth), 1)]
        return figures

    def _found(self) -> Figures:
        """Shares; `precision` of found answers with a clear truth, `partner_first` of those found
        among known places, `of_first` how many right first candidates are found."""
        said, found = self.said, self.said.found
        remained = np.isfinite(said.elsewhere)
        return {
            "answers": int(found.sum()),
            "known": _share(found[self.known], self.numbers[self.known]),
            "of_first": _share(found[self.first], self.numbers[self.first]),
            "precision": _share(self.right[found & self.clear], self.numbers[found & self.clear]),
            "partner_first": _share(
                self.first[found & self.known], self.numbers[found & self.known]
            ),
            "removed": _share((said.elsewhere >= THRESHOLD)[remained], self.numbers[remained]),
        }

    def _confidence(self) -> Figures:
        """Half of the queries keep their place, the others lose it, drawn anew each time."""
        said = self.said
        areas, errors = [], []
        for seed in range(LOSSES):
            lost = np.random.default_rng(seed).permutation(len(said.here)) % 2 == 0
            kept = said.here[~lost & self.known]
            gone = said.elsewhere[lost & np.isfinite(said.elsewhere)]
            areas.append(area_under_roc(kept, gone))
            there = np.concatenate([np.ones(len(kept), bool), np.zeros(len(gone), bool)])
            errors.append(calibration_error(np.concatenate([kept, gone]), there))
        gone = said.elsewhere[np.isfinite(said.elsewhere)]
        confidences = np.concatenate([said.here[self.clear], gone])
        right = np.concatenate([self.right[self.clear], np.zeros(len(gone), bool)])
        return _rounded(
            {
                "auroc": float(np.mean(areas)),
                "ece_in_database": float(np.mean(errors)),
                "ece_answer_right": calibration_error(confidences, right),
            }
        )

    def _small(self) -> Figures:
        """By size of the database: the share found with a partner in it and without, and the
        calibration error of both together."""
        rows: dict[Any, list[tuple[bool, float, bool]]] = {}
        for item, calibration in zip(self.tried, self.by, strict=True):
            for (name, has_partner), consensus, right in item.judged():
                if name != "whole":
                    confidence = calibration.confidence(consensus)
                    rows.setdefault(name, []).append((has_partner, confidence, right))
        figures: Figures = {}
        for name, judged in rows.items():
            has, confidences, right = map(np.array, zip(*judged, strict=True))
            figures[str(name)] = _rounded(
                {
                    "right_found": _mean((confidences >= THRESHOLD)[has & right]),
                    "wrong_found": _mean((confidences >= THRESHOLD)[~has]),
                    "ece": calibration_error(confidences, right),
                }
            )
        return figures


def _mean(flags: Flags) -> float:
    return float(flags.mean()) if len(flags) else float("nan")


def _share(flags: Flags, numbers: Numbers) -> list[float]:
    """The share, and its 95 % interval by neighbourhoods."""
    if not len(flags):
        return []
    return [round(value, 3) for value in (float(flags.mean()), *interval(flags, numbers))]


def _rounded(values: Mapping[str, Any]) -> Figures:
    return {
        name: [round(part, 3) for part in value]
        if isinstance(value, tuple | list)
        else None
        if math.isnan(value)
        else round(value, 3)
        for name, value in values.items()
    }


def areas(kinds: Kinds) -> dict[str, Numbers]:
    """The neighbourhood of each kind's queries; kinds of one area share theirs."""
    by_area: dict[str, list[tuple[str, int]]] = {}
    for kind, queries in kinds.items():
        for i, asked in enumerate(queries):
            by_area.setdefault(asked.query.area, []).append((kind, i))
    numbers = {kind: np.zeros(len(queries), dtype=np.int64) for kind, queries in kinds.items()}
    for places in by_area.values():
        found = neighbourhoods([kinds[kind][i].query.position for kind, i in places])
        for (kind, i), number in zip(places, found.tolist(), strict=True):
            numbers[kind][i] = number
    return numbers


def fit_all(
    kinds: Kinds, usual: Usual, modes: Sequence[bool] = (False, True)
) -> tuple[Rule, list[Calibration]]:
    """The rule, and calibrations of answers by similarity alone and of verified ones."""
    rule = fit_rule(kinds, usual)
    return rule, [
        fit_calibration(
            {
                kind: [answer(asked, rule, verified=verified) for asked in queries]
                for kind, queries in kinds.items()
            },
            verified=verified,
        )
        for verified in modes
    ]


def held_out(
    kinds: Kinds,
    usual: Usual,
    parts: Sequence[Mapping[str, Flags]],
    numbers: Mapping[str, Numbers],
    modes: Sequence[bool],
) -> dict[str, dict[str, Figures]]:
    """Figures by kind and kind of answer; each of `parts`, flags of queries, by the others."""
    answers: dict[tuple[str, bool], dict[int, tuple[Tried, Calibration]]] = {}
    for part in parts:
        rest = {
            kind: [asked for asked, out in zip(queries, part[kind], strict=True) if not out]
            for kind, queries in kinds.items()
        }
        rule, calibrations = fit_all(
            {k: queries for k, queries in rest.items() if queries}, usual, modes
        )
        for kind, queries in kinds.items():
            for i in np.flatnonzero(part[kind]).tolist():
                for calibration in calibrations:
                    tried = answer(queries[i], rule, verified=calibration.verified)
                    own = answers.setdefault((kind, calibration.verified), {})
                    own[i] = tried, calibration
    return {
        kind: {
            name: HeldOutAnswers(
                *zip(*(answers[kind, verified][i] for i in range(len(queries))), strict=True),
                numbers[kind],
            ).figures()
            for name, verified in (("similarity", False), ("verified", True))
            if verified in modes
        }
        for kind, queries in kinds.items()
    }


def taught_by_one(
    kinds: Kinds, usual: Usual, numbers: Mapping[str, Numbers]
) -> dict[str, dict[str, Figures]]:
    """What a confidence learned on one kind alone says of the others, by the shipped rule."""
    rule, _ = fit_all(kinds, usual, ())
    tried = {
        kind: [answer(asked, rule, verified=True) for asked in queries]
        for kind, queries in kinds.items()
    }
    results: dict[str, dict[str, Figures]] = {}
    for kind, own in tried.items():
        calibration = fit([item.trial() for item in own], verified=True)
        results[kind] = {
            other: HeldOutAnswers(some, [calibration] * len(some), numbers[other]).trust()
            for other, some in tried.items()
            if other != kind
        }
    return results


def by_folds(numbers: Mapping[str, Numbers], kinds: Kinds) -> list[dict[str, Flags]]:
    """Five parts of whole neighbourhoods, the same of kinds in one area."""
    fold = {
        kind: np.random.default_rng(0).permutation(10_000)[numbers[kind]] % FOLDS for kind in kinds
    }
    return [{kind: fold[kind] == part for kind in kinds} for part in range(FOLDS)]


def by_kinds(kinds: Kinds) -> list[dict[str, Flags]]:
    return [
        {kind: np.full(len(queries), kind == out) for kind, queries in kinds.items()}
        for out in kinds
        if len(kinds) > 1
    ]


def show(title: str, figures: Mapping[str, Mapping[str, Figures]]) -> None:
    columns = [f"{kind}, {name}" for kind, by_name in figures.items() for name in by_name]
    table = Table("", *columns, title=title)
    rows: dict[str, list[str]] = {}
    for by_name in figures.values():
        for values in by_name.values():
            for label, value in _flat(values):
                rows.setdefault(label, []).append(json.dumps(value))
    for label, cells in rows.items():
        table.add_row(label, *cells)
    Console(width=200).print(table)


def _flat(values: Figures, before: str = "") -> Sequence[tuple[str, Any]]:
    return [
        pair
        for name, value in values.items()
        for pair in (
            _flat(value, f"{before}{name} ")
            if isinstance(value, dict)
            else [(before + name, value)]
        )
    ]


def read_queries(data: Path, indexes: Path, parts: Parts) -> tuple[dict[str, list[Query]], str]:
    """Queries by kind, and the checkpoint that all indexes belong to."""
    kinds: dict[str, list[Query]] = {}
    checkpoints = set()
    with bar() as progress:
        for kind, index in read_kinds(data, indexes, parts):
            kinds[kind.name] = list(queries_of(kind, index, progress))
            checkpoints.add(index.model.hash)
    if len(checkpoints) != 1:
        raise SystemExit(f"{indexes} needs indexes of one checkpoint; it has {len(checkpoints)}")
    return kinds, checkpoints.pop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--indexes", type=Path, required=True, help="folder of the sets' indexes")
    parser.add_argument("--fit", action="store_true", help="write the shipped rule and calibration")
    parser.add_argument("--out", type=Path, help="judge by held-out queries, results here")
    parser.add_argument("--crops", type=Path, help="what crops.py kept of parts of photos")
    arguments = parser.parse_args()
    parts = {} if arguments.crops is None else load_all(arguments.crops)
    queries, checkpoint = read_queries(arguments.data, arguments.indexes, parts)
    usual = usual_of(queries)
    kinds = {kind: [ask(query, usual) for query in some] for kind, some in queries.items()}
    if arguments.fit:
        rule, calibrations = fit_all(kinds, usual)
        text = json.dumps(rule_to_json(rule, kinds), indent=1) + "\n"
        write_whole(SOURCE / "verify" / "rule.json", text.encode())
        content = json.loads(write_calibrations(checkpoint, calibrations))
        content["fitted_on"] = {
            kind: {"queries": len(kinds[kind]), "share": round(share, 4)}
            for kind, share in shares_of(kinds).items()
        }
        text = json.dumps(content, indent=1)
        write_whole(SOURCE / "nn" / "checkpoints" / "haf.calibration.json", text.encode())
    if arguments.out is not None:
        results = judge(kinds, usual) | {"checkpoint": checkpoint}
        write_whole(arguments.out, (json.dumps(results, indent=1) + "\n").encode())


def judge(kinds: Kinds, usual: Usual) -> Figures:
    """All figures, each of queries that nothing was fitted on."""
    numbers = areas(kinds)
    results: Figures = {
        "neighbourhoods": {kind: len(set(some.tolist())) for kind, some in numbers.items()}
    }
    for title, parts, modes in (
        ("neighbourhoods", by_folds(numbers, kinds), (False, True)),
        ("kinds", by_kinds(kinds), (True,)),
    ):
        results[f"held_out_by_{title}"] = held_out(kinds, usual, parts, numbers, modes)
        show(f"held out by {title}", results[f"held_out_by_{title}"])
    results["taught_by_one_kind"] = taught_by_one(kinds, usual, numbers)
    return results


if __name__ == "__main__":
    main()
