"""Writes docs/reference/ from the code: a page for each command, and one for each room in Python.

`python docs/site/write_reference.py` writes them; `tests/docs/test_reference.py` fails when they
differ from what the code says today.
"""

import ast
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import hafloc
from hafloc.cli.app import app
from hafloc.cli.commands import COMMANDS
from hafloc.cli.statuses import EVERY, IN_PART, PARTLY

REFERENCE = Path(__file__).parents[1] / "reference"
SOURCE = Path(hafloc.__file__).parent
_FACTS = re.compile(r"\s*\[((?:default: |required|env var: |x[<>]|[\d.]+<)[^\]]*)\]$")
_ROOT = "hafloc"
# Doors that are for people's own programs; the command line and its parts are not.
NO_API = ("cli",)


def pages() -> dict[str, str]:
    """Each page's text by its path in docs/reference/."""
    return {**dict(_command_pages()), **dict(_python_pages())}


def _command_pages() -> Iterator[tuple[str, str]]:
    group: Any = typer.main.get_command(app)
    root = group.context_class(group, info_name=_ROOT, **group.context_settings)
    yield "commands/hafloc.md", _page(_ROOT, group, root, below=False)
    for word in COMMANDS:
        command = group.commands[word]
        context = command.context_class(command, info_name=word, parent=root)
        # Not `index.md`, which is the first page of a folder.
        yield f"commands/hafloc-{word}.md", _page(word, command, context)


def _page(name: str, command: Any, context: Any, *, below: bool = True) -> str:
    title = name if name == _ROOT else f"{_ROOT} {name}"
    lines = [f"# `{title}`", "", *_described(name, command, context)]
    for word in getattr(command, "commands", {}) if below else ():
        inner = command.commands[word]
        inside = inner.context_class(inner, info_name=word, parent=context)
        whole = f"{name} {word}"
        lines += [f"## `{_ROOT} {whole}`", "", *_described(whole, inner, inside)]
    if name == _ROOT:
        lines += ["## Commands", "", "| command | does |", "|---|---|"]
        lines += [
            f"| [`{_ROOT} {word}`](hafloc-{word}.md) | {_cell(entry.summary)} |"
            for word, entry in COMMANDS.items()
        ]
        lines += ["", "## Exit statuses", "", "| status | means |", "|---|---|"]
        lines += [f"| {number} | {_cell(means)} |" for number, means in EVERY.items()]
        lines += ["", f"Status {IN_PART} is told with the commands that have it."]
    return "\n".join(lines).rstrip() + "\n"


def _described(name: str, command: Any, context: Any) -> Iterator[str]:
    usage = " ".join(command.get_usage(context).removeprefix("Usage: ").split())
    yield from ("```text", usage, "```", "")
    for paragraph in (command.help or "").split("\n\n"):
        yield from (" ".join(paragraph.split()).replace("*", r"\*"), "")
    records = [(x, x.get_help_record(context)) for x in command.get_params(context)]
    for title, is_option in (("argument", False), ("option", True)):
        rows = [row for x, row in records if row and (x.param_type_name == "option") == is_option]
        if rows:
            yield from (f"| {title} | default | means |", "|---|---|---|")
            yield from (_row(*row) for row in rows)
            yield ""
    if name in PARTLY:
        yield from (f"Exit status: 0 done; {IN_PART} {PARTLY[name]}; 2 refused or failed.", "")
    elif not hasattr(command, "commands"):
        yield from ("Exit status: 0 done; 2 refused or failed.", "")


def _row(names: str, text: str) -> str:
    facts: list[str] = []
    if found := _FACTS.search(text):
        text, facts = text[: found.start()], found[1].split("; ")
    told = ", ".join(_fact(fact) for fact in facts)
    return f"| `{_code(' '.join(names.split()))}` | {told} | {_cell(text)} |"


def _fact(fact: str) -> str:
    word, _, value = fact.partition(": ")
    return f"`{_code(value)}`" if word in ("default", "env var") else _cell(fact)


def _cell(text: str) -> str:
    """Text for a table's cell: no mark of Markdown or HTML in it means anything."""
    text = " ".join(text.split())
    for mark in "\\*<|[":
        text = text.replace(mark, f"\\{mark}")
    return text


def _code(text: str) -> str:
    return text.replace("|", "\\|")


def _python_pages() -> Iterator[tuple[str, str]]:
    rooms = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))
    doors = [_ROOT, *(f"{_ROOT}.{room}" for room in rooms if room not in NO_API)]
    single = [f"{_ROOT}.{path.stem}" for path in (SOURCE / "geo.py", SOURCE / "errors.py")]
    for door in [*doors, f"{_ROOT}.description", *single]:
        file = SOURCE.joinpath(*door.split(".")[1:])
        path = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
        tree = ast.parse(path.read_text("utf-8"))
        # Constants after what uses them.
        names = sorted(_public(tree), key=str.isupper)
        if not names:
            continue
        about = " ".join((ast.get_docstring(tree) or "").partition("\n\n")[0].split())
        lines = [f"# `{door}`", "", about, ""]
        # The package's own names are loaded at first use, which reading the code does not see.
        homes = hafloc._HOMES if door == _ROOT else {}
        lines += [f"::: {homes.get(name, door)}.{name}" for name in names]
        yield f"python/{door.replace('.', '-')}.md", "\n".join(lines).rstrip() + "\n"


def _public(tree: ast.Module) -> list[str]:
    """The names of `__all__`, or of a file without one those without an underscore."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    made = (ast.ClassDef, ast.FunctionDef)
    return [x.name for x in tree.body if isinstance(x, made) and not x.name.startswith("_")]


def main() -> None:
    # Defaults and types are as a wide terminal without settings shows them.
    for name in [x for x in os.environ if x.startswith("HAFLOC_")]:
        del os.environ[name]
    wanted = pages()
    for name, text in wanted.items():
        path = REFERENCE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    for path in REFERENCE.rglob("*.md"):
        if path.relative_to(REFERENCE).as_posix() not in wanted:
            path.unlink()
    print(f"{REFERENCE}: {len(wanted)} pages", file=sys.stderr)


if __name__ == "__main__":
    main()
