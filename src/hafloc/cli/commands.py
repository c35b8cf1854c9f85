"""Which commands there are and what each is for, known before any of them is loaded."""

from dataclasses import dataclass

from hafloc import __version__
from hafloc.cli.help_page import Page, Panel, Row, print_page
from hafloc.cli.output import say

VERSION = f"hafloc {__version__}"
PURPOSE = "Where was this photo taken? Finds a photo's place among your own photos."
EPILOG = "Exit statuses of every command: docs/commands.md."
VERSION_HELP = "Print the version and stop."
DEBUG_HELP = "Show the trace of an error, and the libraries' own warnings."


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: the file of this room that has it, and its help's first line."""

    file: str
    summary: str


COMMANDS = {
    "locate": Entry("locate", "Say where photos were taken, from the photos of an index."),
    "geotag": Entry(
        "geotag", "Locate photos without a position, and write the answers beside or into them."
    ),
    "calibrate": Entry(
        "calibrate",
        'Learn from photos of known position how far off answers are, and when to say "not here".',
    ),
    "fit": Entry(
        "fit", "Make a HAF checkpoint without training: heads and whitening fitted on photos."
    ),
    "demo": Entry(
        "demo", "Render a small city, index it, locate photos in it, write map and pictures."
    ),
    "train": Entry("train", "Train a network from photos with positions."),
    "sweep": Entry("train", "Try all level weights in steps of 0.1: table, best point, heat map."),
    "average": Entry("train", "Write the weighted mean of two checkpoints' weights."),
    "evaluate": Entry("evaluate", "Measure networks on a benchmark, under its protocol."),
    "reproduce": Entry(
        "evaluate", "Write a table or figure of the paper, its numbers beside ours."
    ),
    "index": Entry("index", "Make, extend and inspect an index of photos."),
    "fetch": Entry(
        "fetch", "Bring street-level photos of others, with positions and credits, into a folder."
    ),
    "serve": Entry(
        "serve", "Serve indexes over HTTP: photos are located by a web page, or by programs."
    ),
    "export": Entry("export", "Write networks for other programs."),
    "show": Entry("show", "Draw what the network sees, and what an answer rests on."),
    "datasets": Entry("datasets", "Benchmarks: what they are, whether yours is whole."),
}


def root_page() -> Page:
    """What `hafloc --help` says."""
    options = (
        Row("--version", VERSION_HELP),
        Row("--debug", DEBUG_HELP),
        Row("--install-completion", "Install completion for the current shell."),
        Row(
            "--show-completion",
            "Show completion for the current shell, to copy it or customize the installation.",
        ),
        Row("-h, --help", "Show this message and exit."),
    )
    commands = [Row(name, entry.summary) for name, entry in COMMANDS.items()]
    return Page(
        "Usage: hafloc [OPTIONS] COMMAND [ARGS]...",
        PURPOSE,
        (Panel("Options", options), Panel("Commands", commands)),
        EPILOG,
    )


def tell_of_itself(option: str) -> None:
    """Answer --version or --help by itself, for which typer need not be loaded."""
    if option != "--version":
        print_page(root_page())
    say(VERSION if option == "--version" else "")
