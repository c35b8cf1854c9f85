"""All that a stopped run needs to go on as if it had not stopped."""

import io
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hafloc.errors import TrainingError
from hafloc.files import write_whole
from hafloc.nn import Network, start_file
from hafloc.photos import content
from hafloc.train.mining import Miner, Tuple
from hafloc.train.recipe import Recipe, parse_recipe

NAME = "state.pt"


@dataclass
class Cursor:
    """Where in the run we are.

    `epoch`; `mined` queries of it are mined, of which `waiting` tuples are still to be learned;
    `step` counts over all epochs. `best_recall` is validation recall@5 of `best_epoch`. Random
    numbers need no place: each draw is seeded by the recipe's seed, the epoch and the query.
    """

    epoch: int = 0
    mined: int = 0
    step: int = 0
    waiting: list[Tuple] = field(default_factory=list)
    best_recall: float = -1.0
    best_epoch: int = -1


def save_state(
    folder: Path,
    recipe: Recipe,
    start: str,
    cursor: Cursor,
    network: Network,
    optimizer: torch.optim.Optimizer,
    miner: Miner,
) -> None:
    """Write the run's state, whole or not at all; `start` is `start_content`'s.

    Raises OutputError.
    """
    content = io.BytesIO()
    state = {
        "recipe": recipe.plain(),
        "start": start,
        "place": asdict(cursor),
        "network": _learned(network),
        "optimizer": optimizer.state_dict(),
        "memory": torch.from_numpy(miner.memory),
    }
    torch.save(state, content)
    write_whole(folder / NAME, content.getvalue())


def load_state(
    folder: Path,
    network: Network,
    optimizer: torch.optim.Optimizer,
    miner: Miner,
) -> Cursor:
    """Put back what `save_state` wrote; a folder without a state starts anew.

    Raises TrainingError for a damaged state, or one of other photos.
    """
    path = folder / NAME
    if not path.exists():
        return Cursor()
    state = _read(path)
    memory: NDArray[np.int32] = state["memory"].numpy()
    if memory.shape != miner.memory.shape:
        raise TrainingError(
            f"{path} was trained with {len(memory):,} queries, now there are "
            f"{len(miner.memory):,}; bring back the same photos or start in a new folder"
        )
    network.load_state_dict(state["network"], strict=False)
    optimizer.load_state_dict(state["optimizer"])
    miner.memory[:] = memory
    known = {part.name for part in fields(Cursor)}
    cursor = Cursor(**{key: value for key, value in state["place"].items() if key in known})
    cursor.waiting = [_tuple(entry) for entry in state["place"]["waiting"]]
    return cursor


def _learned(network: Network) -> dict[str, torch.Tensor]:
    """All weights but the frozen ones, which the start weights bring again."""
    frozen = {name for name, part in network.named_parameters() if not part.requires_grad}
    return {name: part for name, part in network.state_dict().items() if name not in frozen}


def _tuple(entry: dict[str, Any]) -> Tuple:
    return Tuple(entry["query"], entry["positive"], tuple(entry["negatives"]))


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    # A damaged file makes the unpickler raise anything at all.
    except Exception as error:
        raise TrainingError(
            f"cannot resume from {path}: it is damaged ({path.stat().st_size:,} bytes); "
            "start in a new folder"
        ) from error


def check_recipe(folder: Path, recipe: Recipe) -> None:
    """Raises TrainingError where the folder's run, if it holds one, follows another recipe.

    So it does where the start weights hold something else now: frozen layers come from there.
    """
    path = folder / NAME
    if not path.exists():
        return
    state = _read(path)
    if state.get("start", start_content(recipe)) != start_content(recipe):
        raise TrainingError(
            f"{path} was trained from other start weights than {recipe.network.start} now holds; "
            "bring the file back or start in a new folder"
        )
    # Keys that a run of an older hafloc does not know yet had their defaults.
    changed = _difference(parse_recipe(state["recipe"], str(path)).plain(), recipe.plain())
    if changed is not None:
        key, before, now = changed
        raise TrainingError(
            f"{path} was trained with {key} = {before!r}, the recipe now says {now!r}; "
            "resume with the same recipe or start in a new folder"
        )


def start_content(recipe: Recipe) -> str:
    """The hash of the start weights' file; "" where there is none."""
    return content(start_file(recipe.network.start)) if recipe.network.start else ""


def _difference(old: Any, new: Any, key: str = "") -> tuple[str, Any, Any] | None:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            inner = f"{key}.{name}" if key else name
            found = _difference(old.get(name), new.get(name), inner)
            if found is not None:
                return found
        return None
    return None if old == new else (key, old, new)
