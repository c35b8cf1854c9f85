"""An index keeps itself calibrated as it grows, and never at the cost of what is in it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numbered_places import MODEL, ByNumber, build, draw, where

from hafloc.calibrate import NotCalibrated, SelfCalibration, calibrate, keep_calibrated
from hafloc.geo import Position
from hafloc.index import (
    CALIBRATION_FORMAT,
    LearnedFrom,
    Origin,
    calibrated_in_words,
    open_index,
    read_origin,
)
from hafloc.locate import Localizer
from hafloc.locate.judging import OUTDATED
from hafloc.locate.trust import read_calibrations, write_calibrations
from hafloc.progress import Silent


@pytest.fixture
def street(tmp_path: Path) -> Path:
    return build(tmp_path, places=30)


def keep(path: Path, sample: int = 200) -> SelfCalibration | NotCalibrated:
    return keep_calibrated(path, sample=sample, progress=Silent())


def origin_of(path: Path) -> Origin | None:
    with open_index(path) as index:
        return read_origin(index.calibration(), MODEL.hash)


def grow(path: Path, places: range) -> None:
    """New places along the street, described as those before."""
    with open_index(path, write=True) as index:
        pattern = next(index.iterate())
        for place in places:
            for number in range(2):
                file = draw(path.parent, place, number)
                image = np.full((1, 1, 3), (place, number, 0), np.uint8)
                record = replace(
                    pattern,
                    path=file.name,
                    content=file.name,
                    position=where(place, number),
                    id=None,
                )
                index.add([record], ByNumber().vector(image)[None])


def store(path: Path, text: str) -> None:
    with open_index(path, write=True) as index:
        index.store_calibration(text)


def test_answers_rest_on_the_index_s_own_calibration_at_once(street: Path) -> None:
    done = keep(street)
    assert isinstance(done, SelfCalibration)
    assert (done.origin.queries, done.origin.photos) == (60, 60)
    assert origin_of(street) == done.origin
    with Localizer(open_index(street, model=MODEL), ByNumber()) as localizer:
        answer = localizer.locate(draw(street.parent, 7, 2))
    assert (answer.found, answer.calibration) == (True, "own")
    # Photos of one place lie 10 m apart.
    assert answer.radius is not None
    assert 5 < answer.radius < 25


def test_no_file_of_a_photo_is_needed(street: Path) -> None:
    for file in street.parent.glob("*.png"):
        file.unlink()
    assert isinstance(keep(street), SelfCalibration)


def test_a_sample_will_do(street: Path) -> None:
    done = keep(street, sample=40)
    assert isinstance(done, SelfCalibration)
    assert done.origin.queries == 40


def test_what_is_learned_stays_until_the_index_has_grown_by_a_quarter(street: Path) -> None:
    keep(street)
    before = street.read_bytes()
    assert keep(street) == NotCalibrated("it is calibrated already", due=False)
    grow(street, range(30, 37))  # 74 photos
    assert isinstance(keep(street), NotCalibrated)
    grow(street, range(37, 38))  # 76: a quarter would be 75
    done = keep(street)
    assert isinstance(done, SelfCalibration)
    assert done.origin.photos == 76
    assert before != street.read_bytes()


def test_what_a_person_s_queries_taught_is_never_replaced(street: Path) -> None:
    keep(street)
    with open_index(street) as index:
        text = index.calibration()
        learned = read_calibrations(text or "", MODEL.hash)
    mine = Origin(LearnedFrom.QUERIES, 40, 25, 20, "2024-05-31")
    store(street, write_calibrations(MODEL.hash, learned, mine))
    done = keep(street)  # 60 photos, half as many again
    assert isinstance(done, NotCalibrated)
    assert done.due
    assert "with queries of yours when it held 40 photos, and holds 60 now" in done.reason
    assert origin_of(street) == mine


def test_what_a_person_had_learned_from_own_photos_grows_with_them(
    street: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Localizer, "open", lambda *_, **__: Localizer(open_index(street), ByNumber())
    )
    calibrate(street, progress=Silent())
    origin = origin_of(street)
    assert origin is not None
    assert (origin.learned_from, origin.photos) == (LearnedFrom.OWN_PHOTOS, 60)
    assert isinstance(keep(street), NotCalibrated)
    grow(street, range(30, 45))
    assert isinstance(keep(street), SelfCalibration)


def test_a_calibration_from_before_origins_were_kept_stays(street: Path) -> None:
    keep(street)
    with open_index(street) as index:
        content = json.loads(index.calibration() or "")
    del content["origin"]
    store(street, json.dumps(content))
    done = keep(street)
    assert done == NotCalibrated(
        "it was calibrated by `hafloc calibrate`, which alone renews that", due=False
    )
    assert origin_of(street) is None


def age(path: Path, origin: Origin | None) -> None:
    """The index's calibration as an earlier hafloc wrote it, from `origin`."""
    with open_index(path) as index:
        learned = read_calibrations(index.calibration() or "", MODEL.hash)
    content = json.loads(write_calibrations(MODEL.hash, learned, origin))
    store(path, json.dumps(content | {"format": CALIBRATION_FORMAT - 1}))


def test_what_an_earlier_hafloc_learned_from_own_photos_is_learned_anew(street: Path) -> None:
    keep(street)
    age(street, origin_of(street))
    assert isinstance(keep(street), SelfCalibration)
    assert keep(street) == NotCalibrated("it is calibrated already", due=False)


@pytest.mark.parametrize("origin", [Origin(LearnedFrom.QUERIES, 60, 25, 20, "2024-05-31"), None])
def test_what_an_earlier_hafloc_learned_from_queries_says_how_to_go_on(
    street: Path, origin: Origin | None
) -> None:
    keep(street)
    age(street, origin)
    done = keep(street)
    assert isinstance(done, NotCalibrated)
    assert done.due
    assert "by an earlier hafloc" in done.reason
    assert "`hafloc calibrate` renews that" in done.reason
    with open_index(street) as index:
        assert "by an earlier hafloc" in calibrated_in_words(index.calibration(), MODEL.hash)
    with Localizer(open_index(street, model=MODEL), ByNumber()) as localizer:
        answer = localizer.locate(draw(street.parent, 7, 2))
    assert (answer.radius, answer.calibration) == (None, None)
    assert answer.note == OUTDATED


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1, "checkpoint": "another"}'])
def test_a_calibration_that_is_damaged_or_of_another_checkpoint_is_replaced(
    street: Path, text: str
) -> None:
    store(street, text)
    assert isinstance(keep(street), SelfCalibration)


def test_too_few_photos_are_told_once(tmp_path: Path) -> None:
    path = build(tmp_path, places=2)
    reason = "it holds 4 photos, and 30 are needed to learn from"
    assert keep(path) == NotCalibrated(reason, due=True)
    assert keep(path) == NotCalibrated(reason, due=False)
    with Localizer(open_index(path, model=MODEL), ByNumber()) as localizer:
        answer = localizer.locate(tmp_path / "001_0.png")
    assert (answer.radius, answer.calibration) == (None, None)


def test_photos_from_one_standpoint_teach_nothing(street: Path) -> None:
    with open_index(street, write=True) as index:
        index.update([replace(record, position=Position(52.2, 0.1)) for record in index.iterate()])
    assert keep(street) == NotCalibrated("its photos were all taken together", due=True)


def test_photos_that_are_not_found_again_are_counted(tmp_path: Path) -> None:
    path = build(tmp_path, places=60, photos=1)  # 150 m apart: none shows another's place
    done = keep(path)
    assert isinstance(done, NotCalibrated)
    assert done.reason.startswith("only 0 of 60 own photos are located right, and ")


def test_an_index_that_is_being_written_to_is_left_alone(street: Path) -> None:
    with open_index(street, write=True):
        done = keep(street)
    assert isinstance(done, NotCalibrated)
    assert "writ" in done.reason
    assert origin_of(street) is None


def test_an_index_that_cannot_be_opened_is_a_reason_and_no_error(tmp_path: Path) -> None:
    words = tmp_path / "words.gpkg"
    words.write_text("no index")
    done = keep(words)
    assert isinstance(done, NotCalibrated)
    assert "words.gpkg" in done.reason


def test_ctrl_c_leaves_the_index_as_it_was(street: Path) -> None:
    class Stop(Silent):
        def advance(self, done: int) -> None:
            if done == 5:
                raise KeyboardInterrupt

    copy = street.with_name("copy.gpkg")
    shutil.copy(street, copy)
    with pytest.raises(KeyboardInterrupt):
        keep_calibrated(street, progress=Stop())
    with open_index(street) as index:
        assert index.calibration() is None
        assert index.count() == 60
    assert isinstance(keep(street), SelfCalibration)
