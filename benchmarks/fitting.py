"""Fit rule and calibration on several kinds of queries at once; each kind counts alike.

The rule learns from every list of candidates that a query has: the whole database with its place
and without, and databases of 1 to 30 photos with a partner or none, so that it does not lean on
rivals that a small database lacks. The calibration learns from the answers that these lists give.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hafloc.calibrate.fit import ELSEWHERE, Trial, fit_logistic
from hafloc.calibrate.neighbourhoods import neighbourhoods
from hafloc.geo import distance
from hafloc.locate import PROBABILITY, REACH, THRESHOLD, Calibration, Consensus, agree
from hafloc.verify import (
    CUES,
    NOTHING,
    PLAIN_CUES,
    Evidence,
    Rule,
    Usual,
    Weights,
    read_cues,
)
from hafloc.verify.rule import FORMAT
from kinds import SMALL, Choice, Query

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# What one answer of a small database counts beside one of the whole.
SMALL_COUNTS = 0.5
# The most similar photos of other places as the whole database: the hardest small ones there are.
HARDEST = (1, 3)

# Kinds of which each candidate's truth is known, by pairs that were checked. Where it is guessed
# from metres and headings, photos that show nothing in common count as right, and the rule learns
# to rank worse, for every kind: 2 to 3 points of recall@1 with all kinds together.
RULE_KINDS = ("phone",)

# What kinds count for the confidence; others count 1. By night the same evidence says more, since
# strangers look less alike; with equal shares these answers are doubted too much.
WEIGHTS = {"night": 2.0}

# A database by its name, and whether a right photo was put in.
Name = tuple[int | Literal["whole", "hardest 1", "hardest 3"], bool]


@dataclass(frozen=True, slots=True)
class Listed:
    """The candidates that one database gives a query, with their cues `[K, len(CUES)]`."""

    choices: tuple[Choice, ...]
    cues: Floats

    def labels(self) -> tuple[Flags, Flags]:
        """Which candidates show the query's place, and which are unclear, `[K]` each."""
        return (
            np.array([choice.shows for choice in self.choices]),
            np.array([choice.unclear for choice in self.choices]),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A query with its lists of candidates by database."""

    query: Query
    lists: dict[Name, Listed]


def ask(query: Query, usual: Usual) -> Asked:
    """The query with all databases that it can be asked in."""
    named: dict[Name, Sequence[Choice]] = {("whole", True): query.here}
    if query.elsewhere:
        named["whole", False] = query.elsewhere
        named["hardest 1", False] = query.elsewhere[: HARDEST[0]]
        named["hardest 3", False] = query.elsewhere[: HARDEST[1]]
    for size in SMALL:
        if query.partner is not None and len(query.others) >= size - 1:
            named[size, True] = (query.partner, *query.others[: size - 1])
        if len(query.others) >= size:
            named[size, False] = query.others[:size]
    return Asked(query, {name: _listed(some, usual) for name, some in named.items()})


def _listed(choices: Sequence[Choice], usual: Usual) -> Listed:
    ordered = tuple(sorted(choices, key=lambda choice: -choice.similarity))
    similarities = [choice.similarity for choice in ordered]
    return Listed(ordered, read_cues(similarities, [choice.verified for choice in ordered], usual))


def usual_of(kinds: Mapping[str, Sequence[Query]]) -> Usual:
    """What random photos of other places show: medians, then their mean over the kinds."""
    rows = [
        np.median(
            [
                (choice.similarity, np.log1p((choice.verified or NOTHING).matches))
                for query in queries
                for choice in query.others
            ],
            axis=0,
        )
        for queries in kinds.values()
    ]
    similarity, matches = np.mean(rows, axis=0)
    return Usual(float(similarity), float(matches))


def fit_rule(kinds: Mapping[str, Sequence[Asked]], usual: Usual) -> Rule:
    """Both models of the rule, on candidates of all lists that are clearly right or wrong.

    Only kinds of RULE_KINDS teach it, where there are any: see there.
    """
    taught = [some for kind, some in kinds.items() if kind in RULE_KINDS]
    cues, right, counts = [], [], []
    for queries in taught or list(kinds.values()):
        rows, labels = _examples(queries)
        cues.append(rows)
        right.append(labels)
        counts.append(np.full(len(labels), 1 / len(labels)))
    weights = np.concatenate(counts)
    weights *= len(weights) / weights.sum()
    everything, labels = np.concatenate(cues), np.concatenate(right)
    return Rule(
        fit_weights(everything, labels, weights),
        fit_weights(everything[:, : len(PLAIN_CUES)], labels, weights),
        usual,
    )


def _examples(queries: Sequence[Asked]) -> tuple[Floats, Flags]:
    rows, labels = [], []
    for asked in queries:
        for listed in asked.lists.values():
            right, unclear = listed.labels()
            rows.append(listed.cues[~unclear])
            labels.append(right[~unclear])
    return np.concatenate(rows), np.concatenate(labels)


def fit_weights(cues: Floats, right: Flags, counts: Floats | None = None) -> Weights:
    """The logistic model of largest penalised likelihood: `[N, S]` cues, `[N]` labels.

    No weight is negative: more evidence never speaks against a candidate. `counts` `[N]` are
    how much each example counts.
    """
    weights, bias = fit_logistic(cues, right.astype(np.float64), counts)
    return Weights(bias, tuple(weights.tolist()))


@dataclass(frozen=True, slots=True)
class Answered:
    """What one database answered: the consensus, its error in metres, and the candidates,
    strongest first."""

    consensus: Consensus
    error: float
    ranked: tuple[Choice, ...]

    @property
    def first(self) -> Choice:
        return self.ranked[0]


@dataclass(frozen=True, slots=True)
class Tried:
    """The answers that a query's databases give."""

    query: Query
    answers: dict[Name, Answered]

    @property
    def here(self) -> Answered:
        return self.answers["whole", True]

    def trial(self) -> Trial:
        """As `hafloc calibrate` has it."""
        without = self.answers.get(("whole", False))
        return Trial(
            self.here.error,
            distance(self.query.position, self.here.first.position),
            self.here.consensus,
            without and without.consensus,
            self.query.position,
        )

    def judged(self) -> Iterator[tuple[Name, Consensus, bool]]:
        """Every answer whose truth is clear."""
        for (database, has_place), answer in self.answers.items():
            by_first = self.query.by_first or database != "whole"
            right = _is_right(answer, by_first=by_first) if has_place else False
            if right is not None:
                yield (database, has_place), answer.consensus, right

    def is_right(self) -> bool | None:
        """Whether the whole database's answer is right; None where that is unclear."""
        return _is_right(self.here, by_first=self.query.by_first)


def _is_right(answer: Answered, *, by_first: bool) -> bool | None:
    """By metres as `hafloc calibrate` has it: right within REACH, wrong beyond ELSEWHERE; or by the
    strongest candidate, where an area or a database is too small for that."""
    if by_first:
        right, wrong = answer.first.right, not answer.first.right and not answer.first.unclear
    else:
        right, wrong = answer.error <= REACH, answer.error > ELSEWHERE
    return True if right else False if wrong else None


def answer(asked: Asked, rule: Rule, *, verified: bool) -> Tried:
    """Every database's answer, by the rule."""
    return Tried(
        asked.query,
        {
            name: _answer(asked.query, listed, rule, verified=verified)
            for name, listed in asked.lists.items()
        },
    )


def _answer(query: Query, listed: Listed, rule: Rule, *, verified: bool) -> Answered:
    model, cues = rule.plain, listed.cues[:, : len(PLAIN_CUES)]
    if verified:
        model, cues = rule.verified, listed.cues
    strengths = model.log_odds(cues)
    evidence = [
        _evidence(number, choice, float(strength), verified=verified)
        for number, (choice, strength) in enumerate(zip(listed.choices, strengths, strict=True))
    ]
    consensus = agree([choice.position for choice in listed.choices], evidence)
    return Answered(
        consensus,
        distance(query.position, consensus.position),
        tuple(listed.choices[i] for i in np.argsort(-strengths, kind="stable")),
    )


def _evidence(number: int, choice: Choice, strength: float, *, verified: bool) -> Evidence:
    seen = (choice.verified if verified else None) or NOTHING
    return Evidence(
        number,
        choice.similarity,
        seen.matches,
        seen.inliers,
        seen.geometry,
        seen.pairs,
        strength,
        verified=verified,
    )


def shares_of(kinds: Iterable[str]) -> dict[str, float]:
    """How much each kind counts for the confidence."""
    weights = {kind: WEIGHTS.get(kind, 1.0) for kind in kinds}
    return {kind: weight / sum(weights.values()) for kind, weight in weights.items()}


def fit_calibration(kinds: Mapping[str, Sequence[Tried]], *, verified: bool) -> Calibration:
    """Confidence and radius from the answers of all kinds, by their shares."""
    signs, labels, counts = [], [], []
    shares = shares_of(kinds)
    for kind, tried in kinds.items():
        judged = [one for item in tried for one in item.judged()]
        signs += [consensus.signs for _, consensus, _ in judged]
        labels += [right for _, _, right in judged]
        count = np.array([1.0 if name == "whole" else SMALL_COUNTS for (name, _), *_ in judged])
        counts.append(shares[kind] * count / count.sum())
    weights = np.concatenate(counts)
    weights *= len(weights) / weights.sum()
    learned, bias = fit_logistic(np.array(signs), np.array(labels, dtype=np.float64), weights)
    queries = sum(len(tried) for tried in kinds.values())
    unscored = Calibration(verified, tuple(learned.tolist()), bias, (), queries)
    return _with_scores(unscored, kinds)


def _with_scores(unscored: Calibration, kinds: Mapping[str, Sequence[Tried]]) -> Calibration:
    """The calibration with the scores of that kind whose radius is the largest.

    Nothing about a query's candidates tells how poor the positions of a database are, so a radius
    that shall hold for every kind is that of the worst.
    """
    scored = [_scores_of(unscored, tried) for tried in kinds.values()]
    worst = max(scored, key=lambda some: float(np.quantile([s for s, _ in some], PROBABILITY)))
    return replace(
        unscored,
        scores=tuple(score for score, _ in worst),
        neighbourhoods=tuple(number for _, number in worst),
    )


def _scores_of(unscored: Calibration, tried: Sequence[Tried]) -> list[tuple[float, int]]:
    """Error over scale and neighbourhood of each found answer, ascending."""
    numbers = neighbourhoods([item.query.position for item in tried]).tolist()
    return sorted(
        (item.here.error / item.here.consensus.scale, number)
        for item, number in zip(tried, numbers, strict=True)
        if unscored.confidence(item.here.consensus) >= THRESHOLD
    )


def rule_to_json(rule: Rule, kinds: Mapping[str, Sequence[Asked]]) -> dict[str, Any]:
    """What `verify.read_rule` reads, with how many queries of each kind it was fitted on."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "fitted_on": {k: len(queries) for k, queries in kinds.items() if k in RULE_KINDS},
        "usual": {name: round(value, 6) for name, value in asdict(rule.usual).items()},
    }
    for name, cues, model in (
        ("verified", CUES, rule.verified),
        ("plain", PLAIN_CUES, rule.plain),
    ):
        weights = {cue: round(w, 6) for cue, w in zip(cues, model.weights, strict=True)}
        content[name] = {"bias": round(model.bias, 6), "weights": weights}
    return content
