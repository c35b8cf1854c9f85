"""Slow results: made once, whoever asks."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hafloc.locate.remembered import Remembered


def test_eight_threads_that_want_the_same_make_it_once() -> None:
    remembered: Remembered[str, object] = Remembered(10)
    made = []

    def make() -> object:
        made.append(1)
        time.sleep(0.05)
        return object()

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: remembered.get("key", make), range(8)))
    assert (len(found), len(made)) == (1, 1)


def test_different_keys_do_not_wait_for_each_other() -> None:
    remembered: Remembered[int, int] = Remembered(10)
    both = threading.Barrier(2, timeout=10)
    with ThreadPoolExecutor(2) as pool:
        assert len(list(pool.map(lambda key: remembered.get(key, both.wait), range(2)))) == 2


def test_what_failed_is_tried_again_also_by_those_who_waited() -> None:
    remembered: Remembered[str, str] = Remembered(10)
    waiting = threading.Event()
    tries = []

    def fail() -> str:
        tries.append("first")
        waiting.wait(10)
        raise OSError("gone")

    def succeed() -> str:
        tries.append("second")
        return "made"

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(remembered.get, "key", fail)
        while not tries:
            time.sleep(0.001)
        second = pool.submit(remembered.get, "key", succeed)
        time.sleep(0.05)
        waiting.set()
        with pytest.raises(OSError, match="gone"):
            first.result(10)
        assert second.result(10) == "made"
    assert tries == ["first", "second"]
    assert remembered.get("key", fail) == "made"


def test_the_one_asked_for_longest_ago_is_forgotten() -> None:
    remembered: Remembered[int, int] = Remembered(2)
    made: list[int] = []

    def ask(key: int) -> None:
        remembered.get(key, lambda: made.append(key) or key)

    for key in (1, 2, 1, 3, 1, 2):
        ask(key)
    assert made == [1, 2, 3, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_does_not_wait_for_its_parent_s_threads() -> None:
    remembered: Remembered[str, str] = Remembered(2)
    begun, end = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        end.wait(30)
        return "parent's"

    at_work = threading.Thread(target=remembered.get, args=("key", slow))
    at_work.start()
    begun.wait(10)
    child = os.fork()
    if child == 0:
        os._exit(0 if remembered.get("key", lambda: "child's") == "child's" else 1)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if (ended := os.waitpid(child, os.WNOHANG))[0]:
            break
        time.sleep(0.01)
    else:
        os.kill(child, 9)
        pytest.fail("the child hangs")
    end.set()
    at_work.join()
    assert ended[1] == 0
