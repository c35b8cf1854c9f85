"""An index copied into another of any kind: everything arrives, and a stopped copy goes on."""

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from small_index import MODEL, sample

from hafloc.description import LocalFeatures
from hafloc.errors import IndexFileError, OptionError
from hafloc.index import GeoIndex, copy_index, create_index, open_index, paths_of

REGIONS = 2


def parts(n: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(9).standard_normal((n, REGIONS, 32)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def some_features() -> LocalFeatures:
    xy = np.array([[1.5, 2.5], [100, 200]], np.float32)
    return LocalFeatures(xy, np.ones((2, 8), np.int8), (480, 360))


def a_city(path: Path, n: int = 5) -> Path:
    records, vectors = sample(n)
    with create_index(path, MODEL, regions=REGIONS) as index:
        local = [some_features() if i % 2 else None for i in range(n)]
        index.add(records, vectors, local, parts(n))
        index.store_calibration("learned")
    return path


def contents(location: str | Path) -> dict[str, tuple[object, ...]]:
    """What an index says of each photo's file, but the ids."""
    with open_index(location) as index:
        names = paths_of(location)
        return {str(names.file_of(r.path)): facts(index, r.id or 0) for r in index.iterate()}


def facts(index: GeoIndex, id_: int) -> tuple[object, ...]:
    (record,) = index.get([id_])
    (local,) = index.local_features([id_])
    return (
        replace(record, id=None, path=""),
        index.vectors([id_]).round(6).tobytes(),
        index.region_vectors([id_]).round(6).tobytes(),
        None if local is None else (local.xy.tobytes(), local.descriptors.tobytes(), local.size),
    )


def test_a_copy_in_another_folder_names_the_same_files(tmp_path: Path) -> None:
    city = a_city(tmp_path / "city.gpkg")
    (tmp_path / "far").mkdir()
    copied = tmp_path / "far" / "copy.gpkg"

    report = copy_index(city, copied, batch=2)

    assert (report.copied, report.unchanged) == (5, 0)
    assert contents(copied) == contents(city)
    with open_index(copied) as index:
        assert index.find_paths(["../photos/0.jpg"])
        assert index.calibration() == "learned"
        assert index.verify() == []


def test_there_and_back_through_an_engine_nothing_is_lost(tmp_path: Path) -> None:
    if find_spec("milvus_lite") is None:
        pytest.skip("needs milvus-lite")
    city = a_city(tmp_path / "city.gpkg")
    engine = f"milvus-lite://{tmp_path}/engine.db"

    copy_index(city, engine)
    copy_index(engine, tmp_path / "back.gpkg")

    assert contents(engine) == contents(city) == contents(tmp_path / "back.gpkg")
    # And every search has the same answers, in the same order
    _, queries = sample(4, start=77)
    found = []
    for location in (city, engine):
        with open_index(location) as index:
            hits = index.search(queries, 5, regions=parts(4))
            found.append([[r.content for r in index.get(row)] for row in hits.ids.tolist()])
            found.append(hits.similarities.round(5).tolist())
    assert found[:2] == found[2:]


def test_a_stopped_copy_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    city, copied = a_city(tmp_path / "city.gpkg"), tmp_path / "copy.gpkg"
    with monkeypatch.context() as patched:
        patched.setattr("hafloc.index.copy.add_copies", stopping_after(2))
        with pytest.raises(KeyboardInterrupt):
            copy_index(city, copied, batch=1)

    report = copy_index(city, copied, batch=1)

    assert (report.copied, report.unchanged) == (3, 2)
    assert contents(copied) == contents(city)
    again = copy_index(city, copied)
    assert (again.copied, again.unchanged) == (0, 5)


def stopping_after(batches: int) -> Callable[..., None]:
    from hafloc.index.copy import add_copies

    left = batches

    def add(*given: object) -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        add_copies(*given)  # type: ignore[arg-type]

    return add


def test_what_the_target_holds_of_others_stays_and_is_not_said_to_be_calibrated(
    tmp_path: Path,
) -> None:
    city, copied = a_city(tmp_path / "city.gpkg"), tmp_path / "copy.gpkg"
    records, vectors = sample(1, start=50)
    with create_index(copied, MODEL, regions=REGIONS) as index:
        index.add(records, vectors, None, parts(1))

    copy_index(city, copied)

    with open_index(copied) as index:
        assert index.count() == 6
        assert index.calibration() is None


def test_a_photo_that_has_changed_is_copied_anew(tmp_path: Path) -> None:
    city, copied = a_city(tmp_path / "city.gpkg"), tmp_path / "copy.gpkg"
    copy_index(city, copied)
    with open_index(city, write=True) as index:
        (first,) = index.find_paths(["photos/0.jpg"])
        index.update([replace(first, heading=45.0)])

    assert copy_index(city, copied).copied == 1
    assert contents(copied) == contents(city)


def test_targets_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    city = a_city(tmp_path / "city.gpkg")
    other, plain = tmp_path / "other.gpkg", tmp_path / "plain.gpkg"
    create_index(other, replace(MODEL, hash="f" * 16), regions=REGIONS).close()
    create_index(plain, MODEL).close()
    (tmp_path / "link.gpkg").symlink_to(city)

    for target in (city, tmp_path / "link.gpkg"):
        with pytest.raises(OptionError, match="onto itself"):
            copy_index(city, target)
    with pytest.raises(IndexFileError, match="was made with checkpoint"):
        copy_index(city, other)
    with pytest.raises(OptionError, match="holds 0 regions a photo"):
        copy_index(city, plain)
    with pytest.raises(IndexFileError, match="vector type 'int3' is not known"):
        copy_index(city, tmp_path / "new.gpkg", vector_type="int3")
    copy_index(city, tmp_path / "wide.gpkg", vector_type="float32")
    with pytest.raises(OptionError, match="holds float32 vectors; --vector-type int8"):
        copy_index(city, tmp_path / "wide.gpkg", vector_type="int8")
