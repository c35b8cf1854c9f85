"""A first look at bytes leaves out no photo that is among the most similar."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hafloc.index import first_look
from hafloc.index.search import VectorSearch

ROWS = 300


def int8_rows(random: np.random.Generator, dimension: int, spread: float) -> NDArray[np.int8]:
    """Directions as an index stores them: the largest entry of each is ±127."""
    rows = random.standard_normal((ROWS, dimension)) + spread * random.standard_normal(dimension)
    rows[random.random(rows.shape) < 0.1] = 0
    rows[:, 0] += 1e-3
    largest = np.abs(rows).max(axis=1, keepdims=True)
    return np.asarray(np.rint(127 * rows / largest), dtype=np.int8)


def exact(rows: NDArray[np.int8], query: NDArray[np.float32]) -> NDArray[np.float64]:
    floats = rows.astype(np.float64)
    return np.asarray(floats @ query.astype(np.float64) / np.linalg.norm(floats, axis=1))


def unit(vector: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def searcher(rows: NDArray[np.generic], stored_in: NDArray[np.int64] | None = None) -> VectorSearch:
    count = len(rows) if stored_in is None else len(stored_in)
    return VectorSearch(
        np.arange(count), rows, np.zeros(count), np.zeros(count), stored_in=stored_in
    )


def test_bytes_stand_for_what_they_were_made_of() -> None:
    every = np.arange(-128, 128).astype(np.int8)[None]

    assert first_look.to_bytes(every)[0].tolist() == list(range(256))
    assert (first_look.from_bytes(first_look.to_bytes(every)) == every).all()


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    dimension=st.integers(1, 80),
    spread=st.sampled_from([0.0, 1.0, 30.0]),
    kind=st.sampled_from(["any", "a row", "one entry", "nearly one entry", "tiny"]),
    k=st.sampled_from([1, 2, 20, ROWS]),
)
def test_every_photo_among_the_most_similar_is_possible(
    seed: int, dimension: int, spread: float, kind: str, k: int
) -> None:
    random = np.random.default_rng(seed)
    rows = int8_rows(random, dimension, spread)
    vector = random.standard_normal(dimension)
    if kind == "a row":
        vector = rows[7].astype(np.float64) + 1e-3
    elif "one entry" in kind:
        vector = np.eye(dimension)[0] + ("nearly" in kind) * 1e-3 * vector
    query = unit(vector) if kind != "tiny" else unit(vector) * np.float32(1e-6)
    scales = (1 / np.linalg.norm(rows.astype(np.float64), axis=1)).astype(np.float32)

    possible = first_look.possible(query, first_look.to_bytes(rows), scales, None, k)

    similarities = exact(rows, query)
    least = np.sort(similarities)[-k]
    assert set(np.flatnonzero(similarities >= least)) <= set(possible.tolist())
    assert (np.diff(possible) > 0).all()


def test_few_others_are_possible_where_vectors_are_as_long_as_those_of_photos() -> None:
    random = np.random.default_rng(1)
    rows = np.rint(30 * random.standard_normal((20_000, 600))).clip(-127, 127).astype(np.int8)
    scales = (1 / np.linalg.norm(rows.astype(np.float64), axis=1)).astype(np.float32)
    query = unit(random.standard_normal(600))

    possible = first_look.possible(query, first_look.to_bytes(rows), scales, None, 100)

    assert 100 <= len(possible) < 400


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), queries=st.integers(1, 2), twins=st.booleans())
def test_a_search_with_a_first_look_is_the_search_without(
    seed: int, queries: int, twins: bool
) -> None:
    random = np.random.default_rng(seed)
    rows = int8_rows(random, 40, 1.0)
    if twins:  # equal ones come by lower id
        rows[random.integers(0, ROWS, 60)] = rows[3]
    # Rows that no photo counts any more, and photos in another order than their rows.
    stored_in = random.permutation(ROWS)[:250].astype(np.int64)
    vectors = np.stack([unit(rows[3] + 9 * random.standard_normal(40)) for _ in range(queries)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_look, "WORTH_ROWS", ROWS + 1)
        without = searcher(rows, stored_in).search(vectors, k=30)
        patch.setattr(first_look, "WORTH_ROWS", 1)
        looked = searcher(first_look.to_bytes(rows), stored_in).search(vectors, k=30)

    assert (looked.ids == without.ids).all()
    assert (looked.similarities == without.similarities).all()


def test_a_single_query_among_many_is_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(2).integers(-127, 128, (5_000, 16)).astype(np.int8)
    looks = []

    def possible(*given: object) -> NDArray[np.int64]:
        looks.append(given)
        return np.arange(5_000)

    monkeypatch.setattr(first_look, "possible", possible)
    search = searcher(rows)

    search.search(rows[:1].astype(np.float32), k=3)
    search.search(rows[:3].astype(np.float32), k=3)  # several at once share a product

    assert len(looks) == 1
