"""Puts the commands together and runs them for the guard."""

from typing import Any

import typer
from typer.core import TyperGroup

from hafloc import __version__
from hafloc.cli import calibrate, demo, evaluate, fit, index, locate, show, train
from hafloc.cli.asking import start_asking
from hafloc.cli.statuses import REFUSED, epilog
from hafloc.errors import OptionError


class _StoppedError(Exception):
    """Carries out of typer what it would end in its own way, without a word."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__()
        self.cause = cause


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, EOFError, OSError) as error:
            raise _StoppedError(error) from error


app = typer.Typer(
    name="hafloc",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(index.app, name="index")
app.add_typer(show.app, name="show")
app.command("locate", epilog=epilog("locate"))(locate.locate)
app.command("calibrate", epilog=epilog("calibrate"))(calibrate.calibrate)
app.command("fit", epilog=epilog("fit"))(fit.fit)
app.command("demo", epilog=epilog("demo"))(demo.demo)
train.register(app)
evaluate.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hafloc {__version__}")
        raise typer.Exit


@app.callback(epilog="Exit statuses of every command: docs/commands.md.")
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and stop."
    ),
    # The guard takes it out of the words, wherever it stands; here is its help.
    debug: bool = typer.Option(
        False, "--debug", help="Show the trace of an error, and the libraries' own warnings."
    ),
) -> None:
    """Where was this photo taken? Finds a photo's place among your own photos."""
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
    return status if isinstance(status, int) else 0


def _misuse(error: Any) -> str:
    words = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "hafloc"
    return f"{words[:1].lower()}{words[1:]}; `{command} --help` shows how"
