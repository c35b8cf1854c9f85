"""An index records which runtimes made its vectors, and refuses those that prove nothing."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from small_index import MODEL, sample

from hafloc.errors import IndexFileError
from hafloc.index import GeoPackageIndex, ModelInfo

INT8 = "openvino int8"
UNPROVEN = "onnx int8, unproven"


def by(runtime: str) -> ModelInfo:
    return replace(MODEL, runtime=runtime)


def made_by(path: Path, runtime: str) -> Path:
    with GeoPackageIndex.create(path, by(runtime)) as index:
        index.add(*sample(2))
    return path


def recorded(path: Path) -> str:
    with GeoPackageIndex.open(path) as index:
        return index.model.runtime


def test_a_new_index_records_what_made_its_vectors(tmp_path: Path) -> None:
    assert recorded(made_by(tmp_path / "a.gpkg", INT8)) == INT8


def test_proven_runtimes_mix_and_each_is_recorded_once(tmp_path: Path) -> None:
    path = made_by(tmp_path / "a.gpkg", "torch float32")
    for start, runtime in ((10, INT8), (20, "torch float32"), (30, INT8)):
        with GeoPackageIndex.open(path, write=True, model=by(runtime)) as index:
            index.add(*sample(2, start))
            assert INT8 in index.model.runtime
    assert recorded(path) == "torch float32 + openvino int8"


def test_who_adds_nothing_is_not_recorded(tmp_path: Path) -> None:
    path = made_by(tmp_path / "a.gpkg", "torch float32")
    GeoPackageIndex.open(path, write=True, model=by(INT8)).close()
    GeoPackageIndex.open(path, model=by(INT8)).close()
    assert recorded(path) == "torch float32"


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize(
    ("ours", "theirs", "cure"),
    [
        ("torch float32", UNPROVEN, "--runtime torch --precision float32"),
        (UNPROVEN, "torch float32", "--runtime onnx --precision int8"),
        (UNPROVEN, "openvino int8, unproven", "--runtime onnx --precision int8"),
    ],
)
def test_vectors_that_nothing_proves_are_kept_apart(
    ours: str, theirs: str, cure: str, write: bool, tmp_path: Path
) -> None:
    path = made_by(tmp_path / "a.gpkg", ours)
    with pytest.raises(IndexFileError, match=rf"may be compared with these; use {cure}, or build"):
        GeoPackageIndex.open(path, write=write, model=by(theirs))


def test_an_unproven_runtime_goes_on_in_its_own_index(tmp_path: Path) -> None:
    path = made_by(tmp_path / "a.gpkg", UNPROVEN)
    with GeoPackageIndex.open(path, write=True, model=by(UNPROVEN)) as index:
        index.add(*sample(2, 10))
    assert recorded(path) == UNPROVEN


def test_an_index_of_before_counts_as_torch_in_float32(tmp_path: Path) -> None:
    path = made_by(tmp_path / "a.gpkg", "torch float32")
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute("DELETE FROM hafloc WHERE key = 'runtimes'").rowcount == 1
    connection.close()
    assert recorded(path) == "torch float32"
    with pytest.raises(IndexFileError, match="made by torch float32"):
        GeoPackageIndex.open(path, model=by(UNPROVEN))
    with GeoPackageIndex.open(path, write=True, model=by(INT8)) as index:
        index.add(*sample(2, 10))
    assert recorded(path) == "torch float32 + openvino int8"


def test_what_is_rolled_back_is_not_recorded(tmp_path: Path) -> None:
    path = made_by(tmp_path / "a.gpkg", "torch float32")
    records, vectors = sample(1, 10)
    with GeoPackageIndex.open(path, write=True, model=by(INT8)) as index:
        with pytest.raises(ValueError, match="none of them zero"):
            index.add(records, vectors * 0)
        assert index.model.runtime == "torch float32"
    assert recorded(path) == "torch float32"
