"""The answer and its two forms for other programs."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hafloc.geo import Position
from hafloc.index import Record
from hafloc.locate import Answer, Verdict, in_words


def record(id_: int, lat: float, lon: float, heading: float | None = None) -> Record:
    return Record(
        f"{id_}.jpg", f"{id_:032x}", Position(lat, lon), 640, 480, "exif", heading, id=id_
    )


def sample() -> Answer:
    records = [record(7, 52.2, 0.1, 90.0), record(3, 52.2, 0.101)]
    return Answer.from_hits("query.jpg", records, [0.9, 0.5])


def test_the_position_is_that_of_the_most_similar_photo() -> None:
    assert sample().position == Position(52.2, 0.1)


def test_radius_and_confidence_are_unknown_without_a_verdict() -> None:
    answer = sample()
    assert (answer.radius, answer.probability) == (None, None)
    assert (answer.confidence, answer.found) == (None, None)


def test_a_verdict_gives_position_radius_and_confidence_in_both_forms() -> None:
    verdict = Verdict(Position(52.201, 0.1), 18.123456, 0.9, 0.97, True)
    records = [record(7, 52.2, 0.1)]
    answer = Answer.from_hits("query.jpg", records, [0.9], verdict=verdict)
    # A thousandth of a degree of latitude at 52.2° N.
    assert answer.candidates[0].metres == pytest.approx(111.27, abs=0.05)
    expected = {"radius": 18.12, "probability": 0.9, "confidence": 0.97, "found": True}
    assert answer.to_dict().items() >= expected.items()
    assert answer.to_geojson()["features"][0]["properties"].items() >= expected.items()


def test_a_duplicate_keeps_its_own_position_whatever_the_others_say() -> None:
    own = record(7, 52.2, 0.1)
    verdict = Verdict(Position(52.3, 0.1), 18.0, 0.9, 0.97, True)
    answer = Answer.from_hits("q", [own], [1.0], verdict=verdict, duplicate_of=own)
    assert answer.position == own.position


def test_metres_are_measured_from_the_answer() -> None:
    nearest, second = sample().candidates
    assert nearest.metres == 0
    # A thousandth of a degree of longitude at 52.2° N: 111,320 m · cos(lat) / 1000, ellipsoid.
    assert second.metres == pytest.approx(68.37, abs=0.05)


@given(st.integers(0, 10_000))
def test_feature_distance_is_the_euclidean_distance_of_the_unit_vectors(seed: int) -> None:
    a, b = np.random.default_rng(seed).standard_normal((2, 16))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    answer = Answer.from_hits("q", [record(1, 0, 0)], [float(a @ b)])
    assert answer.candidates[0].feature_distance == pytest.approx(np.linalg.norm(a - b), abs=1e-7)


def test_a_similarity_rounded_above_one_is_distance_zero() -> None:
    answer = Answer.from_hits("q", [record(1, 0, 0)], [1.0000001])
    assert answer.candidates[0].feature_distance == 0


def test_of_two_photos_that_look_alike_the_duplicate_gives_the_position() -> None:
    records = [record(1, 10, 20), record(2, 10.5, 20)]
    answer = Answer.from_hits("q", records, [1.0, 1.0], duplicate_of=records[1])
    assert answer.position == Position(10.5, 20)
    assert [c.id for c in answer.candidates] == [1, 2]


def test_a_duplicate_outside_the_search_does_not_move_the_answer() -> None:
    answer = Answer.from_hits("q", [record(1, 10, 20)], [0.5], duplicate_of=record(2, 50, 50))
    assert answer.position == Position(10, 20)


def test_a_record_that_was_never_stored_is_refused() -> None:
    unstored = Record("a.jpg", "", Position(0, 0), 1, 1, "csv")
    with pytest.raises(ValueError, match="has no id"):
        Answer.from_hits("q", [unstored], [0.5])


def test_json_has_exactly_the_documented_keys_and_survives_a_round_trip() -> None:
    value = sample().to_dict()
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    of_source = {"magnetic": False, "accuracy": None, "gps_status": None}
    of_source |= dict.fromkeys(("licence", "producer", "source_url"))
    unverified = dict.fromkeys(("inliers", "matches", "geometry", "strength", "query_view"))
    assert value == {
        "query": "query.jpg",
        "found": None,
        "position": {"lat": 52.2, "lon": 0.1},
        "views": 0,
        "query_views": None,
        "radius": None,
        "probability": None,
        "confidence": None,
        "calibration": None,
        "duplicate_of": None,
        "note": None,
        "window": None,
        "heading": None,
        "cautious": False,
        "candidates": [
            {
                "rank": 1,
                "id": 7,
                "path": "7.jpg",
                "position": {"lat": 52.2, "lon": 0.1},
                "heading": 90.0,
                **of_source,
                "similarity": 0.9,
                "feature_distance": round(math.sqrt(0.2), 6),
                "metres": 0.0,
                **unverified,
            },
            {
                "rank": 2,
                "id": 3,
                "path": "3.jpg",
                "position": {"lat": 52.2, "lon": 0.101},
                "heading": None,
                **of_source,
                "similarity": 0.5,
                "feature_distance": 1.0,
                "metres": value["candidates"][1]["metres"],
                **unverified,
            },
        ],
    }


def test_geojson_writes_longitude_first_and_the_answer_before_its_candidates() -> None:
    collection = sample().to_geojson()
    assert json.loads(json.dumps(collection, allow_nan=False)) == collection
    assert collection["type"] == "FeatureCollection"
    points = [feature["geometry"] for feature in collection["features"]]
    assert points == [
        {"type": "Point", "coordinates": [0.1, 52.2]},
        {"type": "Point", "coordinates": [0.1, 52.2]},
        {"type": "Point", "coordinates": [0.101, 52.2]},
    ]
    kinds = [(f["properties"]["kind"], f["properties"].get("rank")) for f in collection["features"]]
    assert kinds == [("answer", None), ("candidate", 1), ("candidate", 2)]


def test_both_forms_name_the_duplicate() -> None:
    own = record(2, 50, 50)
    answer = Answer.from_hits("q", [own], [1.0], duplicate_of=own)
    assert answer.to_dict()["duplicate_of"] == {"id": 2, "path": "2.jpg"}
    assert answer.to_geojson()["features"][0]["properties"]["duplicate_of"] == "2.jpg"


def test_both_forms_say_what_the_source_says_of_a_position_and_heading() -> None:
    known = replace(record(1, 10, 20), heading=12.5, magnetic=True, accuracy=4.7512, gps_status="V")
    credit = {"licence": "CC-BY-4.0", "producer": "Ada", "source_url": "https://example.org/1"}
    answer = Answer.from_hits("q", [replace(known, **credit)], [0.5], note="on its own")
    said = {"heading": 12.5, "magnetic": True, "accuracy": 4.75, "gps_status": "V"} | credit
    assert said.items() <= answer.to_dict()["candidates"][0].items()
    features = answer.to_geojson()["features"]
    assert said.items() <= features[1]["properties"].items()
    assert answer.to_dict()["note"] == features[0]["properties"]["note"] == "on its own"


def test_a_duplicate_s_radius_is_not_below_its_own_accuracy() -> None:
    own = replace(record(1, 10, 20), accuracy=65.0)
    for radius, said in ((12.0, 65.0), (80.0, 80.0), (None, None)):
        verdict = Verdict(own.position, radius, 0.9, 0.9, True)
        answer = Answer.from_hits("q", [own], [1.0], verdict=verdict, duplicate_of=own)
        assert answer.radius == said


def test_a_radius_that_is_not_fitted_to_the_database_is_said_to_be_so() -> None:
    record = Record("a.jpg", "", Position(10, 20), 1, 1, "csv", id=1)

    def words(calibration: str) -> str:
        verdict = Verdict(Position(10, 20), 80.0, 0.9, 0.93, True, calibration)
        return in_words(Answer.from_hits("q", [record], [0.5], verdict=verdict))

    said = "10.000000, 20.000000  within 80 m (90 %), confidence 0.93"
    assert words("own") == said
    assert words("shipped") == f"{said}, not fitted to this database"
