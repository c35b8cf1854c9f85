"""A panorama as a query: what its views found, taken together as one query."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hafloc.index import Record
from hafloc.locate.query import RankedQuery
from hafloc.photos import View
from hafloc.verify import Evidence


def join_views(queries: Sequence[tuple[View, RankedQuery]]) -> RankedQuery:
    """One query of a panorama's views, each with its own candidates; at least one view.

    A photo of the database that several views found counts once, by the view that it is the
    strongest for; all that were judged for a view decide on the place.
    """
    judged: dict[int, tuple[Record, Evidence, View]] = {}
    rest: dict[int, tuple[Record, Evidence, View]] = {}
    for view, query in queries:
        for number, (record, evidence) in enumerate(
            zip(query.records, query.evidence, strict=True)
        ):
            found = judged if number < query.judged else rest
            if evidence.id not in found or evidence.strength > found[evidence.id][1].strength:
                found[evidence.id] = record, evidence, view
    ordered = _strongest_first(judged.values())
    ordered += _strongest_first(item for id_, item in rest.items() if id_ not in judged)
    first = queries[0][1]
    twins = (query.duplicate_of for _, query in queries)
    return replace(
        first,
        records=[record for record, _, _ in ordered],
        evidence=[evidence for _, evidence, _ in ordered],
        judged=len(judged),
        duplicate_of=next((twin for twin in twins if twin is not None), None),
        note=first.note or f"located by {len(queries):,} views of the panorama together",
        focal=None,
        parts=tuple(view for _, _, view in ordered),
        query_views=len(queries),
    )


def _strongest_first(
    found: Iterable[tuple[Record, Evidence, View]],
) -> list[tuple[Record, Evidence, View]]:
    return sorted(found, key=lambda item: (-item[1].strength, item[1].id))
