"""Your own photos: a folder with database and queries, one folder against itself, an index."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hafloc import geo
from hafloc.errors import EvaluationError, PhotoError
from hafloc.evaluate.benchmark import Benchmark, Picture, Search, Truth
from hafloc.evaluate.protocol import Ints
from hafloc.evaluate.regions import split
from hafloc.geo import Position
from hafloc.index import open_index, paths_of
from hafloc.measure import drop_rows, rows_around
from hafloc.photos import Metadata, Photo, Positions, content, photo_paths, read_flat

DEPTH = 100
TOLERANCE = 25.0  # metres
# EXIF is read with the pixels; this is the least that can be decoded.
_THUMB = 16


@dataclass(frozen=True, slots=True)
class _Photos:
    """Photos with a position, and how many of the folder have none."""

    paths: tuple[Path, ...]
    positions: tuple[Position, ...]
    headings: tuple[float | None, ...]
    left_out: int


def load_folder(root: Path, options: Mapping[str, str]) -> Benchmark:
    """`root/database` and `root/queries`, or `root/images` where each photo looks for the others.

    Options: tolerance (metres), positions (a CSV), heading (degrees that a positive may look
    elsewhere), apart (metres within which, ≤, photos are of the query's own place and dropped),
    pairs (a CSV whose rows name the positives in its first two columns, in place of positions),
    unanswerable (whether queries without a positive are counted or left out). Raises
    EvaluationError, PositionError, PhotoError.
    """
    table = Path(options["positions"]) if options.get("positions") else None
    one_folder = not (root / "database").is_dir() and (root / "images").is_dir()
    places = ("images", "images") if one_folder else ("database", "queries")
    for place in places:
        if not (root / place).is_dir():
            raise EvaluationError(
                f"{root} has no folder {place}; put the photos with known places into database/ "
                "and those to be found into queries/"
            )
    database = _with_positions(root / places[0], table)
    queries = database if one_folder else _with_positions(root / places[1], table)
    if options.get("pairs"):
        positives, queries, words = _pairs(Path(options["pairs"]), root, database, queries)
    else:
        positives, words = _near(database, queries, options)
    apart = _number(options, "apart", 0.0) if options.get("apart") else None
    unwanted = _own(database, queries, apart)
    positives = tuple(
        np.setdiff1d(rows, own) for rows, own in zip(positives, unwanted, strict=True)
    )
    queries, positives, unwanted, counted = _answerable(queries, positives, unwanted, options)
    return Benchmark(
        name="folder",
        database=tuple(Picture(path, upright=True) for path in database.paths),
        queries=tuple(Picture(path, upright=True) for path in queries.paths),
        truths={"": Truth(positives)},
        measure="recall",
        protocol={
            "list": f"{root.resolve().name}: {_count(database)}, {_count(queries, 'queries')}",
            "positives": words,
            "queries without positives": counted,
            "images": "upright",
            "ranking": "without the query's own file"
            + ("" if apart is None else f" and photos within {apart:g} m (≤) of it"),
            "search": "exact, largest dot product of unit vectors",
            "score": "recall@N over all queries: any of the first N is a positive",
        },
        depth=DEPTH,
        reach=DEPTH + max((len(own) for own in unwanted), default=0),
        arrange=partial(drop_rows, unwanted=unwanted, depth=DEPTH),
        metres=partial(_metres, database, queries),
    )


def load_index(root: Path, options: Mapping[str, str]) -> Benchmark:
    """`root` is an index (.gpkg), whose vectors and positions serve as the database; queries come
    from the folder of the option `queries`. Raises as `load_folder`, and IndexFileError."""
    if not options.get("queries"):
        raise EvaluationError("the index set needs photos to look for; add --set queries=FOLDER")
    table = Path(options["positions"]) if options.get("positions") else None
    queries = _with_positions(Path(options["queries"]), table)
    with open_index(root) as index:
        records = list(index.iterate())
        model = index.model
        # Their vectors are known: a photo behind a URL is named here, and not read.
        files = tuple(Path(str(paths_of(root).file_of(record.path))) for record in records)
    if not records:
        raise EvaluationError(f"{root} holds no photos; index some first")
    database = _Photos(
        files,
        tuple(record.position for record in records),
        tuple(record.heading for record in records),
        0,
    )
    positives, words = _near(database, queries, options)
    unwanted = _same_content([record.content for record in records], queries)
    positives = tuple(
        np.setdiff1d(rows, own) for rows, own in zip(positives, unwanted, strict=True)
    )
    queries, positives, unwanted, counted = _answerable(queries, positives, unwanted, options)
    return Benchmark(
        name="index",
        database=tuple(Picture(path, upright=True) for path in files),
        queries=tuple(Picture(path, upright=True) for path in queries.paths),
        truths={"": Truth(positives)},
        measure="recall",
        protocol={
            "list": f"{root.name}: {len(records):,} photos, {_count(queries, 'queries')}",
            "positives": words,
            "queries without positives": counted,
            "images": "upright",
            "ranking": "without the query's own file",
            "search": "exact, in the index, whose vectors may be rounded",
            "score": "recall@N over all queries: any of the first N is a positive",
        },
        depth=DEPTH,
        reach=DEPTH + max((len(own) for own in unwanted), default=0),
        arrange=partial(drop_rows, unwanted=unwanted, depth=DEPTH),
        metres=partial(_metres, database, queries),
        search=_index_search(root, [record.id or 0 for record in records]),
        model_hash=model.hash,
    )


def _metres(database: _Photos, queries: _Photos, query: int, row: int) -> float:
    place = database.positions[row]
    return float(geo.distances(queries.positions[query], [place.lat], [place.lon])[0])


def _index_search(path: Path, ids: Sequence[int]) -> Search:
    order = np.argsort(ids)
    sorted_ids = np.asarray(ids, dtype=np.int64)[order]

    def search(vectors: NDArray[np.float32], k: int) -> tuple[Ints, NDArray[np.float32]]:
        with open_index(path) as index:
            parts = split(vectors, vectors.shape[1] // index.model.dimension)
            hits = index.search(
                parts[:, 0], k, regions=parts[:, 1:] if parts.shape[1] > 1 else None
            )
        return order[np.searchsorted(sorted_ids, hits.ids)].astype(np.int64), hits.similarities

    return search


def _with_positions(folder: Path, table: Path | None) -> _Photos:
    found = photo_paths(folder)
    names = [path.relative_to(folder).as_posix() for path in found]
    positions = Positions.for_folder(folder, names, table)
    paths, places, headings = [], [], []
    for path in found:
        metadata = _metadata(path, folder, positions)
        if metadata.position is not None:
            paths.append(path)
            places.append(metadata.position)
            headings.append(metadata.heading)
    if not paths:
        raise EvaluationError(
            f"none of the {len(found):,} photos in {folder} has a position; add a positions.csv "
            "with the columns image,lat,lon"
        )
    return _Photos(tuple(paths), tuple(places), tuple(headings), len(found) - len(paths))


def _metadata(path: Path, folder: Path, positions: Positions) -> Metadata:
    name = path.relative_to(folder)
    blank = Photo(np.zeros((1, 1, 3), dtype=np.uint8), "", Metadata())
    told = positions.of(blank, name)
    if told.position is not None:
        return told
    try:
        return positions.of(read_flat(path, longer_side=_THUMB), name)
    except PhotoError as error:
        raise EvaluationError(f"{error}; an evaluation needs every photo") from error


def _near(
    database: _Photos, queries: _Photos, options: Mapping[str, str]
) -> tuple[tuple[Ints, ...], str]:
    tolerance = _number(options, "tolerance", TOLERANCE)
    positives = rows_around(database.positions, queries.positions, tolerance)
    words = f"within {tolerance:g} m (geodesic, ≤)"
    if options.get("heading"):
        turn = _number(options, "heading", 0.0)
        words += f" and looking at most {turn:g}° elsewhere"
        positives = tuple(
            np.array(
                [row for row in rows if _turned(database.headings[row], heading) <= turn],
                dtype=np.int64,
            )
            for rows, heading in zip(positives, queries.headings, strict=True)
        )
    return positives, words


def _number(options: Mapping[str, str], name: str, default: float) -> float:
    text = options.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise EvaluationError(f"{name}={text} is not a number from 0; correct it")
    return value


def _turned(first: float | None, second: float | None) -> float:
    """Degrees between two headings; without one, they count as opposite."""
    if first is None or second is None:
        return 180.0
    return float(geo.heading_difference(first, second))


def _pairs(
    table: Path, root: Path, database: _Photos, queries: _Photos
) -> tuple[tuple[Ints, ...], _Photos, str]:
    """Positives by name, and the queries that have one."""
    rows_of = {path.name: row for row, path in enumerate(database.paths)}
    partners: dict[str, set[int]] = {}
    for first, second in _read_pairs(table):
        for name, other in ((first, second), (second, first)):
            if other in rows_of:
                partners.setdefault(name, set()).add(rows_of[other])
    kept = [row for row, path in enumerate(queries.paths) if partners.get(path.name)]
    if not kept:
        raise EvaluationError(
            f"{table} names none of the photos of {root}; its first two columns "
            "are the names of two photos of the same place"
        )
    chosen = _Photos(
        tuple(queries.paths[row] for row in kept),
        tuple(queries.positions[row] for row in kept),
        tuple(queries.headings[row] for row in kept),
        len(queries.paths) - len(kept) + queries.left_out,
    )
    positives = tuple(
        np.array(sorted(partners[path.name]), dtype=np.int64) for path in chosen.paths
    )
    return positives, chosen, f"the partners that {table.name} names"


def _read_pairs(table: Path) -> list[tuple[str, str]]:
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"cannot read {table}: {error}; check the path") from error
    if any(len(row) < 2 for row in rows):
        raise EvaluationError(f"{table} has rows without two names; each names two photos")
    return [(Path(row[0]).name, Path(row[1]).name) for row in rows]


def _answerable(
    queries: _Photos,
    positives: tuple[Ints, ...],
    unwanted: tuple[Ints, ...],
    options: Mapping[str, str],
) -> tuple[_Photos, tuple[Ints, ...], tuple[Ints, ...], str]:
    """Leaves out what has no positive if that is wanted; says what became of them."""
    without = sum(not len(rows) for rows in positives)
    kept = [q for q, rows in enumerate(positives) if len(rows)]
    if options.get("unanswerable", "counted") == "counted" or not kept:
        return queries, positives, unwanted, f"{without:,}, counted as never found"
    return (
        replace(
            queries,
            paths=tuple(queries.paths[q] for q in kept),
            positions=tuple(queries.positions[q] for q in kept),
            headings=tuple(queries.headings[q] for q in kept),
        ),
        tuple(positives[q] for q in kept),
        tuple(unwanted[q] for q in kept),
        f"{without:,}, left out",
    )


def _own(database: _Photos, queries: _Photos, apart: float | None) -> tuple[Ints, ...]:
    """Database rows that a query may not find: its own file, and its own place."""
    sizes = [path.stat().st_size for path in database.paths]
    shared = set(sizes) & {path.stat().st_size for path in queries.paths}
    contents = [
        content(path) if size in shared else ""
        for path, size in zip(database.paths, sizes, strict=True)
    ]
    own = _same_content(contents, queries)
    if apart is None:
        return own
    place = rows_around(database.positions, queries.positions, apart)
    return tuple(np.union1d(rows, near) for rows, near in zip(own, place, strict=True))


def _same_content(contents: Sequence[str], queries: _Photos) -> tuple[Ints, ...]:
    rows: dict[str, list[int]] = {}
    for row, known in enumerate(contents):
        rows.setdefault(known, []).append(row)
    rows.pop("", None)
    found = [rows.get(content(path), []) if rows else [] for path in queries.paths]
    return tuple(np.array(own, dtype=np.int64) for own in found)


def _count(photos: _Photos, what: str = "database photos") -> str:
    text = f"{len(photos.paths):,} {what}"
    return text + (f" ({photos.left_out:,} more without a known place)" if photos.left_out else "")
