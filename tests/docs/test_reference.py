"""The generated pages are what the code says today."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "site"))

import write_reference as reference  # noqa: E402
from hafloc.cli.app import app  # noqa: E402
from hafloc.cli.statuses import PARTLY  # noqa: E402


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference.pages()


def test_the_pages_are_those_that_the_code_makes_today(pages: dict[str, str]) -> None:
    folder = reference.REFERENCE
    there = {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in folder.rglob("*.md")
    }
    stale = {name for name in {*pages, *there} if pages.get(name) != there.get(name)}
    assert stale == set(), "run `make docs`, or `python docs/site/write_reference.py`"


def commands() -> dict[str, Any]:
    """Every command without its groups, by its whole name."""
    found: dict[str, Any] = {}

    def below(name: str, command: Any) -> None:
        inner = getattr(command, "commands", None)
        if inner is None:
            found[name] = command
        for word in inner or ():
            below(f"{name} {word}".strip(), inner[word])

    below("", typer.main.get_command(app))
    return found


def test_every_command_option_default_and_status_is_told(pages: dict[str, str]) -> None:
    assert len(commands()) > 20
    for name, command in commands().items():
        word, _, inner = name.partition(" ")
        text = pages[f"commands/hafloc-{word}.md"]
        if inner:
            text = text.split(f"## `hafloc {name}`\n", 1)[1].split("\n## ", 1)[0]
        told = text.replace("\\", "")
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert option in told, (name, option)
            default = parameter.default
            if isinstance(default, int | float | str) and not isinstance(default, bool):
                # An environment variable may stand before it.
                assert f"`{default}`" in told or not parameter.show_default, (name, parameter.name)
        assert PARTLY.get(name, "0 done") in told, name


def test_only_public_names_are_in_the_pages_on_python(pages: dict[str, str]) -> None:
    named = [
        line.removeprefix("::: ")
        for name, text in pages.items()
        if name.startswith("python/")
        for line in text.splitlines()
        if line.startswith(":::")
    ]
    assert "hafloc.index.open_index" in named
    assert "hafloc.locate.Localizer" in named
    assert [name for name in named if any(x.startswith("_") for x in name.split("."))] == []
    assert len(named) == len(set(named)) or {x for x in named if named.count(x) > 1} <= {
        f"{home}.{name}" for name, home in __import__("hafloc")._HOMES.items()
    }


def test_an_environment_of_ones_own_changes_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert os.environ["COLUMNS"] == "40"
    assert reference.pages()["commands/hafloc-locate.md"] == (
        reference.REFERENCE / "commands" / "hafloc-locate.md"
    ).read_text("utf-8")
