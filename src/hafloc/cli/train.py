"""`hafloc train`, `sweep` and `average`: learn networks, find level weights, mix checkpoints."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from hafloc.cli.explained import command, group
from hafloc.cli.options import Json, Model, Out
from hafloc.cli.output import print_json, say
from hafloc.cli.progress import bar
from hafloc.cli.stopping import when_stopped
from hafloc.errors import OptionError

app = group()

RecipePath = Annotated[Path, typer.Argument(help="The recipe, a TOML file; see configs/.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change the recipe: section.key=value, as in TOML; repeatable."),
]
RunFolder = Annotated[Path, typer.Option("--out", "-o", help="Folder for the run, made if absent.")]


@command(app, "train")
def train(
    recipe: RecipePath,
    out: RunFolder,
    changes: Changes = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
    device: Annotated[
        str | None,
        typer.Option(help="In place of the recipe's run.device: cpu, cuda, cuda:1, mps."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a network from photos with positions."""
    from hafloc.train import read_recipe
    from hafloc.train import train as run

    wanted = list(changes or ())
    if device is not None:
        from hafloc.describe import choose_device

        wanted.append(f'run.device="{choose_device(device)}"')
    checked = read_recipe(recipe, wanted)
    with when_stopped(lambda: _kept(out)), bar() as progress:
        result = run(checked, out, resume=resume, progress=progress, tell=progress.tell)
    if as_json:
        print_json(
            {
                "checkpoint": result.model,
                "best_epoch": result.best_epoch + 1,
                "validation_recall_at_5": result.best_recall,
            }
        )
    else:
        say(
            f"{result.model}: best epoch {result.best_epoch + 1}, "
            f"validation recall@5 {100 * result.best_recall:.1f} %"
        )


def _kept(out: Path) -> str:
    from hafloc.train.state import NAME

    if (out / NAME).is_file():
        return f"the run is kept in {out} as of its last saved state; add --resume to go on"
    return f"{out} holds no state of the run yet; run it again"


@command(app, "sweep")
def sweep(
    photos: Annotated[Path, typer.Argument(help="Folder with photos and positions.csv.")],
    out: RunFolder,
    model: Model = "haf",
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--per-weight",
            "--recipe",
            metavar="RECIPE",
            help="Train this recipe for each point instead, one model for each λ (slow).",
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(help="With --per-weight: photos to look for among PHOTOS, the database."),
    ] = None,
    changes: Changes = None,
    as_json: Json = False,
) -> None:
    """Try all level weights in steps of 0.1: table, best point, heat map."""
    from hafloc.train import read_recipe
    from hafloc.train.sweep import sweep_fusion, sweep_training

    if changes and recipe is None:
        raise OptionError(
            "--set changes a recipe, and there is none; add --per-weight, or leave it out"
        )
    if queries and recipe is None:
        raise OptionError("--queries is for models to be trained; add --per-weight RECIPE")
    stopped = "finished models are kept; run it again to go on" if recipe else "run it again"
    with when_stopped(stopped), bar() as progress:
        if recipe is None:
            found = sweep_fusion(model, photos, out, progress=progress)
        else:
            # JSON's quotes are TOML's, whatever a path holds.
            own = json.dumps([str(queries)] if queries else [])
            wanted = [
                *(changes or []),
                f"data.validation={json.dumps([str(photos)])}",
                f"data.validation_from={own}",
            ]
            found = sweep_training(read_recipe(recipe, wanted), out, progress=progress)
    low, mid, high = found.points[found.best]
    best = found.recalls[found.best]
    if as_json:
        print_json(
            {
                "written": out / "sweep.csv",
                "level_weights": {"low": low, "mid": mid, "high": high},
                **{f"recall_at_{n}": value for n, value in zip((1, 5, 10), best, strict=True)},
            }
        )
        return
    say(
        f"{out / 'sweep.csv'}: best λ ({low:g}, {mid:g}, {high:g}), recall@1/5/10 "
        + " / ".join(f"{100 * value:.1f}" for value in best)
    )
    if recipe is not None:
        say(f"next: hafloc reproduce table2 --per-weight {shlex.quote(str(out))} --data … -o …")


@command(app, "average")
def average(
    first: Annotated[str, typer.Argument(help="Checkpoint: a shipped name or a file.")],
    second: Annotated[str, typer.Argument(help="Another one of the same network.")],
    out: Out,
    weight: Annotated[float, typer.Option(help="Part of the second, 0 to 1.")] = 0.5,
    as_json: Json = False,
) -> None:
    """Write the weighted mean of two checkpoints' weights."""
    from hafloc.train.average import average as mix

    checkpoint_hash = mix(first, second, weight, out)
    if as_json:
        print_json({"checkpoint": out, "hash": checkpoint_hash})
    else:
        say(f"{out}: hash {checkpoint_hash}")
