"""Puts the commands together and turns errors into one line and an exit status."""

import logging
import sys

import typer

from hafloc import __version__
from hafloc.cli import calibrate, demo, evaluate, fit, index, locate, show, train
from hafloc.errors import HaflocError

app = typer.Typer(
    name="hafloc",
    help="Where was this photo taken? Finds a photo's place among your own photos.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(index.app, name="index")
app.add_typer(show.app, name="show")
app.command("locate")(locate.locate)
app.command("calibrate")(calibrate.calibrate)
app.command("fit")(fit.fit)
app.command("demo")(demo.demo)
train.register(app)
evaluate.register(app)

INTERRUPTED = 130


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hafloc {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    """Where was this photo taken? Finds a photo's place among your own photos."""


def main() -> None:
    """Run the command line; never returns."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    try:
        app(standalone_mode=True)
    except HaflocError as error:
        typer.echo(f"hafloc: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("hafloc: interrupted", err=True)
        sys.exit(INTERRUPTED)
