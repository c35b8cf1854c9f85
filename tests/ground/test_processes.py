"""Work shared out among processes."""

import os
import sys
from collections.abc import Iterator

import odd_workers
import pytest

from hafloc.errors import OptionError
from hafloc.processes import Died, Processes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")


def squares(numbers: list[int | None]) -> list[tuple[str, object]]:
    work = ((f"item {number}", number) for number in numbers)
    return list(Processes(2, odd_workers.open_squares).map(work))


def test_results_come_in_order_and_what_has_no_work_between_them() -> None:
    numbers: list[int | None] = [5, None, 4, 3, None, 2, 1, 0]

    assert squares(numbers) == [
        (f"item {number}", None if number is None else number**2) for number in numbers
    ]


def test_a_piece_that_kills_its_process_is_told_and_costs_no_other() -> None:
    found = squares([1, 2, 13, 3, 4, 5, 6, 8])

    assert [item for item, _ in found] == [f"item {n}" for n in (1, 2, 13, 3, 4, 5, 6, 8)]
    assert isinstance(found[2][1], Died)
    assert [square for _, square in found[:2] + found[3:]] == [1, 4, 9, 16, 25, 36, 64]


def test_what_the_work_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="seven"):
        squares([1, 7, 2])


def test_processes_that_never_begin_are_not_begun_for_ever() -> None:
    with pytest.raises(OptionError, match="end as soon as they begin"):
        list(Processes(1, odd_workers.open_none).map((n, n) for n in range(9)))


def test_each_process_takes_its_share_of_the_cores() -> None:
    ((_, threads),) = Processes(2, odd_workers.open_threads).map([("any", 1)])

    assert threads == max(1, (os.cpu_count() or 1) // 2)


def test_whoever_stops_early_leaves_no_process_behind() -> None:
    def endless() -> Iterator[tuple[int, int]]:
        yield from ((n, 0) for n in range(10**6))

    processes = Processes(2, odd_workers.open_squares)
    results = processes.map(endless())
    assert next(results) == (0, 0)
    results.close()  # type: ignore[attr-defined]

    assert not processes._pool._processes
