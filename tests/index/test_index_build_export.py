import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyogrio
import pytest
from small_index import MODEL, sample

from hafloc.errors import OutputError
from hafloc.geo import Position
from hafloc.index import (
    BuildPlan,
    Entry,
    GeoIndex,
    Skipped,
    add_all,
    create_index,
    export,
    plan_build,
)


def outcomes(n: int, start: int = 0) -> list[Entry]:
    return [Entry(record, vector) for record, vector in zip(*sample(n, start), strict=True)]


def scan(n: int) -> list[tuple[str, str]]:
    return [(record.path, record.content) for record in sample(n)[0]]


NOTHING_KNOWN = BuildPlan(describe=(), moved=(), unchanged=0)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[GeoIndex]:
    with create_index(tmp_path / "city.gpkg", MODEL) as index:
        index.add(*sample(6))
        yield index


def test_unchanged_files_need_nothing(index: GeoIndex) -> None:
    plan = plan_build(index, scan(8), exists=lambda path: True)

    assert plan.describe == ("photos/6.jpg", "photos/7.jpg")
    assert (plan.moved, plan.unchanged) == ((), 6)


def test_a_changed_file_is_described_again(index: GeoIndex) -> None:
    plan = plan_build(index, [("photos/0.jpg", "other content")], exists=lambda path: True)

    assert plan.describe == ("photos/0.jpg",)


def test_a_moved_file_is_renamed_without_describing_it(index: GeoIndex) -> None:
    files = [("album/zero.jpg", scan(1)[0][1]), *scan(6)[1:]]
    plan = plan_build(index, files, exists=lambda path: False)

    report = add_all(index, plan, [])

    assert plan.describe == ()
    assert (report.added, report.unchanged, report.moved) == (0, 5, 1)
    assert index.get([1])[0] == replace(sample(6)[0][0], path="album/zero.jpg", id=1)


@pytest.mark.parametrize("still_there", ["scanned", "on disk"])
def test_a_copy_is_a_photo_of_its_own(index: GeoIndex, still_there: str) -> None:
    copy = ("album/copy.jpg", scan(1)[0][1])
    files = [copy, *scan(6)] if still_there == "scanned" else [copy]

    plan = plan_build(index, files, exists=lambda path: still_there == "on disk")

    assert (plan.describe, plan.moved) == (("album/copy.jpg",), ())


def test_two_moved_files_of_equal_content_keep_one_id_each(index: GeoIndex) -> None:
    (first, second), vectors = sample(2, start=20)
    twin = replace(second, content=first.content)
    ids = index.add([first, twin], vectors)

    files = [("x.jpg", first.content), ("y.jpg", first.content), ("z.jpg", first.content)]
    plan = plan_build(index, files, exists=lambda path: False)

    assert [(record.id, record.path) for record in plan.moved] == [
        (ids[0], "x.jpg"),
        (ids[1], "y.jpg"),
    ]
    assert plan.describe == ("z.jpg",)


def test_photos_are_added_in_batches_and_the_skipped_ones_listed(index: GeoIndex) -> None:
    bad = Skipped("photos/bad.jpg", "the file ends early")
    heard: list[int] = []

    report = add_all(
        index,
        NOTHING_KNOWN,
        [*outcomes(3, 30), bad, *outcomes(4, 40)],
        batch=3,
        progress=heard.append,
    )

    assert (report.added, report.skipped) == (7, (bad,))
    assert heard == [3, 6, 8]
    assert index.count() == 13


def test_what_was_committed_before_an_interruption_stays(index: GeoIndex) -> None:
    def interrupted() -> Iterator[Entry]:
        yield from outcomes(5, 30)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_all(index, NOTHING_KNOWN, interrupted(), batch=2)

    assert index.count() == 6 + 4
    assert index.verify() == []


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
    assert arrays["vectors"] == pytest.approx(sample(6)[1], abs=1e-3)


def test_an_empty_index_exports_empty_files(tmp_path: Path) -> None:
    with create_index(tmp_path / "empty.gpkg", MODEL) as index:
        for ending in ("geojson", "csv", "npz"):
            assert export(index, tmp_path / f"out.{ending}") == 0

    assert np.load(tmp_path / "out.npz")["vectors"].shape == (0, 32)


def test_an_unknown_format_is_refused_with_the_choices(index: GeoIndex, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.shp is not known; choose one of \.geojson, \.csv"):
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
    index.add([known], vectors[:1])

    export(index, tmp_path / "city.csv")

    *_, row = csv.DictReader((tmp_path / "city.csv").read_text().splitlines())
    assert (row["heading"], row["magnetic"]) == ("9.5", "1")
    assert (row["accuracy"], row["gps_status"]) == ("3.5", "V")


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
