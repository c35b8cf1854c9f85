"""Mining against brute force, and its memory."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hafloc.errors import TrainingError
from hafloc.train.data import PhotoSet, number_places
from hafloc.train.mining import Miner, Mining, draw_negatives, find_neighbours


def photo_set(xy: object, headings: object = None) -> PhotoSet:
    """Photos at flat metres `[N, 2]`."""
    xyz = np.c_[np.asarray(xy, float), np.zeros(len(xy))]
    known = np.full(len(xyz), np.nan) if headings is None else np.asarray(headings, float)
    names = tuple(f"{n}.jpg" for n in range(len(xyz)))
    return PhotoSet(names, tuple(map(Path, names)), xyz, number_places(xyz), known)


grid = st.lists(
    st.tuples(st.integers(0, 12).map(lambda v: v * 3.0), st.integers(0, 12).map(lambda v: v * 4.0)),
    min_size=2,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(grid, st.sampled_from([0.0, 45.0]), st.integers(0, 2**31))
def test_neighbours_are_those_of_brute_force(
    places: list[tuple[float, float]], within: float, seed: int
) -> None:
    headings = np.random.default_rng(seed).choice([0.0, 40.0, 90.0, 350.0, np.nan], len(places))
    photos = photo_set(places, headings)
    try:
        found = find_neighbours(photos, photos, Mining(heading_within=within))
    except TrainingError:
        found = None
    usable = []
    for q in range(len(photos)):
        metres = np.hypot(*(photos.xyz - photos.xyz[q])[:, :2].T)
        turn = np.abs((headings - headings[q] + 180) % 360 - 180)
        alike = np.isnan(turn) | (turn <= within) if within else np.ones(len(photos), bool)
        positives = np.flatnonzero((metres > 1) & (metres <= 10) & alike)
        near = np.flatnonzero(metres <= 25)
        if len(positives) and len(near) < len(photos):
            usable.append(q)
        if found is not None:
            assert found.positives.of(q).tolist() == positives.tolist()
            assert found.near.of(q).tolist() == near.tolist()
    assert usable == ([] if found is None else found.usable.tolist())


def test_another_view_of_the_same_panorama_is_never_a_positive() -> None:
    photos = photo_set([(0, 0), (0, 0), (6, 0), (100, 0)])
    found = find_neighbours(photos, photos, Mining(positive_beyond=0.0))
    assert found.positives.of(0).tolist() == [2]


def test_queries_that_cannot_train_are_counted() -> None:
    photos = photo_set([(0, 0), (6, 0), (100, 0)])
    found = find_neighbours(photos, photos, Mining())
    assert found.usable.tolist() == [0, 1]
    assert (found.without_positive, found.without_negative) == (1, 0)


def test_a_set_without_any_usable_query_is_refused() -> None:
    photos = photo_set([(0, 0), (6, 0)])
    with pytest.raises(TrainingError, match=r"none of 2 queries can train.*2 no negative"):
        find_neighbours(photos, photos, Mining())


def test_drawn_negatives_are_different_and_even_over_all_that_are_allowed() -> None:
    near = np.array([0, 1, 7], np.int32)
    counts = np.zeros(20)
    for seed in range(2000):
        drawn = draw_negatives(near, 20, 5, np.random.default_rng(seed))
        assert len(set(drawn.tolist())) == 5
        counts[drawn] += 1
    assert counts[near].sum() == 0
    allowed = np.delete(counts, near)
    assert abs(allowed - 2000 * 5 / 17).max() < 5 * np.sqrt(2000 * 5 / 17)


def city() -> tuple[PhotoSet, np.ndarray]:
    """A query at 0, positives 1 and 2, negatives 3 to 9, with vectors on a line."""
    photos = photo_set([(0, 0), (5, 0), (8, 0), *((100 + 30 * n, 0) for n in range(7))])
    line = np.array([0.0, 0.9, 0.5, 0.4, 0.55, 0.58, 0.2, 3.0, 4.0, 5.0])
    return photos, line[:, None].astype(np.float32)


def miner_of(photos: PhotoSet, **settings: float) -> Miner:
    mining = Mining(**settings)
    return Miner(find_neighbours(photos, photos, mining), len(photos), mining)


def test_a_tuple_has_the_nearest_positive_and_the_hardest_violators() -> None:
    photos, vectors = city()
    miner = miner_of(photos, negatives=3, margin=0.1)
    found = miner.tuple_of(0, vectors[0], vectors, np.random.default_rng(0))
    # d² of the positive 2 is 0.25: below 0.35 lie 6 (0.04), 3 (0.16), 4 (0.30), 5 (0.34).
    assert found is not None
    assert (found.positive, found.negatives) == (2, (6, 3, 4))


def test_a_query_without_violators_is_skipped_but_remembers() -> None:
    photos, vectors = city()
    miner = miner_of(photos, remembered_negatives=2)
    vectors[6], vectors[3:6] = 2.0, 2.5
    assert miner.tuple_of(0, vectors[0], vectors, np.random.default_rng(0)) is None
    assert miner.memory[0].tolist() == [6, 3]


def test_remembered_negatives_are_tried_again_when_chance_misses_them() -> None:
    photos, vectors = city()
    miner = miner_of(photos, random_negatives=1, remembered_negatives=1)
    miner.memory[0] = 6
    for seed in range(10):
        found = miner.tuple_of(0, vectors[0], vectors, np.random.default_rng(seed))
        assert found is not None
        assert found.negatives[0] == 6


def test_mining_settings_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="positive_beyond < positive_within"):
        Mining(positive_within=30.0)
