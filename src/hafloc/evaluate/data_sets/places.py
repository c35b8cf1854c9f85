"""Pittsburgh, Tokyo 24/7 and Tokyo Time Machine: lists of names with UTM, 25 m, recall@N."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from hafloc.errors import EvaluationError
from hafloc.evaluate.benchmark import Benchmark, Picture, Truth, check_images, find_file
from hafloc.evaluate.data_sets.place_lists import PlaceList, read_names, read_place_list
from hafloc.evaluate.protocol import (
    Ints,
    Resize,
    drop_equal_times,
    keep_first_of_panorama,
)
from hafloc.measure import rows_within

TOKYO_VIEWS = 12  # views of a panorama, consecutive in the list
TOKYO_TM_REACH = 10  # times the depth that TokyoTM searches
DEPTH = 100

_SEARCH = "exact, largest dot product of unit vectors"
_SCORE = "recall@N over all queries: any of the first N is a positive"


def load_pittsburgh(name: str, root: Path, options: Mapping[str, str]) -> Benchmark:
    """Pitts30k, Pitts250k or the superset gallery: `root` holds `000/…` and `queries_real/…`
    and the list. Raises EvaluationError."""
    places, listing, stem = read_pittsburgh(name, root, options.get("split", "test"))
    database = _pictures(root, places.database)
    queries = [Picture(spelt(pittsburgh_query(root, query))) for query in places.queries]
    return _benchmark(
        name,
        places,
        database,
        queries,
        {
            "list": f"{stem} from {listing.name}, {_counts(places)}",
            "images": "as they are (640×480)",
            "ranking": "as found",
        },
    )


def read_pittsburgh(name: str, root: Path, split: str) -> tuple[PlaceList, Path, str]:
    """The list of a split with its names, its file, and what it is called; the images need not be
    there. Raises EvaluationError."""
    stem = name if name.endswith("super") else f"{name}_{split}"
    if name.endswith("super"):
        names = ["pittsburgh.mat", "datasets/pittsburgh.mat"]
    else:
        names = [f"{at}{stem}{end}" for at in ("", "datasets/") for end in (".mat", ".npz")]
    listing = find_file(root, names, f"list of {stem}")
    return _named(read_place_list(listing), listing, stem), listing, stem


def pittsburgh_query(root: Path, name: str) -> Path:
    """The file of a query, whose name may or may not begin with its folder's."""
    return root / _below(name, "queries_real")


def load_tokyo247(root: Path, options: Mapping[str, str]) -> Benchmark:
    """Tokyo 24/7: database below `images/` or in `root` as its archives unpack, queries below
    `query/` or `247query_subset_v2/`. Raises EvaluationError."""
    listing = find_file(
        root, ["tokyo247.mat", "datasets/tokyo247.mat", "tokyo247.npz"], "list of Tokyo 24/7"
    )
    places = _named(read_place_list(listing), listing, "tokyo247")
    size = options.get("query_size", "640")
    resize = None if size == "as-is" else Resize("shorter", int(size))
    if len(places.database) % TOKYO_VIEWS:
        raise EvaluationError(
            f"{listing} lists {len(places.database):,} images, which is no multiple of "
            f"{TOKYO_VIEWS}; panoramas cannot be told apart, get the original list"
        )
    return _benchmark(
        "tokyo247",
        places,
        _pictures(_tokyo_database(root), places.database),
        _pictures(
            find_file(root, ["query", "247query_subset_v2"], "queries"), places.queries, resize
        ),
        {
            "list": f"Tokyo 24/7 from {listing.name}, {_counts(places)}",
            "images": f"database as it is; queries {resize or 'as they are'}",
            "ranking": f"from the first {TOKYO_VIEWS}·N the best of each panorama's "
            f"{TOKYO_VIEWS} views",
        },
        reach=TOKYO_VIEWS * DEPTH,
        panoramas=True,
    )


def _tokyo_database(root: Path) -> Path:
    """Of each archive, such as 03814.tar, comes a folder of its name."""
    found = find_file(root, ["images", "03814"], "database")
    return found if found.name == "images" else root


def load_tokyotm(root: Path, options: Mapping[str, str]) -> Benchmark:
    """Tokyo Time Machine: all images below `images/`. Raises EvaluationError."""
    split = options.get("split", "val")
    places, listing = read_tokyotm(root, split)
    if places.database_times is None or places.query_times is None:
        raise EvaluationError(
            f"{listing} has no time stamps (dbTimeStamp, qTimeStamp); get the original list"
        )
    images = find_file(root, ["images"], "images")
    return _benchmark(
        "tokyotm",
        places,
        _pictures(images, places.database),
        _pictures(images, places.queries),
        {
            "list": f"TokyoTM-{split} from {listing.name}, {_counts(places)}",
            "images": "as they are",
            "ranking": f"of the first {TOKYO_TM_REACH}·N without images of the query's own time "
            "stamp, cut to N",
        },
        reach=TOKYO_TM_REACH * DEPTH,
    )


def read_tokyotm(root: Path, split: str) -> tuple[PlaceList, Path]:
    """The list of a split, and its file; the images need not be there. Raises EvaluationError."""
    listing = find_file(
        root, [f"tokyoTM_{split}.mat", f"datasets/tokyoTM_{split}.mat"], "list of TokyoTM"
    )
    return read_place_list(listing), listing


def _benchmark(
    name: str,
    places: PlaceList,
    database: Sequence[Picture],
    queries: Sequence[Picture],
    words: Mapping[str, str],
    *,
    reach: int = DEPTH,
    panoramas: bool = False,
) -> Benchmark:
    check_images(database, "database images")
    check_images(queries, "queries")
    positives = rows_within(places.database_utm, places.query_utm, places.radius)
    return Benchmark(
        name=name,
        database=tuple(database),
        queries=tuple(queries),
        truths={"": Truth(positives)},
        measure="recall",
        protocol={
            **words,
            "positives": f"within {places.radius:g} m (UTM, ≤)",
            "queries without positives": f"{sum(not len(rows) for rows in positives):,}, counted",
            "search": _SEARCH,
            "score": _SCORE,
        },
        depth=DEPTH,
        reach=reach,
        arrange=partial(_arrange, places=places, panoramas=panoramas),
        metres=partial(_metres, places),
    )


def _metres(places: PlaceList, query: int, row: int) -> float:
    return float(np.hypot(*(places.query_utm[query] - places.database_utm[row])))


def _arrange(ranking: Ints, places: PlaceList, panoramas: bool) -> Ints:
    if panoramas:
        return keep_first_of_panorama(ranking, TOKYO_VIEWS, DEPTH)
    if places.database_times is not None and places.query_times is not None:
        return drop_equal_times(ranking, places.database_times, places.query_times, DEPTH)
    return ranking


def _named(places: PlaceList, listing: Path, stem: str) -> PlaceList:
    """Positions alone get their names from the lists beside them."""
    if places.database:
        return places
    names = []
    for which in ("db", "q"):
        choices = [f"{stem}_{which}Images{end}" for end in (".npy", ".txt")]
        file = find_file(listing.parent, choices, f"names for {listing.name}")
        names.append([_below_data_set(name) for name in read_names(file)])
    return places.with_names(names[0], names[1], listing)


def _below_data_set(name: str) -> str:
    """Patch-NetVLAD's lists start with "./<data set>/"."""
    return name.split("/", 2)[2] if name.startswith("./") else name


def _below(name: str, folder: str) -> str:
    return name if name.startswith(f"{folder}/") else f"{folder}/{name}"


def _pictures(folder: Path, names: Sequence[str], resize: Resize | None = None) -> list[Picture]:
    return [Picture(spelt(folder / name), resize=resize) for name in names]


def spelt(path: Path) -> Path:
    """Tokyo's list says .jpg where the published images are .png."""
    if not path.is_file():
        other = path.with_suffix(".png" if path.suffix == ".jpg" else ".jpg")
        if other.is_file():
            return other
    return path


def _counts(places: PlaceList) -> str:
    return f"{len(places.database):,} database images, {len(places.queries):,} queries"
