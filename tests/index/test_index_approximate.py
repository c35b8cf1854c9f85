"""Approximate search by choice: what it proposes is scored exactly, whatever has changed since."""

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from numpy.typing import NDArray
from small_index import MODEL, sample

from hafloc.errors import IndexBusyError, MissingExtraError, OptionError, OutputError
from hafloc.geo import Position
from hafloc.index import Near, approximate, create_index, make_search, open_index
from hafloc.index import matrix as matrix_module
from hafloc.index import reading as reading_module

pytest.importorskip("faiss")

PHOTOS = 600
KINDS = ["ivf", "hnsw"]


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small databases count as large ones here."""
    monkeypatch.setattr(matrix_module, "WORTH", 1)
    monkeypatch.setattr(reading_module, "WORTH", 1)


@pytest.fixture(scope="module")
def cities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`exact.gpkg`, and one of each kind with its search made."""
    folder = tmp_path_factory.mktemp("cities")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix_module, "WORTH", 1)
        with create_index(folder / "exact.gpkg", MODEL) as index:
            index.add(*sample(PHOTOS))
        for kind in KINDS:
            shutil.copy(folder / "exact.gpkg", folder / f"{kind}.gpkg")
            assert make_search(folder / f"{kind}.gpkg", kind) is not None
    return folder


@pytest.fixture(params=KINDS)
def city(request: pytest.FixtureRequest, cities: Path, tmp_path: Path) -> Path:
    """A copy of one of each kind."""
    for name in (f"{request.param}.gpkg", f"{request.param}.gpkg-search"):
        source = cities / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    return tmp_path / f"{request.param}.gpkg"


def queries(count: int = 40) -> NDArray[np.float32]:
    vectors = sample(count)[1] + 0.05
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def search(city: Path, k: int = 10, near: Near | None = None) -> tuple[str, list[list[int]]]:
    """Which search answered, and the ids it found."""
    with open_index(city) as index:
        ids = index.search(queries(), k, near).ids.tolist()
        return type(index._matrix.current()).__name__, ids  # type: ignore[attr-defined]


def exactly(city: Path, k: int = 10, near: Near | None = None) -> list[list[int]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix_module, "WORTH", 10**9)
        return search(city, k, near)[1]


def share(found: list[list[int]], truth: list[list[int]]) -> float:
    return float(np.mean([len({*a} & {*b}) / len(b) for a, b in zip(found, truth, strict=True)]))


def test_it_finds_nearly_all_that_an_exact_search_finds_and_scores_alike(city: Path) -> None:
    kind, found = search(city)
    truth = exactly(city)

    assert kind == "ApproximateSearch"
    assert share(found, truth) > 0.9
    with open_index(city) as index:
        hits = index.search(queries(), 10)
        vectors = index.vectors(hits.ids[3].tolist())
    assert hits.similarities[3] == pytest.approx(vectors @ queries()[3], abs=1e-6)
    assert (np.diff(hits.similarities, axis=1) <= 0).all()


def test_measured_recall_is_what_a_search_of_own_photos_finds(city: Path) -> None:
    with open_index(city) as index:
        details = index.info().details
    made = approximate.read_made(city.with_name(f"{city.name}-search"))

    assert made is not None
    assert details["search"] == city.stem
    assert details["search_recall"] == f"{made.recall:.3f} of the first 50 of 100 photos"
    assert 0.9 < made.recall <= 1
    with open_index(city) as index:
        own = index.vectors(range(1, 101))
        ids = index.search(own, 51).ids.tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix_module, "WORTH", 10**9)
        with open_index(city) as index:
            assert share(ids, index.search(own, 51).ids.tolist()) == pytest.approx(
                made.recall, abs=0.05
            )


def test_nearby_and_for_a_large_part_of_all_it_is_exact(city: Path) -> None:
    near = Near(Position(52.5, 0.5), 20_000.0)

    assert search(city, near=near)[1] == exactly(city, near=near)
    assert search(city, k=300)[1] == exactly(city, k=300)


def test_what_was_added_removed_and_replaced_since_is_searched_rightly(city: Path) -> None:
    records, vectors = sample(40, start=5_000)
    vectors[:20] = queries(20)  # the most similar to the queries of all
    with open_index(city, write=True) as index:
        added = index.add(records, vectors)
        before = index.search(queries(), 1).ids[20:, 0]
        gone = np.unique(before)
        index.remove(gone.tolist())

    kind, found = search(city)

    assert kind == "ApproximateSearch"
    assert [ids[0] for ids in found[:20]] == added[:20]
    assert not {id_ for ids in found for id_ in ids} & set(gone.tolist())
    assert share(found, exactly(city)) > 0.9


def test_one_that_has_grown_by_a_quarter_is_exact_until_it_is_built_again(
    city: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_index(city, write=True) as index:
        index.add(*sample(PHOTOS // 3, start=5_000))

    with caplog.at_level(logging.WARNING):
        kind, found = search(city)
    assert (kind, found) == ("VectorSearch", exactly(city))
    assert "it has grown by a quarter since" in caplog.text
    caplog.clear()

    with caplog.at_level(logging.WARNING):
        made = make_search(city)  # as `index build` does
    assert made is not None
    assert made.rows == PHOTOS + PHOTOS // 3
    assert search(city)[0] == "ApproximateSearch"
    assert not caplog.records


def test_a_fresh_one_is_not_made_again(city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approximate, "make", None)

    assert make_search(city) == approximate.read_made(city.with_name(f"{city.name}-search"))


def test_one_made_anew_leaves_those_alone_who_search_by_the_old(city: Path) -> None:
    with open_index(city) as reader:
        reader.search(queries(), 10)
        with open_index(city, write=True) as index:
            index.add(*sample(PHOTOS // 5, start=5_000))
        assert make_search(city) is not None
        assert share(reader.search(queries(), 10).ids.tolist(), exactly(city)) > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_among_many_equal_photos_as_many_are_found_as_asked_for(tmp_path: Path, kind: str) -> None:
    # A graph of equals finds few of them, and lists may be empty: FAISS gives -1 for the rest.
    records, vectors = sample(PHOTOS)
    vectors[50:] = vectors[50]
    with create_index(tmp_path / "city.gpkg", MODEL) as index:
        index.add(records, vectors)
    assert make_search(tmp_path / "city.gpkg", kind) is not None

    with open_index(tmp_path / "city.gpkg") as index:
        hits = index.search(vectors[[50, 3]], 60)

    assert hits.ids.shape == (2, 60)
    assert (hits.ids > 0).all()
    assert hits.similarities[0] == pytest.approx(1.0, abs=1e-5)


def cut_off(folder: Path) -> None:
    (file,) = folder.glob("approximate-?*[0-9a-f]")
    file.write_bytes(file.read_bytes()[:-100])


def overwrite(folder: Path) -> None:
    (file,) = folder.glob("approximate-?*[0-9a-f]")
    file.write_bytes(b"\x7f" * file.stat().st_size)


def mistake_a_size(folder: Path) -> None:
    # FAISS believes what a file says of lists or links, and reads there (its pull request 5312).
    (file,) = folder.glob("approximate-?*[0-9a-f]")
    content = bytearray(file.read_bytes())
    made = approximate.read_made(folder)
    assert made is not None
    end = approximate._checked(made, MODEL.dimension)
    content[end - 40 : end - 32] = (2**40).to_bytes(8, "little")
    file.write_bytes(content)


def lose(folder: Path) -> None:
    (file,) = folder.glob("approximate-?*[0-9a-f]")
    file.unlink()


def scribble(folder: Path) -> None:
    (folder / "approximate").write_bytes(b"[1, 2")


def mislead(folder: Path) -> None:
    file = folder / "approximate"
    content = json.loads(file.read_bytes())
    file.write_text(json.dumps(content | {"token": "../../etc/passwd"}))


def of_later_rows(folder: Path) -> None:
    file = folder / "approximate"
    content = json.loads(file.read_bytes())
    file.write_text(json.dumps(content | {"rows": 10**6}))


@pytest.mark.parametrize(
    "damage", [cut_off, overwrite, mistake_a_size, lose, scribble, mislead, of_later_rows]
)
def test_a_damaged_one_is_left_aside_and_said_once(
    city: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    damage(city.with_name(f"{city.name}-search"))

    with caplog.at_level(logging.WARNING), open_index(city) as index:
        for _ in range(2):
            assert index.search(queries(), 10).ids.tolist() == exactly(city)

    ours = [record for record in caplog.records if "is searched exactly" in record.getMessage()]
    assert len({record.getMessage() for record in ours}) == 1
    assert all("\n" not in record.getMessage() for record in ours)
    # Making it anew mends it.
    assert make_search(city) is not None
    assert search(city)[0] == "ApproximateSearch"


def test_back_to_exact_nothing_of_it_is_left(city: Path) -> None:
    assert make_search(city, "exact") is None

    assert search(city) == ("VectorSearch", exactly(city))
    folder = city.with_name(f"{city.name}-search")
    assert not list(folder.glob("approximate*"))


def test_it_goes_with_the_database(city: Path) -> None:
    with open_index(city, write=True) as index:
        index.remove(range(1, PHOTOS + 1))
        assert index.drop()

    assert list(city.parent.iterdir()) == []


def test_while_another_makes_it_a_second_is_told(cities: Path, tmp_path: Path) -> None:
    city = tmp_path / "city.gpkg"
    shutil.copy(cities / "exact.gpkg", city)
    search(city)
    lock = city.with_name("city.gpkg-search") / "approximate-lock"

    with FileLock(lock), pytest.raises(IndexBusyError, match="another program makes the ivf"):
        make_search(city, "ivf")

    assert make_search(city) is not None


def test_a_full_disk_leaves_the_database_and_an_exact_search(
    cities: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    city = tmp_path / "city.gpkg"
    shutil.copy(cities / "exact.gpkg", city)
    search(city)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with open_index(city, write=True) as index:
        index.choose_search("ivf")  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OutputError, match="No space left on device"):
            make_search(city)
    assert search(city) == ("VectorSearch", exactly(city))
    assert not list(city.with_name("city.gpkg-search").glob(".*.part"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_that_fills_up_while_faiss_writes_is_one_line() -> None:
    import faiss

    index = faiss.IndexFlatIP(64)
    index.add(np.zeros((50_000, 64), np.float32))
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OutputError) as error:
        approximate.write_index(faiss, index, full, Path("city/approximate-1"))
    assert str(error.value).startswith("cannot write city/approximate-1: ")
    assert "\n" not in str(error.value)


def test_a_kind_that_is_not_known_is_refused(cities: Path) -> None:
    with pytest.raises(OptionError, match="'lsh' is not known; choose one of exact, hnsw, ivf"):
        make_search(cities / "exact.gpkg", "lsh")
    with pytest.raises(OptionError, match=r"--search is for a \.gpkg file"):
        make_search("milvus://nowhere.invalid:1/city", "ivf")


def test_without_faiss_it_cannot_be_chosen_and_what_was_chosen_is_exact(
    city: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)

    with pytest.raises(MissingExtraError, match=r"pip install hafloc\[faiss\]"):
        make_search(city, "ivf")
    with caplog.at_level(logging.WARNING):
        assert search(city) == ("VectorSearch", exactly(city))
    assert "faiss is not installed" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_searches_too(city: Path) -> None:
    with open_index(city) as index:
        expected = index.search(queries(), 10).ids  # OpenMP has its threads now
        child = os.fork()
        if not child:
            status = 1
            try:
                status = int(not (index.search(queries(), 10).ids == expected).all())
            finally:
                os._exit(status)
        deadline = time.monotonic() + 20
        done, status = 0, -1
        while not done and time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            time.sleep(0.01)
        if not done:
            os.kill(child, 9)
            os.waitpid(child, 0)
    assert (done, status) == (child, 0)
