"""Run by the tests in processes of their own: `kill` a run, or dump a step's `gradients`."""

import json
import os
import signal
import sys
from pathlib import Path

import torch

from hafloc.progress import Silent
from hafloc.train import parallel, train
from hafloc.train.loop import epoch_order, load_tuples, mine_next, take_step
from hafloc.train.prepare import prepare
from hafloc.train.recipe import Recipe, parse_recipe
from hafloc.train.state import Cursor


def kill_at(recipe: Recipe, out: Path, step: int) -> None:
    def after_step(number: int) -> None:
        if number == step:
            os.kill(os.getpid(), signal.SIGKILL)

    train(recipe, out, resume=True, after_step=after_step)


def gradients(recipe: Recipe, out: Path) -> dict[str, torch.Tensor]:
    """The gradients of the first batch, by parameter; written to gradients.pt by the first."""
    parallel.start()
    out.mkdir(parents=True, exist_ok=True)
    run = prepare(recipe, out, Silent())
    place = Cursor()
    mine_next(run, place, epoch_order(run, 0))
    take_step(run, place.waiting[: recipe.optimizer.batch], load_tuples(run, place))
    found = {n: p.grad for n, p in run.network.named_parameters() if p.grad is not None}
    if parallel.is_first():
        torch.save(found, out / "gradients.pt")
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, table, folder, number = sys.argv[1:]
    checked = parse_recipe(json.loads(Path(table).read_text()), table)
    if what == "kill":
        kill_at(checked, Path(folder), int(number))
    else:
        gradients(checked, Path(folder))
