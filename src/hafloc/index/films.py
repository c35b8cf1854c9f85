"""Films as a build meets them: which frames are held, which are to be described, what is left."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hafloc.errors import HaflocError, PhotoError
from hafloc.index.plan import Group, Plan, ScannedFile, Skipped
from hafloc.index.records import GeoIndex, Record
from hafloc.index.renew import where_and_when
from hafloc.index.store import Entry
from hafloc.photos import (
    EVERY,
    Cutting,
    Decoded,
    Every,
    FilmPlan,
    Frame,
    Photo,
    Track,
    Tracking,
    content,
    film_content,
    held_times,
    part_name,
    plan_film,
    read_frames,
    read_track,
    split_name,
    srt_beside,
)

if TYPE_CHECKING:
    from hafloc.describe import Describer

# To be raised whenever frames of the same film and track are chosen or placed in another way.
_VERSION = 1
_TRACK = "track"
# What a film's records state while some of its frames are still missing.
_UNFINISHED = ""


@dataclass(slots=True)
class _Work:
    """One film that is to be brought up to date.

    `before` are the records of its file, `kept` the names of those that stay, `times` what is to
    be decoded, `stored` the names of new ones.
    """

    file: ScannedFile
    path: Path
    plan: FilmPlan
    content: str
    before: Group
    kept: set[str]
    times: tuple[float, ...]
    stored: set[str] = field(default_factory=set)
    decoded: Decoded = field(default_factory=Decoded)
    problem: HaflocError | None = None


@dataclass(slots=True)
class FilmReport:
    """Numbers of frames as a build reports them; `films` had some added."""

    films: int = 0
    frames: int = 0
    unchanged: int = 0
    corrected: int = 0
    moved: int = 0
    removed: int = 0
    tabled: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Films:
    """The films among the files of one build."""

    def __init__(
        self,
        index: GeoIndex,
        every: Every | None,
        tracking: Tracking | None,
        cutting: Cutting | None,
    ) -> None:
        self._index = index
        self._every = every or EVERY
        self._tracking = tracking
        self._views = cutting.views if cutting is not None and cutting.assume else 0
        self._tracks: list[Track] | None = None
        self._digests: list[str] | None = None
        self._works: dict[Path, _Work] = {}
        self.report = FilmReport()

    def stated(self, film: Path) -> str:
        """A fingerprint (16 hex digits) of all that decides which frames of a film are taken, and
        what is said of their places, outside its file."""
        tracking = self._tracking
        if self._digests is None:
            self._digests = [] if tracking is None else list(map(content, tracking.paths))
        beside = srt_beside(film)
        status = None if beside is None else beside.stat()
        said = [
            *(_VERSION, str(self._every), self._views, self._digests),
            None
            if tracking is None
            else [tracking.offset, str(tracking.zone), tracking.max_gap, tracking.course],
            None if status is None else [status.st_size, status.st_mtime_ns],
        ]
        return hashlib.blake2b(json.dumps(said).encode(), digest_size=8).hexdigest()

    def take(self, plan: Plan) -> Plan:
        """Prepare the films of a plan, whose records that stay are brought up to date; the plan
        without them. Raises PositionError for a track that cannot be read."""
        films = [file for file in plan.describe if file.is_film]
        for file in films:
            before = plan.replaced.get(file.name, ())
            try:
                self._prepare(file, before)
            except HaflocError as error:
                self._lost(file, before, error)
        names = {file.name for file in films}
        return replace(
            plan,
            describe=tuple(file for file in plan.describe if not file.is_film),
            replaced={name: group for name, group in plan.replaced.items() if name not in names},
        )

    @property
    def frames(self) -> int:
        """How many frames are to be described."""
        return sum(len(work.times) for work in self._works.values())

    def describe(
        self, describer: "Describer", *, local: bool, workers: int
    ) -> Iterator[Sequence[Entry] | Skipped]:
        """Each new frame, or its views, as they are described; and the films that fail."""
        if not self.frames:
            return
        begun: list[Entry] = []
        said: set[str] = set()
        described = describer.describe_photos(
            self._photos(describer.longer_side),
            local=local,
            regions=self._index.regions > 0,
            workers=workers,
        )
        for found in described:
            if isinstance(found, HaflocError):
                # What holds for one frame, as its size, holds for all.
                if str(found) not in said:
                    yield Skipped("", str(found))
                said.add(str(found))
                begun = []
                continue
            photo = found.photo
            assert isinstance(photo.path, Path), "films lie on disks"
            begun.append(Entry(_record(self._works[photo.path], photo), found.features))
            if len(begun) >= photo.parts:
                self._works[photo.path].stored.update(entry.record.path for entry in begun)
                yield begun
                begun = []
        for work in self._works.values():
            if work.problem is not None:
                yield Skipped(str(work.path), str(work.problem))

    def finish(self) -> None:
        """Say of films whose frames are all stored that they are complete, and take out records of
        frames that are not wanted any more."""
        for work in self._works.values():
            names = work.kept | work.stored
            stale = [item.id for item in work.before if item.path not in names]
            if work.problem is None:
                held = self._index.find_paths(sorted(names))
                done = [replace(record, stated=work.file.stated) for record in held
                        if record.stated != work.file.stated]  # fmt: skip
                if done:
                    self._index.update(done)
            if stale:
                self._index.remove(stale)
                self.report.removed += len(stale)
            frames = {split_name(name)[1] for name in work.stored}
            times = {part.time for part in frames if isinstance(part, Frame)}
            self.report.films += bool(times)
            self.report.frames += len(times)
            self.report.notes += work.decoded.notes

    def _photos(self, longer_side: int) -> Iterator[Photo]:
        for work in self._works.values():
            if not work.times:
                continue
            frames = read_frames(
                work.plan,
                work.times,
                longer_side=longer_side,
                views=self._views,
                content=work.content,
                begun=bool(work.kept),
                decoded=work.decoded,
            )
            try:
                for photos in frames:
                    yield from photos
            except HaflocError as error:
                work.problem = error

    def _prepare(self, file: ScannedFile, before: Group) -> None:
        path = Path(str(file.path))
        held = self._index.get([item.id for item in before])
        if self._tracking is None and held and held[0].source == _TRACK:
            same = held[0].content == film_content(path)
            if same:
                self._keep(file, held)
                return
        plan = plan_film(path, self._every, self._read_tracks(), self._tracking)
        self.report.notes += plan.way.notes
        known = film_content(path)
        work = _Work(file, path, plan, known, before, set(), plan.times)
        self._works[path] = work
        ours = [record for record in held if record.content == known and _is_frame(record)]
        times = held_times(plan.times, [_time(record) for record in ours])
        work.times = tuple(time for time in plan.times if time not in times.values())
        stated = _UNFINISHED if work.times else file.stated
        wanted = [record for record in ours if _time(record) in times]
        self._update(file, [(old, _placed(old, plan)) for old in wanted], stated)
        # An index keeps ids, and their names are today's.
        work.kept = {part_name(file.name, split_name(old.path)[1]) for old in wanted}
        kept = {old.id for old in wanted}
        work.before = tuple(item for item in before if item.id not in kept)

    def _keep(self, file: ScannedFile, held: Sequence[Record]) -> None:
        """A film that a track placed which is not at hand now."""
        self._update(file, [(record, record) for record in held], held[0].stated or "")
        self.report.tabled += len(held)

    def _update(
        self, file: ScannedFile, records: Sequence[tuple[Record, Record]], stated: str
    ) -> None:
        changed = []
        for old, new in records:
            today = replace(
                new,
                path=part_name(file.name, split_name(old.path)[1]),
                bytes=file.bytes,
                modified=file.modified,
                stated=stated,
            )
            self.report.corrected += new != old
            self.report.moved += today.path != old.path
            self.report.unchanged += today.path == old.path
            if today != old:
                changed.append(today)
        if changed:
            self._index.update(changed)

    def _lost(self, file: ScannedFile, before: Group, error: HaflocError) -> None:
        self.report.skipped.append(Skipped(str(file.path), str(error)))
        try:
            now = film_content(Path(str(file.path)))
        except PhotoError:
            return
        # A track is easily the wrong one: what is held of the same film stays.
        stale = [item.id for item in before if item.content != now]
        if stale:
            self._index.remove(stale)
            self.report.removed += len(stale)

    def _read_tracks(self) -> list[Track]:
        if self._tracks is None:
            paths = () if self._tracking is None else self._tracking.paths
            self._tracks = [track for path in paths for track in read_track(path).tracks]
        return self._tracks


def _record(work: _Work, photo: Photo) -> Record:
    return Record(
        path=part_name(work.file.name, photo.part),
        content=work.content,
        width=photo.width,
        height=photo.height,
        bytes=work.file.bytes,
        modified=work.file.modified,
        stated=_UNFINISHED,
        **where_and_when(photo.metadata, photo.part),
    )


def _placed(record: Record, plan: FilmPlan) -> Record:
    """A frame's record with the place and time that are known of it today."""
    said = plan.way.metadata(_time(record))
    if said.position is None:
        return record
    return replace(record, **where_and_when(said, split_name(record.path)[1]))


def _is_frame(record: Record) -> bool:
    return isinstance(split_name(record.path)[1], Frame)


def _time(record: Record) -> float:
    part = split_name(record.path)[1]
    assert isinstance(part, Frame), "a frame"
    return part.time
