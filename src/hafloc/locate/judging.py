"""Which calibration speaks for a query's candidates, and what it says of them."""

from collections.abc import Sequence
from dataclasses import replace

from hafloc.errors import IndexFileError
from hafloc.index import GeoIndex, is_outdated
from hafloc.locate.position import Consensus
from hafloc.locate.query import RankedQuery, Wanted
from hafloc.locate.trust import (
    Calibration,
    Verdict,
    judge,
    read_calibrations,
    shipped_calibrations,
)

OUTDATED = (
    "the index's own calibration was made by an earlier hafloc and is not used; "
    "`hafloc calibrate` renews it"
)


class Judge:
    """Says how far answers can be trusted, by the first calibration of each kind."""

    def __init__(self, calibrations: Sequence[Calibration], note: str | None = None) -> None:
        self._calibrations = tuple(calibrations)
        # Those of a database's own photos have the shipped confidence.
        self._of_photos = {(one.weights, one.bias) for one in calibrations if one.shipped}
        # What a person should know of all that is said.
        self.note = note

    @classmethod
    def of(cls, index: GeoIndex) -> "Judge":
        """By the index's own calibrations, then those shipped with its checkpoint, as far as any.

        Raises IndexFileError where the index's own are damaged.
        """
        text = index.calibration()
        try:
            own = () if text is None else read_calibrations(text, index.model.hash)
        except ValueError as error:
            raise IndexFileError(
                f"cannot use the calibration of {index.location}: {error}; make it anew with "
                "`hafloc calibrate`"
            ) from error
        # Of each kind of answers the first counts: the database may have learned only one.
        shipped = shipped_calibrations(index.model.hash)
        return cls((*own, *shipped), OUTDATED if is_outdated(text, index.model.hash) else None)

    def verdict(
        self,
        query: RankedQuery,
        wanted: Wanted,
        *,
        consensus: Consensus | None = None,
        confidence: float | None = None,
    ) -> Verdict:
        """The verdict on a query's candidates: on their own consensus, unless one is given."""
        verified = query.evidence[0].verified
        calibration = next((c for c in self._calibrations if c.verified == verified), None)
        if consensus is None:
            consensus = query.consensus()
        if confidence is None and calibration is not None and query.query_views:
            confidence = self._of_several(calibration, consensus, query.query_views)
        verdict = judge(
            consensus,
            calibration,
            wanted.probability,
            confidence=confidence,
            cautious=wanted.cautious,
        )
        return replace(verdict, views=consensus.views)

    def _of_several(self, calibration: Calibration, consensus: Consensus, views: int) -> float:
        """The confidence of the best of several views.

        Of n views of another place, one looks right by chance up to n times as often as a photo
        does (Bonferroni); so where the confidence is that of single photos, its odds are divided by
        n. One that was learned from a person's own queries is left as it is.
        """
        confidence = calibration.confidence(consensus)
        if (calibration.weights, calibration.bias) not in self._of_photos:
            return confidence
        return confidence / (confidence + views * (1 - confidence))
