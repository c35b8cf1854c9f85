import csv
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pytest
from small_index import MODEL, sample

from hafloc.errors import OutputError
from hafloc.geo import Position
from hafloc.index import GeoIndex, create_index, export
from hafloc.photos import read_positions_csv


@pytest.fixture
def index(tmp_path: Path) -> Iterator[GeoIndex]:
    with create_index(tmp_path / "city.gpkg", MODEL) as index:
        index.add(*sample(6))
        yield index


def test_geojson_is_read_back_by_gdal(index: GeoIndex, tmp_path: Path) -> None:
    assert export(index, tmp_path / "city.geojson") == 6

    info = pyogrio.read_info(tmp_path / "city.geojson")
    feature = json.loads((tmp_path / "city.geojson").read_text())["features"][2]
    place = sample(6)[0][2].position
    assert (info["features"], info["geometry_type"]) == (6, "Point")
    assert feature["geometry"]["coordinates"] == [place.lon, place.lat]
    assert (feature["id"], feature["properties"]["path"]) == (3, "photos/2.jpg")


def test_csv_has_the_columns_that_positions_are_read_from(index: GeoIndex, tmp_path: Path) -> None:
    export(index, tmp_path / "city.csv")

    with (tmp_path / "city.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    places = [Position(float(row["lat"]), float(row["lon"])) for row in rows]
    assert list(rows[0])[:5] == ["image", "lat", "lon", "heading", "time"]
    assert places == [record.position for record in sample(6)[0]]


def test_npz_holds_the_vectors(index: GeoIndex, tmp_path: Path) -> None:
    export(index, tmp_path / "city.npz")

    arrays = np.load(tmp_path / "city.npz")
    assert arrays["ids"].tolist() == [1, 2, 3, 4, 5, 6]
    assert arrays["paths"][1] == "photos/1.jpg"
    assert arrays["positions"].shape == (6, 2)
    assert arrays["vectors"] == pytest.approx(sample(6)[1], abs=1e-2)


def test_geoparquet_holds_places_facts_and_vectors(index: GeoIndex, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    records, vectors = sample(6)

    assert export(index, tmp_path / "city.parquet") == 6

    table = parquet.read_table(tmp_path / "city.parquet")
    geo = json.loads(table.schema.metadata[b"geo"])
    # Well-known binary of a point: byte order, kind, longitude, latitude.
    points = [struct.unpack("<BIdd", value) for value in table["geometry"].to_pylist()]
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    assert points == [(1, 1, r.position.lon, r.position.lat) for r in records]
    assert table["path"].to_pylist() == [record.path for record in records]
    assert np.array(table["vector"].to_pylist()) == pytest.approx(index.vectors([1, 2, 3, 4, 5, 6]))
    assert table.schema.metadata[b"hafloc_model"] == MODEL.hash.encode()
    assert vectors.shape[1] == table.schema.field("vector").type.list_size


def test_an_empty_index_exports_empty_files(tmp_path: Path) -> None:
    with create_index(tmp_path / "empty.gpkg", MODEL) as index:
        for ending in ("geojson", "csv", "npz", "parquet"):
            assert export(index, tmp_path / f"out.{ending}") == 0

    assert np.load(tmp_path / "out.npz")["vectors"].shape == (0, 32)


def test_an_unknown_format_is_refused_with_the_choices(index: GeoIndex, tmp_path: Path) -> None:
    choices = r"choose one of \.geojson, \.csv, \.npz, \.parquet, or \.gpkg"
    with pytest.raises(OutputError, match=rf"\.shp is not known; {choices}"):
        export(index, tmp_path / "city.shp")


def test_an_export_that_fails_leaves_the_old_file(index: GeoIndex, tmp_path: Path) -> None:
    (tmp_path / "city.csv").mkdir()  # a folder is in the way of the last rename

    with pytest.raises(OutputError, match=r"cannot write .*city\.csv: Is a directory"):
        export(index, tmp_path / "city.csv")

    left = {path.name for path in tmp_path.iterdir() if not path.name.startswith("city.gpkg")}
    assert left == {"city.csv"}


def test_what_the_source_said_of_itself_is_exported(index: GeoIndex, tmp_path: Path) -> None:
    (record, *_), vectors = sample(1, start=70)
    known = replace(record, heading=9.5, magnetic=True, accuracy=3.5, gps_status="V")
    known = replace(known, licence="CC-BY-4.0", producer='Ada, "A"', source_url="https://x.org/1")
    index.add([known], vectors[:1])

    export(index, tmp_path / "city.csv")

    *_, row = csv.DictReader((tmp_path / "city.csv").read_text().splitlines())
    assert (row["heading"], row["magnetic"]) == ("9.5", "1")
    assert (row["accuracy"], row["gps_status"]) == ("3.5", "V")
    assert (row["licence"], row["producer"]) == ("CC-BY-4.0", 'Ada, "A"')
    read = read_positions_csv(tmp_path / "city.csv").rows[record.path]
    assert (read.licence, read.producer, read.source_url) == (
        *("CC-BY-4.0", 'Ada, "A"', "https://x.org/1"),
    )


def test_an_export_that_breaks_off_leaves_no_part(
    index: GeoIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaking(bbox: object = None) -> Iterator[object]:
        yield from index.get([1, 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(index, "iterate", breaking)
    for ending in ("csv", "geojson", "npz"):
        (tmp_path / f"city.{ending}").write_text("old")
        with pytest.raises(KeyboardInterrupt):
            export(index, tmp_path / f"city.{ending}")
        assert (tmp_path / f"city.{ending}").read_text() == "old"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
