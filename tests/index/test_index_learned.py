"""What an index tells of where its calibration comes from."""

import json

import pytest

from hafloc.index import LearnedFrom, Origin, calibrated_in_words, origin_to_json, read_origin

ITSELF = Origin(LearnedFrom.BUILD, 1_250, 198, 190, "2026-11-27")


def text(origin: Origin, **changes: object) -> str:
    told = origin_to_json(origin) | changes
    return json.dumps({"format": 2, "checkpoint": "abc", "calibrations": [{}], "origin": told})


def test_an_origin_survives_its_text() -> None:
    assert read_origin(text(ITSELF), "abc") == ITSELF


def test_an_origin_of_another_checkpoint_is_none() -> None:
    assert read_origin(text(ITSELF), "abd") is None


@pytest.mark.parametrize(
    "damaged",
    [
        "{",
        "[]",
        '{"checkpoint": "abc", "origin": {}}',
        '{"checkpoint": "abc", "origin": 7}',
        text(ITSELF, photos=None),
        text(ITSELF, learned_from="hearsay"),
    ],
)
def test_a_damaged_origin_is_refused_and_told(damaged: str) -> None:
    with pytest.raises(ValueError, match=r"calibration|Expecting|not a valid"):
        read_origin(damaged, "abc")
    assert calibrated_in_words(damaged, "abc") == "damaged; `hafloc calibrate` makes it anew"


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (None, "as shipped"),
        (text(ITSELF), "on 198 of its own photos, 2026-11-27"),
        (
            text(Origin(LearnedFrom.QUERIES, 50, 1_030, 900, "2026-11-27")),
            "on 1,030 photos of yours, 2026-11-27",
        ),
        (
            text(Origin(LearnedFrom.BUILD, 4, 0, 0, "2026-11-27", "it holds 4 photos")),
            "as shipped: it holds 4 photos",
        ),
        ('{"format": 2, "checkpoint": "abc", "calibrations": [{}]}', "by `hafloc calibrate`"),
        (
            '{"checkpoint": "abc", "calibrations": [{}]}',
            "as shipped: its own was made by an earlier hafloc; `hafloc calibrate` renews it",
        ),
        ('{"checkpoint": "abd", "calibrations": [{}]}', "as shipped"),
    ],
)
def test_a_line_tells_what_answers_rest_on(stored: str | None, words: str) -> None:
    assert calibrated_in_words(stored, "abc") == words
