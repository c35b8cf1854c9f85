"""Lists of the place-recognition data sets: names and UTM of database and queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import EvaluationError
from hafloc.evaluate.data_sets.matlab import numbers, read_mat, texts
from hafloc.evaluate.data_sets.plain_arrays import read_npy, read_npz

Floats = NDArray[np.float64]

RADIUS = 25.0  # metres: the tolerance of the whole field


@dataclass(frozen=True, slots=True)
class PlaceList:
    """Names of database and queries, their UTM `[N, 2]` and `[Q, 2]` in metres, and the radius.

    `database_times` `[N]` and `query_times` `[Q]` are TokyoTM's time stamps, else None. Names are
    empty where a file holds positions only; see `with_names`.
    """

    database: tuple[str, ...]
    queries: tuple[str, ...]
    database_utm: Floats
    query_utm: Floats
    radius: float = RADIUS
    database_times: NDArray[Any] | None = None
    query_times: NDArray[Any] | None = None

    def with_names(
        self, database: Sequence[str], queries: Sequence[str], source: Path
    ) -> "PlaceList":
        """The same with names from elsewhere. Raises EvaluationError where the counts differ."""
        named = replace(self, database=tuple(database), queries=tuple(queries))
        _check(named, source)
        return named


def read_place_list(path: Path) -> PlaceList:
    """A dbStruct .mat (named fields, in a structure or bare) or an .npz of the same fields.

    Raises EvaluationError naming the file.
    """
    found = _from_npz(path) if path.suffix == ".npz" else _from_mat(path)
    _check(found, path)
    return found


def _from_mat(path: Path) -> PlaceList:
    variables: Mapping[str, Any] = read_mat(path)
    inner = variables.get("dbStruct", variables)
    if not isinstance(inner, dict):
        raise EvaluationError(f"{path} holds no structure dbStruct; it is another kind of list")
    database, queries = texts(inner, "dbImageFns", path), texts(inner, "qImageFns", path)
    for name, listed in (("numImages", database), ("numQueries", queries)):
        if name in inner and int(numbers(inner, name, path).item()) != len(listed):
            raise EvaluationError(
                f"{path} states {name} {int(numbers(inner, name, path).item()):,} but lists "
                f"{len(listed):,}; the list is damaged, get it again"
            )
    radius = numbers(inner, "posDistThr", path).item() if "posDistThr" in inner else RADIUS
    return PlaceList(
        tuple(database),
        tuple(queries),
        _places(numbers(inner, "utmDb", path), len(database)),
        _places(numbers(inner, "utmQ", path), len(queries)),
        float(radius),
        _times(inner.get("dbTimeStamp")),
        _times(inner.get("qTimeStamp")),
    )


def _places(utm: Floats, count: int) -> Floats:
    # MATLAB keeps them as 2×N; two images make that ambiguous, and then its habit counts.
    return np.ascontiguousarray(utm.T if utm.shape == (2, count) else utm)


def _times(value: Any) -> NDArray[Any] | None:
    return None if value is None else np.asarray(value).ravel()


def _from_npz(path: Path) -> PlaceList:
    arrays = read_npz(path)
    missing = [name for name in ("utmDb", "utmQ") if name not in arrays]
    if missing:
        raise EvaluationError(f"{path} holds no {missing[0]}; it is another kind of list")
    radius = float(arrays["posDistThr"]) if "posDistThr" in arrays else RADIUS
    names = [tuple(map(str, arrays.get(key, ()))) for key in ("dbImage", "qImage")]
    utm = [np.asarray(arrays[key], dtype=np.float64) for key in ("utmDb", "utmQ")]
    return PlaceList(names[0], names[1], utm[0], utm[1], radius)


def _check(places: PlaceList, path: Path) -> None:
    for what, names, utm in (
        ("database images", places.database, places.database_utm),
        ("queries", places.queries, places.query_utm),
    ):
        if utm.ndim != 2 or utm.shape[1] != 2 or not np.isfinite(utm).all():
            raise EvaluationError(f"{path}: the positions of its {what} are not N×2 numbers")
        if names and len(names) != len(utm):
            raise EvaluationError(
                f"{path}: {len(names):,} names but {len(utm):,} positions of {what}; "
                "names and positions come from different versions of the data set"
            )
    for what, times, utm in (
        ("dbTimeStamp", places.database_times, places.database_utm),
        ("qTimeStamp", places.query_times, places.query_utm),
    ):
        if times is not None and len(times) != len(utm):
            raise EvaluationError(f"{path}: {len(times):,} values of {what}, not {len(utm):,}")


def read_names(path: Path) -> list[str]:
    """Image names from an .npy array, or from a text file with one a line.

    Raises EvaluationError naming the file.
    """
    if path.suffix == ".npy":
        values = read_npy(path).ravel().tolist()
        if not all(isinstance(value, str) for value in values):
            raise EvaluationError(f"{path} holds no names; it is another kind of list")
        return values
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"cannot read {path}: {error}; copy it again") from error
    return [line.strip() for line in lines if line.strip()]
