"""Networks of others that are known by a short name: the table `networks.toml`."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from hafloc.describe.hub_source import PREFIX


@dataclass(frozen=True, slots=True)
class KnownNetwork:
    """One row: `repo` ("OWNER/REPO") at `commit`, its `entry` with `arguments`, its `input` as
    `model_input` reads it, the vector's `dimension`, and what its authors say of it.

    `entry` is empty where the repository has no hubconf; `note` then says what to do. `recall`
    are recall@1 in percent by data set, from `source`.
    """

    name: str
    repo: str
    commit: str
    entry: str
    arguments: dict[str, Any]
    input: dict[str, Any]
    dimension: int
    licence: str
    recall: dict[str, float]
    source: str
    note: str = ""

    @property
    def model(self) -> str:
        """What `--model` says in full; "" where torch.hub cannot open it."""
        return f"{PREFIX}{self.repo}:{self.entry}@{self.commit}" if self.entry else ""


@cache
def known_networks() -> dict[str, KnownNetwork]:
    """The table, by short name."""
    text = (files("hafloc.describe") / "networks.toml").read_text(encoding="utf-8")
    return {name: KnownNetwork(name=name, **row) for name, row in tomllib.loads(text).items()}


def of_repo(repo: str) -> KnownNetwork | None:
    """The row of a repository, whose name GitHub takes in any case."""
    rows = known_networks().values()
    return next((row for row in rows if row.entry and row.repo.lower() == repo.lower()), None)
