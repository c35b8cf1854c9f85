"""`hafloc calibrate` and `hafloc locate` on a street of made-up places."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from command_line import Run
from numbered_places import MODEL, ByNumber, build, draw, where

from hafloc.index import open_index
from hafloc.locate import Localizer


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    def open_(path: Path, model: object = None, **options: object) -> Localizer:
        return Localizer(open_index(path, model=MODEL), ByNumber())

    monkeypatch.setattr(Localizer, "open", open_)
    return run


@pytest.fixture
def street(tmp_path: Path) -> Path:
    return build(tmp_path, places=40)


def test_calibrating_prints_what_it_found_and_what_it_is_worth(run: Run, street: Path) -> None:
    code, out, err = run("calibrate", street)
    assert (code, err) == (0, "")
    first, radius, cautious, confidence = out.splitlines()
    assert first.startswith(f"{street}: calibrated on 80 queries by similarity alone, ")
    assert " m in the median; holds " in radius
    assert "(90 % meant)" in radius
    assert " % in single neighbourhoods" in radius
    assert cautious.startswith("--cautious  ")
    assert "area under ROC" in confidence


def test_few_queries_calibrate_with_a_warning(run: Run, street: Path, tmp_path: Path) -> None:
    queries = tmp_path / "queries"
    queries.mkdir()
    rows = [f"{draw(queries, n, 4).name},{where(n, 4).lat},{where(n, 4).lon}" for n in range(12)]
    (tmp_path / "truth.csv").write_text("\n".join(["image,lat,lon", *rows]))
    draw(queries, 5, 7)
    code, out, err = run(
        "calibrate", street, "--queries", queries, "--positions", tmp_path / "truth.csv"
    )
    assert code == 1
    assert "calibrated on 12 queries" in out
    assert "the radius is a wide guess; 30 or more make it sharper" in err
    assert "skipped: cannot calibrate with" in err


def test_too_few_queries_are_refused_in_one_line(run: Run, tmp_path: Path) -> None:
    code, out, err = run("calibrate", build(tmp_path, places=2))
    assert (code, out) == (2, "")
    assert err.startswith("hafloc: cannot calibrate: only 4 of 4 queries")
    assert len(err.splitlines()) == 1


def test_before_calibration_locating_says_how_to_learn_the_radius(
    run: Run, street: Path, tmp_path: Path
) -> None:
    code, out, err = run("locate", street, draw(tmp_path, 7, 4))
    assert code == 0
    assert "within" not in out
    assert f"hafloc calibrate {street}" in err


def test_a_found_place_is_told_with_radius_and_confidence(
    run: Run, street: Path, tmp_path: Path
) -> None:
    run("calibrate", street)
    query = draw(tmp_path, 7, 4)
    code, out, err = run("locate", street, query)
    assert (code, err) == (0, "")
    said = out.splitlines()[0]
    assert "  within " in said
    assert " m (90 %), confidence 0." in said
    answer = json.loads(run("locate", street, query, "--json", "--probability", "0.5")[1])
    assert answer["found"] is True
    assert answer["probability"] == 0.5
    assert answer["radius"] > 0


def test_a_place_elsewhere_is_not_in_this_database(run: Run, street: Path, tmp_path: Path) -> None:
    run("calibrate", street)
    known, unknown = draw(tmp_path, 7, 4), draw(tmp_path, 200, 0)
    code, out, err = run("locate", street, unknown, known, "--top", "2")
    assert code == 1
    assert "not in this database (confidence 0." in out
    assert err == "1 of 2 not in this database\n"
    # The nearest photos are listed all the same.
    assert out.count(".png") == 6
    answer = json.loads(run("locate", street, unknown, "--json")[1])
    assert answer["found"] is False
    assert answer["radius"] is None
    assert answer["candidates"]


def test_a_probability_that_cannot_be_promised_is_refused(
    run: Run, street: Path, tmp_path: Path
) -> None:
    code, _, err = run("locate", street, draw(tmp_path, 7, 4), "--probability", "1")
    assert code == 2
    assert "cannot be promised" in err


def test_a_walk_is_located_by_its_times(run: Run, street: Path, tmp_path: Path) -> None:
    run("calibrate", street)
    walk = [
        draw(tmp_path, place, 5, other, datetime(2024, 5, 31, 12, minute))
        for place, other, minute in ((5, None, 0), (30, 6, 2), (7, None, 4))
    ]
    _, out, _ = run("locate", street, *walk, "--sequence", "--json")
    paths = [json.loads(line)["candidates"][0]["path"][:3] for line in out.splitlines()]
    assert paths == ["005", "006", "007"]
    untimed = draw(tmp_path, 8, 5)
    _, out, err = run("locate", street, *walk, untimed, "--sequence")
    assert err == ""
    assert f"{untimed}  52.2" in out
    assert "located on its own, without the walk: it has no time" in out


@pytest.mark.parametrize("named", [True, False])
def test_the_map_page_is_opened_where_that_is_asked(
    run: Run, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda uri: opened.append(uri) is None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    page = tmp_path / "page.html"

    query = draw(tmp_path, 5, 9)
    code, _, err = run("locate", street, query, "--open", *(["--map", page] if named else []))

    assert code == 0
    (uri,) = opened
    file = Path(uri.removeprefix("file://"))
    assert file.is_file()
    assert f"{file}: map of 1 answer" in err
    assert (file == page) is named


def test_a_machine_without_a_browser_says_where_the_page_is(
    run: Run, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda uri: False)
    page = tmp_path / "page.html"

    code, _, err = run("locate", street, draw(tmp_path, 5, 9), "--map", page, "--open")

    assert code == 0
    assert f"cannot open a browser: none is known here; open {page} in one" in err
