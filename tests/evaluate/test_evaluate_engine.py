"""Search, cache and engine: exact, resumable, and refusing broken vectors."""

import os
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_sets
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hafloc.errors import EvaluationError
from hafloc.evaluate import engine
from hafloc.evaluate.benchmark import Picture
from hafloc.evaluate.data_sets.catalogue import load
from hafloc.evaluate.describe_pictures import describe_pictures
from hafloc.evaluate.vector_cache import VectorCache
from hafloc.evaluate.whitening import BenchmarkWhitening, fit_whitening
from hafloc.geo import Position
from hafloc.index import ModelInfo, Record, create_index
from hafloc.measure import exact_search
from hafloc.photos import content, read
from hafloc.progress import Silent


def unit(n: int, d: int, seed: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@given(st.integers(1, 400), st.integers(1, 9), st.integers(1, 60), st.integers(0, 10_000))
def test_the_search_finds_what_sorting_all_similarities_finds(
    n: int, q: int, k: int, seed: int
) -> None:
    database, queries = unit(n, 8, seed), unit(q, 8, seed + 1)
    rows, similarities = exact_search.search(database, queries, k)
    table = queries.astype(float) @ database.T.astype(float)
    slow = np.argsort(-table, axis=1, kind="stable")[:, :k]
    assert rows.shape == (q, min(k, n))
    # Rounding may swap what differs in the last digit; the similarities tell.
    assert np.take_along_axis(table, rows, 1) == pytest.approx(
        np.take_along_axis(table, slow, 1), abs=1e-6
    )
    assert similarities == pytest.approx(np.take_along_axis(table, rows, 1), abs=1e-6)
    assert all(len(set(row)) == len(row) for row in rows.tolist())


def test_equal_vectors_come_in_the_order_of_their_rows() -> None:
    database = np.repeat(unit(3, 4, 0), 3, axis=0)[[0, 3, 6, 1, 4, 7, 2, 5, 8]]
    rows, _ = exact_search.search(database, database[:1], 6)
    assert rows[0, :3].tolist() == [0, 3, 6]


def test_a_search_in_several_blocks_agrees_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    database, queries = unit(300, 8, 0), unit(50, 8, 1)
    whole = exact_search.search(database, queries, 20)
    monkeypatch.setattr(exact_search, "_TABLE", 2_000)
    parts = exact_search.search(database, queries, 20)
    assert (whole[0] == parts[0]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused_with_their_row(bad: float) -> None:
    database = unit(5, 4, 0)
    database[3, 1] = bad
    with pytest.raises(EvaluationError, match=r"1 database vectors hold NaN or infinity.* row 3"):
        exact_search.search(database, unit(1, 4, 1), 2)


def test_a_second_evaluation_describes_nothing_and_scores_the_same(tmp_path: Path) -> None:
    benchmark = load("folder", small_sets.folder(tmp_path))
    network = small_sets.ColourNetwork()
    first = engine.evaluate(benchmark, network, cache=tmp_path / "cache")
    assert network.calls == 6
    second = engine.evaluate(benchmark, network, cache=tmp_path / "cache")
    assert network.calls == 6
    assert second.provenance["vectors from cache"] == 6
    assert second.scores == first.scores


def test_an_interrupted_evaluation_goes_on_where_it_stopped(tmp_path: Path) -> None:
    class Interrupted(small_sets.ColourNetwork):
        def vector(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().vector(image)

    benchmark = load("folder", small_sets.folder(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        engine.evaluate(benchmark, Interrupted(), cache=tmp_path / "cache")
    network = small_sets.ColourNetwork()
    engine.evaluate(benchmark, network, cache=tmp_path / "cache")
    assert network.calls == 4


@pytest.mark.parametrize("attribute", ["hash", "options"])
def test_vectors_of_different_networks_never_mix(tmp_path: Path, attribute: str) -> None:
    benchmark = load("folder", small_sets.folder(tmp_path))
    engine.evaluate(benchmark, small_sets.ColourNetwork(), cache=tmp_path / "cache")
    other = small_sets.ColourNetwork()
    setattr(other, attribute, "another")
    engine.evaluate(benchmark, other, cache=tmp_path / "cache")
    assert other.calls == 6


def test_a_changed_image_is_described_anew_and_a_moved_one_is_not(tmp_path: Path) -> None:
    root = small_sets.folder(tmp_path)
    engine.evaluate(load("folder", root), small_sets.ColourNetwork(), cache=tmp_path / "cache")
    small_sets.draw(root / "database" / "database1.png", 1, 77)
    (root / "database" / "database2.png").rename(root / "database" / "sub.png")
    table = root / "database" / "positions.csv"
    table.write_text(table.read_text().replace("database2.png", "sub.png"))
    network = small_sets.ColourNetwork()
    engine.evaluate(load("folder", root), network, cache=tmp_path / "cache")
    assert network.calls == 1


def test_the_same_file_under_another_protocol_is_another_vector(tmp_path: Path) -> None:
    root = small_sets.oxford(tmp_path)
    network = small_sets.ColourNetwork()
    for query, described in (("full", 6), ("tight", 8), ("crop", 10)):
        benchmark = load("oxford5k", root, {"query": query})
        engine.evaluate(benchmark, network, cache=tmp_path / "cache")
        assert network.calls == described


def test_a_network_that_answers_nan_is_refused_with_the_file_and_leaves_no_trace(
    tmp_path: Path,
) -> None:
    class Broken(small_sets.ColourNetwork):
        def vector(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
            return super().vector(image) * np.float32(np.nan)

    benchmark = load("folder", small_sets.folder(tmp_path))
    with pytest.raises(EvaluationError, match=r"queries0\.png is not finite"):
        engine.evaluate(benchmark, Broken(), cache=tmp_path / "cache")
    network = small_sets.ColourNetwork()
    engine.evaluate(benchmark, network, cache=tmp_path / "cache")
    assert network.calls == 6


def test_a_damaged_cache_is_refused_with_its_name(tmp_path: Path) -> None:
    benchmark = load("folder", small_sets.folder(tmp_path))
    engine.evaluate(benchmark, small_sets.ColourNetwork(), cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob("*.sqlite")
    file.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(EvaluationError, match=rf"{file.name}.*remove it"):
        engine.evaluate(benchmark, small_sets.ColourNetwork(), cache=tmp_path / "cache")


def test_a_vector_of_the_wrong_length_in_the_cache_is_not_used(tmp_path: Path) -> None:
    benchmark = load("folder", small_sets.folder(tmp_path))
    engine.evaluate(benchmark, small_sets.ColourNetwork(), cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob("*.sqlite")
    connection = sqlite3.connect(file)
    with connection:
        connection.execute("UPDATE vectors SET vector = x'00'")
    connection.close()
    network = small_sets.ColourNetwork()
    engine.evaluate(benchmark, network, cache=tmp_path / "cache")
    assert network.calls == 6


def test_vectors_are_described_in_order_whatever_is_cached(tmp_path: Path) -> None:
    benchmark = load("folder", small_sets.folder(tmp_path))
    network = small_sets.ColourNetwork()
    part = benchmark.database[1:2]
    describe_pictures(network, part, tmp_path / "cache", Silent(), "part")
    vectors, new = describe_pictures(
        network, benchmark.database, tmp_path / "cache", Silent(), "all"
    )
    assert new == 2
    for picture, vector in zip(benchmark.database, vectors, strict=True):
        assert vector == pytest.approx(network.vector(picture.pixels()), abs=1e-6)


def test_whitening_is_applied_and_said(tmp_path: Path) -> None:
    sample = unit(150, small_sets.ColourNetwork.dimension, 3)
    result = engine.evaluate(
        load("folder", small_sets.folder(tmp_path)),
        small_sets.ColourNetwork(),
        cache=tmp_path / "cache",
        whitening=BenchmarkWhitening.fit(sample),
        dimension=16,
    )
    assert result.model["dimension"] == 16
    assert result.protocol["vectors"] == (
        "16 dimensions, unit length, the first whitened of 108, by a PCA of unrelated images"
    )


def test_the_threshold_curve_uses_the_similarity_of_the_first_answer(tmp_path: Path) -> None:
    result = engine.evaluate(
        load("pitts30k", small_sets.pittsburgh(tmp_path)),
        small_sets.ColourNetwork(),
        cache=tmp_path / "cache",
    )
    # The stranger is the least similar: three right answers before the first wrong one.
    assert result.threshold is not None
    assert result.threshold.sure_recall == 0.75
    assert result.threshold.area == pytest.approx(0.75)


def test_an_index_answers_with_its_own_vectors_and_only_for_its_own_network(
    tmp_path: Path,
) -> None:
    network = small_sets.ColourNetwork()
    root = small_sets.folder(tmp_path)
    paths = sorted((root / "database").glob("*.png"))
    records = [
        Record(
            path=path.relative_to(tmp_path).as_posix(),
            content=content(path),
            position=Position(52.2 + place / 1000, 0.1),
            width=64,
            height=48,
            source="csv",
        )
        for place, path in enumerate(paths)
    ]
    vectors = np.stack([network.vector(read(path).image) for path in paths])
    model = ModelInfo(network.name, network.hash, network.options, network.dimension)
    with create_index(tmp_path / "city.gpkg", model) as index:
        index.add(records, vectors)
    benchmark = load("index", tmp_path / "city.gpkg", {"queries": str(root / "queries")})
    result = engine.evaluate(benchmark, network, cache=tmp_path / "cache")
    assert result.scores["recall@1"] == 1.0
    assert result.provenance["vectors described"] == 3
    network.hash = "another"
    with pytest.raises(EvaluationError, match="made with checkpoint c0105, not with colours"):
        engine.evaluate(benchmark, network, cache=tmp_path / "cache")


def test_a_whitening_is_fitted_on_folders_once_and_says_so(tmp_path: Path) -> None:
    benchmark = load("folder", small_sets.folder(tmp_path / "set"))
    for number in range(12):
        small_sets.draw(tmp_path / "town" / "train" / f"{number}.png", 50 + number)
    network = small_sets.ColourNetwork()
    for _ in range(2):
        whitening = fit_whitening(
            network,
            [tmp_path / "town" / "train"],
            tmp_path / "cache",
            Silent(),
            dimension=8,
            evaluated=benchmark.database,
        )
    assert network.calls == 12
    result = engine.evaluate(
        benchmark, network, cache=tmp_path / "cache", whitening=whitening, dimension=8
    )
    assert result.model["dimension"] == 8
    assert result.protocol["vectors"].endswith("by a PCA of 12 photos of town/train")


def test_a_whitening_on_the_evaluated_photos_is_refused(tmp_path: Path) -> None:
    benchmark = load("folder", small_sets.folder(tmp_path))
    with pytest.raises(EvaluationError, match=r"3 photos of the whitening are in the benchmark"):
        fit_whitening(
            small_sets.ColourNetwork(),
            [tmp_path / "database"],
            tmp_path / "cache",
            Silent(),
            evaluated=benchmark.database,
        )


def test_a_whitening_of_another_network_and_cutting_without_one_are_refused(
    tmp_path: Path,
) -> None:
    benchmark = load("folder", small_sets.folder(tmp_path))
    other = BenchmarkWhitening(np.zeros(108), np.eye(108), model="other")
    with pytest.raises(EvaluationError, match=r"fitted for checkpoint other, not for colours"):
        engine.evaluate(benchmark, small_sets.ColourNetwork(), cache=tmp_path, whitening=other)
    with pytest.raises(EvaluationError, match="only whitened vectors can be cut to 8"):
        engine.evaluate(benchmark, small_sets.ColourNetwork(), cache=tmp_path, dimension=8)


def test_intervals_hold_each_score_and_all_is_sure_where_all_is_right(tmp_path: Path) -> None:
    strangers = engine.evaluate(
        load("pitts30k", small_sets.pittsburgh(tmp_path / "pitts")),
        small_sets.ColourNetwork(),
        cache=tmp_path / "cache",
    )
    low, high = strangers.intervals["recall@1"]
    assert low < strangers.scores["recall@1"] == 0.75 < high
    assert set(strangers.intervals) == {f"recall@{n}" for n in engine.RECALLS}
    right = engine.evaluate(
        load("roxford5k", small_sets.revisited(tmp_path / "oxford")),
        small_sets.ColourNetwork(),
        cache=tmp_path / "cache",
    )
    assert set(right.intervals) == set(right.scores)
    assert right.intervals["mAP easy"] == (right.scores["mAP easy"],) * 2


def test_networks_are_compared_query_by_query(tmp_path: Path) -> None:
    benchmark = load("pitts30k", small_sets.pittsburgh(tmp_path))
    good = engine.evaluate(benchmark, small_sets.ColourNetwork(), cache=tmp_path / "cache")
    assert engine.difference(good, good, "recall@1") == (0.0, 0.0, 0.0)
    worse = replace(good, each={"recall@1": np.array([1.0, 0.0, 0.0, 0.0])})
    mean, low, high = engine.difference(worse, good, "recall@1")
    assert mean == -0.5
    assert low == -1.0
    assert high == 0.0
    with pytest.raises(EvaluationError, match="mAP of colours and colours cannot be compared"):
        engine.difference(good, worse, "mAP")


def test_what_is_looked_at_comes_with_metres_distances_and_the_first_right_rank(
    tmp_path: Path,
) -> None:
    root = small_sets.pittsburgh(tmp_path)
    result = engine.evaluate(
        load("pitts30k", root), small_sets.ColourNetwork(), cache=tmp_path / "cache"
    )
    assert result.first_right.tolist() == [0, 0, 0, -1]
    metres = result.benchmark.metres
    assert metres is not None
    assert metres(0, 2) == pytest.approx(np.hypot(95, 3))
    query, database = (
        small_sets.ColourNetwork().vector(picture.pixels())
        for picture in (result.benchmark.queries[1], result.benchmark.database[4])
    )
    place = result.ranking[1].tolist().index(4)
    assert result.distances[1, place] == pytest.approx(np.linalg.norm(query - database), abs=1e-3)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_the_cache_knows_a_photo_whose_name_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    path.write_bytes(b"pixels")
    with VectorCache(tmp_path / "cache", "hash", "options", 4) as cache:
        (first,) = cache.keys([Picture(path)])
        assert cache.keys([Picture(path)]) == [first]
        path.write_bytes(b"other pixels")
        assert cache.keys([Picture(path)]) != [first]
