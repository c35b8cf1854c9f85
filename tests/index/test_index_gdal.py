"""The file as GDAL and every GIS on top of it see it."""

import struct
from pathlib import Path

import numpy as np
import pyogrio
import pyogrio.raw
import pytest
from small_index import MODEL, sample

from hafloc.geo import Position
from hafloc.index import GeoPackageIndex


@pytest.fixture
def city(tmp_path: Path) -> Path:
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        index.add(*sample(100))
    return tmp_path / "city.gpkg"


def test_gdal_sees_one_layer_of_points_with_extent_and_fields(city: Path) -> None:
    info = pyogrio.read_info(city, force_total_bounds=True)

    places = [record.position for record in sample(100)[0]]
    lats, lons = [place.lat for place in places], [place.lon for place in places]
    assert pyogrio.list_layers(city).tolist() == [["photos", "Point"]]
    assert (info["crs"], info["features"], info["fid_column"]) == ("EPSG:4326", 100, "id")
    assert info["total_bounds"] == (min(lons), min(lats), max(lons), max(lats))
    assert info["fields"].tolist() == [
        *("path", "content", "heading", "time", "altitude", "width", "height", "source"),
        *("magnetic", "accuracy", "gps_status", "bytes", "modified", "stated"),
        *("licence", "producer", "source_url"),
    ]


def test_gdal_reads_every_point_and_attribute(city: Path) -> None:
    _, ids, geometry, fields = pyogrio.raw.read(city, return_fids=True)

    records = sample(100)[0]
    points = [Position(lat=y, lon=x) for x, y in (struct.unpack("<5xdd", g) for g in geometry)]
    assert points == [record.position for record in records]
    assert fields[0].tolist() == [record.path for record in records]
    assert ids.tolist() == list(range(1, 101))


def test_gdal_filters_by_a_box_as_the_index_does(city: Path) -> None:
    box = (0.25, 52.25, 0.5, 52.75)

    _, ids, _, _ = pyogrio.raw.read(city, bbox=box, return_fids=True)

    with GeoPackageIndex.open(city) as index:
        assert sorted(ids.tolist()) == [record.id for record in index.iterate(box)]
    assert 0 < len(ids) < 100


def test_a_point_added_with_gdal_is_indexed_in_space_and_named_by_verify(city: Path) -> None:
    point = struct.pack("<BIdd", 1, 1, 7.0, 50.0)
    values = {"path": "new.jpg", "content": "ff", "width": 640, "height": 480, "source": "csv"}
    pyogrio.raw.write(
        city,
        np.array([point], dtype=object),
        [np.array([v], dtype=object if isinstance(v, str) else np.int32) for v in values.values()],
        list(values),
        layer="photos",
        geometry_type="Point",
        crs="EPSG:4326",
        append=True,
    )

    with GeoPackageIndex.open(city) as index:
        assert [record.path for record in index.iterate((6, 49, 8, 51))] == ["new.jpg"]
        assert index.verify() == [
            "1 photo without a vector: 101; add the file again or remove the photo"
        ]
    assert [path.name for path in city.parent.iterdir()] == ["city.gpkg"]


def test_gdal_sees_the_new_extent_after_a_removal(city: Path) -> None:
    with GeoPackageIndex.open(city, write=True) as index:
        kept = index.get([42])[0].position
        index.remove([id_ for id_ in range(1, 101) if id_ != 42])

    info = pyogrio.read_info(city, force_total_bounds=True)

    assert info["features"] == 1
    assert info["total_bounds"] == (kept.lon, kept.lat, kept.lon, kept.lat)
