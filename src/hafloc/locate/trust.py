"""How far an answer can be trusted: its radius and confidence by what trials taught."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.resources import files
from typing import Any

import numpy as np

from hafloc.errors import PositionError
from hafloc.geo import Position
from hafloc.index import CALIBRATION_FORMAT, Origin, origin_to_json
from hafloc.locate.odds import expit
from hafloc.locate.position import SIGNS, Consensus

# Below this confidence an answer says "not in this database".
THRESHOLD = 0.5
PROBABILITY = 0.9
# Whose calibration an answer rests on.
OWN, SHIPPED = "own", "shipped"


@dataclass(frozen=True, slots=True)
class Calibration:
    """What trials taught of one checkpoint's answers.

    `verified` says whether candidates were verified by geometry. `weights` (one for each of
    SIGNS, none negative: more evidence never lowers confidence) and `bias` give the log-odds of
    the confidence; `scores` are error / scale of the found trials, ascending, `neighbourhoods`
    the number of the one that each was found in; `queries` counts all trials. `shipped` ones come
    with the checkpoint, others from the database they speak for.
    """

    verified: bool
    weights: tuple[float, ...]
    bias: float
    scores: tuple[float, ...]
    queries: int
    neighbourhoods: tuple[int, ...] = ()
    shipped: bool = False

    def confidence(self, consensus: Consensus) -> float:
        """How likely the consensus is the query's place, in (0, 1).

        Calibrated for queries of which every second one's place is not in the database.
        """
        odds = self.bias + float(np.dot(self.weights, consensus.signs))
        return float(expit(odds))

    def radius(
        self,
        consensus: Consensus,
        probability: float = PROBABILITY,
        *,
        cautious: bool = False,
    ) -> float | None:
        """Metres around the position that hold the truth with `probability`; None if unknown.

        Split conformal prediction (Vovk, Gammerman & Shafer 2005; Lei et al. 2018): scale times
        the ⌈(n + 1) · probability⌉-th smallest of the n scores. What is guaranteed: over the
        draw of trials and query together, the truth lies within the radius at least that often
        among queries that are found (confidence ≥ THRESHOLD), if these are exchangeable with
        the trials that were found: same kind of photos, same database, same mixture. It holds on
        average over queries, not for each kind of them nor in each neighbourhood: measured by
        neighbourhoods of some 20 queries, a radius of 90 % held in some of them 57 % and in others
        all. The weights of the confidence, which decides what is found, come from the same trials;
        the guarantee treats them as given.

        `cautious`, what is drawn are neighbourhoods, not queries (Dunn, Wasserman & Ramdas 2022):
        each gives the ⌈(m + 1) · probability⌉-th smallest of its own m scores, at most its
        largest, and of these B the ⌈(B + 1) · probability⌉-th smallest counts. What is
        guaranteed: in a neighbourhood exchangeable with those of the trials, with `probability`
        over its draw, the radius holds the share `probability` of as many found queries.

        None where n, or B, is too small for `probability`.
        """
        check_probability(probability)
        scores = self._worst(probability) if cautious else self.scores
        rank = _rank(len(scores), probability)
        if rank > len(scores):
            return None
        return self._scale(consensus) * scores[rank - 1]

    def _scale(self, consensus: Consensus) -> float:
        # How well a database's positions fit together, on which views rest, its own trials know.
        if self.shipped and consensus.agreed_scale is not None:
            return consensus.agreed_scale
        return consensus.scale

    def _worst(self, probability: float) -> list[float]:
        """The score that holds in each neighbourhood, ascending."""
        of_each: dict[int, list[float]] = {}
        # Without numbers nothing is known of neighbourhoods.
        for number, score in zip(self.neighbourhoods, self.scores, strict=False):
            of_each.setdefault(number, []).append(score)
        return sorted(
            scores[min(_rank(len(scores), probability), len(scores)) - 1]
            for scores in of_each.values()
        )


def _rank(count: int, probability: float) -> int:
    # Rounded: 0.9 · 10 must not come out above 9.
    return math.ceil(round((count + 1) * probability, 9))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one query: the answer's position, and how far it can be trusted.

    `radius` (metres) holds the truth with `probability`; both None where unknown or where the
    place is not `found`. `confidence` and `found` are None without a calibration; `calibration` is
    OWN where it was learned on this database, SHIPPED where it came with the checkpoint. Whether
    the radius is a `cautious` one is told as well. `views` counts the photos whose views placed
    the camera, as `Consensus.views` does.
    """

    position: Position
    radius: float | None = None
    probability: float | None = None
    confidence: float | None = None
    found: bool | None = None
    calibration: str | None = None
    cautious: bool = False
    views: int = 0


def judge(
    consensus: Consensus,
    calibration: Calibration | None,
    probability: float = PROBABILITY,
    *,
    confidence: float | None = None,
    cautious: bool = False,
) -> Verdict:
    """The verdict on a consensus, with a `confidence` from elsewhere where one is given.

    `cautious` asks for the radius that holds in the worst neighbourhoods too. No radius is smaller
    than the consensus's own `accuracy`: calibration knows the usual error of positions, not that of
    these. A larger radius holds the truth no less often.

    Raises PositionError where `probability` is none.
    """
    check_probability(probability)
    if calibration is None:
        return Verdict(consensus.position)
    if confidence is None:
        confidence = calibration.confidence(consensus)
    found = confidence >= THRESHOLD
    # The radius is calibrated on found answers; of others it says nothing.
    radius = None
    if found:
        radius = calibration.radius(consensus, probability, cautious=cautious)
    if radius is not None:
        radius = max(radius, consensus.accuracy)
    return Verdict(
        consensus.position,
        radius,
        None if radius is None else probability,
        confidence,
        found,
        SHIPPED if calibration.shipped else OWN,
        cautious and radius is not None,
    )


def check_probability(probability: float) -> None:
    """Raises PositionError unless it lies strictly between 0 and 1."""
    if not 0 < probability < 1:
        raise PositionError(
            f"a probability of {probability:g} cannot be promised; give one such as 0.9"
        )


def write_calibrations(
    checkpoint: str, calibrations: Sequence[Calibration], origin: Origin | None = None
) -> str:
    """JSON text of the calibrations that belong to the checkpoint with this hash."""
    content: dict[str, Any] = {
        "format": CALIBRATION_FORMAT,
        "checkpoint": checkpoint,
        "signs": SIGNS,
        "calibrations": [_to_json(calibration) for calibration in calibrations],
    }
    if origin is not None:
        content["origin"] = origin_to_json(origin)
    return json.dumps(content, indent=1)


def read_calibrations(text: str, checkpoint: str) -> tuple[Calibration, ...]:
    """What `write_calibrations` wrote; nothing where it is of another checkpoint or format.

    Raises ValueError where the text is damaged.
    """
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("a calibration is a JSON object")
    if content.get("format") != CALIBRATION_FORMAT or content.get("checkpoint") != checkpoint:
        return ()
    try:
        return tuple(_calibration(item) for item in content["calibrations"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"the calibration lacks or garbles {error}") from error


def shipped_calibrations(checkpoint: str) -> tuple[Calibration, ...]:
    """Those that come with hafloc for the checkpoint with this hash; () for any other."""
    for file in (files("hafloc.nn") / "checkpoints").iterdir():
        if file.name.endswith(".calibration.json"):
            found = read_calibrations(file.read_text(encoding="utf-8"), checkpoint)
            if found:
                return tuple(replace(item, shipped=True) for item in found)
    return ()


def _to_json(calibration: Calibration) -> dict[str, Any]:
    content = asdict(calibration)
    del content["shipped"]  # told by where the text lies
    return content


def _calibration(item: dict[str, Any]) -> Calibration:
    names = [field.name for field in fields(Calibration) if field.name != "shipped"]
    values = {name: item[name] for name in names}
    weights = tuple(float(value) for value in values["weights"])
    numbers = [int(value) for value in values["neighbourhoods"]]
    if len(numbers) != len(values["scores"]):
        raise ValueError("the calibration needs the neighbourhood of each score")
    scored = sorted(zip(map(float, values["scores"]), numbers, strict=True))
    scores = tuple(score for score, _ in scored)
    bias = float(values["bias"])
    if len(weights) != len(SIGNS) or not np.isfinite([*weights, *scores, bias]).all():
        raise ValueError(f"the calibration needs {len(SIGNS)} finite weights")
    return Calibration(
        bool(values["verified"]),
        weights,
        bias,
        scores,
        int(values["queries"]),
        tuple(number for _, number in scored),
    )
