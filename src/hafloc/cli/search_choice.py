"""`--search`: how a database is searched, and what making that comes to."""

from typing import TYPE_CHECKING, Annotated

import typer

from hafloc.cli.output import tell
from hafloc.cli.progress import Bar
from hafloc.cli.stopping import when_stopped
from hafloc.errors import MissingExtraError

if TYPE_CHECKING:
    from hafloc.index.approximate import Made

SearchKind = Annotated[
    str | None,
    typer.Option(
        "--search",
        help="How the index is searched: exact, or by FAISS and missing some: ivf (lists) or hnsw "
        "(a graph). Exact below 20,000 photos. An index that exists may change to another.",
        show_default="exact",
    ),
]


def prepare_search(index: str, kind: str | None, progress: Bar) -> "Made | None":
    """Make the search of a built index; what it is, None where it is exact."""
    from hafloc.index import make_search

    with when_stopped(
        f"all photos are stored in {index}, and it is searched exactly until the same command is "
        "run again"
    ):
        try:
            return make_search(index, kind, progress)
        except MissingExtraError as error:  # it was chosen where FAISS is
            tell(str(error))
            return None
