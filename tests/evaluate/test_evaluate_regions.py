"""Benchmarks searched by regions, against every similarity computed one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hafloc.evaluate.regions import search_parts, split
from hafloc.index.regions import similarity


def joined(count: int, parts: int, seed: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, parts, 6))
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    return np.asarray(rows.reshape(count, -1) / parts**0.5, dtype=np.float32)


def slowly(query: NDArray[np.float32], photo: NDArray[np.float32]) -> float:
    """Half for the whole query, half for the mean of its regions, each by its best match."""
    best = [max(float(part @ other) for other in photo) for part in query]
    return best[0] / 2 + sum(best[1:]) / len(best[1:]) / 2


@given(st.integers(1, 40), st.integers(2, 5), st.integers(0, 9))
def test_photos_come_in_the_order_of_their_parts(count: int, parts: int, seed: int) -> None:
    database, queries = joined(count, parts, seed), joined(3, parts, seed + 100)
    rows, values = search_parts(database, queries, None, parts)
    for q in range(3):
        query = split(queries[q : q + 1], parts)[0]
        expected = [slowly(query, photo) for photo in split(database, parts)]
        assert sorted(rows[q]) == list(range(count))
        assert np.allclose(values[q], np.sort(expected)[::-1], atol=1e-5)
        assert np.allclose(np.array(expected)[rows[q]], values[q], atol=1e-5)


def test_a_part_that_fits_exactly_counts_in_full() -> None:
    query = np.eye(3, 6, dtype=np.float32)
    photos = np.zeros((2, 3, 6), np.float32)
    photos[0, 0, 5] = photos[0, 1, 0] = photos[0, 2, 1] = 1
    photos[1, :, 4] = 1
    # The whole is found in a region: 1/2; one region of two in another: 1/4.
    assert similarity(query, photos).tolist() == [0.75, 0.0]
