"""Check a data set on disk, and bring it into the layout that its benchmark reads."""

import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as Pillow

from hafloc.errors import EvaluationError
from hafloc.evaluate.benchmark import Picture
from hafloc.evaluate.data_sets.catalogue import data_set, load
from hafloc.evaluate.data_sets.download import Remote, download
from hafloc.evaluate.data_sets.pins import check_pin, pin
from hafloc.evaluate.report import make_folder
from hafloc.progress import Progress, Silent

_OXFORD = "https://www.robots.ox.ac.uk/~vgg/data/oxbuildings"
_PARIS = "https://www.robots.ox.ac.uk/~vgg/data/parisbuildings"

# What is public, and where its archives are unpacked to. Their publishers state no SHA-256,
# so the first download pins it; one that is known for sure goes into its Remote.
REMOTES: Mapping[str, tuple[tuple[Remote, str], ...]] = {
    "oxford5k": (
        (Remote(f"{_OXFORD}/oxbuild_images.tgz", "oxbuild_images.tgz"), "jpg"),
        (Remote(f"{_OXFORD}/gt_files_170407.tgz", "gt_files_170407.tgz"), "gt_files"),
    ),
    "paris6k": (
        (Remote(f"{_PARIS}/paris_1.tgz", "paris_1.tgz"), "jpg"),
        (Remote(f"{_PARIS}/paris_2.tgz", "paris_2.tgz"), "jpg"),
        (Remote(f"{_PARIS}/paris_120310.tgz", "paris_120310.tgz"), "gt_files"),
    ),
}
ARCHIVES: Mapping[str, Mapping[str, str]] = {
    "holidays": {"jpg1.tar.gz": ".", "jpg2.tar.gz": "."},
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: numbers for a person, and problems, none where all is well."""

    facts: tuple[str, ...]
    problems: tuple[str, ...]


def check(
    name: str,
    root: Path,
    options: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Finding:
    """Layout, counts, and every image opened once. Raises EvaluationError for unknown names."""
    known = data_set(name)
    try:
        benchmark = load(name, root, options)
    except EvaluationError as error:
        return Finding((f"it should hold: {known.layout}",), (str(error),))
    counts = len(benchmark.database), benchmark.query_count
    problems = []
    if known.counts is not None and counts != known.counts and not _another_split(options):
        problems.append(
            f"{counts[0]:,} database images and {counts[1]:,} queries, where {known.title} has "
            f"{known.counts[0]:,} and {known.counts[1]:,}"
        )
    pictures = {p.path: p for p in (*benchmark.database, *benchmark.queries)}
    progress = progress or Silent()
    progress.start("opening images", len(pictures))
    for done, picture in enumerate(pictures.values(), 1):
        if trouble := _trouble(picture):
            problems.append(trouble)
        progress.advance(done)
    facts = (
        f"{counts[0]:,} database images, {counts[1]:,} queries",
        *(f"{what}: {how}" for what, how in benchmark.protocol.items()),
    )
    return Finding(facts, tuple(problems))


def _another_split(options: Mapping[str, str] | None) -> bool:
    return (options or {}).get("split", "test") != "test"


def _trouble(picture: Picture) -> str | None:
    """Why a file cannot be used: its checksums fail, or its pixels end early."""
    try:
        with Pillow.open(picture.path) as image:
            image.draft("RGB", (64, 64))  # JPEGs are then read whole but decoded small
            image.load()
    # A damaged file makes the decoders behind Pillow raise anything at all.
    except Exception as error:
        return f"cannot read {picture.path}: {' '.join(str(error).split())}; copy it again"
    return None


def prepare(name: str, root: Path, progress: Progress | None = None) -> tuple[str, ...]:
    """Download what is public and unpack what lies in `root`; says what was done.

    Runs again from where it stopped. An archive without a known hash is pinned as it first comes,
    and another one refused later. Raises EvaluationError naming the file that is missing,
    damaged, or would be unpacked outside `root`.
    """
    known = data_set(name)
    progress = progress or Silent()
    if name == "folder":
        raise EvaluationError(
            f"{root}: your own photos need no preparation; --out FOLDER makes training folders"
        )
    if name not in REMOTES and name not in ARCHIVES:
        raise EvaluationError(
            f"{known.title} cannot be fetched: it is to be had {known.source}; then {root} should "
            f"hold {known.layout}"
        )
    make_folder(root)
    done = []
    for remote, folder in REMOTES.get(name, ()):
        archive = download(remote, root, progress)
        done += _bring(archive, root / folder, progress, known=remote.sha256 is not None)
    for archive_name, folder in ARCHIVES.get(name, {}).items():
        archive = root / archive_name
        if not archive.is_file():
            raise EvaluationError(f"{archive} is not there; fetch it from {known.source} first")
        done += _bring(archive, root / folder, progress, known=False)
    return tuple(done)


def _bring(archive: Path, folder: Path, progress: Progress, *, known: bool) -> list[str]:
    """Unpack an archive; one without a known hash is held to that of the first that was whole."""
    if known:
        return _unpack(archive, folder, progress)
    found = check_pin(archive)
    return _unpack(archive, folder, progress) + pin(archive, found)


def _unpack(archive: Path, folder: Path, progress: Progress) -> list[str]:
    mark = archive.with_name(f".{archive.name}.unpacked")
    if mark.exists():
        return []
    progress.start(f"unpacking {archive.name}", 1)
    make_folder(folder)
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as packed:
                count = len(packed.namelist())
                packed.extractall(folder)
        else:
            with tarfile.open(archive) as tar:
                members = tar.getmembers()
                count = len(members)
                # "data" refuses links and paths that lead outside.
                tar.extractall(folder, members, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise EvaluationError(
            f"cannot unpack {archive}: {error}; remove it and fetch it again"
        ) from error
    mark.touch()
    progress.advance(1)
    return [f"{archive.name}: {count:,} files into {folder}"]
