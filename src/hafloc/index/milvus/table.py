"""Rows of a collection by id, by place, or all: whole answers, however many there are.

The engine gives out 16,384 rows a query and no more beyond an offset, and so many bytes. Ids are
spread evenly, so ranges of them hold about equally many rows.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hafloc.index.local_features import MOST_BYTES
from hafloc.index.milvus.cells import EVERYWHERE, covering
from hafloc.index.milvus.rows import Row, chosen, text_bytes
from hafloc.index.milvus.schema import Settings
from hafloc.index.milvus.server import Server
from hafloc.index.records import Box

# The engine's own bound of the rows of an answer.
MOST_ROWS = 16_384
# Rows asked for at a time: these many, or fewer where they would be of more bytes. (The engine
# gives out 64 MB at once, and pages may be twice as long.)
_PAGE, _PAGE_BYTES = 4_000, 16 << 20
_METRE = 1e-5  # in degrees
_IDS_END = 1 << 63
_ALL_IDS = (0, _IDS_END - 1)


class Table:
    """The rows of one collection of photos; every query sees all that was stored before it."""

    # For `spatial.nearest`: rows are cheap beside a query, and cells narrow in steps.
    enough = 20_000
    growth = 16

    def __init__(self, server: Server, settings: Settings) -> None:
        self._server = server
        dimension = settings.model.dimension
        self._bytes = {
            "vector": 4 * dimension,
            "regions": text_bytes(settings.regions * dimension),
            "features": text_bytes(MOST_BYTES),
        }

    def count(self, filter_: str = "") -> int:
        """How many rows there are that the filter takes."""
        return int(self.query(filter_, ("count(*)",))[0]["count(*)"])

    def query(
        self,
        filter_: str,
        columns: Sequence[str],
        limit: int | None = None,
        consistency: str = "Strong",
    ) -> list[Row]:
        """One query's rows; "Eventually" spares it the wait for the engine's clock, which one that
        went before has waited for."""
        more = {} if limit is None else {"limit": limit}
        rows = self._server.call(
            "read",
            "query",
            collection_name=self._server.address.collection,
            filter=filter_,
            output_fields=list(columns),
            consistency_level=consistency,
            **more,
        )
        return [dict(row) for row in rows]

    def search(
        self,
        vectors: NDArray[np.float32],
        limit: int,
        filter_: str,
        options: dict[str, int],
    ) -> list[list[Row]]:
        """For each vector `[Q, D]` its best rows: id, distance (similarity), lat, lon.

        Their vectors would take the engine longer than the second query, `after_search`.
        """
        found = self._server.call(
            "search",
            "search",
            collection_name=self._server.address.collection,
            data=vectors,
            limit=limit,
            filter=filter_,
            output_fields=["lat", "lon"],
            search_params={"metric_type": "IP", "params": options},
            consistency_level="Strong",
        )
        return [
            [{"id": hit["id"], "distance": hit["distance"], **hit["entity"]} for hit in hits]
            for hits in found
        ]

    def by_id(
        self, ids: Sequence[int], columns: Sequence[str], consistency: str = "Strong"
    ) -> dict[int, Row]:
        """The rows of these ids that are there."""
        rows = self.where("id", sorted(set(ids)), columns, consistency)
        return {int(row["id"]): row for row in rows}

    def after_search(self, ids: Sequence[int], columns: Sequence[str]) -> dict[int, Row]:
        """As `by_id`, of rows that a search has just named: that has waited for the engine's clock.

        One that another of its nodes does not know yet is waited for.
        """
        found = self.by_id(ids, columns, "Eventually")
        missing = [id_ for id_ in ids if id_ not in found]
        return found | self.by_id(missing, columns)

    def where(
        self,
        column: str,
        numbers: Sequence[int],
        columns: Sequence[str],
        consistency: str = "Strong",
    ) -> list[Row]:
        """The rows whose column is one of these numbers, by id; `consistency` as for `query`."""
        size = self._page(columns)
        found: list[Row] = []
        for start in range(0, len(numbers), size):
            filter_ = chosen(column, numbers[start : start + size])
            found += self.matching(filter_, columns, consistency)
        return sorted(found, key=lambda row: int(row["id"]))

    def matching(
        self, filter_: str, columns: Sequence[str], consistency: str = "Strong"
    ) -> list[Row]:
        """The rows that the filter takes, which are thought to be few; by id."""
        most = 2 * self._page(columns)
        pages = self._range(*_ALL_IDS, filter_, columns, most, consistency)
        return [row for page in pages for row in page]

    def pages(self, filter_: str, columns: Sequence[str]) -> Iterator[list[Row]]:
        """All rows that the filter takes, by id, in pages."""
        size = self._page(columns)
        parts = max(1, -(-self.count(filter_) // size))
        for part in range(parts):
            first, end = part * _IDS_END // parts, (part + 1) * _IDS_END // parts
            yield from self._range(first, end - 1, filter_, columns, 2 * size)

    def _page(self, columns: Sequence[str]) -> int:
        row = sum(self._bytes.get(column, 0) for column in columns)
        return max(1, min(_PAGE, _PAGE_BYTES // max(row, 1)))

    def _range(
        self,
        first: int,
        last: int,
        filter_: str,
        columns: Sequence[str],
        most: int,
        consistency: str = "Strong",
    ) -> Iterator[list[Row]]:
        """The rows of the ids from `first` to `last`; in halves where they are more than `most`."""
        ids = f"id >= {first} and id <= {last}"
        if (first, last) == _ALL_IDS:
            ids = "id >= 0"
        whole = f"{ids} and ({filter_})" if filter_ else ids
        rows = self.query(whole, columns, most, consistency)
        if len(rows) < most or first == last:
            yield sorted(rows, key=lambda row: int(row["id"]))
            return
        middle = (first + last) // 2
        yield from self._range(first, middle, filter_, columns, most, consistency)
        yield from self._range(middle + 1, last, filter_, columns, most, consistency)

    def count_in(self, boxes: Sequence[Box], most: int) -> int:
        """How many photos the boxes and their cells hold; `most` bounds nothing here."""
        return self.count(in_boxes(boxes))

    def places_in(
        self, boxes: Sequence[Box]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """The ids, latitudes and longitudes of the photos in the boxes' cells, by id."""
        pages = self.pages(in_boxes(boxes), ("id", "lat", "lon"))
        found = [(row["id"], row["lat"], row["lon"]) for page in pages for row in page]
        ids = np.array([id_ for id_, _, _ in found], dtype=np.int64)
        places = np.array([place for _, *place in found], dtype=np.float64).reshape(-1, 2)
        return ids, places[:, 0], places[:, 1]

    def bounds(self) -> Box | None:
        """The extent of all photos; None where there are none.

        Exact, unless more photos lie within a metre of an edge than the engine gives out.
        """
        if not self.count():
            return None
        west, east = self._edges("lon", 180.0)
        south, north = self._edges("lat", 90.0)
        return west, south, east, north

    def _edges(self, column: str, bound: float) -> tuple[float, float]:
        """The least and the greatest number of a column of degrees, by halving."""
        found = []
        for sign, beyond in ((1, "<="), (-1, ">=")):
            empty, held = -sign * bound, sign * bound
            while abs(held - empty) > _METRE:
                middle = (empty + held) / 2
                if self.query(f"{column} {beyond} {middle!r}", ("id",), 1, "Eventually"):
                    held = middle
                else:
                    empty = middle
            rows = self.query(f"{column} {beyond} {held!r}", (column,), MOST_ROWS, "Eventually")
            least = min((sign * row[column] for row in rows), default=sign * held)
            found.append(sign * least)
        return found[0], found[1]


def in_boxes(boxes: Sequence[Box]) -> str:
    """The filter of all in the boxes, and some around, by their cells."""
    ranges = covering(boxes)
    if ranges == [EVERYWHERE]:
        return ""
    return " or ".join(f"(cell >= {first} and cell <= {last})" for first, last in ranges)
