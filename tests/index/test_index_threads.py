"""Many threads and processes on one index."""

import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_index import MODEL, sample

from hafloc.errors import IndexFileError
from hafloc.geo import Position
from hafloc.index import GeoIndex, Near, create_index, open_index
from hafloc.index.connections import Connections
from hafloc.index.matrix import Matrix


@pytest.fixture
def city(tmp_path: Path) -> Path:
    with create_index(tmp_path / "city.gpkg", MODEL) as index:
        index.add(*sample(300))
    return tmp_path / "city.gpkg"


def together(n: int, work: Callable[[int], Any]) -> list[Any]:
    """The results of `work` in n threads that begin at once; fails where one hangs."""
    start = threading.Barrier(n)

    def begin(number: int) -> Any:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(n) as pool:
        return [task.result(timeout=60) for task in [pool.submit(begin, i) for i in range(n)]]


def test_eight_first_searches_at_once_make_one_matrix(
    city: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    make = Matrix._make
    monkeypatch.setattr(Matrix, "_make", lambda *given: made.append(1) or make(*given))  # type: ignore[func-returns-value]
    _, vectors = sample(300)
    for _ in range(5):
        made.clear()
        with open_index(city) as index:
            found = together(8, lambda i, at=index: at.search(vectors[[i]], 1).ids[0, 0])
        assert found == [1, 2, 3, 4, 5, 6, 7, 8]
        assert made == [1]


def test_every_way_of_reading_is_open_to_all_threads(city: Path) -> None:
    records, vectors = sample(300)
    with open_index(city) as index:

        def read(number: int) -> None:
            for _ in range(5):
                id_ = int(index.search(vectors[[number]], 1).ids[0, 0])
                assert index.get([id_])[0].path == records[number].path
                assert index.nearest(records[number].position, 1)[0].id == id_
                assert [r.id for r in index.within(Near(records[number].position, 1))] == [id_]
                assert index.find_content([records[number].content])[0].id == id_
                assert index.vectors([id_])[0] @ vectors[number] > 0.99
                assert len(list(index.iterate())) == index.count() == 300
                assert index.verify() == []

        together(8, read)


WRITER = """
    import sys, time
    from pathlib import Path
    from small_index import sample
    from hafloc.index import open_index
    with open_index(sys.argv[1], write=True) as index:
        while not Path(sys.argv[2]).exists():
            index.add(*sample(5, start=index.count()))
            time.sleep(0.05)
    print(index.location)
"""


def test_threads_find_the_right_photos_while_another_process_adds_some(
    city: Path, tmp_path: Path
) -> None:
    stop = tmp_path / "stop"
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(city), str(stop)]
    records, vectors = sample(300)
    with (
        subprocess.Popen(
            command, cwd=Path(__file__).parents[1] / "support", stderr=subprocess.PIPE
        ) as writer,
        open_index(city) as index,
    ):

        def search(number: int) -> int:
            seen = 300
            for turn in range(15):
                wanted = (number * 15 + turn) % 300
                hits = index.search(vectors[[wanted]], 3)
                assert hits.ids[0, 0] == wanted + 1
                assert index.get(hits.ids[0].tolist())[0].path == records[wanted].path
                now = index.count()
                assert now >= seen  # and whole batches only
                assert now % 5 == 0
                seen = now
            return seen

        try:
            while index.count() == 300 and writer.poll() is None:
                time.sleep(0.01)
            seen = together(16, search)
        finally:
            stop.touch()
        assert writer.wait(60) == 0, writer.stderr and writer.stderr.read()
        assert max(seen) > 300
    with open_index(city) as index:
        assert index.verify() == []


def test_threads_that_share_a_writer_take_turns(city: Path) -> None:
    with open_index(city, write=True) as index:

        def work(number: int) -> None:
            records, vectors = sample(5, start=1_000 + 5 * number)
            ids = index.add(records, vectors)
            assert index.search(vectors[[0]], 1).ids[0, 0] == ids[0]
            index.update([replace(r, position=Position(1, 2)) for r in index.get(ids[:1])])
            assert index.remove(ids[4:]) == 1

        together(6, work)
        assert index.count() == 300 + 6 * 4
        assert index.verify() == []


def test_connections_go_with_their_threads(city: Path) -> None:
    with open_index(city) as index:
        together(8, lambda _: index.count())
        before = open_files()
        for _ in range(3):
            together(8, lambda _: index.count())
        gc.collect()
        assert len(index._connections._all) == 1  # type: ignore[attr-defined]
        assert open_files() <= before


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0


def test_an_index_outlives_the_thread_that_opened_it(city: Path) -> None:
    (index,) = together(1, lambda _: open_index(city))
    gc.collect()
    assert index.count() == 300
    index.close()
    assert [path.name for path in city.parent.iterdir()] == ["city.gpkg"]


def test_closing_under_the_others_ends_each_with_one_clear_error(city: Path) -> None:
    _, vectors = sample(300)
    index = open_index(city)
    working = threading.Barrier(9)
    said = []

    def search(number: int) -> None:
        working.wait()
        try:
            for _ in range(100_000):
                index.search(vectors[[number]], 5)
                list(index.iterate())
                index.verify()
        except IndexFileError as error:
            said.append(str(error))

    threads = [threading.Thread(target=search, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    working.wait()
    time.sleep(0.2)
    index.close()
    index.close()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert said == [f"cannot use {city}: it was closed; open it again"] * 8
    assert [path.name for path in city.parent.iterdir()] == ["city.gpkg"]


def test_a_batch_that_is_being_stored_is_not_broken_off_by_closing(city: Path) -> None:
    index = open_index(city, write=True)
    begun = threading.Event()

    def add() -> None:
        begun.set()
        with suppress(IndexFileError):  # closed before it began
            index.add(*sample(3_000, start=1_000))

    writing = threading.Thread(target=add)
    with index._connections.lent("test"):  # type: ignore[attr-defined]
        writing.start()
        begun.wait()
    time.sleep(0.05)
    index.close()
    writing.join()
    with open_index(city) as after:
        assert after.count() in (300, 3_300)
        assert after.verify() == []


def test_a_file_put_in_the_place_of_an_open_one_is_told_from_it(city: Path, tmp_path: Path) -> None:
    with open_index(city) as index:
        with create_index(tmp_path / "new.gpkg", MODEL) as new:
            new.add(*sample(1, start=900))
        (tmp_path / "new.gpkg").replace(city)

        assert index.count() == 300
        with pytest.raises(IndexFileError, match="another file was put in its place; open it"):
            together(1, lambda _: index.count())


def _search(index: GeoIndex, sent: Any) -> None:
    _, vectors = sample(20)
    try:
        sent.send(index.search(vectors, 1).ids[:, 0].tolist())
    except IndexFileError as error:
        sent.send(str(error))
    index.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_worker_searches_on_its_own_and_harms_nobody(city: Path) -> None:
    _, vectors = sample(20)
    with open_index(city) as index:
        index.search(vectors, 1)
        fork = multiprocessing.get_context("fork")
        for _ in range(3):
            received, sent = fork.Pipe(duplex=False)
            child = fork.Process(target=_search, args=(index, sent))
            child.start()
            assert received.recv() == list(range(1, 21))
            child.join()
            assert child.exitcode == 0
        assert index.search(vectors, 1).ids[:, 0].tolist() == list(range(1, 21))
        assert index.verify() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_writer_stays_with_the_process_that_opened_it(city: Path) -> None:
    with open_index(city, write=True) as index:
        index.add(*sample(5, start=500))
        fork = multiprocessing.get_context("fork")
        received, sent = fork.Pipe(duplex=False)
        child = fork.Process(target=_search, args=(index, sent))
        child.start()
        assert "opened for writing before this process was forked" in received.recv()
        child.join()
        index.add(*sample(5, start=600))
        with pytest.raises(TypeError, match="open for writing"):
            pickle.dumps(index)
    with open_index(city) as index:
        assert index.count() == 310
        assert index.verify() == []


def test_an_index_sent_to_another_process_is_opened_there_anew(city: Path) -> None:
    with open_index(city) as index, pickle.loads(pickle.dumps(index)) as copy:
        assert copy.search(sample(3)[1], 1).ids[:, 0].tolist() == [1, 2, 3]


def test_no_statement_that_reads_calls_python(city: Path) -> None:
    connections = Connections(city, write=False)
    ours = "SELECT count(*) FROM pragma_function_list WHERE name LIKE 'st\\_%' ESCAPE '\\'"
    assert connections.rows(ours) == [(0,)]
    connections.close()


def test_the_search_of_a_writer_never_keeps_an_old_matrix(city: Path) -> None:
    """A thread that searches while another adds must not store what it read before."""
    with open_index(city, write=True) as index:
        stop = threading.Event()
        _, (probe,) = sample(1, start=5_000)

        def search() -> None:
            while not stop.is_set():
                index.search(probe[None], 1)

        threads = [threading.Thread(target=search) for _ in range(3)]
        for thread in threads:
            thread.start()
        for turn in range(30):
            records, vectors = sample(1, start=6_000 + turn)
            ids = index.add(records, vectors)
            assert index.search(vectors, 1).ids[0, 0] == ids[0]
            assert np.isclose(index.search(vectors, 1).similarities[0, 0], 1, atol=1e-3)
        stop.set()
        for thread in threads:
            thread.join()
