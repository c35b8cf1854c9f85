"""What `hafloc.cluster` uses of Ray, in this process, with nodes that can be lost.

As with Ray, whatever goes to an actor is pickled, and comes back so.
"""

import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


class ActorError(Exception):
    """An actor that died, as Ray tells it."""


class TaskError(Exception):
    """What a task raised, as Ray wraps it."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"a trace of many lines\n{cause}")
        self.cause = cause


@dataclass
class FakeRay:
    """`fault` sees each call of an actor (its number, what it is given) and may raise ActorError,
    or return True where it never ends."""

    resources: Sequence[dict[str, float]] = ({"CPU": 2.0}, {"CPU": 2.0})
    fault: Callable[[int, Any], bool | None] = lambda actor, works: None
    options: dict[str, Any] = field(default_factory=dict)
    made: int = 0
    killed: list[int] = field(default_factory=list)
    is_shut: bool = False
    pending: dict[int, Callable[[], Any]] = field(default_factory=dict)
    results: dict[int, Any] = field(default_factory=dict)
    calls: int = 0

    def is_initialized(self) -> bool:
        return False

    def init(self, **options: Any) -> None:
        pass

    def shutdown(self) -> None:
        self.is_shut = True

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": each} for each in self.resources]

    def remote(self, **options: Any) -> Callable[[type], Any]:
        self.options = options
        return lambda cls: _Class(self, cls)

    def kill(self, actor: "_Actor", *, no_restart: bool) -> None:
        self.killed.append(actor.number)

    def call(self, work: Callable[[], Any]) -> int:
        self.calls += 1
        self.pending[self.calls] = work
        return self.calls

    def wait(
        self, references: list[int], *, num_returns: int, timeout: float
    ) -> tuple[list[int], list[int]]:
        # In turns, as actors on several machines are done.
        turn = len(self.results) % len(references)
        for reference in references[turn:] + references[:turn]:
            try:
                result = self.pending[reference]()
            except Exception as error:
                result = error
            if result is not _NEVER:
                self.results[reference] = result
                return [reference], [other for other in references if other != reference]
        time.sleep(0.01)
        return [], references

    def get(self, reference: int, *, timeout: float) -> Any:
        result = self.results[reference]
        if isinstance(result, ActorError):
            raise result
        if isinstance(result, Exception):
            raise TaskError(result)
        return pickle.loads(pickle.dumps(result))


_NEVER = object()


@dataclass
class _Class:
    ray: FakeRay
    cls: type

    def remote(self, *given: Any) -> "_Actor":
        self.ray.made += 1
        return _Actor(self.ray, self.ray.made, self.cls(*pickle.loads(pickle.dumps(given))))


@dataclass
class _Actor:
    ray: FakeRay
    number: int
    worker: Any

    def __getattr__(self, name: str) -> "_Method":
        return _Method(self, name)


@dataclass
class _Method:
    actor: _Actor
    name: str

    def remote(self, *given: Any) -> int:
        sent = pickle.loads(pickle.dumps(given))

        def work() -> Any:
            if self.actor.ray.fault(self.actor.number, given[0] if given else None):
                return _NEVER
            return getattr(self.actor.worker, self.name)(*sent)

        return self.actor.ray.call(work)
