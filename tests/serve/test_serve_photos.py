"""Photos over HTTP: features in pages, thumbnails, tiles, and the files that are not shown."""

import math
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pyogrio
import pytest
from PIL import Image
from served import PLACES, Served, build, jpeg, served

from hafloc.errors import PhotoError
from hafloc.geo import Position
from hafloc.index import Record, open_index
from hafloc.index.geopackage import GeoPackageIndex
from hafloc.index.part import Part, cut_part
from hafloc.index.thumbnails import make_thumbnail
from hafloc.serve.files import allowed_paths
from hafloc.serve.tiles import MOST_ZOOM, Points, encode, mercator, tile_of


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Served]:
    with served(build(tmp_path / "city.gpkg")) as found:
        yield found


def add(index: Path, *records: Record) -> None:
    with open_index(index, write=True) as opened:
        opened.add(records, np.tile(np.float32([[1, 0, 0]]), (len(records), 1)))


def record(path: str, position: Position = PLACES["red.jpg"], **more: object) -> Record:
    return Record(path, "c" * 32, position, 80, 60, "csv", **more)  # type: ignore[arg-type]


def test_databases_say_what_they_hold(city: Served) -> None:
    (found,) = city.client.get("/v1/databases").json()["databases"]
    assert found == {
        "name": "city",
        "photos": 4,
        "bbox": [0.1, 52.2, 0.101, 52.3],
        "model": "colours",
        "dimension": 3,
        "calibration": None,
        "verifies": False,
        "writable": False,
    }


def test_a_database_that_is_gone_hides_no_other(tmp_path: Path) -> None:
    gone = tmp_path / "old" / "gone.gpkg"
    gone.parent.mkdir()
    with served(build(tmp_path / "city.gpkg"), build(gone)) as both:
        assert len(both.client.get("/v1/databases").json()["databases"]) == 2
        gone.unlink()
        for database in both.service.databases:
            database._looked = 0.0  # looked at again only after a while
        assert [one["name"] for one in both.client.get("/v1/databases").json()["databases"]] == [
            "city"
        ]
        found = both.client.get("/v1/collections").json()["collections"]
        assert [one["id"] for one in found] == ["city"]
        assert both.client.get("/readyz").status_code == 503
        told = both.client.get("/v1/photos?database=gone")
        assert told.status_code == 503
        assert str(tmp_path) not in told.text


def test_pages_lead_through_all_photos_once(city: Served) -> None:
    path, seen = "/v1/photos?limit=3", []
    while path:
        page = city.client.get(path).json()
        assert (page["numberReturned"], page["numberMatched"]) == (len(page["features"]), 4)
        seen += [feature["properties"]["path"] for feature in page["features"]]
        links = {link["rel"]: link["href"] for link in page["links"]}
        path = links.get("next", "").partition(str(city.port))[2]
    assert seen == ["red.jpg", "green.jpg", "blue.jpg", "orange.jpg"]


def test_a_box_and_an_interval_choose_photos(city: Served, tmp_path: Path) -> None:
    add(
        tmp_path / "city.gpkg",
        record("2024.jpg", time=datetime(2024, 5, 1, 12, tzinfo=UTC)),
        record("2022.jpg", time=datetime(2022, 5, 1, 12)),
    )

    def paths(query: str) -> list[str]:
        features = city.client.get(f"/v1/photos?{query}").json()["features"]
        return [feature["properties"]["path"] for feature in features]

    assert paths("bbox=0,52.25,1,53") == ["blue.jpg"]
    assert paths("bbox=170,-10,-170,10") == []
    assert paths("datetime=2024-05-01T12:00:00Z") == ["2024.jpg"]
    assert paths("datetime=2024-05-01") == ["2024.jpg"]
    assert paths("datetime=../2023-01-01T00:00:00Z") == ["2022.jpg"]
    assert paths("datetime=2022-05-01/..&bbox=0,0,1,60") == ["2024.jpg", "2022.jpg"]


@pytest.mark.parametrize(
    "query",
    [
        *("bbox=1,2,3", "bbox=a,b,c,d", "bbox=0,60,1,50", "bbox=nan,0,1,1", "bbox=-181,0,1,1"),
        *("datetime=yesterday", "datetime=1/2/3", "limit=0", "limit=x", "nothing=1"),
    ],
)
def test_parameters_that_cannot_be_used_are_told(city: Served, query: str) -> None:
    response = city.client.get(f"/v1/photos?{query}")
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("id_", ["99", "0", "-1", "x", "1.5", "9" * 30, "%20", "1%00"])
def test_a_photo_that_is_not_there_is_not_found(city: Served, id_: str) -> None:
    for path in (f"/v1/photos/{id_}", f"/v1/photos/{id_}/thumbnail"):
        assert city.client.get(path).status_code == 404


def test_a_photo_added_by_another_program_is_seen_without_a_restart(
    city: Served, tmp_path: Path
) -> None:
    add(tmp_path / "city.gpkg", record("new.jpg"))
    features = city.client.get("/v1/photos").json()["features"]
    assert features[-1]["properties"]["path"] == "new.jpg"


def test_an_index_that_is_replaced_is_opened_anew(city: Served, tmp_path: Path) -> None:
    city.client.get("/v1/photos")
    (tmp_path / "other").mkdir()
    other = build(tmp_path / "other" / "city.gpkg", {"blue.jpg": PLACES["blue.jpg"]})
    other.replace(tmp_path / "city.gpkg")
    (database,) = city.service.databases
    database._looked = -math.inf  # in place of two seconds
    assert city.client.get("/v1/photos").json()["numberMatched"] == 1
    response = city.client.post("/v1/locate", content=jpeg(), content_type="image/jpeg")
    assert len(response.json()["answers"][0]["candidates"]) == 1


def test_a_thumbnail_has_a_tag_and_is_not_sent_twice(city: Served) -> None:
    first = city.client.get("/v1/photos/1/thumbnail?side=40")
    assert (first.status_code, first.content[:2]) == (200, b"\xff\xd8")
    again = city.client.get("/v1/photos/1/thumbnail?side=40", if_none_match=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")


def test_a_photo_whose_file_is_gone_has_no_thumbnail(city: Served, tmp_path: Path) -> None:
    (tmp_path / "red.jpg").unlink()
    response = city.client.get("/v1/photos/1/thumbnail")
    assert (response.status_code, "its file is gone" in response.json()["detail"]) == (404, True)


def test_an_index_of_a_stranger_leads_to_no_file_outside_its_folder(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(jpeg())
    home = tmp_path / "home"
    home.mkdir()
    index = build(home / "city.gpkg")
    (home / "link.jpg").symlink_to(secret)
    names = (
        *("../secret.jpg", str(secret), "link.jpg", "a/../../secret.jpg", "/etc/passwd"),
        *("http://127.0.0.1:9/x.jpg", "file:///etc/passwd", "secret\x00.jpg", "/dev/zero"),
    )
    add(index, *(record(name) for name in names))
    with served(index) as city:
        features = city.client.get("/v1/photos").json()["features"]
        assert len(features) == 4 + len(names)
        for feature in features[4:]:
            thumbnail = city.client.get(feature["properties"]["thumbnail"])
            assert thumbnail.status_code == 404, feature
        shown = [feature["properties"]["path"] for feature in features[4:]]
        assert not any(str(tmp_path) in path or path.startswith(("/", "..")) for path in shown)
        # Locating asks for the files of photos without key points, and none of these.
        response = city.client.post("/v1/locate", content=jpeg(), content_type="image/jpeg")
        assert response.status_code == 200
        assert str(tmp_path) not in response.text
    with served(index, photos=(str(tmp_path),)) as city:
        features = city.client.get("/v1/photos").json()["features"]
        assert features[4]["properties"]["path"] == "secret.jpg"
        assert city.client.get(features[4]["properties"]["thumbnail"]).status_code == 200


def test_collections_lead_from_the_landing_page_to_the_photos(city: Served) -> None:
    def follow(url: str) -> dict[str, object]:
        return city.client.get(url.partition(str(city.port))[2]).json()

    for start in ("/v1", "/v1/"):
        links = {link["rel"]: link["href"] for link in city.client.get(start).json()["links"]}
        assert {"self", "service-desc", "conformance", "data"} <= links.keys()
    assert any("core" in kind for kind in follow(links["conformance"])["conformsTo"])
    assert follow(links["service-desc"])["openapi"].startswith("3.")
    (collection,) = follow(links["data"])["collections"]
    assert collection["extent"]["spatial"]["bbox"] == [[0.1, 52.2, 0.101, 52.3]]
    items = {link["rel"]: link["href"] for link in collection["links"]}["items"]
    features = follow(items)["features"]
    one = city.client.get(f"/v1/collections/city/items/{features[0]['id']}").json()
    assert one["properties"] == features[0]["properties"]


@pytest.mark.skipif(
    "OAPIF" not in pyogrio.list_drivers(), reason="this GDAL has no driver for OGC API Features"
)
def test_gdal_opens_the_server_as_a_layer(city: Served) -> None:
    # In a process of its own: GDAL would keep the server's thread waiting for Python's lock.
    code = (
        "import sys, pyogrio; "
        "print(pyogrio.list_layers(sys.argv[1])[:, 0].tolist(), "
        "len(pyogrio.raw.read(sys.argv[1], layer='city')[2]))"
    )
    address = f"OAPIF:http://127.0.0.1:{city.port}/v1/"
    done = subprocess.run(
        [sys.executable, "-c", code, address], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "['city'] 4", done.stderr


def test_gdal_reads_the_tiles(city: Served, tmp_path: Path) -> None:
    response = city.client.get("/v1/tiles/city/0/0/0.mvt")
    assert response.headers["content-type"] == "application/vnd.mapbox-vector-tile"
    file = tmp_path / "0.mvt"
    file.write_bytes(response.content)
    meta, _, geometry, fields = pyogrio.raw.read(file, layer="photos")
    values = dict(zip(meta["fields"], fields, strict=True))
    assert values["count"].tolist() == [4]  # all in one square of the whole Earth
    near = city.client.get("/v1/tiles/city/14/8196/5397.mvt")
    file.write_bytes(near.content)
    meta, _, geometry, fields = pyogrio.raw.read(file, layer="photos")
    values = dict(zip(meta["fields"], fields, strict=True))
    # The third lies just beyond the edge, where GDAL does not look.
    assert sorted(values["id"].tolist()) == [1, 4]
    assert np.nansum(values["heading"]) == 90
    assert len(geometry) == 2


def test_a_tile_holds_each_photo_at_its_place() -> None:
    # Greenwich on the equator is the middle of the map: the corner of four tiles at zoom 1.
    x, y = mercator(np.array([0.0]), np.array([0.0]))
    assert (x[0], y[0]) == (0.5, 0.5)
    # 85.0511° is the map's upper edge.
    assert mercator(np.array([-180.0]), np.array([85.051129]))[1][0] == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("id_", [0, 1, -5, 2**40, -(2**63), 2**63 - 1])
def test_numbers_of_any_size_come_through_a_tile(tmp_path: Path, id_: int) -> None:
    file = tmp_path / "0.mvt"
    file.write_bytes(encode([id_], [5], [7], [7], [-1.0]))
    meta, _, _, fields = pyogrio.raw.read(file, layer="photos")
    values = dict(zip(meta["fields"], fields, strict=True))
    assert (int(values["id"][0]), int(values["count"][0])) == (id_, 7)


@pytest.mark.parametrize("tile", ["23/0/0", "-1/0/0", "1/2/0", "1/0/-1", f"{MOST_ZOOM}/9999999/0"])
def test_there_are_no_tiles_off_the_map(city: Served, tile: str) -> None:
    assert city.client.get(f"/v1/tiles/city/{tile}.mvt").status_code == 404


def test_an_empty_tile_is_empty(city: Served) -> None:
    response = city.client.get("/v1/tiles/city/10/0/0.mvt")
    assert (response.status_code, response.content) == (200, b"")


def test_tiles_show_what_was_added_a_moment_ago(city: Served, tmp_path: Path) -> None:
    before = city.client.get("/v1/tiles/city/14/8196/5397.mvt").content
    add(tmp_path / "city.gpkg", record("new.jpg", Position(52.2005, 0.1005)))
    until = time.monotonic() + 5
    while city.client.get("/v1/tiles/city/14/8196/5397.mvt").content == before:
        assert time.monotonic() < until
        time.sleep(0.2)


def test_many_photos_are_thinned_to_some_thousand_a_tile(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x, y = random.uniform(0.5, 0.75, (2, 200_000))
    headings = np.full(len(x), -1.0, np.float32)
    file = tmp_path / "0.mvt"
    file.write_bytes(tile_of(Points(np.arange(len(x)), x, y, headings), 1, 1, 1))
    meta, _, _, fields = pyogrio.raw.read(file, layer="photos")
    counts = dict(zip(meta["fields"], fields, strict=True))["count"]
    assert len(counts) == 32 * 32  # the quarter of the tile that has photos
    assert counts.sum() == len(x)


def test_without_a_photo_s_file_the_index_s_own_picture_is_shown(tmp_path: Path) -> None:
    whole, shared = build(tmp_path / "whole.gpkg"), tmp_path / "apart" / "shared.gpkg"
    shared.parent.mkdir()
    cut_part(whole, shared, Part(thumbnails=True))
    with served(shared) as city:
        answer = city.client.get("/v1/photos/1/thumbnail?side=64")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        red, green, blue = Image.open(BytesIO(answer.content)).convert("RGB").getpixel((9, 9))
        assert red > 200
        assert max(green, blue) < 80


def test_the_index_s_own_picture_stands_for_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    index = build(folder / "city.gpkg")
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(jpeg((0, 255, 0)))
    own = make_thumbnail(np.full((30, 40, 3), (255, 0, 0), np.uint8))
    with open_index(index, write=True) as opened:
        assert isinstance(opened, GeoPackageIndex)
        vector = np.float32([[1, 0, 0]])
        opened.add_pictured([record("../secret.jpg")], vector, None, None, [own])
    with served(index) as city:
        answer = city.client.get("/v1/photos/5/thumbnail")
        assert answer.status_code == 200
        assert Image.open(BytesIO(answer.content)).convert("RGB").getpixel((9, 9))[0] > 200


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example/photos/../secret.jpg",
        "https://cdn.example/photos/%2e%2e/secret.jpg",
        "https://cdn.example/photos/a\\\\..\\\\..\\\\secret.jpg",
    ],
)
def test_no_step_upwards_leads_out_of_a_url_that_is_allowed(tmp_path: Path, url: str) -> None:
    paths = allowed_paths(tmp_path / "city.gpkg", ["https://cdn.example/photos"])
    assert str(paths.file_of("https://cdn.example/photos/a..b.jpg")).endswith("a..b.jpg")
    with pytest.raises(PhotoError, match="is not shown"):
        paths.file_of(url)
