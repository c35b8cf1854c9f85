"""A query's candidates compared by a matcher of any name, from the candidates' files."""

from collections import Counter
from collections.abc import Sequence

from hafloc.errors import HaflocError, reason_of
from hafloc.index import PhotoPaths, Record
from hafloc.locate.remembered import FileKey, Remembered, file_of
from hafloc.photos import Image, read_part, split_name
from hafloc.prefetch import share_out
from hafloc.verify import (
    LONGER_SIDE,
    NOTHING,
    Evidence,
    Look,
    Matcher,
    Verified,
    compare_looks,
    weigh_compared,
)

# Photos that are kept as the matcher saw them: at most 180 MB of whole images.
_REMEMBERED = 200


class Pairing:
    """Weighs candidates with `matcher`; what it kept of a file is used again.

    Safe in threads, as the matcher is.
    """

    def __init__(self, matcher: Matcher, paths: PhotoPaths) -> None:
        self.matcher = matcher
        self.longer_side = LONGER_SIDE
        self._paths = paths
        self._looks: Remembered[FileKey, Look | str | None] = Remembered(_REMEMBERED)
        self._gone: set[str] = set()
        self._failures: Counter[str] = Counter()

    @property
    def note(self) -> str:
        return f"confidence is not calibrated for the matcher {self.matcher.name}"

    def weigh(
        self,
        records: dict[int, Record],
        similarities: Sequence[float],
        image: Image,
        rerank: int,
    ) -> list[Evidence]:
        """Evidence on a query's candidates, by id and most similar first.

        The first `rerank` are compared and ranked anew; the rest follow. One whose file is gone or
        has changed is judged by its similarity.
        """
        ids, first = list(records), list(records.values())[:rerank]
        query = self._seen(image)
        if isinstance(query, str):
            self._failures[query] += 1
        verified: list[Verified | None] = [None] * len(first)
        sizes: list[tuple[tuple[int, int], tuple[int, int]] | None] = [None] * len(first)
        if isinstance(query, Look):
            looks = self._candidates(first)
            compared = compare_looks(
                self.matcher, query, [look if isinstance(look, Look) else None for look in looks]
            )
            self._failures.update(compared.failures)
            for i, (look, found) in enumerate(zip(looks, compared.verified, strict=True)):
                # A photo that the matcher cannot take matches nothing.
                verified[i] = NOTHING if isinstance(look, str) else found
                sizes[i] = (query.size, look.size) if isinstance(look, Look) else None
        ranked = weigh_compared(ids[:rerank], similarities[:rerank], verified, sizes)
        rest = weigh_compared(
            ids[rerank:],
            similarities[rerank:],
            [None] * len(ids[rerank:]),
            [None] * len(ids[rerank:]),
        )
        return [*ranked, *rest]

    def troubles(self) -> list[str]:
        """What went wrong so far, a line each: files that are gone, pairs that failed."""
        lines = []
        if self._gone:
            count, example = len(self._gone), min(self._gone)
            whose = "1 candidate was" if count == 1 else f"{count:,} candidates were"
            lines.append(
                f"{whose} judged by similarity alone, files being gone or changed: {example} "
                "for example"
            )
        if self._failures:
            reason, _ = self._failures.most_common(1)[0]
            lines.append(
                f"the matcher {self.matcher.name} failed on {self._failures.total():,} photos or "
                f"pairs, which count as no match: {reason}"
            )
        return lines

    def _candidates(self, records: Sequence[Record]) -> list[Look | str | None]:
        looks = share_out(self._candidate, records)
        for record, look in zip(records, looks, strict=True):
            if look is None:
                self._gone.add(record.path)
            elif isinstance(look, str):
                self._failures[look] += 1
        return looks

    def _candidate(self, record: Record) -> Look | str | None:
        """What the matcher keeps of a candidate's file; None where it is gone or has changed."""
        there = file_of(record, self._paths)
        if there is None:
            return None
        file, key = there

        def make() -> Look | str | None:
            try:
                photo = read_part(file, split_name(record.path)[1], longer_side=self.longer_side)
            except HaflocError:
                return None
            return self._seen(photo.image) if photo.content == record.content else None

        return self._looks.get(key, make)

    def _seen(self, image: Image) -> Look | str:
        """What the matcher keeps of an image, or why it cannot take it."""
        # Others' code may raise anything.
        try:
            return Look(self.matcher.look(image), (image.shape[1], image.shape[0]))
        except Exception as error:
            return reason_of(error)[:200]
