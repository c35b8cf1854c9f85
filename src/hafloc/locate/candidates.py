"""From a query's photo to its candidates: described, searched, verified, ranked."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hafloc import geo
from hafloc.description import LocalFeatures, VectorMaker
from hafloc.errors import HaflocError, IndexFileError, PhotoError, PositionError
from hafloc.index import GeoIndex, Hits, Near, Record, paths_of
from hafloc.locate.pairing import Pairing
from hafloc.locate.query import RERANK, RankedQuery, Wanted
from hafloc.locate.remembered import Remembered
from hafloc.photos import Photo, read
from hafloc.verify import Evidence, Matcher, weigh

# Features that had to be computed from a candidate's file: at most 24 MB of them.
_REMEMBERED = 1_000
# Searches for one query while photos are being removed under it.
_TRIES = 3

# A photo by name and content, and the time and size of its file.
_File = tuple[str, str, tuple[int, int]]


class CandidateFinder:
    """Finds a query's candidates in one index with the network that described it.

    They are verified by the stored key points, or by the `matcher` where one is given.

    Safe in threads, as the index and the describer are.
    """

    def __init__(
        self, index: GeoIndex, describer: VectorMaker, matcher: Matcher | None = None
    ) -> None:
        self.index = index
        self.paths = paths_of(index.location)
        self.pairing = None if matcher is None else Pairing(matcher, self.paths)
        self.describer = describer
        self._from_files: Remembered[_File, LocalFeatures | None] = Remembered(_REMEMBERED)

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
        local = None
        try:
            if wanted.rerank and self.pairing is None:
                vector, local = self.describer.vector_and_local(photo.image)
            else:
                vector = self.describer.vector(photo.image)
        except PhotoError as error:
            raise PhotoError(f"cannot describe {name}: {error}") from error
        judged = wanted.rerank or RERANK
        records, similarities = self._search(vector, max(wanted.top, judged), wanted.near)
        if not records:
            self.check(wanted.near)
            raise self._emptied()
        note = None
        if self.pairing is not None and wanted.rerank:
            evidence = self.pairing.weigh(records, similarities, photo.image, judged)
            note = self.pairing.note
        else:
            evidence = self.weigh(records, similarities, local, judged)
        ordered = [records[item.id] for item in evidence]
        twin = self.twin_of(photo, ordered)
        time = photo.metadata.time
        return RankedQuery(name, ordered, evidence, judged, twin, photo.path, time, note)

    def _search(
        self, vector: NDArray[np.float32], k: int, near: Near | None
    ) -> tuple[dict[int, Record], list[float]]:
        """The k most similar photos by id, with their similarities."""
        for _ in range(_TRIES - 1):
            hits = self.index.search(vector[np.newaxis], k, near)
            # Another process may remove one before it is read.
            with suppress(IndexFileError):
                return self._records(hits)
        return self._records(self.index.search(vector[np.newaxis], k, near))

    def _records(self, hits: Hits) -> tuple[dict[int, Record], list[float]]:
        ids = [int(id_) for id_ in hits.ids[0]]
        return dict(zip(ids, self.index.get(ids), strict=True)), hits.similarities[0].tolist()

    def weigh(
        self,
        records: dict[int, Record],
        similarities: Sequence[float],
        local: LocalFeatures | None,
        rerank: int = RERANK,
    ) -> list[Evidence]:
        """Evidence on a query's candidates, by id and most similar first.

        The first `rerank` are verified with the query's `local` features, where it has some, and
        ranked anew; the rest follow.
        """
        candidates = list(records.values())
        features: list[LocalFeatures | None] = [None] * len(candidates)
        if local is not None:
            features[:rerank] = self.local_features(candidates[:rerank])
        evidence = weigh(list(records), similarities, local, features)
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
            if record.content == photo.content:
                return record
        # Kept out of the list by `near`, or by `top` near-identical photos.
        return next(iter(self.index.find_content([photo.content])), None)

    def _from_file(self, record: Record) -> LocalFeatures | None:
        file = self.paths.file_of(record.path)
        try:
            seen = file.stat()
        except (OSError, ValueError):
            return None
        # The time and size, so that a file that was put back or mended is looked at again.
        key = record.path, record.content, (seen.st_mtime_ns, seen.st_size)
        return self._from_files.get(key, lambda: self._describe(file, record.content))

    def _describe(self, file: Path, content: str) -> LocalFeatures | None:
        """A candidate's local features; None where its file has changed or is unreadable."""
        try:
            photo = read(file, longer_side=self.describer.longer_side)
            if photo.content != content:
                return None
            return self.describer.vector_and_local(photo.image)[1]
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
