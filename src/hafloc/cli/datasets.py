"""`hafloc datasets`: benchmarks, what they are, and whether yours is whole."""

from pathlib import Path
from typing import Annotated

import typer

from hafloc.cli.options import Json
from hafloc.cli.output import print_json, say, tell
from hafloc.cli.progress import bar
from hafloc.cli.statuses import IN_PART, epilog
from hafloc.cli.stopping import when_stopped
from hafloc.errors import EvaluationError

app = typer.Typer(help="Benchmarks: what they are, whether yours is whole.", no_args_is_help=True)

Options = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="An option of the benchmark; repeatable."),
]
Root = Annotated[Path, typer.Argument(help="Folder of the data set.", metavar="DIR")]
Name = Annotated[str, typer.Argument(help="The benchmark; see hafloc datasets list.")]


def parse_options(given: list[str] | None) -> dict[str, str]:
    """NAME=VALUE of each. Raises EvaluationError."""
    chosen = {}
    for text in given or ():
        name, found, value = text.partition("=")
        if not found:
            raise EvaluationError(f"--set {text} is not NAME=VALUE; write for example query=crop")
        chosen[name.strip()] = value.strip()
    return chosen


@app.command("list", epilog=epilog("datasets list"))
def list_(as_json: Json = False) -> None:
    """Every benchmark: what it is, its size, licence, source and options."""
    from hafloc.evaluate import CATALOGUE

    if as_json:
        fields = ("title", "size", "licence", "source", "layout", "unchecked", "options")
        print_json(
            {
                "datasets": [
                    {"name": name, **{field: getattr(known, field) for field in fields}}
                    for name, known in CATALOGUE.items()
                ]
            }
        )
        return
    for name, known in CATALOGUE.items():
        say(f"{name}: {known.title}")
        say(f"  {known.size}; {known.licence}")
        say(f"  from: {known.source}")
        say(f"  folder: {known.layout}")
        if known.unchecked:
            say(f"  not verified: {known.unchecked}")
        for option, choices in known.options.items():
            say(f"  --set {option}={'|'.join(choices) or '…'}")


@app.command(epilog=epilog("datasets check"))
def check(name: Name, root: Root, options: Options = None, as_json: Json = False) -> None:
    """Check layout, counts and every image."""
    from hafloc.evaluate import check as look

    with bar() as progress:
        finding = look(name, root, parse_options(options), progress)
    if as_json:
        facts, problems = finding.facts, finding.problems
        print_json(
            {
                "name": name,
                "root": root,
                "complete": not problems,
                "facts": facts,
                "problems": problems,
            }
        )
    else:
        for fact in finding.facts:
            say(fact)
        for problem in finding.problems:
            tell(f"problem: {problem}")
        if not finding.problems:
            say(f"{root}: complete")
    if finding.problems:
        raise typer.Exit(IN_PART)


@app.command(epilog=epilog("datasets prepare"))
def prepare(name: Name, root: Root, as_json: Json = False) -> None:
    """Download what is public, unpack what lies in the folder; run again to go on."""
    from hafloc.evaluate import prepare as bring

    stopped = "what was fetched is kept; run the same command again to go on"
    with when_stopped(stopped), bar() as progress:
        done = bring(name, root, progress)
    if as_json:
        print_json({"name": name, "root": root, "done": done})
        return
    for line in done or ("nothing to do",):
        say(line)
