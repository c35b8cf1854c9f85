"""Make training folders of a data set: photos, linked or copied, and their positions.csv."""

import csv
import filecmp
import io
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hafloc.errors import EvaluationError, OutputError
from hafloc.evaluate.data_sets.catalogue import data_set
from hafloc.evaluate.data_sets.training_lists import (
    PARTS,
    SPLITS,
    Listed,
    ListedPhoto,
    pittsburgh,
    plain_folders,
    tokyotm,
)
from hafloc.files import whole_file, write_whole
from hafloc.photos import read_positions_csv
from hafloc.progress import Progress, Silent

TABLE = "positions.csv"
_IMAGES = "images"  # where it is there, photos are looked for in it alone

# Lists of the data sets that have splits to train on, by name.
_LISTS: Mapping[str, Callable[[Path, str], list[Listed]]] = {
    "pitts30k": partial(pittsburgh, "pitts30k"),
    "pitts250k": partial(pittsburgh, "pitts250k"),
    "tokyotm": tokyotm,
}
# The folders that the recipes for the paper's table name, below pitts30k/.
_RECIPES = {(split, part) for split in ("train", "val") for part in PARTS}
TRAINABLE = (*_LISTS, "folder")


@dataclass(frozen=True, slots=True)
class TrainingFolder:
    """One that was made: how many photos at how many places it holds, how many got there by which
    way ("hard link", "symbolic link", "copy", "there before"), how many listed ones are missing,
    and what else is to be said of it, a line each."""

    path: Path
    split: str
    part: str
    photos: int
    places: int
    ways: Mapping[str, int]
    missing: int
    remarks: tuple[str, ...]


def make_training_folders(
    name: str,
    root: Path,
    out: Path,
    *,
    splits: Sequence[str] = (),
    table: Path | None = None,
    copy: bool = False,
    progress: Progress | None = None,
) -> list[TrainingFolder]:
    """Write `out`/split/database and `out`/split/queries from a data set below `root`.

    `splits` are all that the data set has where none is given; `table` has the positions of plain
    folders. Photos are hard links, symbolic ones where that cannot be, copies where neither can be
    or `copy` asks. A folder appears when it is whole; run again, photos that came since are added.
    Raises EvaluationError, PositionError, PhotoError, OutputError.
    """
    progress = progress or Silent()
    for split in splits:
        if split not in SPLITS:
            raise EvaluationError(f"--split {split} is not one of {', '.join(SPLITS)}")
    listed = _listed(name, root, tuple(dict.fromkeys(splits)), table, progress)
    for each in listed:
        _check_apart(each, out)
    return [_make(each, out, copy, progress) for each in listed]


def next_command(out: Path, made: Sequence[TrainingFolder]) -> str:
    """The command that trains on the folders, or evaluates on a split that is not for training."""
    paths = {(folder.split, folder.part): folder.path.as_posix() for folder in made}
    if ("train", "database") not in paths:
        split = made[0].split
        if (split, "queries") in paths:
            root = shlex.quote((out / split).as_posix())
            return f"hafloc evaluate --benchmark folder --root {root}"
        home = shlex.quote(made[0].path.as_posix())
        return f"hafloc train configs/haf.toml --out runs/haf --set data.validation={home}"
    words = "hafloc train configs/haf_paper.toml --out runs/haf_paper"
    if out.as_posix() == "pitts30k" and len(paths.keys() & _RECIPES) == len(_RECIPES):
        return words  # as the recipes have it
    for key, place in (
        ("train", ("train", "database")),
        ("queries", ("train", "queries")),
        ("validation", ("val", "database")),
        ("validation_from", ("val", "queries")),
    ):
        value = paths.get(place, "VALIDATION" if key == "validation" else "[]")
        words += f" --set {shlex.quote(f'data.{key}={value}')}"
    return words


def _listed(
    name: str, root: Path, splits: Sequence[str], table: Path | None, progress: Progress
) -> list[Listed]:
    known = data_set(name)
    if name == "folder":
        return plain_folders(root, splits, table, progress)
    if name not in _LISTS:
        raise EvaluationError(
            f"{known.title} has no photos to train on; choose one of: {', '.join(TRAINABLE)}"
        )
    if table is not None:
        raise EvaluationError(f"{known.title} has positions of its own; leave --positions out")
    read, found, first = _LISTS[name], [], None
    for split in splits or SPLITS:
        try:
            found += read(root, split)
        except EvaluationError as error:
            # Of all splits some may be absent; a list that is there must be whole.
            if splits or _has_list(name, root, split):
                raise
            first = first or error
    if not found and first is not None:
        raise first
    return found


def _has_list(name: str, root: Path, split: str) -> bool:
    stem = f"tokyoTM_{split}" if name == "tokyotm" else f"{name}_{split}"
    return any((root / at / f"{stem}{end}").exists() for at in ("", "datasets")
               for end in (".mat", ".npz"))  # fmt: skip


def _check_apart(listed: Listed, out: Path) -> None:
    target = (out / listed.split / listed.part).resolve()
    if listed.folder is not None and target.is_relative_to(listed.folder.resolve()):
        raise OutputError(
            f"{out} lies among the photos of {listed.folder}, and would be read with them next "
            "time; choose another --out"
        )


def _make(listed: Listed, out: Path, copy: bool, progress: Progress) -> TrainingFolder:
    target = out / listed.split / listed.part
    try:
        return _fill(listed, target, copy, progress)
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error.strerror or error}; choose another --out"
        ) from error


def _fill(listed: Listed, target: Path, copy: bool, progress: Progress) -> TrainingFolder:
    """A new folder is filled under a hidden name; one that is there gets photos, then its table."""
    work = target
    if not _is_ours(target, listed):
        work = target.with_name(f".{target.name}.part")
        work.mkdir(parents=True, exist_ok=True)
    home = work / _IMAGES if _need_images(listed.photos) else work
    present = [p for p in listed.photos if p.file.is_file() or (home / p.name).is_file()]
    if not present:
        raise EvaluationError(
            f"none of the {len(listed.photos):,} photos listed for {target} is there, the first is "
            f"{listed.photos[0].file}; `hafloc datasets list` says where they belong"
            if listed.photos
            else f"the list for {target} names no photo; get the original list"
        )
    progress.start(f"{listed.split}/{listed.part}", len(present))
    ways: Counter[str] = Counter()
    for done, photo in enumerate(present, 1):
        ways[_place(photo.file, home / photo.name, copy)] += 1
        progress.advance(done)
    write_whole(work / TABLE, _table(present))
    if work != target:
        if target.exists():
            target.rmdir()  # an empty one, which not every system lets a folder replace
        work.replace(target)
    missing = len(listed.photos) - len(present)
    remarks = list(listed.remarks)
    if missing:
        there = {photo.name for photo in present}
        first = next(photo.file for photo in listed.photos if photo.name not in there)
        remarks.append(
            f"{missing:,} of {len(listed.photos):,} photos of {target} are missing, the first is "
            f"{first}; put them there and run it again"
        )
    places = {photo.metadata.position for photo in present}
    return TrainingFolder(
        target, listed.split, listed.part, len(present), len(places), dict(ways), missing,
        tuple(remarks),
    )  # fmt: skip


def _is_ours(target: Path, listed: Listed) -> bool:
    """Whether the folder holds photos of this list already; else it is absent or empty.

    Raises OutputError for a folder of anything else.
    """
    if (target / TABLE).is_file():
        others = read_positions_csv(target / TABLE).rows.keys() - {p.name for p in listed.photos}
        if not others:
            return True
        raise OutputError(
            f"{target} holds other photos, {min(others)} among them; choose another --out or "
            "remove that folder"
        )
    if target.is_dir() and any(target.iterdir()):
        raise OutputError(
            f"{target} is not empty and has no {TABLE}; choose another --out or remove that folder"
        )
    return False


def _need_images(photos: Sequence[ListedPhoto]) -> bool:
    """Whether a photo's own folder could be taken for the one that photos are looked for in."""
    return any(photo.name.split("/")[0].casefold() == _IMAGES for photo in photos)


def _place(source: Path, target: Path, copy: bool) -> str:
    """Bring a photo to its place unless it is there; says by which way. Raises OutputError."""
    if target.is_symlink() and (copy or not target.exists()):
        target.unlink()
    if target.exists() and not _is_settled(source, target, copy):
        target.unlink()
    if target.exists():
        return "there before"
    target.parent.mkdir(parents=True, exist_ok=True)
    if not copy:
        for way, link in (("hard link", target.hardlink_to), ("symbolic link", target.symlink_to)):
            try:
                link(source.resolve())
            except OSError:
                continue  # another file system, another owner, or one that knows no links
            return way
    with source.open("rb") as reading, whole_file(target) as writing:
        shutil.copyfileobj(reading, writing)
    return "copy"


def _is_settled(source: Path, target: Path, copy: bool) -> bool:
    """Whether what is there can stay; not where a link is to become a copy.

    Raises OutputError where it is another photo.
    """
    if not source.is_file():
        return True
    if target.samefile(source):
        return not copy
    if filecmp.cmp(source, target, shallow=False):
        return True
    raise OutputError(
        f"{target} is another photo than {source}; remove it, or choose another --out"
    )


def _table(photos: Sequence[ListedPhoto]) -> bytes:
    """image,lat,lon,heading,time; to a hundredth of a millimetre, so that distances stay."""
    magnetic = any(photo.metadata.magnetic for photo in photos)
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["image", "lat", "lon", "heading", "time", *(["magnetic"] if magnetic else [])])
    for photo in photos:
        known = photo.metadata
        if known.position is None:
            continue
        row = [
            photo.name,
            f"{known.position.lat:.10f}",
            f"{known.position.lon:.10f}",
            "" if known.heading is None else f"{known.heading:g}",
            "" if known.time is None else known.time.isoformat(),
        ]
        table.writerow([*row, *(["yes" if known.magnetic else ""] if magnetic else [])])
    return text.getvalue().encode()
