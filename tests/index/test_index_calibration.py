"""What was learned of a database's answers stays with the database."""

from pathlib import Path

import pytest
from small_index import MODEL, sample

from hafloc.errors import IndexFileError
from hafloc.index import GeoPackageIndex


def test_a_calibration_is_kept_and_the_newest_counts(tmp_path: Path) -> None:
    path = tmp_path / "city.gpkg"
    with GeoPackageIndex.create(path, MODEL) as index:
        index.add(*sample(3))
        assert index.calibration() is None
        index.store_calibration("first")
        index.store_calibration("second")
    with GeoPackageIndex.open(path) as index:
        assert index.calibration() == "second"
        assert index.count() == 3
        assert index.verify() == []


def test_an_index_open_for_reading_stores_none(tmp_path: Path) -> None:
    GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL).close()
    with (
        GeoPackageIndex.open(tmp_path / "city.gpkg") as index,
        pytest.raises(IndexFileError, match="open for reading"),
    ):
        index.store_calibration("text")
