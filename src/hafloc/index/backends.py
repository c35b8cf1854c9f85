"""Which kind of database a location names: here a new backend is entered, and nowhere else."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hafloc.errors import IndexFileError, OptionError
from hafloc.index import connection
from hafloc.index.approximate import Made, check_kind
from hafloc.index.geopackage import GeoPackageIndex
from hafloc.index.local_features import ALL, LocalSize
from hafloc.index.milvus import index as milvus
from hafloc.index.milvus.address import LOCAL_FORM, SERVER_FORM, local_folder
from hafloc.index.milvus.index import MilvusIndex
from hafloc.index.paths import PhotoPaths, index_root
from hafloc.index.records import GeoIndex, ModelInfo
from hafloc.progress import Progress, Silent

Location = str | os.PathLike[str]


class _Open(Protocol):
    def __call__(self, location: str, /, *, write: bool, model: ModelInfo | None) -> GeoIndex: ...


@dataclass(frozen=True, slots=True)
class Backend:
    """How one kind of database is opened and made; `form` says how its locations look.

    `root` is the folder that the paths of its photos are relative to, and where files beside it
    lie; unless `in_folder`, paths are absolute, and nothing lies beside it. `keeps_less` says
    whether it can be told to keep fewer or coarser key points than it is given.
    """

    form: str
    open: _Open
    create: Callable[[str, ModelInfo, str, int], GeoIndex]
    exists: Callable[[str], bool]
    root: Callable[[str], Path]
    in_folder: bool = True
    keeps_less: bool = False


def _top(location: str) -> Path:
    return Path(Path.cwd().anchor)


_MILVUS = MilvusIndex.open, MilvusIndex.create, milvus.exists


# By scheme; a location without one is the path of a file.
BACKENDS: dict[str, Backend] = {
    "": Backend(
        "the path of a .gpkg file",
        GeoPackageIndex.open,
        GeoPackageIndex.create,
        connection.exists,
        index_root,
        keeps_less=True,
    ),
    "milvus": Backend(SERVER_FORM, *_MILVUS, _top, in_folder=False),
    "milvus+tls": Backend("milvus+tls://… with TLS", *_MILVUS, _top, in_folder=False),
    "milvus-lite": Backend(
        LOCAL_FORM, *_MILVUS, lambda location: index_root(local_folder(location))
    ),
}
# Two letters at least: C:// is a drive of Windows.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def open_index(
    location: Location, *, write: bool = False, model: ModelInfo | None = None
) -> GeoIndex:
    """An existing index, for reading or as its one writer.

    `location` is the path of a GeoPackage, or `scheme://…` of another backend. Raises
    IndexBusyError while another writes, IndexFileError where the index is missing, none at all,
    damaged, of a newer format, made with another checkpoint than `model`, or where no backend
    knows the location.
    """
    return _backend(location).open(os.fspath(location), write=write, model=model)


def create_index(
    location: Location,
    model: ModelInfo,
    vector_type: str = "int8",
    regions: int = 0,
    local: LocalSize = ALL,
) -> GeoIndex:
    """A new empty index, open for writing; `vector_type` is float16, float32 or int8.

    `regions` is how many regions of each photo have a vector too, `local` how much of its key
    points is kept.

    Raises IndexFileError where one exists or none can be made, or where such a one keeps all key
    points or none; IndexBusyError where another program makes it at the same time.
    """
    backend = _backend(location)
    if local == ALL:
        return backend.create(os.fspath(location), model, vector_type, regions)
    if not backend.keeps_less:
        raise IndexFileError(
            f"cannot create {location} with smaller key points: only a .gpkg file keeps them so; "
            "leave --local-points and --local-bits out"
        )
    return GeoPackageIndex.create(location, model, vector_type, regions, local)


def local_size_at(location: Location, wanted: LocalSize) -> LocalSize:
    """`wanted` where a new index at `location` could keep key points so, else all of them."""
    return wanted if _backend(location).keeps_less else ALL


def make_search(
    location: Location, kind: str | None = None, progress: Progress | None = None
) -> Made | None:
    """Search the index at `location` by `kind` from now on, or as before; what makes that is made.

    None where the search is exact. Raises OptionError where the index cannot be searched so, and as
    `GeoPackageReader.make_search`.
    """
    check_search(location, kind)
    if _backend(location) is not BACKENDS[""]:
        return None
    if kind is not None:
        with GeoPackageIndex.open(location, write=True) as index:
            index.choose_search(kind)
    with GeoPackageIndex.open(location) as index:
        return index.make_search(progress or Silent())


def check_search(location: Location, kind: str | None) -> None:
    """Raises OptionError where the index at `location` cannot be searched by `kind`, and
    MissingExtraError where that needs a package."""
    if kind is None:
        return
    if _backend(location) is not BACKENDS[""]:
        raise OptionError(
            f"--search is for a .gpkg file; how {location} is searched, its own location says "
            "(docs/milvus.md)"
        )
    check_kind(kind)


def index_exists(location: Location) -> bool:
    """Whether there is something at `location`. Raises IndexFileError where it cannot be told."""
    return _backend(location).exists(os.fspath(location))


def paths_of(location: Location) -> PhotoPaths:
    """How the index at `location` names the files of its photos."""
    backend = _backend(location)
    return PhotoPaths(backend.root(os.fspath(location)), relative=backend.in_folder)


def folder_of(location: Location) -> Path | None:
    """Where the files beside an index lie, such as its checkpoint; None where it has no folder."""
    backend = _backend(location)
    if backend is BACKENDS[""]:  # named by the way there, though it may be a link
        return Path(location).absolute().parent
    return backend.root(os.fspath(location)) if backend.in_folder else None


def _backend(location: Location) -> Backend:
    found = _SCHEME.match(location) if isinstance(location, str) else None
    scheme = found[1].lower() if found else ""
    if scheme not in BACKENDS:
        known = ", ".join(backend.form for backend in BACKENDS.values())
        raise IndexFileError(
            f"cannot open {location}: there is no backend for {scheme}://; give {known}"
        )
    return BACKENDS[scheme]
