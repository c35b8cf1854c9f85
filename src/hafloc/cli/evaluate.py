"""`hafloc evaluate`, `hafloc datasets`, `hafloc reproduce`: measure networks on benchmarks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hafloc.cli.progress import bar
from hafloc.errors import EvaluationError

if TYPE_CHECKING:
    pass

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


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("evaluate")(evaluate)
    app.add_typer(datasets, name="datasets")
    app.command("reproduce")(reproduce)


def evaluate(
    benchmark: Annotated[str, typer.Option(help="Its name; see hafloc datasets list.")],
    root: Annotated[Path, typer.Option(help="Folder of the data set; the index for `index`.")],
    model: Annotated[
        str, typer.Option(help="Checkpoint: a shipped name, a file, or onnx:FILE.")
    ] = "haf",
    compare: Annotated[
        list[str] | None,
        typer.Option(help="Further checkpoints for one table and figure; repeatable."),
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
    whitening: Annotated[
        Path | None, typer.Option(help="A whitening (.npz) to apply to all vectors.")
    ] = None,
    dimensions: Annotated[
        int | None, typer.Option(min=1, help="How many whitened dimensions to keep.")
    ] = None,
    cache: Cache = None,
) -> None:
    """Measure networks on a benchmark, under its protocol."""
    from hafloc import evaluate as rooms
    from hafloc.describe import Describer

    chosen = _options(options)
    if tolerance is not None:
        chosen["tolerance"] = str(tolerance)
    loaded = rooms.load(benchmark, root, chosen)
    fitted = rooms.BenchmarkWhitening.load(whitening) if whitening else None
    results = []
    for name in (model, *(compare or ())):
        with bar() as progress:
            result = rooms.evaluate(
                loaded,
                Describer.open(name),
                cache=cache,
                whitening=fitted,
                dimensions=dimensions,
                progress=progress,
            )
        results.append(result)
        if gallery:
            folder = gallery / result.name if compare else gallery
            typer.echo(f"gallery: {rooms.write_gallery(folder, result)}", err=True)
    typer.echo(rooms.table(results), nl=False)
    typer.echo()
    typer.echo("\n".join(rooms.protocol_lines(results[0])))
    if json_file:
        rooms.write_json(json_file, results)
    if figure:
        rooms.write_figure(rooms.draw(results), figure)


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
    cache: Cache = None,
) -> None:
    """Write a table or figure of the paper, its numbers beside ours."""
    from hafloc.describe import Describer
    from hafloc.evaluate import Setup
    from hafloc.evaluate import reproduce as write

    networks: list[Describer] = [Describer.open(name) for name in model or ["haf"]]
    with bar() as progress:
        written = write(part, out, Setup(data, networks, photo or (), cache), progress)
    for path in written:
        typer.echo(path)
