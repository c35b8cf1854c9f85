"""typer's commands and groups, with a --help page of our own drawing."""

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from hafloc.cli.help_page import Page, Panel, Row, print_page
from hafloc.cli.statuses import epilog

Function = TypeVar("Function", bound=Callable[..., Any])


class Explained(TyperCommand):
    """A command."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        print_page(Page(*_head(self, ctx), _parameters(self, ctx), self.epilog or ""))


class ExplainedGroup(TyperGroup):
    """A group of commands."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append(Row(name, first_line(command.help)))
        panels = [*_parameters(self, ctx), Panel("Commands", rows)]
        print_page(Page(*_head(self, ctx), panels, self.epilog or ""))

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)
        if option is not None:
            # typer loads pydantic to make a truth value of none, on the way to every command.
            option.default = False
        return option


def first_line(text: str | None) -> str:
    """What a list of commands says of one: the first paragraph of its help."""
    return " ".join((text or "").split("\n\n")[0].split())


def command(
    app: typer.Typer, name: str, cls: type[Explained] = Explained
) -> Callable[[Function], Function]:
    """Make a function the command `name` of `app`, where groups are named too ("index build")."""
    return app.command(name.split()[-1], cls=cls, epilog=epilog(name))


def group(text: str = "") -> typer.Typer:
    """An empty group of commands; `text` is its help, none where a file's commands stand alone."""
    return typer.Typer(cls=ExplainedGroup, help=text, no_args_is_help=True, add_completion=False)


def _head(command: Any, ctx: Any) -> tuple[str, str]:
    return command.get_usage(ctx), command.help or ""


def _parameters(command: Any, ctx: Any) -> list[Panel]:
    rows: dict[bool, list[Row]] = {True: [], False: []}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            rows[isinstance(parameter, TyperArgument)].append(Row(*record))
    return [Panel("Arguments", rows[True]), Panel("Options", rows[False])]
