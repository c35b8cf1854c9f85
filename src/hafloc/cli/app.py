"""Puts the commands together and runs them for the guard; a command is loaded when it is asked."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand
from typer.main import get_group

from hafloc.cli.asking import start_asking
from hafloc.cli.commands import (
    COMMANDS,
    DEBUG_HELP,
    EPILOG,
    PURPOSE,
    VERSION,
    VERSION_HELP,
    root_page,
)
from hafloc.cli.explained import ExplainedGroup
from hafloc.cli.help_page import print_page
from hafloc.cli.statuses import REFUSED
from hafloc.errors import OptionError

_COMPLETION = ("--install-completion", "--show-completion")


class _StoppedError(Exception):
    """Carries out of typer what it would end in its own way, without a word."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__()
        self.cause = cause


class _Loaded(Mapping[str, Any]):
    """The commands by name; to look at one loads its file alone."""

    def __getitem__(self, name: str) -> Any:
        built = get_group(import_module(f"hafloc.cli.{COMMANDS[name].file}").app)
        built.name = name
        # A group is what its file makes, whole.
        return built.commands.get(name, built)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Commands(ExplainedGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = _Loaded()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        print_page(root_page())

    def get_params(self, ctx: Any) -> Any:
        options = super().get_params(ctx)
        for option in options:
            if set(option.opts) & set(_COMPLETION):
                # typer loads pydantic to make a truth value of none, on the way to every command.
                option.default = False
        return options

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        # A Tab at the first word is answered without loading what the commands are made of.
        self.commands = {
            name: TyperCommand(name, help=entry.summary) for name, entry in COMMANDS.items()
        }
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self.commands = _Loaded()

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, EOFError, OSError) as error:
            raise _StoppedError(error) from error


app = typer.Typer(
    name="hafloc",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback(help=PURPOSE, epilog=EPILOG)
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help=VERSION_HELP
    ),
    # The guard takes it out of the words, wherever it stands; here is its help.
    debug: bool = typer.Option(False, "--debug", help=DEBUG_HELP),
) -> None:
    start_asking()


def run(words: list[str]) -> int:
    """Run one command; its exit status. Raises OptionError where the words make no command."""
    if "" in words:
        # As a path it would mean the current folder, which an unset variable never does.
        raise OptionError("an argument is empty; leave it out, or name what it stands for")
    try:
        status = app(words, prog_name="hafloc", standalone_mode=False)
    except _StoppedError as stopped:
        raise stopped.cause from None
    except Exception as error:
        # typer's own errors, whose home moved from click into typer.
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":  # the help has been printed
            return REFUSED
        raise OptionError(_misuse(error)) from error
    if status and words[0] in _COMPLETION:
        raise OptionError(
            "the shell that runs this cannot be told, or is none of bash, zsh, fish and "
            "PowerShell; `_HAFLOC_COMPLETE=source_bash hafloc` prints what bash reads"
        )
    return status if isinstance(status, int) else 0


def _misuse(error: Any) -> str:
    words = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "hafloc"
    return f"{words[:1].lower()}{words[1:]}; `{command} --help` shows how"
