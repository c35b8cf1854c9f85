"""`hafloc train`, `sweep` and `average`: learn networks, find level weights, mix checkpoints."""

from pathlib import Path
from typing import Annotated

import typer

from hafloc.cli.progress import bar

RecipePath = Annotated[Path, typer.Argument(help="The recipe, a TOML file; see configs/.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change the recipe: section.key=value, as in TOML; repeatable."),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the run, made if absent.")]


def train(
    recipe: RecipePath,
    out: Out,
    changes: Changes = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
) -> None:
    """Train a network from photos with positions."""
    from hafloc.train import read_recipe
    from hafloc.train import train as run

    checked = read_recipe(recipe, changes or [])
    with bar() as progress:
        result = run(checked, out, resume=resume, progress=progress, tell=progress.tell)
    typer.echo(
        f"{result.model}: best epoch {result.best_epoch + 1}, "
        f"validation recall@5 {100 * result.best_recall:.1f} %"
    )


def sweep(
    photos: Annotated[Path, typer.Argument(help="Folder with photos and positions.csv.")],
    out: Out,
    model: Annotated[str, typer.Option(help="Checkpoint: a shipped name or a file.")] = "haf",
    recipe: Annotated[
        Path | None, typer.Option(help="Train this recipe for each point instead (slow).")
    ] = None,
    changes: Changes = None,
) -> None:
    """Try all level weights in steps of 0.1: table, best point, heat map."""
    from hafloc.train import read_recipe
    from hafloc.train.sweep import sweep_fusion, sweep_training

    with bar() as progress:
        if recipe is None:
            found = sweep_fusion(model, photos, out, progress=progress)
        else:
            wanted = [*(changes or []), f"data.validation=[{str(photos)!r}]"]
            found = sweep_training(read_recipe(recipe, wanted), out, progress=progress)
    low, mid, high = found.points[found.best]
    best = found.recalls[found.best]
    typer.echo(
        f"{out / 'sweep.csv'}: best λ ({low:g}, {mid:g}, {high:g}), recall@1/5/10 "
        + " / ".join(f"{100 * value:.1f}" for value in best)
    )


def average(
    first: Annotated[str, typer.Argument(help="Checkpoint: a shipped name or a file.")],
    second: Annotated[str, typer.Argument(help="Another one of the same network.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The checkpoint to write.")],
    weight: Annotated[float, typer.Option(help="Part of the second, 0 to 1.")] = 0.5,
) -> None:
    """Write the weighted mean of two checkpoints' weights."""
    from hafloc.train.average import average as mix

    typer.echo(f"{out}: hash {mix(first, second, weight, out)}")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("train")(train)
    app.command("sweep")(sweep)
    app.command("average")(average)
