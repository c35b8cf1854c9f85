"""What --help says and how it looks: all of it, at any width, and the same by either way."""

import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hafloc.cli import app as application
from hafloc.cli import main
from hafloc.cli.commands import COMMANDS, root_page
from hafloc.cli.explained import first_line
from hafloc.cli.help_page import Page, Panel, Row, draw, print_page

words = st.text("abc-<>[]λ", min_size=1, max_size=60)
texts = st.lists(words, min_size=1, max_size=12).map(" ".join)


def commands() -> Iterator[tuple[str, Any, Any]]:
    """Every command and group with its context, by its whole name."""

    def below(name: str, command: Any, parent: Any) -> Iterator[tuple[str, Any, Any]]:
        context = command.context_class(
            command, info_name=name.split()[-1], parent=parent, **command.context_settings
        )
        yield name, command, context
        for word in getattr(command, "commands", {}):
            yield from below(f"{name} {word}", command.commands[word], context)

    yield from below("hafloc", typer.main.get_command(application.app), None)


def printed(*words: str) -> str:
    return CliRunner().invoke(application.app, list(words)).output


@pytest.mark.parametrize("option", ["--help", "-h", "--version"])
def test_what_is_said_without_typer_is_what_typer_says(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["hafloc", option])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert capsys.readouterr().out == printed(option)


def test_the_list_of_commands_says_of_each_what_its_own_help_begins_with() -> None:
    group = typer.main.get_command(application.app)
    loaded = {name: first_line(group.commands[name].help) for name in COMMANDS}  # type: ignore[attr-defined]
    assert loaded == {name: entry.summary for name, entry in COMMANDS.items()}


def test_the_first_page_names_the_options_that_are_parsed() -> None:
    _, group, context = next(commands())
    parsed = {Row(*parameter.get_help_record(context)) for parameter in group.get_params(context)}
    assert set(root_page().panels[0].rows) == parsed


def test_every_page_says_each_option_and_all_of_its_help(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given lines so wide that none is wrapped
    monkeypatch.setenv("COLUMNS", "700")
    for name, command, context in commands():
        page = " ".join(printed(*name.split()[1:], "--help").split())
        assert f"Usage: {name}" in page
        for parameter in command.get_params(context):
            assert " ".join((parameter.help or "").split()) in page, (name, parameter.name)
            for option in (*parameter.opts, *parameter.secondary_opts):
                shown = option if option.startswith("-") else parameter.metavar or option
                assert shown in page, (name, option)


def test_a_group_without_a_command_prints_its_help() -> None:
    done = CliRunner().invoke(application.app, ["index"])
    assert "Check an index for damage" in done.output


@given(st.lists(st.builds(Row, texts, texts), min_size=1, max_size=4), st.integers(40, 160))
def test_a_panel_has_straight_sides_and_keeps_every_letter(rows: list[Row], width: int) -> None:
    lines = draw(Page("Usage: x", "Does.", [Panel("Options", rows)]), width)
    box = [line for line in lines if line[:1] in tuple("╭│╰")]
    assert {len(line) for line in box} == {width}
    kept = "".join(box[1:-1]).replace("│", "")
    said = "".join(row.names + row.text for row in rows)
    stars = "*" * sum(row.is_required for row in rows)
    assert sorted(kept.replace(" ", "")) == sorted(said.replace(" ", "") + stars)


def test_colours_change_no_letter() -> None:
    rows = [Row("-o, --out <path>", "See --help. [default: 5; x>=1]"), Row("--in", "A. [required]")]
    page = Page("Usage: x [OPTIONS]", "Reads -x.", [Panel("Options", rows)], "End.")
    coloured = draw(page, 60, coloured=True)
    assert "\x1b[1;36m--out\x1b[0m" in "".join(coloured)
    assert [re.sub("\x1b\\[[0-9;]*m", "", line) for line in coloured] == draw(page, 60)


def test_where_the_output_knows_no_boxes_they_are_ascii() -> None:
    page = Page("Usage: x", "Does.", [Panel("Options", [Row("--a", "B.")])])
    assert draw(page, 40, ascii_only=True)[5:8] == [
        "+- Options ----------------------------+",
        "| --a  B.                              |",
        "+--------------------------------------+",
    ]


def test_an_empty_panel_is_left_out() -> None:
    assert "Arguments" not in "".join(draw(Page("Usage: x", "", [Panel("Arguments", [])]), 80))


def test_a_terminal_that_is_narrower_than_a_page_can_be_gets_the_narrowest() -> None:
    page = Page("Usage: x", "Does.", [Panel("Options", [Row("--a", "B.")])])
    assert draw(page, 0) == draw(page, 40)


@pytest.mark.parametrize(("columns", "width"), [(0, 80), (100, 100)])
def test_a_page_is_as_wide_as_the_terminal_or_80_where_that_is_unknown(
    columns: int, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((columns, 24)))
    monkeypatch.setattr(sys, "__stdout__", sys.__stderr__)
    print_page(root_page())
    assert max(map(len, capsys.readouterr().out.splitlines())) == width
