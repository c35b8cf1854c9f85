"""Work shared out among the actors of a cluster."""

import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest
from fake_ray import ActorError, FakeRay

from hafloc import cluster
from hafloc.cluster import Cluster
from hafloc.errors import CheckpointError, MissingExtraError, OptionError
from hafloc.processes import Died

Shards = list[list[tuple[str, int]]]
SHARDS: Shards = [[(f"item {10 * s + n}", 10 * s + n) for n in range(3)] for s in range(5)]
SQUARES = sorted((name, number**2) for shard in SHARDS for name, number in shard)


def squares(threads: int, device: str) -> Callable[[int], int]:
    return _square


def _square(number: int) -> int:
    if number == 666:
        raise ValueError("no square")
    return number**2


def refuses(threads: int, device: str) -> Callable[[int], int]:
    raise CheckpointError("a node has another checkpoint")


def done(ray: FakeRay, shards: Shards = SHARDS, **options: Any) -> list[tuple[str, Any]]:
    made = Cluster("local", options.pop("open_worker", squares), ray=ray, **options)
    return sorted(made.map(shards), key=lambda each: each[0])


def test_each_item_comes_back_once_with_its_result() -> None:
    ray = FakeRay()
    assert done(ray) == SQUARES
    assert ray.made == 2
    assert ray.is_shut


def test_a_lost_worker_costs_only_its_shard_which_another_does_again() -> None:
    given: list[list[int]] = []

    def lost_once(actor: int, works: list[int] | None) -> None:
        if works:
            given.append(works)
        if actor == 1 and works:
            raise ActorError("its node is gone")

    assert done(FakeRay(fault=lost_once)) == SQUARES
    assert len(given) == len(SHARDS) + 1


def test_a_worker_that_hangs_is_given_up_and_its_shard_done_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "_SHARD_S", 0.1)
    monkeypatch.setattr(cluster, "_PIECE_S", 0.0)
    ray = FakeRay(fault=lambda actor, works: actor == 1 and works is not None)
    assert done(ray) == SQUARES
    assert 1 in ray.killed


def test_a_piece_that_takes_each_worker_down_is_told_and_costs_no_other() -> None:
    def deadly(actor: int, works: list[int] | None) -> None:
        if works and 11 in works:
            raise ActorError("out of memory")

    found = dict(done(FakeRay(fault=deadly)))
    assert isinstance(found.pop("item 11"), Died)
    assert found == {name: square for name, square in SQUARES if name != "item 11"}


def test_one_worker_is_enough_to_find_out_which_pieces_are_deadly() -> None:
    def deadly(actor: int, works: list[int] | None) -> None:
        if works and {10, 11, 12, 20} & set(works):
            raise ActorError("out of memory")

    found = done(FakeRay(fault=deadly), count=1)
    assert [name for name, result in found if isinstance(result, Died)] == [
        "item 10", "item 11", "item 12", "item 20"
    ]  # fmt: skip
    assert len(found) == len(SQUARES)


def test_workers_that_end_over_everything_end_in_one_line() -> None:
    def deadly(actor: int, works: list[int] | None) -> None:
        if works:
            raise ActorError("out of memory")

    with pytest.raises(OptionError, match="end over whatever they are given: out of memory; give"):
        done(FakeRay(fault=deadly))


def test_workers_that_never_begin_end_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(actor: int, works: object) -> None:
        raise ActorError("the package hafloc is not there")

    with pytest.raises(OptionError, match="no worker of the Ray cluster local is left: the pack"):
        done(FakeRay(fault=never))


def test_workers_that_wait_for_a_node_for_ever_end_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "_BEGIN_S", 0.05)
    with pytest.raises(OptionError, match="is left: it did not answer in time"):
        done(FakeRay(fault=lambda actor, works: True))


def test_a_lost_node_that_stays_away_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "_BEGIN_S", 0.05)

    def one_node(actor: int, works: object) -> bool:
        if actor == 1 and works is not None:
            raise ActorError("its node is gone")
        return actor > 2  # what should replace it waits for a node

    assert done(FakeRay(fault=one_node)) == SQUARES


def test_a_worker_that_must_not_begin_says_why() -> None:
    with pytest.raises(OptionError, match="is left: a node has another checkpoint"):
        done(FakeRay(), open_worker=refuses)


def test_what_the_work_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="no square"):
        done(FakeRay(), [[("bad", 666)]])


@pytest.mark.parametrize(
    ("nodes", "count", "workers", "share"),
    [
        ([{"CPU": 8.0}, {"CPU": 4.0}], None, 6, (2, "cpu")),
        ([{"CPU": 1.0}, {"CPU": 1.0}], None, 2, (1, "cpu")),
        ([{"CPU": 8.0}, {"CPU": 8.0}], 2, 2, (8, "cpu")),
        ([{"CPU": 8.0, "GPU": 2.0}, {"CPU": 4.0}], None, 2, (1, "cuda")),
        ([{"CPU": 8.0, "GPU": 2.0}], 1, 1, (1, "cuda")),
    ],
)
def test_workers_take_the_gpus_or_else_the_cores(
    nodes: list[dict[str, float]], count: int | None, workers: int, share: tuple[int, str]
) -> None:
    ray = FakeRay(resources=nodes)
    assert done(ray, [[("any", 1)]], count=count, open_worker=_tells_of(share)) == [("any", True)]
    assert ray.made == workers
    assert ray.options["num_cpus"] == share[0]
    assert ray.options.get("num_gpus", 0) == (share[1] == "cuda")


class _tells_of:  # noqa: N801 - as a function it would not pickle
    def __init__(self, share: tuple[int, str]) -> None:
        self.share = share

    def __call__(self, threads: int, device: str) -> Callable[[int], bool]:
        same = (threads, device) == self.share
        return lambda _: same


def test_gpus_are_left_alone_by_work_that_gains_nothing_from_them() -> None:
    ray = FakeRay(resources=[{"CPU": 4.0, "GPU": 1.0}])
    done(ray, uses_gpus=False)
    assert "num_gpus" not in ray.options


def test_when_the_caller_stops_all_workers_end() -> None:
    ray = FakeRay()
    results = Cluster("local", squares, ray=ray).map(SHARDS)
    next(results)
    results.close()
    assert sorted(ray.killed) == [1, 2]
    assert ray.is_shut


def test_a_connection_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_CONNECT_S", 0.05)

    class Hangs(FakeRay):
        def init(self, **options: Any) -> None:
            import time

            time.sleep(1)

    with pytest.raises(OptionError, match="cannot use the Ray cluster local: it did not answer"):
        Cluster("local", squares, ray=Hangs())


@pytest.mark.parametrize("address", ["nowhere", "host:", ":1", "ray://host", "host:99999"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(OptionError, match="is no address; give HOST:PORT"):
        Cluster(address, squares, ray=FakeRay())


def test_where_nobody_listens_that_is_said_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(OptionError, match=f"cannot reach the Ray cluster 127.0.0.1:{port}"):
        Cluster(f"127.0.0.1:{port}", squares, ray=FakeRay())


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"`pip install hafloc\[ray\]`"):
        Cluster("auto", squares)
