"""The steps in which protocols differ, by hand-worked cases and slow loops."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hafloc.errors import EvaluationError
from hafloc.evaluate import protocol
from hafloc.evaluate.whitening import EPSILON, BenchmarkWhitening
from hafloc.geo import Position, distance
from hafloc.measure.neighbours import rows_around, rows_within
from hafloc.measure.recall import drop_rows


def test_of_each_panorama_only_the_best_view_stays() -> None:
    # Three views a panorama: rows 0-2, 3-5, 6-8.
    ranking = np.array([[4, 5, 0, 3, 8, 1], [0, 1, 2, 3, 4, 5]])
    kept = protocol.keep_first_of_panorama(ranking, views=3, depth=2)
    assert kept.tolist() == [[4, 0], [0, 3]]


def test_panorama_suppression_looks_no_further_than_views_times_depth() -> None:
    kept = protocol.keep_first_of_panorama(np.array([[0, 1, 2, 3]]), views=3, depth=1)
    assert kept.tolist() == [[0]]
    kept = protocol.keep_first_of_panorama(np.array([[0, 1, 2, 0, 1, 2, 9]]), views=3, depth=2)
    assert kept.tolist() == [[0, -1]]


def test_equal_time_stamps_are_dropped_and_the_rest_moves_up() -> None:
    ranking = np.array([[2, 0, 1], [0, 1, 2]])
    times = np.array(["2009", "2013", "2009"])
    kept = protocol.drop_equal_times(ranking, times, np.array(["2009", "2013"]), depth=2)
    assert kept.tolist() == [[1, -1], [0, 2]]


def test_a_query_is_dropped_from_its_own_list() -> None:
    ranking = np.array([[2, 0, 1], [0, 1, 2]])
    own = [np.array([2]), np.array([1])]
    assert drop_rows(ranking, own, 2).tolist() == [[0, 1], [0, 2]]
    own = [np.array([], dtype=np.int64), np.array([1, 2])]
    assert drop_rows(ranking, own, 2).tolist() == [[2, 0], [0, -1]]


def test_summed_crops_score_as_the_sum_of_their_scores() -> None:
    random = np.random.default_rng(1)
    crops = random.standard_normal((6, 4)).astype(np.float32)
    database = random.standard_normal((5, 4)).astype(np.float32)
    summed = protocol.sum_scores(crops, 3) @ database.T
    slow = [sum(crops[3 * q + c] @ database.T for c in range(3)) for q in range(2)]
    assert summed == pytest.approx(np.array(slow), abs=1e-5)


def test_a_box_is_enlarged_by_its_margin_and_clipped_to_the_image() -> None:
    crop = protocol.BoxCrop(136.5, 34.1, 648.5, 955.7, margin=98)
    assert crop.box(1024, 1000) == (38, 0, 746, 1000)
    assert protocol.BoxCrop(10, 20, 30, 40).box(1024, 1000) == (10, 20, 30, 40)


@pytest.mark.parametrize(
    ("place", "size", "box"),
    [
        ("start", (640, 480), (0, 0, 480, 480)),
        ("centre", (640, 480), (80, 0, 560, 480)),
        ("end", (640, 480), (160, 0, 640, 480)),
        ("end", (480, 640), (0, 160, 480, 640)),
        ("centre", (300, 200), (50, 0, 250, 200)),
    ],
)
def test_square_crops_lie_along_the_longer_side(
    place: str, size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    assert protocol.SquareCrop(480, place).box(*size) == box  # type: ignore[arg-type]


@given(
    st.tuples(*[st.floats(-500, 3000)] * 4),
    st.integers(1, 2000),
    st.integers(1, 2000),
)
def test_every_crop_lies_within_its_image(
    corners: tuple[float, float, float, float], width: int, height: int
) -> None:
    for crop in (protocol.BoxCrop(*corners, margin=98), protocol.SquareCrop(480, "end")):
        left, top, right, bottom = crop.box(width, height)
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


@pytest.mark.parametrize(
    ("rule", "limit", "size", "expected"),
    [
        ("longer", 1024, (2048, 1536), (1024, 768)),
        ("longer", 1024, (800, 600), (800, 600)),
        ("shorter", 640, (1280, 960), (853, 640)),
        ("shorter", 640, (320, 480), (640, 960)),
        ("pixels", 786_432, (2048, 1536), (1024, 768)),
        ("pixels", 786_432, (640, 480), (640, 480)),
    ],
)
def test_resize_rules(
    rule: str, limit: int, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert protocol.Resize(rule, limit).size(*size) == expected  # type: ignore[arg-type]


def test_positives_lie_within_the_radius_inclusive() -> None:
    database = np.array([[0.0, 0.0], [25.0, 0.0], [25.001, 0.0], [15.0, 20.0]])
    found = rows_within(database, np.array([[0.0, 0.0], [500.0, 0.0]]), 25.0)
    assert [rows.tolist() for rows in found] == [[0, 1, 3], []]


def test_positives_around_a_position_agree_with_every_geodesic() -> None:
    random = np.random.default_rng(2)
    places = [
        Position(52.2 + float(dlat), 0.1 + float(dlon))
        for dlat, dlon in random.uniform(-0.0005, 0.0005, (60, 2))
    ]
    found = rows_around(places[:50], places[50:], 25.0)
    for query, rows in zip(places[50:], found, strict=True):
        slow = [i for i, place in enumerate(places[:50]) if distance(query, place) <= 25.0]
        assert rows.tolist() == slow
    assert any(len(rows) for rows in found)


@given(st.integers(0, 10_000))
def test_positives_agree_with_measuring_every_distance(seed: int) -> None:
    random = np.random.default_rng(seed)
    database, queries = random.uniform(0, 100, (30, 2)), random.uniform(0, 100, (5, 2))
    for place, rows in zip(queries, rows_within(database, queries, 25.0), strict=True):
        slow = [i for i, other in enumerate(database) if np.hypot(*(other - place)) <= 25.0]
        assert rows.tolist() == slow


def test_whitened_vectors_have_equal_variances_and_no_correlation(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sample = (random.standard_normal((500, 6)) * [5, 4, 3, 2, 1, 0.5] + 7).astype(np.float32)
    whitening = BenchmarkWhitening.fit(sample)
    covariance = np.cov((sample - whitening.mean) @ whitening.rows.T, rowvar=False)
    assert covariance == pytest.approx(np.eye(6), abs=1e-5)


def test_fewer_dimensions_are_the_first_ones_normalised_again(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sample = random.standard_normal((50, 6)).astype(np.float32)
    BenchmarkWhitening.fit(sample).save(tmp_path / "whitening.npz")
    whitening = BenchmarkWhitening.load(tmp_path / "whitening.npz")
    full = whitening.apply(sample)
    cut = full[:, :2] / np.linalg.norm(full[:, :2], axis=1, keepdims=True)
    assert whitening.apply(sample, 2) == pytest.approx(cut, abs=1e-6)
    assert np.linalg.norm(full, axis=1) == pytest.approx(np.ones(50), abs=1e-6)


def test_whitening_by_hand_in_one_dimension() -> None:
    # Values 0, 2: mean 1, variance 2 (of a sample).
    whitening = BenchmarkWhitening.fit(np.array([[0.0], [2.0]], dtype=np.float32))
    assert whitening.mean == pytest.approx([1.0])
    assert abs(whitening.rows) == pytest.approx(np.array([[1 / np.sqrt(2 + EPSILON)]]))


def test_whitening_refuses_what_does_not_fit(tmp_path: Path) -> None:
    sample = np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32)
    with pytest.raises(EvaluationError, match="at most 4 whitened dimensions, not 6"):
        BenchmarkWhitening.fit(sample, 6)
    whitening = BenchmarkWhitening.fit(sample)
    with pytest.raises(EvaluationError, match="fit it for this network"):
        whitening.apply(sample[:, :3])
    np.savez(tmp_path / "other.npz", mean=np.zeros(3))
    with pytest.raises(EvaluationError, match=r"other\.npz is not a whitening"):
        BenchmarkWhitening.load(tmp_path / "other.npz")


def test_a_whitening_of_few_long_vectors_is_that_of_the_large_covariance() -> None:
    sample = np.random.default_rng(2).standard_normal((20, 50)).astype(np.float32)
    whitening = BenchmarkWhitening.fit(sample)
    values, directions = np.linalg.eigh(np.cov(sample.astype(float), rowvar=False))
    slow = directions[:, ::-1][:, :19].T / np.sqrt(values[::-1][:19] + EPSILON)[:, None]
    assert abs((whitening.rows * slow).sum(axis=1)) == pytest.approx((slow**2).sum(axis=1))
    assert whitening.rows.shape == (19, 50)


def test_repeated_vectors_add_no_directions() -> None:
    sample = np.random.default_rng(2).standard_normal((4, 10)).astype(np.float32)
    assert len(BenchmarkWhitening.fit(np.tile(sample, (3, 1))).rows) == 3
    with pytest.raises(EvaluationError, match="give at most 0 whitened dimensions"):
        BenchmarkWhitening.fit(sample[:1])


def test_a_whitening_remembers_its_checkpoint_and_its_photos(tmp_path: Path) -> None:
    sample = np.random.default_rng(2).standard_normal((9, 4)).astype(np.float32)
    BenchmarkWhitening.fit(sample, 3, model="c0105", sample="9 photos of town").save(
        tmp_path / "w.npz"
    )
    loaded = BenchmarkWhitening.load(tmp_path / "w.npz")
    assert (loaded.model, loaded.sample, len(loaded.rows)) == ("c0105", "9 photos of town", 3)


def test_a_whitening_of_broken_numbers_is_refused_with_its_file(tmp_path: Path) -> None:
    BenchmarkWhitening(np.zeros(2), np.array([[1.0, np.nan]])).save(tmp_path / "w.npz")
    with pytest.raises(EvaluationError, match=r"w\.npz holds NaN"):
        BenchmarkWhitening.load(tmp_path / "w.npz")
