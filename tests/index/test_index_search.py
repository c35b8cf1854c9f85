import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hafloc import geo
from hafloc.geo import Position
from hafloc.index import Near
from hafloc.index.search import VectorSearch

DTYPES = [np.float32, np.float16, np.int8]


def stored_rows(n: int, d: int, dtype: type, seed: int = 0) -> NDArray[np.generic]:
    rows = np.random.default_rng(seed).standard_normal((n, d))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    if dtype is np.int8:
        rows = np.rint(127 * rows / np.abs(rows).max(axis=1, keepdims=True))
    return rows.astype(dtype)


def unit_queries(n: int, d: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(99).standard_normal((n, d), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def searcher(rows: NDArray[np.generic]) -> VectorSearch:
    n = len(rows)
    return VectorSearch(3 * np.arange(n), rows, np.zeros(n), np.linspace(0, 1, n))


def slow_search(rows: NDArray[np.generic], query: NDArray[np.float32]) -> list[tuple[float, int]]:
    found = []
    for i, row in enumerate(rows.astype(np.float64)):
        cosine = sum(a * b for a, b in zip(row.tolist(), query.tolist(), strict=True))
        found.append((cosine / float(np.sqrt((row * row).sum())), 3 * i))
    return sorted(found, key=lambda hit: (-hit[0], hit[1]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("queries", [1, 70])
def test_search_finds_what_a_loop_over_all_vectors_finds(dtype: type, queries: int) -> None:
    rows = stored_rows(600, 24, dtype)
    vectors = unit_queries(queries, 24)

    hits = searcher(rows).search(vectors, k=5)

    for i in (0, queries - 1):
        expected = slow_search(rows, vectors[i])[:5]
        assert hits.ids[i].tolist() == [id_ for _, id_ in expected]
        assert hits.similarities[i] == pytest.approx([s for s, _ in expected], abs=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_vectors_come_by_lower_id_wherever_they_stand(dtype: type) -> None:
    rows = stored_rows(1_003, 57, dtype)
    twins = [2, 255, 256, 700, 1_001, 1_002]
    rows[twins] = rows[2]

    hits = searcher(rows).search(rows[[2]].astype(np.float32), k=4)

    assert hits.ids[0].tolist() == [3 * row for row in twins[:4]]
    assert len(set(hits.similarities[0].tolist())) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_neighbours_closer_than_float32_can_sum_are_ranked_right(dtype: type) -> None:
    random = np.random.default_rng(5)
    (query,) = unit_queries(1, 300)
    rows = (query + 3e-5 * random.standard_normal((2_000, 300))).astype(dtype)

    hits = searcher(rows).search(query[None], k=10)

    exact = rows.astype(np.float64)
    cosines = exact @ query.astype(np.float64) / np.linalg.norm(exact, axis=1)
    assert hits.ids[0].tolist() == (3 * np.argsort(-cosines)[:10]).tolist()


def test_a_query_gets_the_same_answer_alone_and_in_company() -> None:
    search = searcher(stored_rows(2_000, 64, np.float16))
    vectors = unit_queries(33, 64)

    together = search.search(vectors, k=20)

    for i in range(0, 33, 8):
        alone = search.search(vectors[[i]], k=20)
        assert (alone.ids[0] == together.ids[i]).all()
        assert (alone.similarities[0] == together.similarities[i]).all()


def test_more_hits_than_photos_gives_them_all() -> None:
    hits = searcher(stored_rows(7, 8, np.float32)).search(unit_queries(2, 8), k=50)

    assert hits.ids.shape == (2, 7)
    assert sorted(hits.ids[1].tolist()) == [0, 3, 6, 9, 12, 15, 18]


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_empty_index_has_no_hits(dtype: type) -> None:
    hits = searcher(stored_rows(0, 8, dtype)).search(unit_queries(2, 8), k=5)

    assert hits.ids.shape == hits.similarities.shape == (2, 0)


@settings(max_examples=60, deadline=None)
@given(
    lat=st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, 90.0, 0.0])),
    lon=st.one_of(st.floats(-180, 180), st.sampled_from([-180.0, 180.0])),
    exponent=st.floats(-1, 7.4),
    seed=st.integers(0, 1_000),
)
def test_near_is_the_geodesic_circle_everywhere(
    lat: float, lon: float, exponent: float, seed: int
) -> None:
    centre, radius = Position(lat, lon), 10.0**exponent
    random = np.random.default_rng(seed)
    # Half of the places all over the Earth, half about as far from the centre as the circle.
    lats, lons = random.uniform(-90, 90, 200), random.uniform(-180, 180, 200)
    scale = radius / 111_000
    lats[:100] = np.clip(lat + scale * random.uniform(-1.5, 1.5, 100), -90, 90)
    lons[:100] = (lon + scale * random.uniform(-1.5, 1.5, 100) + 180) % 360 - 180
    search = VectorSearch(np.arange(200), stored_rows(200, 8, np.float32), lats, lons)

    hits = search.search(unit_queries(1, 8), k=200, near=Near(centre, radius))

    expected = [i for i in range(200) if geo.distance(centre, Position(lats[i], lons[i])) <= radius]
    assert sorted(hits.ids[0].tolist()) == expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_search_nearby_ranks_only_those_nearby(dtype: type) -> None:
    rows = stored_rows(500, 16, dtype)
    near = Near(Position(0.0, 0.5), 10_000.0)  # a fifth of a degree of longitude or so
    (query,) = unit_queries(1, 16)

    hits = searcher(rows).search(query[None], k=3, near=near)

    inside = [i for i in range(500) if geo.distance(near.centre, Position(0, i / 499)) <= 10_000]
    expected = [id_ for _, id_ in slow_search(rows, query) if id_ // 3 in inside]
    assert hits.ids[0].tolist() == expected[:3]


def test_int8_rarely_changes_the_first_ten() -> None:
    # Queries are noisy copies of stored vectors, as photos of the same place are.
    random = np.random.default_rng(3)
    rows = stored_rows(3_000, 256, np.float32)
    queries = rows[:50] + 0.05 * random.standard_normal((50, 256), dtype=np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    coarse = np.rint(127 * rows / np.abs(rows).max(axis=1, keepdims=True)).astype(np.int8)

    fine_hits = searcher(rows).search(queries.astype(np.float32), k=10)
    coarse_hits = searcher(coarse).search(queries.astype(np.float32), k=10)

    assert (fine_hits.ids[:, 0] == coarse_hits.ids[:, 0]).all()
    kept = [len(set(a) & set(b)) for a, b in zip(fine_hits.ids, coarse_hits.ids, strict=True)]
    assert np.mean(kept) > 9
