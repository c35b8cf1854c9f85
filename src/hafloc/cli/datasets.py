"""`hafloc datasets`: benchmarks, what they are, and whether yours is whole."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from hafloc.cli.explained import command, group
from hafloc.cli.options import Json
from hafloc.cli.output import print_json, say, tell
from hafloc.cli.progress import bar
from hafloc.cli.statuses import IN_PART
from hafloc.cli.stopping import when_stopped
from hafloc.errors import EvaluationError, OptionError

app = group("Benchmarks: what they are, whether yours is whole.")


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


@command(app, "datasets list")
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


@command(app, "datasets check")
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


@command(app, "datasets prepare")
def prepare(
    name: Name,
    root: Root,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Make training folders there instead: SPLIT/database and SPLIT/queries.",
        ),
    ] = None,
    splits: Annotated[
        list[str] | None,
        typer.Option("--split", help="train, val or test, of --out; repeatable. All by default."),
    ] = None,
    positions: Annotated[
        Path | None,
        typer.Option(help="With --out, for plain folders: a table image,lat,lon[,heading,time]."),
    ] = None,
    copy: Annotated[
        bool, typer.Option("--copy", help="With --out: copy the photos instead of linking them.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Download what is public, unpack what lies in the folder; run again to go on.

    With --out, make training folders of pitts30k, pitts250k, tokyotm or your own photos (folder).
    """
    if out is not None:
        _training_folders(name, root, out, splits or (), positions, copy, as_json)
        return
    if splits or positions or copy:
        raise OptionError(
            "--split, --positions and --copy are for training folders; add --out FOLDER"
        )
    from hafloc.evaluate import prepare as bring

    stopped = "what was fetched is kept; run the same command again to go on"
    with when_stopped(stopped), bar() as progress:
        done = bring(name, root, progress)
    if as_json:
        print_json({"name": name, "root": root, "done": done})
        return
    for line in done or ("nothing to do",):
        say(line)


def _training_folders(
    name: str,
    root: Path,
    out: Path,
    splits: Sequence[str],
    positions: Path | None,
    copy: bool,
    as_json: bool,
) -> None:
    from hafloc.evaluate import make_training_folders, next_command

    stopped = "the photos placed so far are kept; run the same command again to go on"
    with when_stopped(stopped), bar() as progress:
        made = make_training_folders(
            name, root, out, splits=splits, table=positions, copy=copy, progress=progress
        )
    following = next_command(out, made)
    if as_json:
        print_json({"name": name, "root": root, "folders": made, "next": following})
    else:
        for folder in made:
            ways = ", ".join(f"{count:,} {way}" for way, count in folder.ways.items())
            say(f"{folder.path}: {folder.photos:,} photos at {folder.places:,} places ({ways})")
        say(f"next: {following}")
    for folder in made:
        for remark in folder.remarks:
            tell(remark)
    if any(folder.remarks for folder in made):
        raise typer.Exit(IN_PART)
