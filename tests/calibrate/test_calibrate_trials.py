"""Calibrating a database, from its own photos and from others."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numbered_places import MODEL, ByNumber, build, draw, where

from hafloc import calibrate
from hafloc.errors import IndexFileError, PositionError
from hafloc.geo import distance
from hafloc.index import open_index
from hafloc.locate import Localizer


class Silent:
    def start(self, step: str, total: int) -> None: ...

    def advance(self, done: int) -> None: ...


@pytest.fixture(autouse=True)
def numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes are opened with the describer of numbers."""

    def open_(path: Path, model: object = None, **options: object) -> Localizer:
        return Localizer(open_index(path, model=MODEL), ByNumber())

    monkeypatch.setattr(Localizer, "open", open_)


def run(path: Path, **options: object) -> calibrate.CalibrationReport:
    return calibrate.calibrate(path, progress=Silent(), **options)  # type: ignore[arg-type]


def folder_of(queries: Path, numbers: list[tuple[int, int]]) -> Path:
    queries.mkdir()
    rows = [(draw(queries, *number).name, where(*number)) for number in numbers]
    lines = [f"{name},{place.lat},{place.lon}" for name, place in rows]
    (queries / "positions.csv").write_text("\n".join(["image,lat,lon", *lines]))
    return queries


def test_a_database_calibrates_itself_and_then_knows_what_it_does_not_hold(tmp_path: Path) -> None:
    path = build(tmp_path, places=30)
    report = run(path)
    assert report.calibration.queries == 60
    assert len(report.calibration.scores) >= 50
    assert report.held_out is not None
    with Localizer.open(path) as street:
        known = street.locate(draw(tmp_path, 7, 2), probability=0.9)
        unknown = street.locate(draw(tmp_path, 200, 0))
    assert known.found is True
    assert known.radius is not None
    assert known.radius < 100
    assert distance(known.position, where(7, 2)) < 25
    assert known.confidence is not None
    assert known.confidence > 0.8
    assert unknown.found is False
    assert unknown.radius is None
    assert unknown.confidence is not None
    assert unknown.confidence < 0.2


def test_a_sample_of_the_database_will_do(tmp_path: Path) -> None:
    assert run(build(tmp_path, places=30), sample=40).calibration.queries == 40


def test_photos_at_a_query_s_own_position_never_answer_it(tmp_path: Path) -> None:
    path = build(tmp_path, places=1, photos=1)
    with open_index(path, write=True) as index:
        (record,) = list(index.iterate())
        twin = draw(tmp_path, 0, 1)
        index.add([replace(record, path=twin.name, id=None)], index.vectors([record.id or 0]))
    with Localizer.open(path) as street:
        trials = calibrate.Trials(street.index, street.candidates.local_features)
        for known in calibrate.own_photos(
            street.index, street.candidates.local_features, 10, Silent()
        ):
            trials.add(known)
    assert trials.plain == []


def test_queries_from_a_folder_leave_copies_and_useless_files_out(tmp_path: Path) -> None:
    path = build(tmp_path, places=30)
    queries = folder_of(tmp_path / "queries", [(place, 3) for place in range(25)])
    shutil.copy(tmp_path / "004_1.png", queries / "copy.png")
    draw(queries, 9, 9)
    (queries / "words.png").write_text("no photo")
    report = run(path, queries=queries)
    assert report.calibration.queries == 25
    assert report.copies == 1
    reasons = sorted(photo.reason for photo in report.skipped)
    assert len(reasons) == 2
    assert "009_9.png: it has no GPS position; give its position in a CSV" in reasons[0]
    assert "words.png" in reasons[1]


def test_errors_are_measured_from_the_query_s_own_position(tmp_path: Path) -> None:
    path = build(tmp_path, places=20, photos=1)
    query = calibrate.Known(where(4, 3), ByNumber().features(np.full((1, 1, 3), (4, 3, 0))))
    with Localizer.open(path) as street:
        trials = calibrate.Trials(street.index, street.candidates.local_features)
        trials.add(query)
    # One photo a place, 30 m from where the query was taken.
    assert trials.plain[0].first == pytest.approx(30, abs=0.01)
    assert trials.plain[0].error == pytest.approx(30, abs=0.5)
    elsewhere = trials.plain[0].elsewhere
    assert elsewhere is not None
    assert distance(elsewhere.position, where(4, 0)) > 100


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        (4, "only 8 of 8 queries are located right, .* at least 9; give more queries"),
        (1, "only 2 of 2 queries"),
    ],
)
def test_too_few_photos_are_refused_and_nothing_is_stored(
    tmp_path: Path, places: int, reason: str
) -> None:
    path = build(tmp_path, places=places)
    with pytest.raises(PositionError, match=reason):
        run(path)
    with open_index(path) as index:
        assert index.calibration() is None


def test_a_database_of_one_place_cannot_learn_what_elsewhere_looks_like(tmp_path: Path) -> None:
    path = build(tmp_path, places=1, photos=6)
    queries = folder_of(tmp_path / "queries", [(0, photo) for photo in range(20, 40)])
    # All are within 100 m only if they stand close.
    lines = (queries / "positions.csv").read_text().splitlines()
    place = where(0, 3)
    moved = [f"{line.split(',')[0]},{place.lat},{place.lon}" for line in lines[1:]]
    (queries / "positions.csv").write_text("\n".join([lines[0], *moved]))
    with pytest.raises(
        PositionError, match=r"only 0 of 20 queries leave any photo .* beyond 100 m"
    ):
        run(path, queries=queries)


def test_the_own_calibration_of_an_index_counts_before_any_other(tmp_path: Path) -> None:
    path = build(tmp_path, places=30)
    with Localizer.open(path) as street:
        before = street.locate(tmp_path / "003_0.png")
    assert (before.radius, before.confidence, before.found) == (None, None, None)
    run(path)
    with Localizer.open(path) as street:
        assert street.locate(tmp_path / "003_0.png").found is True


def test_a_damaged_calibration_is_told_with_the_cure(tmp_path: Path) -> None:
    path = build(tmp_path, places=2)
    with open_index(path, write=True) as index:
        index.store_calibration("{")
    with pytest.raises(IndexFileError, match=r"cannot use the calibration of .*hafloc calibrate"):
        Localizer.open(path)


def test_a_probability_that_cannot_be_promised_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(PositionError, match="cannot be promised"):
        run(tmp_path / "missing.gpkg", probability=1.0)


def test_the_radius_grows_with_the_probability(tmp_path: Path) -> None:
    path = build(tmp_path, places=30)
    run(path)
    with Localizer.open(path) as street:
        radii = [
            street.locate(tmp_path / "003_0.png", probability=p).radius or np.inf
            for p in (0.5, 0.9, 0.999)
        ]
    assert radii[0] <= radii[1] < radii[2] == np.inf
