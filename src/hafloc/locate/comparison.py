"""One photo of the database held against a query, so that a person can judge the evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hafloc.description import ImageFeatures
from hafloc.errors import CheckpointError, IndexFileError, PhotoError
from hafloc.geo import distance
from hafloc.index import GeoIndex, Record, read_thumbnail, thumbnail_of
from hafloc.locate.answer import Answer, Candidate
from hafloc.locate.framed import Framed
from hafloc.locate.localizer import Localizer
from hafloc.locate.query import RERANK
from hafloc.locate.scales import Found, at_scales, search_scales
from hafloc.locate.trust import PROBABILITY
from hafloc.photos import (
    CUTTING,
    Cutting,
    Image,
    Photo,
    PhotoFile,
    content,
    file_name,
    query_photos,
    view_of,
)
from hafloc.verify import Evidence

# Photos searched for the rank of one beyond the verified ones, and how that grows until it is met.
_FIRST, _GROWTH = 1_000, 8
_NAMED = 3  # photos that a message names


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is said of a query, and one photo of the database with its evidence.

    The `candidate` may be any photo, also one beyond the answer's own candidates; `file` is where
    it lies. `small` is what the index keeps of it, where the file is gone or holds another photo.
    """

    answer: Answer
    candidate: Candidate
    evidence: Evidence
    file: PhotoFile
    small: Image | None = None


def compare_with(
    localizer: Localizer,
    query: Path,
    wanted: str | None = None,
    *,
    probability: float = PROBABILITY,
    cutting: Cutting = CUTTING,
) -> Comparison:
    """Locate `query` and compare its key points, or what the matcher finds, with one photo.

    `wanted` is a rank, or a photo's file, or its path or name in the index; by default the best
    candidate is taken. The file of a panorama means the view of it that shows most of the query. Of
    a panorama, cut as `cutting` says, the view that shows most of the photo is compared. Raises
    PhotoError where the query cannot be read, or the photo's file is gone or has changed,
    IndexFileError where the index has no such photo, CheckpointError where the network has no key
    points, and what `Localizer.locate` raises.
    """
    answer = localizer.locate(query, top=RERANK, probability=probability, cutting=cutting)
    record = _record(localizer, answer, wanted)
    place = next((i for i, one in enumerate(answer.candidates) if one.id == record.id), None)
    if place is None:
        candidate, evidence = _beyond(localizer, answer, query, record, cutting)
    else:
        candidate, evidence = answer.candidates[place], answer.evidence[place]
    file = localizer.paths.file_of(record.path)
    small = _checked(localizer, record, file)
    if not evidence.verified and localizer.candidates.pairing is not None:
        raise PhotoError(
            f"cannot match {record.path}: the matcher could not see both photos; look at the "
            "files, or name no matcher"
        )
    if not evidence.verified:
        raise CheckpointError(
            f"cannot match key points: the network {localizer.index.model.name} has none; "
            "use an index made with one that has, such as haf"
        )
    return Comparison(answer, candidate, evidence, file, small)


def _record(localizer: Localizer, answer: Answer, wanted: str | None) -> Record:
    if wanted is None or wanted.isdecimal():
        rank = int(wanted or 1)
        if not 1 <= rank <= len(answer.candidates):
            raise IndexFileError(
                f"there is no candidate {rank:,}: the answer has {len(answer.candidates):,}; "
                "give one of their ranks, or a photo's path"
            )
        return localizer.index.get([answer.candidates[rank - 1].id])[0]
    ways = [wanted, localizer.paths.name_of(wanted)]
    for record in localizer.index.find_paths(ways):
        return record
    return _of_file(localizer, answer, wanted, ways)


def _of_file(localizer: Localizer, answer: Answer, wanted: str, ways: Sequence[str]) -> Record:
    """The photo that a file's name means: of a panorama the view that shows most of the query.

    A name alone does where no other photo has it. Of views that are no candidates, the first.
    """
    alone = "/" not in wanted
    files: dict[str, list[int]] = {}
    for id_, path in localizer.index.names():
        file = file_name(path)
        if file in ways or (alone and file.rpartition("/")[2] == wanted):
            files.setdefault(file, []).append(id_)
    meant = [file for file in ways if file in files] or sorted(files)
    if not meant:
        raise IndexFileError(
            f"the index has no photo {wanted}; `hafloc index export` lists those it has"
        )
    if len(meant) > 1 and meant[0] not in ways:
        more = f", and {len(meant) - _NAMED:,} more" if len(meant) > _NAMED else ""
        raise IndexFileError(
            f"the index has {len(meant):,} photos named {wanted}: {', '.join(meant[:_NAMED])}"
            f"{more}; give the path of one"
        )
    ids = files[meant[0]]
    shown = next((one.id for one in answer.candidates if one.id in ids), ids[0])
    return localizer.index.get([shown])[0]


def _beyond(
    localizer: Localizer, answer: Answer, query: Path, record: Record, cutting: Cutting
) -> tuple[Candidate, Evidence]:
    """A photo that is not among the first RERANK, as they are judged; its rank is that of
    its similarity."""
    photos = query_photos(query, longer_side=localizer.candidates.longer_side, cutting=cutting)
    looks = [_look(localizer, photo, record) for photo in photos]
    best = max(range(len(looks)), key=lambda i: looks[i][2].strength)
    rank, found, evidence = looks[best]
    view = view_of(photos[best].part)
    shown = Answer.from_hits(
        answer.query,
        [record],
        [found.similarity],
        evidence=[evidence],
        parts=[] if view is None else [view],
    )
    metres = distance(record.position, answer.position)
    return replace(shown.candidates[0], rank=rank, metres=metres), evidence


def _look(localizer: Localizer, photo: Photo, record: Record) -> tuple[int, Found, Evidence]:
    """A photo's rank by similarity to a query, how it was found, and the evidence."""
    finder = localizer.candidates
    regions = localizer.index.regions > 0
    seen = at_scales(
        localizer.describer, photo.image, local=finder.pairing is None, regions=regions
    )
    rank, found = _rank(localizer.index, seen, record.id or 0)
    if finder.pairing is None:
        (evidence,) = finder.weigh({found.id: record}, [found], seen)
    else:
        (evidence,) = finder.pairing.weigh({found.id: record}, [found.similarity], photo.image, 1)
    if (framed := Framed.of(photo)) is not None:
        evidence = framed.in_picture(evidence)
    return rank, found, evidence


def _rank(index: GeoIndex, query: Sequence[ImageFeatures], id_: int) -> tuple[int, Found]:
    """The rank of a photo by similarity to a query, and how it was found.

    The index is asked for as many photos as it takes: all of them only for one of the last.
    """
    k, number = _FIRST, index.count()
    while True:
        for rank, found in enumerate(search_scales(index, query, k), 1):
            if found.id == id_:
                return rank, found
        if k >= number:
            raise IndexFileError(f"photo {id_} was removed from {index.location}; locate it again")
        k *= _GROWTH


def _checked(localizer: Localizer, record: Record, file: PhotoFile) -> Image | None:
    """The index's own picture where the file cannot be shown. Raises PhotoError without one."""
    there = file.is_file()
    if there and content(file) == record.content:
        return None
    stored = thumbnail_of(localizer.index, record)
    if stored is not None:
        return read_thumbnail(stored)
    if there:
        raise PhotoError(
            f"cannot show the matches with {record.path}: its file has changed since it was "
            "indexed; run `hafloc index build` again"
        )
    (features,) = localizer.index.local_features([record.id or 0])
    also = "" if features is not None else ", and the index holds no key points of it"
    raise PhotoError(
        f"cannot show the matches with {record.path}: its file {file} is gone{also}; put it "
        "back, or choose another candidate"
    )
