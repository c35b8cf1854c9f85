"""POST /v1/locate: what it answers, and how it fails."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import PLACES, Served, build, jpeg, photo, served

from hafloc.geo import Position
from hafloc.serve.pictures import LEVELS

REDDISH, GREENISH = (240, 40, 20), (20, 230, 30)


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Served]:
    with served(build(tmp_path / "city.gpkg")) as found:
        yield found


def test_a_photo_is_located_at_the_most_similar_one(city: Served) -> None:
    response = city.client.post("/v1/locate?top=2", files=[photo(jpeg(REDDISH))])
    assert response.status_code == 200
    (answer,) = response.json()["answers"]
    assert (answer["query"], answer["database"]) == ("query.jpg", "city")
    assert answer["position"] == {"lat": 52.2, "lon": 0.1}
    assert [one["path"] for one in answer["candidates"]] == ["red.jpg", "orange.jpg"]
    link = answer["candidates"][0]["thumbnail"]
    assert city.client.get(link).headers["content-type"] == "image/jpeg"


def test_several_photos_are_answered_in_their_order_and_none_ends_the_others(city: Served) -> None:
    files = [photo(jpeg(GREENISH), "a"), photo(b"none", "b"), photo(jpeg(REDDISH), "c")]
    answers = city.client.post("/v1/locate", files=files).json()["answers"]
    assert [answer["query"] for answer in answers] == ["a", "b", "c"]
    assert answers[0]["candidates"][0]["path"] == "green.jpg"
    assert answers[1]["problem"]["status"] == 422
    assert answers[1]["problem"]["detail"].startswith("cannot read b: it is not a photo")
    assert answers[2]["candidates"][0]["path"] == "red.jpg"


@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream", "image/png; q=1"])
def test_a_photo_may_be_the_body_itself(city: Served, kind: str) -> None:
    response = city.client.post("/v1/locate?name=IMG.jpg", content=jpeg(), content_type=kind)
    assert response.json()["answers"][0]["query"] == "IMG.jpg"


def test_a_photo_alone_that_fails_is_the_response_as_a_problem(city: Served) -> None:
    response = city.client.post("/v1/locate", files=[photo(b"\xff\xd8\xff\xe0 no more", "x.jpg")])
    assert (response.status_code, response.headers["content-type"]) == (
        422,
        "application/problem+json",
    )
    problem = response.json()
    assert problem["type"] == "/problems/photo-error"
    assert problem["detail"].startswith("cannot read x.jpg: ")


def test_near_searches_only_there_and_says_how_far_the_next_photo_is(city: Served) -> None:
    found = city.client.post("/v1/locate?near=52.3,0.1,500", files=[photo(jpeg(REDDISH))])
    assert [one["path"] for one in found.json()["answers"][0]["candidates"]] == ["blue.jpg"]
    none = city.client.post("/v1/locate?near=10,10,500", files=[photo(jpeg(REDDISH))])
    assert none.status_code == 422
    assert "enlarge the radius" in none.json()["detail"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("near=1,2", 400),
        ("near=91,0,5", 422),
        ("near=1,2,-5", 422),
        ("near=nan,2,5", 422),
        ("top=0", 400),
        ("top=x", 400),
        ("rerank=-1", 400),
        ("probability=1", 400),
        ("cautious=perhaps", 400),
        ("database=none", 404),
        ("databse=city", 400),
    ],
)
def test_parameters_that_cannot_be_used_are_told(city: Served, query: str, status: int) -> None:
    response = city.client.post(f"/v1/locate?{query}", files=[photo(jpeg())])
    assert (response.status_code, response.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    assert "\n" not in response.json()["detail"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("top=x", "top must be a whole number, not 'x'"),
        ("top=1.5", "top must be a whole number, not '1.5'"),
        ("top=0", "top must be 1 or more, not '0'"),
        ("rerank=1001", "rerank must be 1,000 or less, not '1001'"),
        ("probability=1", "probability must be less than 1.0, not '1'"),
        ("probability=x", "probability must be a number, not 'x'"),
        ("cautious=perhaps", "cautious must be true or false, not 'perhaps'"),
        (
            "near=99,0,5",
            "latitude 99 is not between -90 and 90 degrees; check that latitude and longitude "
            "are not swapped",
        ),
    ],
)
def test_a_parameter_is_told_in_our_words_what_it_must_be(
    city: Served, query: str, says: str
) -> None:
    response = city.client.post(f"/v1/locate?{query}", files=[photo(jpeg())])
    assert response.json()["detail"] == says


def test_a_level_of_the_heat_map_that_is_none_is_told_which_there_are(city: Served) -> None:
    response = city.client.get("/v1/evidence/x/attention?level=deep")
    assert response.json()["detail"] == f"level must be one of {', '.join(LEVELS)}, not 'deep'"


def test_of_several_databases_the_best_answer_counts_and_the_photo_is_described_once(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    reds = build(tmp_path / "a" / "town.gpkg", {"red.jpg": PLACES["red.jpg"]})
    greens = build(tmp_path / "b" / "town.gpkg", {"green.jpg": Position(10, 20)})
    with served(reds, greens) as two:
        names = [one["name"] for one in two.client.get("/v1/databases").json()["databases"]]
        assert names == ["town", "town-2"]
        files = [photo(jpeg(GREENISH)), photo(jpeg(REDDISH))]
        answers = two.client.post("/v1/locate?database=*", files=files).json()["answers"]
        assert [answer["database"] for answer in answers] == ["town-2", "town"]
        assert two.describer.seen == 2
        unnamed = two.client.post("/v1/locate", files=files)
        assert (unnamed.status_code, "name one" in unnamed.json()["detail"]) == (400, True)


def test_answers_come_as_geojson_where_that_is_asked_for(city: Served) -> None:
    files = [photo(jpeg(REDDISH)), photo(b"none", "b")]
    response = city.client.post("/v1/locate?top=1", files=files, accept="application/geo+json")
    assert response.headers["content-type"] == "application/geo+json"
    found = response.json()
    kinds = [feature["properties"]["kind"] for feature in found["features"]]
    assert kinds == ["answer", "candidate"]
    assert found["features"][0]["geometry"]["coordinates"] == [0.1, 52.2]
    assert found["failed"][0]["query"] == "b"


def test_photos_of_a_walk_are_one_piece_of_work(city: Served) -> None:
    files = [photo(jpeg(REDDISH), "a"), photo(jpeg(GREENISH), "b")]
    answers = city.client.post("/v1/locate?sequence=true", files=files).json()["answers"]
    assert [answer["query"] for answer in answers] == ["a", "b"]
    assert "time" in answers[0]["note"]


def test_nothing_of_a_query_is_kept_unless_that_is_asked_for(city: Served) -> None:
    (answer,) = city.client.post("/v1/locate", files=[photo(jpeg())]).json()["answers"]
    assert "evidence" not in answer
    assert len(city.service.evidence) == 0


def test_evidence_is_by_link_until_it_is_forgotten(city: Served) -> None:
    (answer,) = city.client.post("/v1/locate?evidence=true", files=[photo(jpeg())]).json()[
        "answers"
    ]
    links = answer["evidence"]
    small = city.client.get(links["photo"])
    assert (small.headers["content-type"], small.content[:2]) == ("image/jpeg", b"\xff\xd8")
    for level in ("low", "mid", "high", "fused"):
        heat = city.client.get(links["attention"].replace("{level}", level) + "&plain=true")
        assert (heat.headers["content-type"], heat.content[1:4]) == ("image/png", b"PNG")
    # Without key points there is nothing to draw, and that is said.
    matches = city.client.get(links["matches"].replace("{rank}", "1"))
    assert (matches.status_code, "no key points" in matches.json()["detail"]) == (404, True)
    assert city.client.delete(f"/v1/evidence/{links['id']}").status_code == 204
    assert city.client.get(links["photo"]).status_code == 404


def test_evidence_is_bounded_in_number_bytes_and_time(tmp_path: Path) -> None:
    city = build(tmp_path / "city.gpkg")
    with served(city, evidence_photos=2, evidence_seconds=0.3) as found:
        links = [
            found.client.post("/v1/locate?evidence=1", files=[photo(jpeg())]).json()["answers"][0][
                "evidence"
            ]["photo"]
            for _ in range(3)
        ]
        assert [found.client.get(link).status_code for link in links] == [404, 200, 200]
        time.sleep(0.35)
        assert found.client.get(links[2]).status_code == 404
        assert len(found.service.evidence) == 0


def test_an_empty_database_says_so_without_its_place_on_the_disk(tmp_path: Path) -> None:
    with served(build(tmp_path / "city.gpkg", {})) as found:
        response = found.client.post("/v1/locate", files=[photo(jpeg())])
    assert response.status_code == 503
    assert response.json()["detail"].startswith("cannot locate with city: it holds no photos")
    assert str(tmp_path) not in response.text
