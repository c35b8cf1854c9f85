"""How sure an answer is when several views were looked for, of which the best one speaks."""

from dataclasses import replace

import numpy as np
import pytest

from hafloc.geo import Position
from hafloc.index import Record
from hafloc.locate import PROBABILITY, Calibration, RankedQuery
from hafloc.locate.judging import Judge
from hafloc.locate.query import Wanted
from hafloc.locate.trust import judge
from hafloc.verify import Evidence

NO_PAIRS = np.zeros((0, 4), np.float32)
SHIPPED = Calibration(False, (0.3, 0.0, 0.0, 0.0, 0.0), 0.5, (1.0,) * 20, 20, shipped=True)
# Its confidence comes along where a database has learned only how far off answers are.
OWN_RADIUS = replace(SHIPPED, shipped=False, scores=(2.0,) * 20)
OWN = replace(OWN_RADIUS, bias=0.4)
WANTED = Wanted(1, None, 0, PROBABILITY)


def query(views: int | None) -> RankedQuery:
    record = Record("a.jpg", "0", Position(48, 16), 1, 1, "csv", id=1)
    evidence = Evidence(1, 0.9, 0, 0, "", NO_PAIRS, 2.0, False, None)
    return RankedQuery("q", [record], [evidence], 1, None, None, None, query_views=views)


@pytest.mark.parametrize("calibrations", [(SHIPPED,), (OWN_RADIUS, SHIPPED)])
def test_the_odds_of_the_best_of_n_views_are_divided_by_n(
    calibrations: tuple[Calibration, ...],
) -> None:
    judging = Judge(calibrations)
    alone = judging.verdict(query(None), WANTED).confidence or 0.0
    of_eight = judging.verdict(query(8), WANTED).confidence or 0.0

    assert alone == judge(query(None).consensus(), SHIPPED).confidence
    assert of_eight / (1 - of_eight) == pytest.approx(alone / (1 - alone) / 8)
    assert judging.verdict(query(1), WANTED).confidence == pytest.approx(alone)


def test_what_was_learned_from_a_persons_own_queries_is_left_as_it_is() -> None:
    judging = Judge((OWN, SHIPPED))
    assert judging.verdict(query(8), WANTED).confidence == (
        judging.verdict(query(None), WANTED).confidence
    )
