"""`hafloc evaluate`, `hafloc datasets`, `hafloc reproduce`: measure networks on benchmarks."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hafloc.cli.datasets import Options, parse_options
from hafloc.cli.explained import Explained, command, group
from hafloc.cli.options import MODEL_HELP, Device, Json, Precision, Runtime, Trust, check_target
from hafloc.cli.output import print_json, say, tell
from hafloc.cli.progress import bar
from hafloc.cli.stopping import when_stopped
from hafloc.errors import EvaluationError, OptionError

if TYPE_CHECKING:
    from hafloc.evaluate import Result

app = group()

_STANDARD_OUTPUT = "-"
_VECTORS_KEPT = "vectors described so far are kept; run the same command again to go on"

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


class SeveralNames(Explained):
    """Lets `--compare a b c` stand for `--compare a --compare b --compare c`, and a bare `--json`
    for `--json -`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, complete(spread(args, "--compare"), "--json", "-"))


def complete(args: Sequence[str], option: str, value: str) -> list[str]:
    """The arguments with `value` after an `option` that no value follows."""
    out = []
    for word, following in zip(args, [*args[1:], "--"], strict=True):
        out.append(word)
        if word == option and following.startswith("-") and following != "-":
            out.append(value)
    return out


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


def _check_json(file: str | None) -> str | None:
    if file not in (None, _STANDARD_OUTPUT):
        check_target(Path(file))
    return file


@command(app, "evaluate", SeveralNames)
def evaluate(
    benchmark: Annotated[str, typer.Option(help="Its name; see hafloc datasets list.")],
    root: Annotated[Path, typer.Option(help="Folder of the data set; the index for `index`.")],
    model: Annotated[
        str | None,
        typer.Option(help=MODEL_HELP, show_default="haf"),
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
        str | None,
        typer.Option(
            "--json",
            metavar="[FILE]",
            help="Write scores, protocol and provenance; without FILE, or for -, to standard "
            "output and nothing else there.",
            callback=_check_json,
        ),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            help="Write the curves beside this name as PNG and SVG.", callback=check_target
        ),
    ] = None,
    gallery: Annotated[
        Path | None, typer.Option(help="Write an HTML page of queries and answers to this folder.")
    ] = None,
    whiten_on: WhitenOn = None,
    whitening: Annotated[
        Path | None, typer.Option(help="Apply the whitening that --save-whitening wrote.")
    ] = None,
    save_whitening: Annotated[
        Path | None,
        typer.Option(help="Keep what --whiten-on fitted, as .npz.", callback=check_target),
    ] = None,
    dimension: Dimension = None,
    regions: Annotated[
        bool, typer.Option("--regions", help="Compare parts of photos too, as an index does.")
    ] = False,
    cache: Cache = None,
    device: Device = "auto",
    runtime: Runtime = "torch",
    precision: Precision = "auto",
    trust: Trust = False,
) -> None:
    """Measure networks on a benchmark, under its protocol."""
    from hafloc import evaluate as rooms
    from hafloc.describe import Describer, choose_device

    names = list(dict.fromkeys([*([model] if model else []), *(compare or ())])) or ["haf"]
    _check_whitening(names, whiten_on, whitening, save_whitening, dimension)
    chosen = parse_options(options)
    if tolerance is not None:
        chosen["tolerance"] = str(tolerance)
    loaded = rooms.load(benchmark, root, chosen)
    kept = rooms.BenchmarkWhitening.load(whitening) if whitening else None
    where = choose_device(device)
    open_one = partial(Describer.open, device=where, runtime=runtime, precision=precision)
    opened = [open_one(name) for name in names]
    networks = [rooms.WithRegions(one) if regions else one for one in opened]
    results = []
    with when_stopped(_VECTORS_KEPT), bar() as progress:
        for network in networks:
            if whiten_on:
                kept = rooms.fit_whitening(
                    network,
                    _folders(whiten_on),
                    cache or rooms.cache_folder(),
                    progress,
                    dimension=dimension,
                    evaluated=(*loaded.database, *loaded.queries),
                )
            results.append(
                rooms.evaluate(
                    loaded,
                    network,
                    cache=cache,
                    whitening=kept,
                    dimension=dimension,
                    progress=progress,
                )
            )
    if save_whitening and kept:
        kept.save(save_whitening)
    if json_file != _STANDARD_OUTPUT:
        _print(results)
    written = rooms.write_galleries(gallery, results) if gallery else []
    if json_file not in (None, _STANDARD_OUTPUT):
        written.append(rooms.write_json(Path(json_file), results))
    if figure:
        written += rooms.write_figure(rooms.draw(results), figure)
    if json_file == _STANDARD_OUTPUT:
        print_json({"results": [_facts(one) for one in results], "written": written})
        return
    for path in written:
        tell(f"wrote {path}")


def _print(results: "list[Result]") -> None:
    from hafloc import evaluate as rooms

    for line in rooms.table(results).splitlines():
        say(line)
    for line in rooms.difference_lines(results):
        say(line)
    for line in rooms.protocol_lines(results[0]):
        say(line)


def _facts(result: "Result") -> dict[str, Any]:
    """What --json FILE writes of a result, under keys that need no quotes in other languages.

    Scores, intervals and protocol keep their own names, as keys of objects of their own.
    """
    from hafloc.evaluate import as_json

    content = as_json(result)
    scores = {name: content.pop(name) for name in result.scores}
    model = dict(content.pop("model"))
    provenance = content.pop("provenance")
    return {
        "model": model | {"options": json.loads(model["options"])},
        "scores": scores,
        **{key.replace(" ", "_"): value for key, value in content.items()},
        "provenance": {key.replace(" ", "_"): value for key, value in provenance.items()},
    }


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


@command(app, "reproduce")
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
    per_weight: Annotated[
        Path | None,
        typer.Option(
            help="For table2: the folder of `hafloc sweep --per-weight`, one model for each λ."
        ),
    ] = None,
    whiten_on: WhitenOn = None,
    dimension: Dimension = None,
    cache: Cache = None,
    device: Device = "auto",
    runtime: Runtime = "torch",
    precision: Precision = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Write a table or figure of the paper, its numbers beside ours."""
    from hafloc.describe import Describer, choose_device
    from hafloc.evaluate import Setup, models_of_sweep
    from hafloc.evaluate import reproduce as write

    if photo and part != "fig1":
        raise OptionError(f"--photo is for the heat maps of fig1, not for {part}; leave it out")
    if per_weight and part != "table2":
        raise OptionError(f"--per-weight is for table2, not for {part}; leave it out")
    where = choose_device(device)
    open_one = partial(Describer.open, device=where, runtime=runtime, precision=precision)
    trained = models_of_sweep(per_weight) if per_weight else ()
    networks = [open_one(name) for name in model or ["haf"]]
    _check_whitening([], whiten_on, None, None, dimension)
    setup = Setup(
        data,
        networks,
        photo or (),
        cache,
        _folders(whiten_on) if whiten_on else (),
        dimension,
        [partial(open_one, path) for path in trained],
    )
    with when_stopped(_VECTORS_KEPT), bar() as progress:
        written = write(part, out, setup, progress)
    if as_json:
        print_json({"part": part, "written": written})
        return
    for path in written:
        say(path)
