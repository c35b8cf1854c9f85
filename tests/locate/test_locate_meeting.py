"""The consensus is made sharper by views that meet, and left as it is by all others."""

from dataclasses import replace

import numpy as np
import pytest

from hafloc.geo import LocalFrame, Position, distance
from hafloc.index import Record
from hafloc.locate.meeting import sharpened
from hafloc.locate.position import Consensus, agree
from hafloc.locate.trust import Calibration, judge
from hafloc.locate.walk_photos import as_wide
from hafloc.verify import Evidence

ORIGIN = Position(48.2, 16.37)
FRAME = LocalFrame(ORIGIN)
SIZE = (480, 360)
FOCAL = 350.0  # pixels
# Metres east and north of the photos; the query stands at the origin. All look east.
PLACES = ((-7.0, 1.0), (6.0, -1.0), (-14.0, -1.5))

Candidates = tuple[list[Record], list[Evidence]]


def candidates(heading: float | None = 90.0) -> Candidates:
    """Three photos and what each has in common with the query in a street with two façades."""
    rng = np.random.default_rng(0)
    points = np.stack(
        [rng.uniform(8, 60, 500), rng.choice([-9.0, 8.0], 500), rng.uniform(-1.5, 7, 500)], axis=1
    )
    here, seen_here = pixels(points, (0.0, 0.0))
    records, evidence = [], []
    for number, place in enumerate(PLACES, start=1):
        there, seen_there = pixels(points, place)
        both = seen_here & seen_there
        pairs = np.concatenate([here[both], there[both]], axis=1).astype(np.float32)
        position = FRAME.to_position(*place)
        records.append(
            Record(f"{number}.jpg", "", position, *SIZE, "csv", heading=heading, id=number)
        )
        evidence.append(
            Evidence(
                number, 0.9, len(pairs), len(pairs), "fundamental", pairs, 9.0 - number,
                sizes=(SIZE, SIZE),
            )
        )  # fmt: skip
    return records, evidence


def pixels(
    points: np.ndarray[tuple[int, int], np.dtype[np.float64]], place: tuple[float, float]
) -> tuple[
    np.ndarray[tuple[int, int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.bool_]]
]:
    """Where a camera that looks east from `place` sees points, and which it sees."""
    deep = points[:, 0] - place[0]
    safe = np.maximum(deep, 0.1)
    x = 239.5 - FOCAL * (points[:, 1] - place[1]) / safe
    y = 179.5 - FOCAL * points[:, 2] / safe
    seen = (deep > 1) & (x >= 0) & (x <= 479) & (y >= 0) & (y <= 359)
    return np.stack([x, y], axis=1), seen


def consensus(given: Candidates) -> Consensus:
    records, evidence = given
    return agree([record.position for record in records], evidence)


def test_the_position_is_where_views_meet_and_surer_than_the_consensus() -> None:
    given = candidates()
    before = consensus(given)
    after = sharpened(before, *given)
    assert after.views >= 2
    assert distance(after.position, ORIGIN) < 2 < distance(before.position, ORIGIN)
    assert after.scale < before.scale / 2
    assert after.signs == before.signs


def without_features(item: Evidence) -> Evidence:
    return replace(item, pairs=np.empty((0, 4), np.float32), sizes=None, verified=False)


def doubtful(item: Evidence) -> Evidence:
    return replace(item, strength=0.5)


def mirrored(item: Evidence) -> Evidence:
    return replace(item, pairs=item.pairs * [-1, 1, 1, 1] + np.float32([479, 0, 0, 0]))


@pytest.mark.parametrize("changed", [without_features, doubtful, mirrored])
def test_the_consensus_stays_where_the_evidence_is(changed) -> None:  # type: ignore[no-untyped-def]
    records, evidence = candidates()
    given = records, [changed(item) for item in evidence]
    assert sharpened(consensus(given), *given) == consensus(given)


@pytest.mark.parametrize("kept", [1, 0])
def test_the_consensus_stays_with_a_single_sure_photo(kept: int) -> None:
    records, evidence = candidates()
    given = records, [item if i < kept else doubtful(item) for i, item in enumerate(evidence)]
    assert sharpened(consensus(given), *given).views == 0


def test_the_consensus_stays_where_all_photos_share_a_spot() -> None:
    records, evidence = candidates()
    given = [replace(record, position=ORIGIN) for record in records], evidence
    assert sharpened(consensus(given), *given) == consensus(given)


def test_positions_that_are_stated_to_be_rough_do_not_make_a_small_radius() -> None:
    records, evidence = candidates()
    rough = [replace(record, accuracy=15.0) for record in records]
    after = sharpened(consensus((rough, evidence)), rough, evidence)
    assert after.scale > 12


@pytest.mark.parametrize("shipped", [True, False])
def test_only_a_calibration_of_this_database_lets_views_make_the_radius_smaller(
    shipped: bool,
) -> None:
    records, evidence = candidates()
    agreed = agree([record.position for record in records], evidence)
    met = sharpened(agreed, records, evidence)
    assert met.agreed_scale == agreed.scale
    scores = tuple(number / 10 for number in range(1, 31))
    weights = (1.0, 0.0, 0.0, 0.0, 0.0)
    calibration = Calibration(True, weights, 0.0, scores, 30, tuple(range(30)), shipped=shipped)
    before, after = (judge(one, calibration) for one in (agreed, met))
    assert before.radius is not None
    assert after.radius is not None
    assert after.position == met.position
    assert (after.radius < before.radius) == (not shipped)


@pytest.mark.parametrize("shipped", [True, False])
@pytest.mark.parametrize("widest", [0, 1, 2, 3])
def test_what_neighbours_say_of_a_walk_never_makes_a_radius_smaller(
    shipped: bool, widest: int
) -> None:
    # Given a photo alone, and helped by others: with views and without, in all four orders
    records, evidence = candidates()
    agreed = agree([record.position for record in records], evidence)
    met = sharpened(agreed, records, evidence)
    alone, helped = [
        (met, replace(met, agreed_scale=15.0)),
        (replace(met, agreed_scale=15.0), met),
        (agreed, met),
        (met, agreed),
    ][widest]
    scores = tuple(number / 10 for number in range(1, 31))
    weights = (1.0, 0.0, 0.0, 0.0, 0.0)
    calibration = Calibration(True, weights, 0.0, scores, 30, tuple(range(30)), shipped=shipped)
    # Then no radius shrinks
    own, others, wide = (
        judge(c, calibration).radius for c in (alone, helped, as_wide(helped, alone))
    )
    assert own is not None
    assert others is not None
    assert wide == max(own, others)
