"""Work shared out among the actors of a Ray cluster: what a lost one had is done again elsewhere.

Nothing here waits without a bound, since Ray has been seen to.
"""

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hafloc.bounded import within
from hafloc.errors import HaflocError, MissingExtraError, OptionError, reason_of
from hafloc.processes import Died

Item = TypeVar("Item")
# What makes a worker on its node, for so many threads, on "cpu" or "cuda".
OpenWorker = Callable[[int, str], Callable[[Any], Any]]

_REACH_S = 5.0
_CONNECT_S = 90.0
_GOODBYE_S = 20.0
# How long one look at the cluster takes.
_LOOK_S = 1.0
# A worker loads Python, torch and the network; a node may have to be started for it first.
_BEGIN_S = 300.0
# What a shard may take, and each of its pieces: well over what the slowest processor needs.
_SHARD_S, _PIECE_S = 120.0, 60.0
# Cores for each worker where there is no GPU.
_CORES = 2
# A piece that takes its worker down so often, the last times alone, is at fault itself.
_LOSSES = 3
# Workers in a row that end before they have begun, for each that was wanted; and pieces in a row
# that take theirs down, before it is not they that are at fault.
_FRUITLESS, _DEADLY = 3, 5

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Shard:
    items: Sequence[tuple[Any, Any]]  # each with its work
    losses: int = 0


@dataclass(slots=True)
class _Task:
    """What an actor was asked for, and until when it is waited for."""

    actor: Any
    deadline: float
    shard: _Shard | None = None  # None: to begin


class Worker:
    """What an actor is made of; it begins in a call of its own, so that this can be waited for."""

    def __init__(self, open_worker: OpenWorker, threads: int, device: str) -> None:
        self._open = open_worker, threads, device
        self._work: Callable[[Any], Any] | None = None

    def begin(self) -> None:
        open_worker, threads, device = self._open
        self._work = open_worker(threads, device)

    def run(self, works: Sequence[Any]) -> list[Any]:
        assert self._work is not None, "it has begun"
        return [self._work(work) for work in works]


@dataclass(slots=True)
class Cluster:
    """The actors of the Ray cluster at `address`, each with a worker that `open_worker` makes.

    `address` is what `ray.init` takes: HOST:PORT, ray://HOST:PORT, "auto", or "local" for a cluster
    of this machine alone. There is an actor for each GPU, or else for every two cores, unless
    `count` says how many. `uses_gpus` says whether a worker gains from one. `open_worker`, work and
    results must pickle, and the nodes need the same packages. Raises MissingExtraError without Ray
    and OptionError where the cluster cannot be reached.
    """

    address: str
    open_worker: OpenWorker
    count: int | None = None
    uses_gpus: bool = True
    ray: Any = None
    _is_ours: bool = False
    _tasks: dict[Any, _Task] = field(default_factory=dict)
    _free: list[Any] = field(default_factory=list)
    _left: deque[_Shard] = field(default_factory=deque)
    _never_began: int = 0
    _died: int = 0
    _last_reason: str = ""
    _make: Callable[[], Any] | None = None

    def __post_init__(self) -> None:
        self.ray = self.ray if self.ray is not None else _import_ray()
        self._is_ours = not self.ray.is_initialized()
        if self._is_ours:
            _connect(self.ray, self.address)

    def map(self, shards: Iterable[Sequence[tuple[Item, Any]]]) -> Iterator[tuple[Item, Any]]:
        """Each item with what a worker made of its work, as they come.

        The pieces of a shard are done by one worker. Where it is lost they are done again by
        another; a shard that takes two down is tried piece by piece, and a piece that does so alone
        gives `Died`. Raises what the work raises, and OptionError where no worker is left.
        """
        coming = iter(shards)
        try:
            self._begin_all()
            while True:
                is_over = self._hand_out(coming)
                if is_over and not any(task.shard for task in self._tasks.values()):
                    return
                yield from self._finished()
                yield from self._overdue()
                self._check()
        finally:
            self._end()

    def _begin_all(self) -> None:
        count, threads, device = _sizes(self.ray, self.count, self.uses_gpus)
        needs = {"num_gpus": 1, "num_cpus": threads} if device == "cuda" else {"num_cpus": threads}
        actor = self.ray.remote(**needs, max_restarts=0, max_task_retries=0)(Worker)
        self.count = count
        self._make = lambda: actor.remote(self.open_worker, threads, device)
        for _ in range(count):
            self._begin_one()

    def _begin_one(self) -> None:
        assert self._make is not None, "sizes are known"
        actor = self._make()
        self._tasks[actor.begin.remote()] = _Task(actor, time.monotonic() + _BEGIN_S)

    def _hand_out(self, coming: Iterator[Sequence[tuple[Any, Any]]]) -> bool:
        """Give each free worker a shard; whether none is left to give."""
        while self._free:
            if not self._left:
                items = next(coming, None)
                if items is None:
                    return True
                self._left.append(_Shard(items))
            shard, actor = self._left.popleft(), self._free.pop()
            task = actor.run.remote([work for _, work in shard.items])
            seconds = _SHARD_S + _PIECE_S * len(shard.items)
            self._tasks[task] = _Task(actor, time.monotonic() + seconds, shard)
        return False

    def _finished(self) -> Iterator[tuple[Any, Any]]:
        try:
            done, _ = self.ray.wait(list(self._tasks), num_returns=1, timeout=_LOOK_S)
        except Exception as error:
            raise OptionError(
                f"the Ray cluster {self.address} is gone: {reason_of(error)[:200]}; run it again "
                "when it is back"
            ) from error
        for reference in done:
            task = self._tasks.pop(reference)
            try:
                results = self.ray.get(reference, timeout=_SHARD_S)
            except Exception as error:
                cause = getattr(error, "cause", None)
                if task.shard is not None and isinstance(cause, Exception):
                    raise cause from error
                yield from self._lose(task, cause if cause is not None else error)
                continue
            self._free.append(task.actor)
            if task.shard is None:
                self._never_began = 0
            else:
                self._died = 0
                for (item, _), result in zip(task.shard.items, results, strict=True):
                    yield item, result

    def _overdue(self) -> Iterator[tuple[Any, Any]]:
        now = time.monotonic()
        for reference, task in list(self._tasks.items()):
            # A worker that waits for its node may go on to, while others are at work.
            waits = task.shard is None and any(other.shard for other in self._tasks.values())
            if now > task.deadline and not waits:
                del self._tasks[reference]
                yield from self._lose(task, TimeoutError("it did not answer in time"))

    def _lose(self, task: _Task, error: BaseException) -> Iterator[tuple[Any, Any]]:
        """Do without a worker: its shard waits for another; what is given up comes back."""
        self._last_reason = reason_of(error).split(". ")[0][:300]
        _log.info("a worker of %s is lost: %s", self.address, self._last_reason)
        self._kill(task.actor)
        if task.shard is not None:
            yield from self._do_again(task.shard)
            self._begin_one()
            return
        self._never_began += 1
        # One that may not begin says so; one that waited in vain has no node to begin on.
        is_final = isinstance(error, HaflocError | TimeoutError)
        if not is_final and self._never_began < _FRUITLESS * (self.count or 1):
            self._begin_one()

    def _do_again(self, shard: _Shard) -> Iterator[tuple[Any, Any]]:
        shard.losses += 1
        is_one = len(shard.items) == 1
        if shard.losses < (_LOSSES if is_one else _LOSSES - 1):
            self._left.appendleft(shard)
        elif not is_one:
            self._left.extendleft(_Shard([item], _LOSSES - 2) for item in reversed(shard.items))
        else:
            self._died += 1
            if self._died >= _DEADLY:
                raise OptionError(
                    f"workers of the Ray cluster {self.address} end over whatever they are given: "
                    f"{self._last_reason}; give them more memory, or fewer --workers"
                )
            yield shard.items[0][0], Died()

    def _check(self) -> None:
        if not self._tasks and not self._free:
            raise OptionError(
                f"no worker of the Ray cluster {self.address} is left: {self._last_reason}; see "
                "`ray status`, and run it again to go on"
            )

    def _kill(self, actor: Any) -> None:
        try:
            self.ray.kill(actor, no_restart=True)
        except Exception as error:  # one that is dead already
            _log.debug("%s", error)

    def _end(self) -> None:
        for actor in [*self._free, *(task.actor for task in self._tasks.values())]:
            self._kill(actor)
        self._free, self._tasks = [], {}
        if self._is_ours:
            try:
                within(_GOODBYE_S, self.ray.shutdown)
            except Exception as error:
                _log.info("Ray does not end: %s", reason_of(error))


def _import_ray() -> Any:
    # Nothing is told to its makers, and no line of its own comes between ours.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError(
            f"--ray needs the extra ray; `pip install hafloc[ray]` ({reason_of(error)[:120]})"
        ) from error
    return ray


def _connect(ray: Any, address: str) -> None:
    _check_address(address)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        options["include_dashboard"] = False
    try:
        within(_CONNECT_S, lambda: ray.init(address=address, **options))
    except Exception as error:
        why = (
            f"it did not answer within {_CONNECT_S:.0f} s"
            if isinstance(error, TimeoutError)
            else reason_of(error)[:300]
        )
        raise OptionError(
            f"cannot use the Ray cluster {address}: {why}; check the address and `ray status`"
        ) from error


def _check_address(address: str) -> None:
    """Raises OptionError where nobody listens: Ray itself may wait long, or end the process."""
    if address in ("auto", "local"):
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (host and colon and port.isdecimal()) or int(port) > 65_535:
        raise OptionError(
            f"--ray {address} is no address; give HOST:PORT, ray://HOST:PORT, auto, or local"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_S).close()
    except OSError as error:
        raise OptionError(
            f"cannot reach the Ray cluster {address}: {reason_of(error)[:200]}; check the address, "
            "or start it with `ray start --head`"
        ) from error


def _sizes(ray: Any, count: int | None, uses_gpus: bool) -> tuple[int, int, str]:
    """How many workers, of how many threads each, on which device."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = int(sum(node.get("GPU", 0) for node in nodes))
    cores = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
    if uses_gpus and gpus:
        return min(count or gpus, gpus), 1, "cuda"
    if not cores:
        raise OptionError("the Ray cluster has no free core; see `ray status`")
    if count is not None:
        return count, max(1, min(min(cores), sum(cores) // count)), "cpu"
    threads = _CORES if min(cores) >= _CORES else 1
    return sum(each // threads for each in cores), threads, "cpu"
