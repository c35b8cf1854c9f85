"""A real server of Milvus, killed in the middle of a build and of a search."""

import os
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from milvus_server import VARIABLE, MilvusProcess
from small_index import MODEL, sample

from hafloc.errors import IndexFileError
from hafloc.index import Near, copy_index, create_index, open_index

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("pymilvus") is None, reason="needs pymilvus"),
    pytest.mark.skipif(
        VARIABLE not in os.environ,
        reason=f"no server: set {VARIABLE} to the Python of an environment with milvus==2.3.5",
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusProcess]:
    process = MilvusProcess(tmp_path_factory.mktemp("milvus"))
    process.start()
    yield process
    process.kill()


def test_what_was_acknowledged_outlives_a_server_that_is_killed_during_a_build(
    server: MilvusProcess,
) -> None:
    # Given a build whose server dies in its middle, and comes back
    records, vectors = sample(300)
    location = f"milvus://127.0.0.1:{server.port}/build?timeout=240"
    stored: list[int] = []

    def fall_over() -> None:
        while len(stored) < 100:
            time.sleep(0.01)
        server.kill()
        time.sleep(1)
        server.start()

    accident = threading.Thread(target=fall_over)
    accident.start()
    with create_index(location, MODEL) as index:
        for start in range(0, 300, 20):
            part = slice(start, start + 20)
            stored += index.add(records[part], vectors[part])
    accident.join()
    # Then the build has waited for it, and nothing is lost
    with open_index(location) as index:
        assert index.count() == 300
        assert [record.content for record in index.get(stored)] == [r.content for r in records]
        assert index.search(vectors, 1).ids[:, 0].tolist() == stored
        assert index.verify() == []


def test_a_server_that_stays_away_is_told_in_one_line_and_the_same_index_goes_on(
    server: MilvusProcess,
) -> None:
    records, vectors = sample(60)
    location = f"milvus://127.0.0.1:{server.port}/away?timeout=5"
    with create_index(location.replace("=5", "=120"), MODEL) as index:
        ids = index.add(records[:40], vectors[:40])
    writer, reader = open_index(location, write=True), open_index(location)
    assert reader.search(vectors[:1], 1).ids.tolist() == [ids[:1]]
    server.kill()
    try:
        for use in (
            lambda: writer.add(records[40:], vectors[40:]),
            lambda: reader.search(vectors, 3),
            lambda: open_index(location),
        ):
            began = time.monotonic()
            with pytest.raises(IndexFileError, match="no answer for 5 seconds") as told:
                use()
            assert "\n" not in str(told.value)
            assert time.monotonic() - began < 20
    finally:
        server.start()
    # The same command again completes what was begun
    again = location.replace("=5", "=240")
    with open_index(again, write=True) as index:
        assert index.count() == 40
        ids += index.add(records[40:], vectors[40:])
        assert index.add(records, vectors) == ids
        assert index.count() == 60
    assert reader.search(vectors, 1).ids[:, 0].tolist() == ids
    writer.close()
    reader.close()


@pytest.mark.parametrize("kind", ["FLAT", "HNSW", "IVF_SQ8"])
def test_its_answers_are_those_of_the_file(
    server: MilvusProcess, tmp_path: Path, kind: str
) -> None:
    # Given a thousand photos, some of which are alike to the bit
    records, vectors = sample(1_000)
    vectors[500:520] = vectors[0]
    file = tmp_path / "city.gpkg"
    with create_index(file, MODEL) as index:
        index.add(records, vectors)
    location = f"milvus://127.0.0.1:{server.port}/same_{kind}?index={kind}&timeout=240"
    copy_index(file, location)
    # Then the best are the same, and so are those of a place
    near = Near(records[7].position, 20_000)
    with open_index(file) as ours, open_index(location) as theirs:
        for place in (None, near):
            one, other = (index.search(vectors[:8], 30, place) for index in (ours, theirs))
            assert one.similarities == pytest.approx(other.similarities, abs=1e-6)
            for mine, its in zip(one.ids.tolist(), other.ids.tolist(), strict=True):
                assert contents(ours, mine) == contents(theirs, its)
        assert theirs.info().details["search"] == kind
        exhaustive = theirs.search(vectors[:1], 1_000).similarities
        assert np.diff(exhaustive).max() <= 0


def contents(index: object, ids: list[int]) -> list[str]:
    return sorted(record.content for record in index.get(ids))  # type: ignore[attr-defined]
