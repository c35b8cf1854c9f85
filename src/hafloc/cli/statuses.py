"""The exit statuses of every command: the one list that --help and docs/commands.md are held to."""

DONE = 0
IN_PART = 1  # done, but something was skipped, not found, or found wrong
REFUSED = 2
BROKEN = 70  # sysexits.h: EX_SOFTWARE
BY_SIGNAL = 128  # and the signal's number, as shells have it

# What may end any command.
EVERY = {
    DONE: "done",
    REFUSED: "refused or failed, in one line; what was there before is intact",
    BROKEN: "a fault of hafloc itself, to be reported",
    BY_SIGNAL + 2: "interrupted by Ctrl-C",
    BY_SIGNAL + 13: "the reader of the output went away, as `| head` does",
    BY_SIGNAL + 15: "ended by SIGTERM",
}
# What status 1 means, for the commands that have it.
PARTLY = {
    "index build": "photos or rows of the table were skipped",
    "index add": "photos or rows of the table were skipped",
    "index remove": "none of the photos is in the index",
    "index verify": "problems were found, or files that hold something else now",
    "fetch panoramax": "photos could not be fetched",
    "fetch mapillary": "photos could not be fetched",
    "locate": "a photo could not be read, or its place is not in this database",
    "geotag": "photos were left without a position",
    "show matches": "the two photos do not match",
    "calibrate": "photos were skipped",
    "datasets check": "problems were found",
    "datasets prepare": "photos of training folders are missing or were left out",
}

# For the commands that Ctrl-C may end well.
INTERRUPTED = {
    "serve": "interrupted before it serves (once it does, Ctrl-C ends it with 0)",
}


def epilog(command: str) -> str:
    """The line on exit statuses that closes a command's --help."""
    partly = f"1 {PARTLY[command]}; " if command in PARTLY else ""
    stopped = INTERRUPTED.get(command, "interrupted")
    return f"Exit status: 0 done; {partly}2 refused or failed; 130 {stopped}."
