"""A server's hard life in short form; `benchmarks/hard_life.py` has the long one."""

import random
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from served import Served, build, jpeg, photo, served

from hard_life import (
    answer_to,
    bombs,
    check_kept,
    idle_connections,
    press,
    statuses,
    tricks,
    try_schema,
    write_and_kill,
)

# Starting a process of threads for each of many clients takes a while; all bounds are generous.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    index = build(tmp_path_factory.mktemp("hard") / "city.gpkg")
    with served(index, writable=True, photos_folder=index.parent / "kept") as found:
        yield found


def is_well(city: Served) -> bool:
    """Whether it still locates, and has written of no fault."""
    answer = city.client.post("/v1/locate", [photo(jpeg((250, 10, 10)))])
    faults = [line for line in city.lines() if line.get("event") == "fault" or "trace" in line]
    return answer.status_code == 200 and faults == []


@pytest.mark.filterwarnings("ignore")  # schemathesis' own
def test_requests_of_any_kind_by_the_openapi_find_no_fault(city: Served) -> None:
    count, wrong = try_schema(city.port, 4)
    assert wrong == {}
    assert count > 40
    assert is_well(city)


BOMBS = bombs()


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_within_its_memory(city: Served, name: str) -> None:
    process = psutil.Process()
    before = process.memory_info().rss
    found = statuses(answer_to(city.port, BOMBS[name]))
    assert found
    assert found[0] != 408, "it was worked on until its time was up"
    assert 400 <= found[0] < 500 or (found[0] == 200 and "name" in name)
    assert process.memory_info().rss - before < 400e6
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4e6
    assert is_well(city)


def test_lies_and_tricks_are_answered_once_and_lead_nowhere(city: Served) -> None:
    requests = tricks()
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda request: answer_to(city.port, request, 5), requests.values())
        )
    for name, answer in zip(requests, answers, strict=True):
        found = statuses(answer)
        assert len(found) <= 1, f"{name}: {found}"
        assert 500 not in found, name
        assert b"root:" not in answer, name
        assert b"evil.example" not in answer, name
        assert b"Traceback" not in answer, name
    assert is_well(city)


def test_many_clients_lose_nothing_and_leave_nothing(city: Served) -> None:
    press(city.port, 60, 8)
    process = psutil.Process()
    before, files = process.memory_info().rss, process.num_fds()
    with idle_connections(city.port, 200):
        load = press(city.port, 150, 12)
    assert load.broken == []
    assert load.statuses[200] == 150
    assert set(load.statuses) <= {200, 503}
    assert process.memory_info().rss - before < 60e6
    end = time.monotonic() + 15  # the server waits a moment for each
    while process.num_fds() - files > 30:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert is_well(city)


def test_what_was_acknowledged_outlives_server_after_server_killed(tmp_path: Path) -> None:
    index, kept, chance = build(tmp_path / "city.gpkg"), {}, random.Random(9)
    # More often in benchmarks/hard_life.py; a server takes seconds to start.
    kept |= write_and_kill(index, tmp_path / "kept", 0, chance)
    check_kept(index, kept)
    assert kept
