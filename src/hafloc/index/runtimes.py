"""Which runtimes made an index's vectors, and whether those of another may stand among them."""

import sqlite3

from hafloc.errors import IndexFileError
from hafloc.index.checksums import seal_settings

# The key under which an index keeps it, and what made those that keep none.
KEY = "runtimes"
FLOAT32 = "torch float32"
_AND = " + "
_UNPROVEN = ", unproven"


def check(location: str, recorded: str, wanted: str) -> None:
    """Raises IndexFileError where vectors of the runtime `wanted` do not fit those recorded.

    Proven ones fit each other; vectors of one that is not proven fit its own alone.
    """
    made_by = recorded.split(_AND)
    if wanted in made_by:
        return
    if _UNPROVEN not in wanted + recorded:
        return
    raise IndexFileError(
        f"{location} was made by {_plain(recorded)}, and nothing proves that vectors by "
        f"{_plain(wanted)} may be compared with these; {_cure(made_by[0])}"
    )


def joined(recorded: str, runtime: str) -> str:
    """What is recorded once `runtime` has made vectors too."""
    made_by = recorded.split(_AND)
    return recorded if runtime in made_by else _AND.join([*made_by, runtime])


def record(connection: sqlite3.Connection, runtimes: str) -> None:
    """Write down which runtimes made the vectors, in the transaction at hand."""
    connection.execute("INSERT OR REPLACE INTO hafloc VALUES (?, ?)", (KEY, runtimes))
    seal_settings(connection)


def _plain(runtime: str) -> str:
    return runtime.replace(_UNPROVEN, "")


def _cure(runtime: str) -> str:
    name, _, precision = _plain(runtime).partition(" ")
    return f"use --runtime {name} --precision {precision}, or build the index anew"
