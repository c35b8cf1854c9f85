"""Mutual nearest neighbours with the ratio test, against loops over all pairs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scenes import plane_pair

from hafloc.description import LocalFeatures
from hafloc.verify.matching import match


def some(seed: int, count: int, dimension: int = 5) -> LocalFeatures:
    """Few values in few dimensions, so that equals and near-equals occur."""
    random = np.random.default_rng(seed)
    rows = random.integers(-9, 10, (count, dimension), dtype=np.int8)
    rows[:, 0] = 5
    return LocalFeatures(np.zeros((count, 2), np.float32), rows, (100, 100))


def slow_match(
    query: LocalFeatures, candidate: LocalFeatures, ratio: float
) -> tuple[list[tuple[int, int]], int]:
    def distance(i: int, j: int) -> float:
        a, b = (f.descriptors[n].astype(float) for f, n in ((query, i), (candidate, j)))
        return float(np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b)))

    pairs, mutual = [], 0
    for i in range(len(query)):
        row = [distance(i, j) for j in range(len(candidate))]
        if not row:
            continue
        j = int(np.argmin(row))
        if int(np.argmin([distance(k, j) for k in range(len(query))])) != i:
            continue
        mutual += 1
        others = [value for k, value in enumerate(row) if k != j]
        if not others or row[j] < ratio * min(others):
            pairs.append((i, j))
    return pairs, mutual


@given(st.integers(0, 10_000), st.integers(0, 12), st.integers(0, 12))
def test_matches_are_those_of_the_loops(seed: int, m: int, n: int) -> None:
    query, candidate = some(seed, m), some(seed + 1, n)
    # A table of distances without ties: rounding decides those.
    if len({tuple(row) for row in np.vstack([query.descriptors, candidate.descriptors])}) < m + n:
        return
    found = match(query, candidate, 0.8)
    pairs, mutual = slow_match(query, candidate, 0.8)
    near = list(zip(found.query.tolist(), found.candidate.tolist(), strict=True))
    assert found.mutual == mutual
    assert near == pairs


def test_key_points_come_back_from_their_noisy_copies() -> None:
    query, candidate = plane_pair(0, right=120, wrong=0)
    found = match(query, candidate, 0.9)
    assert len(found) == 120
    assert found.similarities.min() > 0.9


def test_repeated_windows_fail_the_ratio_test_but_are_counted() -> None:
    window = np.ones((1, 8), np.int8)
    others = -np.eye(8, dtype=np.int8)[:3] * 9
    query = LocalFeatures(np.zeros((4, 2), np.float32), np.vstack([window, others]), (9, 9))
    wall = LocalFeatures(np.zeros((5, 2), np.float32), np.vstack([window, window, others]), (9, 9))
    found = match(query, wall, 0.9)
    assert found.mutual == 4
    assert found.query.tolist() == [1, 2, 3]


def test_nothing_matches_a_photo_without_key_points() -> None:
    empty = some(0, 0)
    for query, candidate in ((empty, some(1, 9)), (some(1, 9), empty), (empty, empty)):
        found = match(query, candidate, 1.0)
        assert (len(found), found.mutual) == (0, 0)


def test_of_equal_key_points_the_first_is_matched() -> None:
    row = np.array([[3, 4, 0]], np.int8)
    twins = LocalFeatures(np.zeros((2, 2), np.float32), np.vstack([row, row]), (9, 9))
    single = LocalFeatures(np.zeros((1, 2), np.float32), row, (9, 9))
    found = match(twins, single, 1.0)
    assert (found.query.tolist(), found.candidate.tolist(), found.mutual) == ([0], [0], 1)


@given(st.integers(0, 10_000), st.sampled_from([1, 7, 8, 9, 40]), st.sampled_from([1, 33, 700]))
def test_matches_are_those_of_one_whole_product(seed: int, m: int, n: int) -> None:
    # Given key points in blocks of rows, whole and in part, and too many for blocks
    query, candidate = some(seed, m, 64), some(seed + 1, n, 64)
    rows, others = (
        f.descriptors / np.linalg.norm(f.descriptors, axis=1)[:, None] for f in (query, candidate)
    )
    table = rows.astype(float) @ others.T
    mutual = [(i, j) for i, j in enumerate(table.argmax(1)) if table[:, j].argmax() == i]
    # When all that are mutual pass
    found = match(query, candidate, 1.0)
    # Then they are those of the table, with its cosines
    assert list(zip(found.query, found.candidate, strict=True)) == mutual
    assert np.allclose(found.similarities, [table[pair] for pair in mutual], atol=1e-6)
