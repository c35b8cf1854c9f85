"""`index build` and `index add` fit the radius to their index, and tell what became of it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Run
from numbered_places import MODEL, build
from PIL import Image

from hafloc import calibrate
from hafloc.calibrate import NotCalibrated, keep_calibrated
from hafloc.cli.own_calibration import calibration_facts, calibration_notes
from hafloc.progress import Silent


@pytest.fixture
def photos(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(2):
        Image.new("RGB", (40, 40), (90 * number, 9, 9)).save(folder / f"@52.{number}@0.1@.png")
    (folder / "positions.csv").write_text(
        "image,lat,lon\n@52.0@0.1@.png,52.0,0.1\n@52.1@0.1@.png,52.1,0.1\n"
    )
    return folder


def test_too_few_photos_to_learn_from_are_told_once_and_in_the_info(
    run: Run, photos: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    index = tmp_path / "few.gpkg"
    command = ("index", "build", index, photos, "--model", tiny_checkpoint)
    code, out, err = run(*command)
    assert (code, out) == (0, f"{index}: 2 added, 0 unchanged\n")
    few = "it holds 2 photos, and 30 are needed to learn from"
    assert err == f"radius and confidence stay as they are: {few}\n"
    assert run(*command)[2] == ""
    assert f"calibrated  as shipped: {few}\n" in run("index", "info", index)[1]
    told = json.loads(run("index", "info", index, "--json")[1])["calibration"]
    assert (told["learned_from"], told["photos"], told["reason"]) == ("build", 2, few)


def test_it_can_be_left_out(run: Run, photos: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    index = tmp_path / "few.gpkg"
    model = ("--model", tiny_checkpoint)
    code, out, err = run("index", "build", index, photos, "--no-calibrate", "--json", *model)
    assert (code, json.loads(out)["calibration"], err) == (0, None, "")
    assert "calibrated  as shipped\n" in run("index", "info", index)[1]
    added = json.loads(run("index", "add", index, photos, "--json", *model)[1])
    assert added["calibration"]["calibrated"] is False
    assert added["calibration"]["reason"].startswith("it holds 2 photos")


def test_ctrl_c_while_it_learns_says_that_the_photos_are_stored_and_how_to_go_on(
    run: Run,
    photos: Path,
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(calibrate, "keep_calibrated", stop)
    index = tmp_path / "stopped.gpkg"
    code, _, err = run("index", "build", index, photos, "--model", tiny_checkpoint)
    assert code == 130
    assert f"all photos are stored in {index}" in err
    assert f"`hafloc calibrate {index}`" in err
    assert "photos      2\n" in run("index", "info", index)[1]


def test_what_was_learned_is_told_to_people_and_programs(run: Run, tmp_path: Path) -> None:
    path = build(tmp_path, places=30)
    done = keep_calibrated(path, progress=Silent())
    assert not isinstance(done, NotCalibrated)
    (line,) = calibration_notes(done)
    assert line.startswith("radius fitted to 60 of its own photos, ")
    facts = calibration_facts(done)
    assert facts is not None
    assert (facts["calibrated"], facts["queries"]) == (True, 60)
    info = run("index", "info", path)[1]
    assert f"calibrated  on 60 of its own photos, {done.origin.made}\n" in info
    assert MODEL.hash in info


def test_nothing_is_said_where_nothing_was_due() -> None:
    assert list(calibration_notes(NotCalibrated("it is calibrated already", due=False))) == []
    assert list(calibration_notes(None)) == []
    assert calibration_facts(None) is None
