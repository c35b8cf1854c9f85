"""From a query's photo to its candidates: described, searched, verified, ranked."""

from collections.abc import Sequence
from contextlib import suppress

from hafloc import geo
from hafloc.description import FeatureMaker, ImageFeatures, LocalFeatures
from hafloc.errors import HaflocError, IndexFileError, PhotoError, PositionError
from hafloc.index import GeoIndex, Near, PhotoPaths, Record, paths_of
from hafloc.locate.framed import Framed
from hafloc.locate.pairing import Pairing
from hafloc.locate.query import RERANK, RankedQuery, Wanted
from hafloc.locate.remembered import FileKey, Remembered, file_of
from hafloc.locate.scales import Found, at_scales, search_scales
from hafloc.photos import Frame, Photo, PhotoFile, read_part, split_name
from hafloc.verify import Evidence, Matcher, weigh

# Features that had to be computed from a candidate's file: at most 24 MB of them.
_REMEMBERED = 1_000
# Searches for one query while photos are being removed under it.
_TRIES = 3


class CandidateFinder:
    """Finds a query's candidates in one index with the network that described it.

    They are verified by the stored key points, or by the `matcher` where one is given.

    Safe in threads, as the index and the describer are.
    """

    def __init__(
        self,
        index: GeoIndex,
        describer: FeatureMaker,
        matcher: Matcher | None = None,
        paths: PhotoPaths | None = None,
    ) -> None:
        self.index = index
        self.paths = paths or paths_of(index.location)
        self.pairing = None if matcher is None else Pairing(matcher, self.paths)
        self.describer = describer
        self._from_files: Remembered[FileKey, LocalFeatures | None] = Remembered(_REMEMBERED)

    @property
    def longer_side(self) -> int:
        """Pixels of the longer side in which queries are to be read."""
        side = self.describer.longer_side
        return side if self.pairing is None else max(side, self.pairing.longer_side)

    def check(self, near: Near | None) -> None:
        """Raises IndexFileError where there are no photos, PositionError where none is `near`."""
        if not self.index.count():
            raise IndexFileError(
                f"cannot locate with {self.index.location}: it holds no photos; "
                "add some with `hafloc index add`"
            )
        if near is not None:
            self._check_near(near)

    def find(self, name: str, photo: Photo, wanted: Wanted) -> RankedQuery:
        """The candidates of a query called `name`, strongest first.

        Raises PhotoError where the network cannot take it, IndexFileError or PositionError where
        the index has no photos, or none near enough, any more.
        """
        try:
            query = at_scales(
                self.describer,
                photo.image,
                local=wanted.rerank > 0 and self.pairing is None,
                regions=self.index.regions > 0,
            )
        except PhotoError as error:
            raise PhotoError(f"cannot describe {name}: {error}") from error
        judged = wanted.rerank or RERANK
        records, found = self._search(query, max(wanted.top, judged), wanted.near)
        if not records:
            self.check(wanted.near)
            raise self._emptied()
        note = None
        if self.pairing is not None and wanted.rerank:
            similarities = [item.similarity for item in found]
            evidence = self.pairing.weigh(records, similarities, photo.image, judged)
            note = self.pairing.note
        else:
            evidence = self.weigh(records, found, query, judged)
        ordered = [records[item.id] for item in evidence]
        twin = self.twin_of(photo, ordered)
        time = photo.metadata.time
        return RankedQuery(
            name,
            ordered,
            evidence,
            judged,
            twin,
            photo.path,
            time,
            note,
            Framed.of(photo),
            photo.focal,
        )

    def _search(
        self, query: Sequence[ImageFeatures], k: int, near: Near | None
    ) -> tuple[dict[int, Record], list[Found]]:
        """The records of the k most similar photos by id, and how they were found."""
        for _ in range(_TRIES - 1):
            found = search_scales(self.index, query, k, near)
            # Another process may remove one before it is read.
            with suppress(IndexFileError):
                return self._records(found), found
        found = search_scales(self.index, query, k, near)
        return self._records(found), found

    def _records(self, found: Sequence[Found]) -> dict[int, Record]:
        ids = [item.id for item in found]
        return dict(zip(ids, self.index.get(ids), strict=True))

    def weigh(
        self,
        records: dict[int, Record],
        found: Sequence[Found],
        query: Sequence[ImageFeatures],
        rerank: int = RERANK,
    ) -> list[Evidence]:
        """Evidence on a query's candidates, by id and most similar first.

        The first `rerank` are verified with the local features of the `query`, where it has some,
        and ranked anew; the rest follow. One that was found by the query's half is compared with
        that and with the query as it is, and the clearer geometry counts.
        """
        candidates = list(records.values())
        features: list[LocalFeatures | None] = [None] * len(candidates)
        if query[0].local is not None:
            features[:rerank] = self.local_features(candidates[:rerank])
        # The scale at which it was found first: of equals the first counts.
        beside = [[query[scale].local for scale in range(item.scale, -1, -1)] for item in found]
        evidence = weigh(list(records), [item.similarity for item in found], beside, features)
        place = {id_: number for number, id_ in enumerate(records)}
        return sorted(evidence, key=lambda item: max(place[item.id] - rerank + 1, 0))

    def local_features(self, records: Sequence[Record]) -> list[LocalFeatures | None]:
        """Stored local features, or else those of the photos' files; None where there are none."""
        stored = self.index.local_features([record.id or 0 for record in records])
        return [
            self._from_file(record) if found is None else found
            for record, found in zip(records, stored, strict=True)
        ]

    def twin_of(self, photo: Photo, records: Sequence[Record] = ()) -> Record | None:
        """The database photo with the very bytes of `photo`, of `records` if it is among them."""
        if not photo.content:
            return None
        for record in records:
            if _is_twin(record, photo):
                return record
        # Kept out of the list by `near`, or by `top` near-identical photos.
        held = self.index.find_content([photo.content])
        return next((record for record in held if _is_twin(record, photo)), None)

    def _from_file(self, record: Record) -> LocalFeatures | None:
        there = file_of(record, self.paths)
        if there is None:
            return None
        file, key = there
        return self._from_files.get(key, lambda: self._describe(file, record))

    def _describe(self, file: PhotoFile, record: Record) -> LocalFeatures | None:
        """A candidate's local features; None where its file has changed or is unreadable."""
        try:
            photo = read_part(
                file, split_name(record.path)[1], longer_side=self.describer.longer_side
            )
            if photo.content != record.content:
                return None
            return self.describer.features(photo.image, regions=False).local
        except PhotoError:
            return None

    def _check_near(self, near: Near) -> None:
        nearest = self.index.nearest(near.centre, 1)
        if not nearest:
            raise self._emptied()
        metres = geo.distance(near.centre, nearest[0].position)
        if metres > near.radius:
            raise PositionError(
                f"no photo of the database lies within {near.radius:,.0f} m of {near.centre}: "
                f"the nearest is {metres:,.0f} m away; enlarge the radius or check the centre"
            )

    def _emptied(self) -> HaflocError:
        return IndexFileError(
            f"{self.index.location} was emptied while it was searched; add its photos again"
        )


def _is_twin(record: Record, photo: Photo) -> bool:
    """Whether both are of one file's bytes; frames of one film also of one time."""
    if record.content != photo.content:
        return False
    frame, own = split_name(record.path)[1], photo.part
    if not isinstance(frame, Frame):
        return True
    return isinstance(own, Frame) and own.time == frame.time
