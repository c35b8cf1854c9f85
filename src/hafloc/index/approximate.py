"""Search that may miss some of the most similar photos: a graph or lists of FAISS, by choice.

An index of FAISS lies in the companion's folder and knows its rows by number: `approximate` says in
one line of JSON what it is, `approximate-TOKEN` is FAISS's own file. It only proposes: what it
finds is scored exactly, rows that came after it are all looked at, and rows that no photo counts
any more are left out. So a database that grows or shrinks stays right; one that has grown by a
quarter, or whose rows were written anew, is searched exactly until it is made again.
"""

import json
import os
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import IndexFileError, MissingExtraError, OptionError, OutputError
from hafloc.files import whole_file, write_whole
from hafloc.index import vectors as stored
from hafloc.index.companion import Companion
from hafloc.index.records import Hits, Near
from hafloc.index.search import VectorSearch
from hafloc.progress import Progress

EXACT = "exact"
KINDS = (EXACT, "hnsw", "ivf")

# Links a photo in the graph, and candidates while it is made: FAISS's usual numbers.
_LINKS, _CONSTRUCTION = 32, 64
# Lists, as a multiple of the root of the number of photos; vectors a list, and rounds, that place
# them: more lists find as much with less, but take longer to make than all else.
_LISTS, _TRAINED, _ROUNDS = 1, 40, 10
_ADDED = 20_000  # rows at a time
# The least effort (nodes or lists looked at) that finds this share is kept, up to the last.
_EFFORTS = (16, 32, 64, 128, 256, 512, 1_024)
_ENOUGH = 0.98
# What recall is measured on: photos of the database, each without itself.
_SAMPLE, _RECALL_AT = 100, 50
# Where more rows than this share of those it knows came later, looking at them all costs too much;
# it is made anew when there is occasion from a smaller one on.
_LATER, _LATER_BUILT = 0.25, 0.05
_FORMAT = 1
_READ = 2**24


@dataclass(frozen=True, slots=True)
class Made:
    """What an index of FAISS is: of which rows, how much it looks at, and what it found.

    `recall` is the share of the truly 50 most similar of `sample` photos that it finds.
    """

    kind: str
    token: str
    rows: int
    effort: int
    recall: float
    sample: int
    size: int
    checksum: int
    format: int = _FORMAT

    def in_words(self) -> str:
        return f"{self.recall:.3f} of the first {_RECALL_AT} of {self.sample:,} photos"


class ApproximateSearch:
    """`VectorSearch` of a companion with an index of FAISS to propose what is looked at."""

    def __init__(self, whole: VectorSearch, found: Companion, made: Made, index: Any) -> None:
        self._whole = whole
        self.made = made
        self._index = index
        _look_at(index, made)
        rows = found.photos["row"].astype(np.int64)
        # Which photo a row is of; -1: of none any more.
        self._photo_of = np.full(made.rows, -1, dtype=np.int64)
        known = rows < made.rows
        self._photo_of[rows[known]] = np.flatnonzero(known)
        self._later = np.flatnonzero(~known)
        self._gone = made.rows - int(known.sum())

    def search(self, queries: NDArray[np.float32], k: int, near: Near | None = None) -> Hits:
        """`VectorSearch.search`, exact nearby and where k is a large part of all."""
        count = len(self._photo_of) + len(self._later)
        wanted = 2 * k + min(self._gone, 2 * k)
        if near is not None or 4 * wanted > count:
            return self._whole.search(queries, k, near)
        rows = self._index.search(np.ascontiguousarray(queries), wanted)[1]
        proposed = [self._photo_of[row[(row >= 0) & (row < self.made.rows)]] for row in rows]
        hits = [
            self._among(query, photos[photos >= 0], k)
            for query, photos in zip(queries, proposed, strict=True)
        ]
        if not hits:
            return self._whole.search(queries, k)
        return Hits(np.stack([hit.ids[0] for hit in hits]),
                    np.stack([hit.similarities[0] for hit in hits]))  # fmt: skip

    @property
    def is_fresh(self) -> bool:
        """Whether making it anew would change little."""
        return len(self._later) <= _LATER_BUILT * self.made.rows

    def vectors(self, ids: Any) -> NDArray[np.float32]:
        """The unit vectors of ids that are there, `[N, D]`."""
        return self._whole.vectors(ids)

    def _among(self, query: NDArray[np.float32], photos: NDArray[np.int64], k: int) -> Hits:
        some = np.union1d(photos, self._later)
        if len(some) < k:  # too many of its rows are gone
            return self._whole.search(query[None], k)
        return self._whole.search_among(query, some, k)


def check_kind(kind: str) -> None:
    """Raises OptionError unless `kind` is one of KINDS, MissingExtraError where it needs FAISS."""
    if kind not in KINDS:
        raise OptionError(f"search {kind!r} is not known; choose one of {', '.join(KINDS)}")
    if kind != EXACT:
        _faiss(kind)


def make(
    kind: str, folder: Path, found: Companion, whole: VectorSearch, progress: Progress
) -> Made:
    """Make FAISS's index of a companion's rows, measure it, and put it into the folder.

    Raises MissingExtraError without FAISS, OutputError where it cannot be written.
    """
    faiss = _faiss(kind)
    unit = _unit_rows(found, whole)
    count, dimension = found.rows.shape
    byte, product = faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    if kind == "hnsw":
        index = faiss.IndexHNSWSQ(dimension, byte, _LINKS, product)
        index.hnsw.efConstruction = _CONSTRUCTION
        trained = _ADDED
    else:
        lists = max(1, min(round(_LISTS * count**0.5), count // _TRAINED))
        coarse = faiss.IndexFlatIP(dimension)
        index = faiss.IndexIVFScalarQuantizer(coarse, dimension, lists, byte, product)
        index.cp.niter = _ROUNDS
        trained = _TRAINED * lists
    progress.start(f"making the {kind} search", count)
    index.train(unit(np.linspace(0, count - 1, min(trained, count)).astype(np.int64)))
    for start in range(0, count, _ADDED):
        end = min(start + _ADDED, count)
        index.add(unit(np.arange(start, end)))
        progress.advance(end)
    draft = Made(kind, found.token, count, _EFFORTS[0], 0.0, 0, 0, 0)
    effort, recall, sample = _measure(whole, found, draft, index)
    file = folder / f"approximate-{found.token}"
    with whole_file(file) as out:
        write_index(faiss, index, out, file)
    made = replace(draft, effort=effort, recall=recall, sample=sample, size=file.stat().st_size)
    made = replace(made, checksum=_checksum(file, _checked(made, dimension)))
    write_whole(folder / "approximate", json.dumps(asdict(made)).encode() + b"\n")
    return made


def read_made(folder: Path) -> Made | None:
    """What `make` left in the folder; None where there is nothing that can be used."""
    try:
        made = Made(**json.loads((folder / "approximate").read_bytes()))
        sound = made.format == _FORMAT and made.kind in KINDS and made.effort > 0
        return made if sound and made.rows > 0 and "/" not in made.token else None
    except (OSError, ValueError, TypeError):
        return None


def find_reason(made: Made | None, kind: str, token: str, rows: int) -> str:
    """Why a search of so many `rows` has to be exact, in words; empty where `made` serves."""
    if made is None or made.kind != kind:
        return f"its {kind} search is not made"
    if made.token != token or made.rows > rows:
        return f"its {kind} search was made before the files beside it were"
    if rows - made.rows > _LATER * made.rows:
        return f"it has grown by a quarter since its {kind} search was made"
    return ""


def load(folder: Path, made: Made, dimension: int) -> Any:
    """FAISS's index as `make` made it. Raises IndexFileError where damaged, MissingExtraError."""
    faiss = _faiss(made.kind)
    file = folder / f"approximate-{made.token}"
    try:
        # A damaged file would lead FAISS out of memory.
        if (
            file.stat().st_size != made.size
            or _checksum(file, _checked(made, dimension)) != made.checksum
        ):
            raise IndexFileError(f"{file} is damaged")
        # Lists stay in the file until one is looked at; FAISS maps none on Windows.
        maps = made.kind == "ivf" and sys.platform != "win32"
        index = faiss.read_index(str(file), faiss.IO_FLAG_MMAP if maps else 0)
    except (OSError, RuntimeError, MemoryError) as error:
        raise IndexFileError(f"{file} cannot be read: {error}") from error
    if (index.ntotal, index.d) != (made.rows, dimension):
        raise IndexFileError(f"{file} is of other vectors")
    return index


def leave_to_parent(index: Any) -> None:
    """Never take FAISS's index apart in this forked process: it would wait for threads that are the
    parent's, and crash."""
    index.thisown = False


def remove(folder: Path) -> None:
    """Take out of the folder what `make` left there."""
    for file in folder.glob("approximate*"):
        with suppress(OSError):
            file.unlink()


def _measure(
    whole: VectorSearch, found: Companion, draft: Made, index: Any
) -> tuple[int, float, int]:
    """The least effort that finds enough; what it finds, and of how many photos."""
    count = len(found.photos)
    ids = found.photos["id"][np.linspace(0, count - 1, min(_SAMPLE, count)).astype(np.int64)]
    queries = whole.vectors(ids.tolist())
    k = min(_RECALL_AT + 1, count)
    truth = whole.search(queries, k).ids
    for effort in _EFFORTS:
        made = replace(draft, effort=effort)
        hits = ApproximateSearch(whole, found, made, index).search(queries, k).ids
        shares = [
            len((set(here) & set(there)) - {own}) / len(set(there) - {own})
            for here, there, own in zip(hits.tolist(), truth.tolist(), ids.tolist(), strict=True)
            if set(there) - {own}
        ]
        recall = float(np.mean(shares)) if shares else 1.0
        if recall >= _ENOUGH:
            break
    return effort, round(recall, 4), len(ids)


def _look_at(index: Any, made: Made) -> None:
    """Tell FAISS how much to look at."""
    if made.kind == "ivf":
        index.nprobe = made.effort
    else:
        index.hnsw.efSearch = made.effort


def _unit_rows(found: Companion, whole: VectorSearch) -> Callable[[NDArray[np.int64]], Any]:
    return lambda rows: stored.unit(whole.as_stored(found.rows[rows]))


def write_index(faiss: Any, index: Any, out: BinaryIO, file: Path) -> None:
    """Write FAISS's index to `out`, which is to be `file`. Raises OutputError."""
    failed: list[OSError] = []

    def write(content: bytes) -> int:
        try:
            return out.write(content)
        except OSError as error:  # FAISS would tell of a line of its own source
            failed.append(error)
            raise

    try:
        faiss.write_index(index, faiss.PyCallbackIOWriter(write))
        out.flush()
    except (RuntimeError, OSError) as error:
        cause = failed[0] if failed else error
        reason = getattr(cause, "strerror", None) or str(cause).splitlines()[-1]
        raise OutputError(
            f"cannot write {file}: {reason}; free space, or build with --search exact"
        ) from error


def _checked(made: Made, dimension: int) -> int:
    """How much of the file has to be right for FAISS to be safe, from its beginning.

    Lists come last, a number of 8 bytes and D codes a row: a wrong code finds another photo, and
    numbers are checked when they are found.
    """
    return made.size - (made.rows * (8 + dimension) if made.kind == "ivf" else 0)


def _checksum(file: Path, count: int) -> int:
    value = 0
    with file.open("rb") as content:
        while part := content.read(min(_READ, count)):
            value = zlib.crc32(part, value)
            count -= len(part)
    return value


def _faiss(kind: str) -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError(
            f"cannot search by {kind}: faiss is not installed; pip install hafloc[faiss], or build "
            "with --search exact"
        ) from error
    _stay_alone_after_forks()
    return faiss


@cache
def _stay_alone_after_forks() -> None:
    # The threads of OpenMP do not live on in a forked process, which would wait for them.
    if hasattr(os, "register_at_fork"):
        import faiss

        os.register_at_fork(after_in_child=lambda: faiss.omp_set_num_threads(1))
