"""The demo city as files: their positions, their truth, the same bytes each time."""

import csv
import itertools
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

import hafloc.demo
from hafloc.demo import DemoCity, panorama_file, render_city
from hafloc.errors import OutputError
from hafloc.geo import Position, distance, distances
from hafloc.photos import read_facts

SMALL = {"database": 9, "queries": 3, "size": (80, 60)}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoCity:
    return render_city(tmp_path_factory.mktemp("demo"), **SMALL)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _gps(path: Path) -> dict[int, object]:
    with Image.open(path) as image:
        return dict(image.getexif().get_ifd(ExifTags.IFD.GPSInfo))


def _angle(parts: tuple[float, float, float]) -> float:
    return float(parts[0]) + float(parts[1]) / 60 + float(parts[2]) / 3600


def test_database_photos_carry_their_position_and_heading(demo):
    assert len(demo.database) == 9
    for photo in demo.database:
        gps = _gps(photo.path)
        assert gps[ExifTags.GPS.GPSLatitudeRef] == "S"
        assert gps[ExifTags.GPS.GPSLongitudeRef] == "W"
        lat, lon = gps[ExifTags.GPS.GPSLatitude], gps[ExifTags.GPS.GPSLongitude]
        written = Position(-_angle(lat), -_angle(lon))
        assert distance(written, photo.camera.position) < 0.01
        direction = float(gps[ExifTags.GPS.GPSImgDirection])
        assert direction == pytest.approx(photo.camera.heading, abs=0.006)


def test_database_photos_carry_their_time(demo):
    with Image.open(demo.database[2].path) as image:
        detail = image.getexif().get_ifd(ExifTags.IFD.Exif)
    assert detail[ExifTags.Base.DateTimeOriginal] == "2024:01:12 18:30:08"
    assert detail[ExifTags.Base.OffsetTimeOriginal] == "+00:00"


def test_queries_carry_no_position(demo):
    assert all(not _gps(photo.path) for photo in (*demo.queries, *demo.elsewhere))


@pytest.mark.parametrize("name", ["queries", "elsewhere"])
def test_the_truth_of_the_queries_stands_beside_them(demo, name):
    with (demo.folder / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    photos = getattr(demo, name)
    assert [row["image"] for row in rows] == [photo.path.name for photo in photos]
    assert {path.name for path in (demo.folder / name).iterdir()} == {r["image"] for r in rows}
    for row, photo in zip(rows, photos, strict=True):
        written = Position(float(row["lat"]), float(row["lon"]))
        assert distance(written, photo.camera.position) < 0.01
        assert float(row["heading"]) == pytest.approx(photo.camera.heading, abs=0.006)


def test_each_query_has_a_database_photo_within_a_few_metres(demo):
    places = [photo.camera.position for photo in demo.database]
    lats, lons = [place.lat for place in places], [place.lon for place in places]
    for photo in demo.queries:
        assert distances(photo.camera.position, lats, lons).min() < 4


def test_photos_from_elsewhere_are_far_from_the_city(demo):
    assert len(demo.elsewhere) == 3
    for strange in demo.elsewhere:
        for photo in demo.database:
            assert distance(strange.camera.position, photo.camera.position) > 5_000


def test_the_same_seed_writes_the_same_bytes_and_leaves_nothing_else(demo, tmp_path):
    counts = []
    render_city(tmp_path, **SMALL, progress=lambda done, total: counts.append((done, total)))
    assert _files(tmp_path) == _files(demo.folder)
    assert counts == [(k, 15) for k in range(1, 16)]


def test_another_seed_draws_another_city(demo, tmp_path):
    other = render_city(tmp_path, seed=1, database=1, queries=0, size=(80, 60))
    assert other.elsewhere == ()
    first, second = (np.asarray(Image.open(city.database[0].path), int) for city in (demo, other))
    assert np.abs(first - second).mean() > 10


def test_a_folder_with_other_photos_is_refused_and_kept(tmp_path):
    (tmp_path / "database").mkdir()
    mine = tmp_path / "database" / "holiday.jpg"
    mine.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"holds 1 other files, holiday\.jpg among them"):
        render_city(tmp_path, **SMALL)
    assert _files(tmp_path) == {"database/holiday.jpg": b"mine"}


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"cannot write the demo city to .*file: Not a directory"):
        render_city(tmp_path / "file", **SMALL)


def test_an_interrupted_run_leaves_whole_photos_only(tmp_path):
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_city(tmp_path, **SMALL, progress=stop)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.name for path in left) == ["view_0000.jpg", "view_0001.jpg"]
    for path in left:
        Image.open(path).load()


@pytest.mark.parametrize(
    "wrong", [{"database": 0}, {"queries": -1}, {"size": (31, 60)}], ids=["none", "less", "tiny"]
)
def test_numbers_that_make_no_city_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="cannot render"):
        render_city(tmp_path, **{**SMALL, **wrong})
    assert list(tmp_path.iterdir()) == []


def test_all_public_names_are_listed():
    public = {name for name in vars(hafloc.demo) if not name.startswith("_")}
    modules = {"atlas", "camera", "city", "conditions", "facades", "objects", "occluders",
               "panorama", "pixel_class", "rays", "render",
               "shade", "street_objects", "write"}  # fmt: skip
    assert public - modules == set(hafloc.demo.__all__) - modules


def test_a_city_in_panoramas_has_one_a_stop_and_queries_look_any_way(tmp_path):
    draw = partial(panorama_file, width=96)
    city = render_city(tmp_path, database=3, queries=4, size=(80, 60), panorama=draw)

    names = [f"database/pano_{k:04}.jpg" for k in range(3)]
    assert sorted(name for name in _files(tmp_path) if name.startswith("database")) == names
    for photo in city.database:
        (told, _) = read_facts(photo.path)
        assert distance(told.position, photo.camera.position) < 0.01
        assert read_facts(photo.path)[1]
    places = [photo.camera.position for photo in city.database]
    assert min(distance(a, b) for a, b in itertools.combinations(places, 2)) > 6
    for query in city.queries:
        assert min(distance(query.camera.position, place) for place in places) < 5
    headings = [round(query.camera.heading / 30) for query in city.queries]
    assert len(set(headings)) > 2
