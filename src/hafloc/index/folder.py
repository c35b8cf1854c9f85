"""Bring a folder of photos into an index: find, compare, describe, store."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hafloc.errors import HaflocError, OptionError, PositionError
from hafloc.index.backends import (
    Location,
    create_index,
    folder_of,
    index_exists,
    open_index,
    paths_of,
)
from hafloc.index.below import ids_below
from hafloc.index.build_report import BuildReport
from hafloc.index.films import Films
from hafloc.index.local_features import ALL, LocalSize
from hafloc.index.paths import PhotoPaths
from hafloc.index.plan import Plan, ScannedFile, Skipped, is_gone, make_plan
from hafloc.index.records import GeoIndex, Held, ModelInfo, Record
from hafloc.index.renew import renew, require_position, where_and_when
from hafloc.index.runtimes import FLOAT32
from hafloc.index.store import BATCH, Entry, add_all
from hafloc.index.views import Cut, to_be_cut
from hafloc.photos import (
    CUTTING,
    REQUESTS,
    Cutting,
    Every,
    Metadata,
    Photo,
    PhotoFile,
    PhotoUrl,
    Positions,
    RemoteError,
    Scan,
    Tracking,
    content,
    file_name,
    find_photos,
    is_film,
    part_name,
    shown,
)
from hafloc.progress import Progress, Silent

if TYPE_CHECKING:  # an index is read and searched without the network's library
    from hafloc.describe import Describer


def model_info(describer: "Describer", index: Location | None = None) -> ModelInfo:
    """The identity of a describer's vectors, as the `index` at that location records it."""
    name = describer.name
    if index is not None:
        # From the top of the disk a file's name is left, to be looked for where one works.
        name = describer.name_from(folder_of(index) or Path(Path.cwd().anchor))
    # Whoever brings a describer of their own need not know of runtimes.
    runtime = str(getattr(describer, "runtime", FLOAT32))
    return ModelInfo(name, describer.hash, describer.options, describer.dimension, runtime)


def add_folder(
    index: GeoIndex,
    describer: "Describer",
    folder: PhotoFile,
    *,
    csv: PhotoFile | None = None,
    found: Scan | None = None,
    tracking: Tracking | None = None,
    local: bool = True,
    prune: bool = False,
    batch: int = BATCH,
    workers: int = 1,
    ray: str | None = None,
    cutting: Cutting = CUTTING,
    every: Every | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Make `index` hold what the photos below `folder` are today.

    New photos and those whose file has changed are described and stored; a renamed file keeps its
    record; a photo of which the table, its name or its EXIF now say something else is corrected.
    Of an unchanged photo only size and time are looked at. `folder` may be a URL, see
    `photos.find_photos`; what that said may be given as `found`. Positions come from `csv`, a
    positions.csv in or beside the folder, file names or EXIF, and for the others from the tracks of
    `tracking`; see `photos.Positions`. `local`
    stores local features too, where the network has them, so that candidates can be verified
    without their files. `prune` removes the records of files that are gone,
    unless not one is left. With several
    `workers`, so many processes describe on a processor; with the address of a `ray` cluster, its
    workers do. Panoramas are cut into views as `cutting` says; those that are in the index stay as
    they were cut. `folder` may be a film; films in a folder are taken with `every`, which says how
    far apart their frames are (else EVERY), and an unchanged one is not decoded again.

    What cannot be used is skipped and listed. Where a file holds something else than before that
    cannot be indexed, the old record is removed. On Ctrl-C what has been described is stored.
    Raises PhotoError and PositionError where nothing can be done at all, OptionError where `prune`
    would leave nothing, IndexFileError where the index cannot be written; what was stored stays.
    """
    found = found or find_photos(folder, csv, films=every is not None)
    cuts = _cuts(cutting, ray, found)
    return _Folder(index, folder, found.not_empty(), csv, tracking, cuts, every).bring_in(
        describer,
        local=local,
        prune=prune,
        batch=batch,
        workers=workers,
        ray=ray,
        progress=progress or Silent(),
    )


def build_index(
    path: Location,
    describer: "Describer",
    folder: PhotoFile,
    *,
    csv: PhotoFile | None = None,
    found: Scan | None = None,
    tracking: Tracking | None = None,
    vector_type: str = "int8",
    local: bool = True,
    regions: bool = True,
    local_size: LocalSize = ALL,
    prune: bool = False,
    workers: int = 1,
    ray: str | None = None,
    cutting: Cutting = CUTTING,
    every: Every | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """A new index at `path` of the photos below `folder`, or the completion of a begun one.

    `csv`, `found`, `tracking`, `local`, `prune`, `workers`, `ray`, `cutting` and `every` are those
    of `add_folder`. A new index holds vectors of the photos' `regions` too, where the network has
    them, and keeps key points in `local_size`; an old one stays as it is.
    Raises as `add_folder` does, and PositionError where not one photo could be stored; an index
    without photos is not left behind.
    """
    found = (found or find_photos(folder, csv, films=every is not None)).not_empty()
    cuts = _cuts(cutting, ray, found)
    model = model_info(describer, path)
    if index_exists(path):
        index = open_index(path, write=True, model=model)
    else:
        index = create_index(
            path, model, vector_type, describer.regions if regions else 0, local_size
        )
    try:
        report = _Folder(index, folder, found, csv, tracking, cuts, every).bring_in(
            describer,
            local=local,
            prune=prune,
            batch=BATCH,
            workers=workers,
            ray=ray,
            progress=progress or Silent(),
        )
    finally:
        is_empty = index.count() == 0
        if is_empty:
            index.drop()
        else:
            index.close()
    if is_empty:
        raise PositionError(_nothing_stored(folder, report))
    return report


def _cuts(cutting: Cutting, ray: str | None, found: Scan) -> Cutting | None:
    """How panoramas are cut; None where workers of a cluster describe, which cannot."""
    if ray is None:
        return cutting
    if cutting.assume:
        raise OptionError("--ray does not cut panoramas; leave --panorama or --ray out")
    if any(map(is_film, found.paths)):
        raise OptionError("--ray does not decode films; leave --every or --ray out")
    return None


class _Folder:
    """One folder's photos beside an index: what each stage needs of both."""

    def __init__(
        self,
        index: GeoIndex,
        folder: PhotoFile,
        found: Scan,
        csv: PhotoFile | None,
        tracking: Tracking | None,
        cutting: Cutting | None,
        every: Every | None,
    ) -> None:
        self._index = index
        self._cutting = cutting
        self._cut = Cut()
        # Files that could not be looked at just now: what is held of them stays.
        self._unseen: set[str] = set()
        # Of a film alone, the folder that it lies in.
        self._target, self._folder = folder, found.folder
        self._is_one_film = folder != found.folder and is_film(folder)
        self._found = found
        self._films = Films(index, every, tracking, cutting)
        self._paths: PhotoPaths = paths_of(index.location)
        inside = [_inside(path, found.folder) for path in found.paths]
        photos = [name for name in inside if not is_film(name)]
        self._positions = Positions.for_folder(found.folder, photos, csv, tracking)
        self._files = [
            ScannedFile(
                self._paths.name_of(photo.path),
                name,
                photo.path,
                photo.size,
                photo.modified,
                self._stated(photo.path, name),
                is_film(photo.path),
            )
            for photo, name in zip(found.photos, inside, strict=True)
        ]
        if cutting is not None:
            told = (file.path for file in self._files
                    if self._positions.tells_of_panorama(file.inside))  # fmt: skip
            self._cutting = replace(cutting, told=frozenset(told))

    def _stated(self, path: PhotoFile, name: str) -> str:
        if isinstance(path, Path) and is_film(path):
            return self._films.stated(path)
        return self._positions.stated(name)

    def bring_in(
        self,
        describer: "Describer",
        *,
        local: bool,
        prune: bool,
        batch: int,
        workers: int,
        ray: str | None,
        progress: Progress,
    ) -> BuildReport:
        films = self._films
        plan = self._plan(progress)
        if prune:
            self._refuse_to_empty(plan)
        plan = films.take(plan)
        report, plan = self._update(plan)
        progress.start("describing", len(plan.describe) + films.frames)
        outcomes = chain(
            self._describe(describer, plan, local, workers, ray),
            films.describe(describer, local=local, workers=workers),
        )
        added, failed = add_all(self._index, outcomes, batch=batch, progress=progress.advance)
        films.finish()
        stale, lost = self._stale(plan, failed)
        if stale:
            self._index.remove(stale)
        gone = tuple(dict.fromkeys(file_name(item.path) for item in plan.gone))
        if prune and gone:
            self._index.remove([item.id for item in plan.gone])
        return replace(
            report,
            added=added,
            replaced=len(plan.replaced.keys() - self._unseen) - lost,
            removed=report.removed + lost + films.report.removed,
            unchanged=report.unchanged + films.report.unchanged,
            corrected=report.corrected + films.report.corrected,
            moved=report.moved + films.report.moved,
            tabled=report.tabled + films.report.tabled,
            notes=(*report.notes, *films.report.notes),
            films=films.report.films,
            frames=films.report.frames,
            pruned=len(gone) if prune else 0,
            gone=() if prune else gone,
            tracked=self._tracked(failed),
            skipped=(*report.skipped, *films.report.skipped, *failed),
            panoramas=self._cut.panoramas,
            views=self._cut.views,
            flat=tuple(self._cut.flat),
            wide=tuple(self._cut.wide),
        )

    def _refuse_to_empty(self, plan: Plan) -> None:
        """Not one file there is a disk that is not connected, or an index that was shared."""
        held = self._index.count()
        if held and len(plan.gone) == held:
            raise OptionError(
                f"cannot prune: not one file of the {held:,} photos of this index is there, so "
                "nothing would be left of it; connect their disk, or leave --prune out "
                "(`hafloc index remove` takes out what you name)"
            )

    def _tracked(self, failed: Iterable[Skipped]) -> int | None:
        if not self._positions.tracks:
            return None
        lost = {item.path for item in failed}
        found = self._positions.tracked.found
        return sum(file.inside in found and str(file.path) not in lost for file in self._files)

    def _plan(self, progress: Progress) -> Plan:
        progress.start("comparing", len(self._files))
        read = 0

        def content_of(path: PhotoFile) -> str:
            nonlocal read
            read += 1
            progress.advance(read)
            return content(path)

        def below(missing: Sequence[Held]) -> set[int]:
            return set(ids_below(self._index, self._paths, [self._target]))

        # Views of one panorama ask for one file, and those behind URLs ask a server.
        gone = cache(self._is_gone)
        return make_plan(
            self._index.held(),
            self._files,
            content=content_of,
            is_gone=lambda name: gone(file_name(name)),
            below=below,
            anew=to_be_cut(self._index, self._paths, self._cutting),
        )

    def _is_gone(self, name: str) -> bool:
        # Of all servers only the one at hand is asked.
        file = self._paths.file_of(name)
        ours = self._folder if isinstance(self._folder, PhotoUrl) else None
        if isinstance(file, PhotoUrl) and (ours is None or file.inside(ours) is None):
            return False
        return is_gone(self._paths, name)

    def _update(self, plan: Plan) -> tuple[BuildReport, Plan]:
        """Bring the records that stay up to date; their share of the report, and the plan with
        the panoramas that are held as one photo and are to be cut."""
        done, plan = renew(self._index, plan, self._positions, self._cutting)
        unreadable = [Skipped(str(path), why) for path, why in self._found.unreadable]
        report = BuildReport(
            added=0,
            unchanged=plan.unchanged + done.unchanged,
            moved=done.moved,
            corrected=done.corrected,
            removed=done.removed,
            tabled=done.tabled,
            skipped=(*unreadable, *plan.skipped, *done.skipped),
            left_out=self._found.left_out_in_words(),
            table=self._positions.path,
            table_problems=self._positions.problems,
            # Where a film alone is brought in, a table beside it is of others.
            unmatched_rows=() if self._is_one_film else self._positions.unmatched_rows,
            unmatched_photos=self._positions.unmatched_photos,
            notes=self._positions.notes,
        )
        return report, plan

    def _describe(
        self, describer: "Describer", plan: Plan, local: bool, workers: int, ray: str | None
    ) -> Iterable[Sequence[Entry] | Skipped]:
        files = {file.path: file for file in plan.describe}
        begun: dict[PhotoFile, list[Entry]] = {}
        failed: set[PhotoFile] = set()

        def where(path: PhotoFile, photo: Photo) -> Metadata:
            return self._positions.of(photo, files[path].inside)

        # Whoever brings a describer of their own need not know of these.
        more: dict[str, Any] = {"readers": REQUESTS} if isinstance(self._folder, PhotoUrl) else {}
        if self._cutting is not None:
            more["cutting"] = self._cutting
        if ray is not None and files:
            more |= {
                "ray": ray,
                "is_placed": lambda path: self._positions.places(files[path].inside),
            }
        described = describer.describe_files(
            files,
            check=lambda path, photo: require_position(where(path, photo), path),
            local=local,
            regions=self._index.regions > 0,
            workers=workers,
            **more,
        )
        for path, found in described:
            if path in failed:
                continue
            if isinstance(found, HaflocError):
                failed.add(path)
                begun.pop(path, None)
                if isinstance(found.__cause__, RemoteError):
                    self._unseen.add(files[path].name)
                yield Skipped(str(path), str(found))
                continue
            photo, file = found.photo, files[path]
            record = Record(
                path=part_name(file.name, photo.part),
                content=photo.content,
                width=photo.width,
                height=photo.height,
                bytes=file.bytes,
                modified=file.modified,
                stated=file.stated,
                **where_and_when(where(path, photo), photo.part),
            )
            entries = begun.setdefault(path, [])
            entries.append(Entry(record, found.features))
            if len(entries) == photo.parts:
                self._cut.note(file.name, path, photo, entries)
                yield begun.pop(path)

    def _stale(self, plan: Plan, failed: Iterable[Skipped]) -> tuple[list[int], int]:
        """Records whose file holds something else now that was not stored in their place, and the
        number of files that are not in the index any more."""
        reasons = {item.path for item in failed}
        stale: list[int] = []
        lost = 0
        for file in plan.describe:
            if file.name in self._unseen:
                continue
            before = plan.replaced.get(file.name, ())
            is_lost = str(file.path) in reasons
            lost += is_lost and bool(before)
            now = set() if is_lost else self._cut.names.get(file.name, {file.name})
            stale += [item.id for item in before if item.path not in now]
        return stale, lost


def _inside(file: PhotoFile, folder: PhotoFile) -> str:
    if isinstance(file, PhotoUrl):
        assert isinstance(folder, PhotoUrl), "what is found behind a URL lies there"
        return file.inside(folder) or file.name
    return file.relative_to(str(folder)).as_posix()


def _nothing_stored(folder: PhotoFile, report: BuildReport) -> str:
    first = next(iter(report.skipped), None)
    if first and is_film(folder) and len(report.skipped) == 1:
        return f"no index was made: {first.reason}"
    example = f"; the first: {first.reason}" if first else ""
    also = f"; {report.left_out}" if report.left_out else ""
    return f"no photo in {shown(folder)} could be indexed, so no index was made{example}{also}"
