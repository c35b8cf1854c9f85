"""One Localizer in many threads, beside other processes, across forks and in other processes."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from located_photos import COLOURS, PLACES, MeanColour, build
from PIL import Image

from hafloc.describe import Describer
from hafloc.errors import CheckpointError, IndexFileError
from hafloc.index import build_index, open_index
from hafloc.locate import Answer, Localizer

# Adds 60 photos like black, which no query is like, one transaction each.
ADDING = """
import sys
import numpy as np
from hafloc.geo import Position
from hafloc.index import Record, open_index

with open_index(sys.argv[1], write=True) as index:
    print("adding", flush=True)
    for n in range(60):
        place = Position(10 + n / 1000, 20)
        record = Record(f"dark{n}.png", f"{n:032x}", place, 9, 9, "csv")
        index.add([record], np.full((1, 3), 3**-0.5, np.float32))
"""
STREET_SIZE = (320, 240)

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def together(n: int, work: Callable[[int], Any]) -> list[Any]:
    """The results of `work` in n threads that begin at once; fails where one hangs."""
    start = threading.Barrier(n)

    def begin(number: int) -> Any:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(n) as pool:
        return [task.result(timeout=60) for task in [pool.submit(begin, i) for i in range(n)]]


def coloured(name: str) -> Image.Image:
    return Image.new("RGB", (40, 40), COLOURS[name])


@pytest.mark.parametrize("_", range(3))
def test_eight_first_queries_from_eight_threads_are_answered(tmp_path: Path, _: int) -> None:
    names = [*COLOURS, *COLOURS]
    with Localizer(open_index(build(tmp_path)), MeanColour()) as city:
        found = together(8, lambda i: city.locate(coloured(names[i])))
    assert [answer.candidates[0].path for answer in found] == names
    assert [answer.position for answer in found] == [PLACES[name] for name in names]


def test_sixteen_threads_answer_right_while_another_process_adds(tmp_path: Path) -> None:
    path = build(tmp_path)
    names = [*COLOURS] * 4
    with Localizer(open_index(path), MeanColour()) as city:
        command = [sys.executable, "-c", ADDING, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as adding:
            assert adding.stdout is not None
            assert adding.stdout.readline() == "adding\n"

            def ask(number: int) -> list[int]:
                counts = []
                while len(counts) < 20 or adding.poll() is None:
                    answer = city.locate(coloured(names[number]), top=100)
                    assert answer.candidates[0].path == names[number]
                    assert answer.position == PLACES[names[number]]
                    counts.append(len(answer.candidates))
                return counts

            seen = together(16, ask)
        assert adding.returncode == 0
        # No photo that an answer knew is unknown to a later one, and the last know all.
        assert all(counts == sorted(counts) for counts in seen)
        assert len(city.locate(coloured("red.png"), top=100).candidates) == 64


def test_closing_while_others_locate_ends_them_with_one_clear_error(tmp_path: Path) -> None:
    path = build(tmp_path)
    city = Localizer(open_index(path), MeanColour())
    begun = threading.Barrier(5)

    def ask(_: int) -> str:
        begun.wait()
        try:
            while True:
                assert city.locate(coloured("red.png")).candidates[0].path == "red.png"
        except IndexFileError as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, i) for i in range(4)]
        begun.wait()
        time.sleep(0.1)
        city.close()
        said = {task.result(timeout=30) for task in asked}
    assert said == {f"cannot use {path}: it was closed; open it again"}
    with pytest.raises(IndexFileError, match="it was closed; open it again"):
        city.locate(coloured("red.png"))


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """An index of four photos made with a network that torch shares among its threads."""
    folder = tmp_path_factory.mktemp("street")
    for seed in range(4):
        photo(seed).save(folder / f"{seed}.png")
    (folder / "positions.csv").write_text(
        "image,lat,lon\n" + "".join(f"{s}.png,52.{s},0.1\n" for s in range(4))
    )
    build_index(folder / "street.gpkg", Describer.open(tiny_checkpoint), folder)
    return folder / "street.gpkg"


def photo(seed: int) -> Image.Image:
    blocks = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(STREET_SIZE, Image.Resampling.BICUBIC)


def opened_and_located(street: Path, checkpoint: Path) -> str:
    with Localizer.open(street, checkpoint, device="cpu") as city:
        return city.locate(photo(2)).candidates[0].path


def test_threads_that_share_a_network_get_the_same_answers(
    street: Path, tiny_checkpoint: Path
) -> None:
    with Localizer.open(street, tiny_checkpoint) as city:
        alone = [city.locate(photo(seed)) for seed in range(4)]
        found = together(8, lambda i: city.locate(photo(i % 4)))
    for i, answer in enumerate(found):
        known = alone[i % 4].candidates
        assert [c.path for c in answer.candidates] == [c.path for c in known]
        assert [c.inliers for c in answer.candidates] == [c.inliers for c in known]


@pytest.mark.parametrize("method", ["spawn", pytest.param("fork", marks=forks)])
def test_workers_open_their_own(street: Path, tiny_checkpoint: Path, method: str) -> None:
    # Given a parent whose own threads have used the network, which does not survive a fork
    assert opened_and_located(street, tiny_checkpoint) == "2.png"
    context = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        found = pool.apply_async(opened_and_located, (street, tiny_checkpoint))
        assert found.get(timeout=120) == "2.png"


def _locate_here(city: Localizer, sent: Any) -> None:
    try:
        sent.send(city.locate(photo(1)).candidates[0].path)
        sent.send(together(2, lambda i: city.locate(photo(i)).candidates[0].path))
    except CheckpointError as error:
        sent.send(str(error))
    city.close()


@forks
def test_a_localizer_carried_over_a_fork_goes_on_in_the_child(
    street: Path, tiny_checkpoint: Path
) -> None:
    with Localizer.open(street, tiny_checkpoint) as city:
        together(2, lambda i: city.locate(photo(i)))
        fork = multiprocessing.get_context("fork")
        received, sent = fork.Pipe(duplex=False)
        child = fork.Process(target=_locate_here, args=(city, sent))
        child.start()
        assert received.poll(60), "the child hangs"
        assert received.recv() == "1.png"
        assert received.poll(60), "the child's threads hang"
        assert received.recv() == ["0.png", "1.png"]
        child.join(30)
        assert child.exitcode == 0
        assert city.locate(photo(3)).candidates[0].path == "3.png"


@forks
def test_a_network_on_a_gpu_says_that_it_stays_with_the_parent(
    street: Path, tiny_checkpoint: Path
) -> None:
    with Localizer.open(street, tiny_checkpoint, device="cpu") as city:
        city.describer.device = "cuda:1"  # type: ignore[attr-defined]
        fork = multiprocessing.get_context("fork")
        received, sent = fork.Pipe(duplex=False)
        child = fork.Process(target=_locate_here, args=(city, sent))
        child.start()
        assert received.poll(60)
        assert received.recv() == (
            "cannot describe on cuda:1: the network was put there before this process was forked; "
            "open it in each worker, or start workers by spawn"
        )
        child.join(30)


def test_a_localizer_sent_to_another_process_is_opened_there_anew(
    street: Path, tiny_checkpoint: Path
) -> None:
    with Localizer.open(street, tiny_checkpoint) as city:
        sent = pickle.dumps(city)
        answer = pickle.loads(pickle.dumps(city.locate(photo(2))))
    with pickle.loads(sent) as copy:
        again = copy.locate(photo(2))
    assert isinstance(answer, Answer)
    assert again == answer
