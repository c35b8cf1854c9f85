"""Photos stored and removed over HTTP."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from served import COLOURS, Served, build, jpeg, photo, served

from hafloc.index import open_index

PLACE = {"lat": "52.25", "lon": "0.15", "heading": "-90"}


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Served]:
    index = build(tmp_path / "city.gpkg")
    kept = tmp_path / "kept"
    with served(index, writable=True, photos_folder=kept, photos=(str(kept),)) as found:
        yield found


def with_position() -> bytes:
    exif = Image.Exif()
    gps = exif.get_ifd(0x8825)
    gps.update({1: "N", 2: (52.0, 12.0, 0.0), 3: "E", 4: (0.0, 6.0, 0.0)})
    memory = BytesIO()
    Image.new("RGB", (80, 60), (1, 2, 200)).save(memory, "JPEG", exif=exif)
    return memory.getvalue()


def test_a_photo_is_stored_with_the_position_of_its_fields(city: Served, tmp_path: Path) -> None:
    data = jpeg((9, 99, 200))
    response = city.client.post("/v1/photos", [photo(data, "../My photo.JPG")], fields=PLACE)
    assert response.status_code == 201
    found = city.client.get(response.headers["location"]).json()
    assert found["geometry"]["coordinates"] == [0.15, 52.25]
    assert found["properties"]["heading"] == 270
    path = found["properties"]["path"]
    assert path.startswith("kept/My-photo-")
    assert (tmp_path / path).read_bytes() == data
    assert city.client.get(found["properties"]["thumbnail"]).status_code == 200
    (answer,) = city.client.post("/v1/locate", [photo(data)]).json()["answers"]
    assert answer["duplicate_of"]["path"] == path
    with open_index(tmp_path / "city.gpkg") as index:
        assert index.verify() == []


def test_a_photo_that_tells_its_own_position_needs_no_fields(city: Served) -> None:
    response = city.client.post("/v1/photos", content=with_position(), content_type="image/jpeg")
    assert response.status_code == 201
    assert response.json()["geometry"]["coordinates"] == [0.1, 52.2]


def test_a_photo_that_is_there_already_stays_as_it_is(city: Served) -> None:
    again = city.client.post("/v1/photos", [photo(jpeg(COLOURS["red.jpg"]))], fields=PLACE)
    assert (again.status_code, again.json()["id"]) == (200, 1)
    assert again.json()["geometry"]["coordinates"] == [0.1, 52.2]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 422),
        ({"lat": "52"}, 400),
        ({"lat": "x", "lon": "0"}, 400),
        ({"lat": "nan", "lon": "0"}, 400),
        ({"lat": "91", "lon": "0"}, 422),
    ],
)
def test_a_photo_without_a_place_is_refused_and_leaves_no_file(
    city: Served, tmp_path: Path, fields: dict[str, str], status: int
) -> None:
    response = city.client.post("/v1/photos", [photo(jpeg((1, 1, 1)))], fields=fields)
    assert response.status_code == status
    assert not list(tmp_path.glob("kept/*"))


def test_while_another_program_writes_it_says_so(city: Served, tmp_path: Path) -> None:
    with open_index(tmp_path / "city.gpkg", write=True):
        response = city.client.post("/v1/photos", [photo(jpeg((1, 1, 1)))], fields=PLACE)
        assert city.client.get("/v1/photos").status_code == 200
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.json()["type"] == "/problems/database-busy"
    assert str(tmp_path) not in response.text
    assert not list(tmp_path.glob("kept/*"))


def test_a_removed_photo_is_gone_and_so_is_its_kept_file(city: Served, tmp_path: Path) -> None:
    stored = city.client.post("/v1/photos", [photo(jpeg((1, 1, 1)))], fields=PLACE).json()
    assert len(list(tmp_path.glob("kept/*"))) == 1
    for id_ in (stored["id"], 1):
        assert city.client.delete(f"/v1/photos/{id_}").status_code == 204
        assert city.client.get(f"/v1/photos/{id_}").status_code == 404
        assert city.client.delete(f"/v1/photos/{id_}").status_code == 404
    assert not list(tmp_path.glob("kept/*"))
    assert (tmp_path / "red.jpg").exists()  # which was not kept by the server


def test_without_a_folder_only_what_is_found_of_a_photo_is_kept(tmp_path: Path) -> None:
    with served(build(tmp_path / "city.gpkg"), writable=True) as city:
        before = sorted(path.name for path in tmp_path.iterdir() if "city" not in path.name)
        response = city.client.post("/v1/photos", [photo(jpeg((1, 1, 1)))], fields=PLACE)
        assert response.status_code == 201
        assert city.client.get(response.json()["properties"]["thumbnail"]).status_code == 404
        after = sorted(path.name for path in tmp_path.iterdir() if "city" not in path.name)
        assert before == after


def test_a_photo_that_two_databases_hold_keeps_its_file_until_both_let_it_go(
    tmp_path: Path,
) -> None:
    indexes = build(tmp_path / "a.gpkg"), build(tmp_path / "b.gpkg")
    kept = tmp_path / "kept"
    with served(*indexes, writable=True, photos_folder=kept, photos=(str(kept),)) as both:
        data = [photo(jpeg((1, 1, 1)))]
        ids = [
            both.client.post(f"/v1/photos?database={name}", data, fields=PLACE).json()["id"]
            for name in "ab"
        ]
        (file,) = kept.iterdir()
        assert both.client.delete(f"/v1/photos/{ids[0]}?database=a").status_code == 204
        assert file.exists()
        thumbnail = both.client.get(f"/v1/photos/{ids[1]}/thumbnail?database=b")
        assert thumbnail.status_code == 200
        assert both.client.delete(f"/v1/photos/{ids[1]}?database=b").status_code == 204
        assert not file.exists()


def test_a_photo_that_lay_in_the_folder_before_keeps_its_file(tmp_path: Path) -> None:
    index = build(tmp_path / "city.gpkg")  # red.jpg lies beside it, and is nobody's upload
    with served(index, writable=True, photos_folder=tmp_path) as city:
        assert city.client.delete("/v1/photos/1").status_code == 204
    assert (tmp_path / "red.jpg").exists()


def test_a_photo_that_is_sent_twice_at_once_is_stored_once(tmp_path: Path) -> None:
    with served(build(tmp_path / "city.gpkg"), writable=True, slow=0.1) as city:

        def send(name: str) -> int:
            sent = [photo(jpeg((7, 7, 7)), name)]
            return city.client.post("/v1/photos", sent, fields=PLACE).status_code

        with ThreadPoolExecutor(3) as clients:
            statuses = sorted(clients.map(send, ("a.jpg", "b.jpg", "c.jpg")))
        assert statuses == [200, 200, 201]
        assert city.client.get("/v1/photos").json()["numberMatched"] == len(COLOURS) + 1
