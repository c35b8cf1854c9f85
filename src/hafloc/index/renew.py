"""Bring records whose photos stay up to date: moved, touched, or placed otherwise than before."""

from dataclasses import dataclass, replace
from typing import Any

from hafloc.errors import HaflocError, PositionError
from hafloc.index.plan import Group, Kept, Plan, ScannedFile, Skipped
from hafloc.index.records import GeoIndex, Held, Record
from hafloc.photos import (
    CUTTING,
    Cutting,
    Metadata,
    Part,
    PhotoFile,
    Positions,
    part_name,
    read_facts,
    shown,
    split_name,
    turned,
)

# The sources of positions that stand in a table, or in the files of other programs.
_TABLES = ("csv", "table", "sidecar")
_TRACK = "track"
# The records of one file.
_Records = list[tuple[Kept, Record]]


@dataclass(frozen=True, slots=True)
class Renewal:
    """Numbers of files as a build reports them, and those that could not be looked into."""

    unchanged: int
    moved: int
    corrected: int
    removed: int
    tabled: int
    skipped: tuple[Skipped, ...]


def renew(
    index: GeoIndex, plan: Plan, positions: Positions, cutting: Cutting | None
) -> tuple[Renewal, Plan]:
    """Bring the records that a plan keeps up to date; and the plan with the panoramas that are
    held as one photo and are to be cut."""
    held = index.get([kept.id for kept in plan.keep])
    groups: dict[str, _Records] = {}
    for kept, record in zip(plan.keep, held, strict=True):
        groups.setdefault(kept.file.name, []).append((kept, record))
    renewed: list[Record] = []
    unplaced: list[int] = []
    skipped: list[Skipped] = []
    anew: dict[ScannedFile, Group] = {}
    moved = corrected = tabled = removed = 0
    for group in groups.values():
        kept, now = group[0][0], _renewed(group, positions, cutting)
        if now.problem is not None:
            skipped.append(Skipped(str(kept.file.path), str(now.problem)))
        if now.is_cut:
            anew[kept.file] = tuple(_held(record) for _, record in group)
        elif not now.records:
            unplaced += [kept.id for kept, _ in group]
            removed += 1
        else:
            moved += kept.moved
            tabled += now.tabled
            corrected += any(
                new != replace(old, stated=new.stated)
                for new, (_, old) in zip(now.records, group, strict=True)
            )
            renewed += [_of_today(new, kept.file) for new in now.records]
    if unplaced and len(unplaced) == index.count() and not (plan.describe or anew):
        raise PositionError(
            f"nothing places any of the {len(unplaced):,} photos of {index.location} any more, so "
            f"it stays as it is; check --positions and --track. {skipped[0].reason}"
        )
    if renewed:
        index.update(renewed)
    if unplaced:
        index.remove(unplaced)
    unchanged = len(groups) - len(anew) - removed - moved
    done = Renewal(unchanged, moved, corrected, removed, tabled, tuple(skipped))
    replaced = {file.name: group for file, group in anew.items()}
    return done, replace(plan, describe=(*plan.describe, *anew), replaced=plan.replaced | replaced)


@dataclass(frozen=True, slots=True)
class _Renewed:
    """A file's records as they are today; none where nothing places it any more.

    `tabled` says that a table which is not at hand placed it, `is_cut` that it is a panorama.
    """

    records: list[Record]
    tabled: bool = False
    is_cut: bool = False
    problem: HaflocError | None = None


def _renewed(group: _Records, positions: Positions, cutting: Cutting | None) -> _Renewed:
    """What the records of one file are today."""
    records = [record for _, record in group]
    restated = [kept for kept, _ in group if kept.restated]
    if not restated:
        return _Renewed(records)
    file = restated[0].file
    if _keeps_its_place(records[0].source, file, positions):
        return _Renewed(records, tabled=True)
    try:
        own, is_cut = read_facts(file.path, cutting or CUTTING)
        said = positions.complete(own, file.inside)
        require_position(said, file.path)
    except HaflocError as error:
        # A track is easily the wrong one, or read by the wrong clock.
        is_lost = isinstance(error, PositionError) and records[0].source != _TRACK
        return _Renewed([] if is_lost else records, problem=error)
    parts = [split_name(record.path)[1] for record in records]
    return _Renewed(
        [
            replace(record, stated=file.stated, **where_and_when(said, part))
            for record, part in zip(records, parts, strict=True)
        ],
        is_cut=is_cut and cutting is not None and parts == [None],
    )


def _keeps_its_place(source: str, file: ScannedFile, positions: Positions) -> bool:
    """Whether a table or track placed the photo and none is at hand: then it is not corrected."""
    if source == _TRACK:
        return not positions.tracks and positions.row(file.inside) is None
    return source in _TABLES and positions.path is None


def _held(record: Record) -> Held:
    return Held(
        record.id or 0,
        record.path,
        record.content,
        record.bytes,
        record.modified,
        record.stated,
    )


def _of_today(record: Record, file: ScannedFile) -> Record:
    """The record with the name, size and time that its file has now."""
    path = part_name(file.name, split_name(record.path)[1])
    return replace(record, path=path, bytes=file.bytes, modified=file.modified)


def require_position(metadata: Metadata, path: PhotoFile) -> None:
    if metadata.position is None:
        reason = metadata.problem or "it has no GPS position"
        raise PositionError(
            f"cannot place {shown(path.name)}: {reason}; give a position in a CSV (image,lat,lon), "
            "its file name or its EXIF"
        )


def where_and_when(said: Metadata, part: Part | None) -> dict[str, Any]:
    """The fields of a part's record that its file's metadata gives, which must hold a position."""
    return {
        "position": said.position,
        "source": said.source or "",
        "heading": turned(said.heading, part),
        "magnetic": said.magnetic,
        "altitude": said.altitude,
        "time": said.time,
        "accuracy": said.accuracy,
        "gps_status": said.gps_status,
        "licence": said.licence,
        "producer": said.producer,
        "source_url": said.source_url,
    }
