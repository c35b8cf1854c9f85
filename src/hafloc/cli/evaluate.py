"""`hafloc evaluate`, `hafloc datasets`, `hafloc reproduce`: measure networks on benchmarks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from hafloc.cli.progress import bar
from hafloc.errors import EvaluationError

SOMETHING_WRONG = 1

datasets = typer.Typer(
    help="Benchmarks: what they are, whether yours is whole.", no_args_is_help=True
)

Options = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="An option of the benchmark; repeatable."),
]
Root = Annotated[Path, typer.Argument(help="Folder of the data set.", metavar="DIR")]
Cache = Annotated[
    Path | None, typer.Option(help="Where vectors are kept; by default in ~/.cache/hafloc.")
]
WhitenOn = Annotated[
    str | None,
    typer.Option(
        metavar="DIR[,DIR]",
        help="Fit a PCA whitening on these photos, unrelated to the benchmark, and apply it.",
    ),
]
Dimension = Annotated[int | None, typer.Option(min=1, help="How many whitened dimensions to keep.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("evaluate", cls=SeveralNames)(evaluate)
    app.add_typer(datasets, name="datasets")
    app.command("reproduce")(reproduce)


class SeveralNames(TyperCommand):
    """Lets `--compare a b c` stand for `--compare a --compare b --compare c`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spread(args, "--compare"))


def spread(args: Sequence[str], option: str) -> list[str]:
    """The arguments with `option` before each of the plain words that follow it."""
    out: list[str] = []
    taking = False
    for word in args:
        if word.startswith("-"):
            taking = word.partition("=")[0] == option
        elif taking and out[-1] != option:
            out.append(option)
        out.append(word)
    return out


def evaluate(
    benchmark: Annotated[str, typer.Option(help="Its name; see hafloc datasets list.")],
    root: Annotated[Path, typer.Option(help="Folder of the data set; the index for `index`.")],
    model: Annotated[
        str | None,
        typer.Option(help="Checkpoint: a shipped name, a file, or onnx:FILE.", show_default="haf"),
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            help="Checkpoints for one table and one figure: --compare haf runs/a.safetensors …",
            metavar="MODEL…",
        ),
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(min=0, help="Metres within which an answer is right.")
    ] = None,
    options: Options = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write scores, protocol and provenance.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Write the curves beside this name as PNG and SVG.")
    ] = None,
    gallery: Annotated[
        Path | None, typer.Option(help="Write an HTML page of queries and answers to this folder.")
    ] = None,
    whiten_on: WhitenOn = None,
    whitening: Annotated[
        Path | None, typer.Option(help="Apply the whitening that --save-whitening wrote.")
    ] = None,
    save_whitening: Annotated[
        Path | None, typer.Option(help="Keep what --whiten-on fitted, as .npz.")
    ] = None,
    dimension: Dimension = None,
    cache: Cache = None,
) -> None:
    """Measure networks on a benchmark, under its protocol."""
    from hafloc import evaluate as rooms
    from hafloc.describe import Describer

    names = list(dict.fromkeys([*([model] if model else []), *(compare or ())])) or ["haf"]
    _check_whitening(names, whiten_on, whitening, save_whitening, dimension)
    chosen = _options(options)
    if tolerance is not None:
        chosen["tolerance"] = str(tolerance)
    loaded = rooms.load(benchmark, root, chosen)
    kept = rooms.BenchmarkWhitening.load(whitening) if whitening else None
    results = []
    for network in [Describer.open(name) for name in names]:
        with bar() as progress:
            if whiten_on:
                kept = rooms.fit_whitening(
                    network,
                    _folders(whiten_on),
                    cache or rooms.cache_folder(),
                    progress,
                    dimension=dimension,
                    evaluated=(*loaded.database, *loaded.queries),
                )
            result = rooms.evaluate(
                loaded,
                network,
                cache=cache,
                whitening=kept,
                dimension=dimension,
                progress=progress,
            )
        results.append(result)
    if save_whitening and kept:
        kept.save(save_whitening)
    typer.echo(rooms.table(results), nl=False)
    typer.echo("".join(f"\n{line}" for line in rooms.difference_lines(results)))
    typer.echo("\n".join(rooms.protocol_lines(results[0])))
    written = rooms.write_galleries(gallery, results) if gallery else []
    if json_file:
        written.append(rooms.write_json(json_file, results))
    if figure:
        written += rooms.write_figure(rooms.draw(results), figure)
    for path in written:
        typer.echo(f"wrote {path}", err=True)


def _check_whitening(
    names: Sequence[str],
    whiten_on: str | None,
    whitening: Path | None,
    save_whitening: Path | None,
    dimension: int | None,
) -> None:
    if whiten_on and whitening:
        raise EvaluationError("--whiten-on fits a whitening and --whitening brings one; name one")
    if dimension and not (whiten_on or whitening):
        raise EvaluationError(
            f"--dimension {dimension} keeps the first, strongest, of whitened dimensions; add "
            "--whiten-on DIR with photos unrelated to the benchmark"
        )
    if save_whitening and not whiten_on:
        raise EvaluationError("--save-whitening keeps what --whiten-on fits; name its folders")
    if len(names) > 1 and (save_whitening or whitening):
        raise EvaluationError(
            "a whitening file belongs to one network; leave --compare out, or use --whiten-on"
        )


def _folders(text: str) -> list[Path]:
    return [Path(part.strip()) for part in text.split(",") if part.strip()]


def _options(given: list[str] | None) -> dict[str, str]:
    chosen = {}
    for text in given or ():
        name, found, value = text.partition("=")
        if not found:
            raise EvaluationError(f"--set {text} is not NAME=VALUE; write for example query=crop")
        chosen[name.strip()] = value.strip()
    return chosen


@datasets.command("list")
def list_() -> None:
    """Every benchmark: what it is, its size, licence, source and options."""
    from hafloc.evaluate import CATALOGUE

    for name, known in CATALOGUE.items():
        typer.echo(f"{name}: {known.title}")
        typer.echo(f"  {known.size}; {known.licence}")
        typer.echo(f"  from: {known.source}")
        typer.echo(f"  folder: {known.layout}")
        if known.unchecked:
            typer.echo(f"  not verified: {known.unchecked}")
        for option, choices in known.options.items():
            typer.echo(f"  --set {option}={'|'.join(choices) or '…'}")


@datasets.command()
def check(name: str, root: Root, options: Options = None) -> None:
    """Check layout, counts and every image; exit status 1 where something is wrong."""
    from hafloc.evaluate import check as look

    with bar() as progress:
        finding = look(name, root, _options(options), progress)
    for fact in finding.facts:
        typer.echo(fact)
    for problem in finding.problems:
        typer.echo(f"problem: {problem}", err=True)
    if finding.problems:
        raise typer.Exit(SOMETHING_WRONG)
    typer.echo(f"{root}: complete")


@datasets.command()
def prepare(name: str, root: Root) -> None:
    """Download what is public, unpack what lies in the folder; run again to go on."""
    from hafloc.evaluate import prepare as bring

    with bar() as progress:
        done = bring(name, root, progress)
    for line in done or ("nothing to do",):
        typer.echo(line)


def reproduce(
    part: Annotated[str, typer.Argument(help="table1, table2, fig1 or fig3.")],
    data: Annotated[Path, typer.Option(help="Folder with one folder a benchmark, named like it.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    model: Annotated[
        list[str] | None, typer.Option(help="Checkpoints, named after their method; repeatable.")
    ] = None,
    photo: Annotated[
        list[Path] | None, typer.Option(help="Photos for the heat maps of fig1; repeatable.")
    ] = None,
    whiten_on: WhitenOn = None,
    dimension: Dimension = None,
    cache: Cache = None,
) -> None:
    """Write a table or figure of the paper, its numbers beside ours."""
    from hafloc.describe import Describer
    from hafloc.evaluate import Setup
    from hafloc.evaluate import reproduce as write

    networks = [Describer.open(name) for name in model or ["haf"]]
    _check_whitening([], whiten_on, None, None, dimension)
    setup = Setup(
        data, networks, photo or (), cache, _folders(whiten_on) if whiten_on else (), dimension
    )
    with bar() as progress:
        written = write(part, out, setup, progress)
    for path in written:
        typer.echo(path)
