"""Clocks that jump between two builds: what a photo shows today is what the index holds."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from colours import Colours
from PIL import Image as Pillow

from hafloc.index import BuildReport, build_index, open_index
from hafloc.photos import content

NOON = 1_717_156_800  # 2024-05-31 12:00 UTC
DAY = 86_400


def paint(path: Path, colour: int, moment: float) -> None:
    """A photo of always the same number of bytes, written at a moment."""
    pixels = np.full((24, 32, 3), colour, np.uint8)
    Pillow.fromarray(pixels).save(path, "BMP")
    os.utime(path, (moment, moment))


def build(home: Path) -> tuple[BuildReport, list[str]]:
    names = sorted(path.name for path in (home / "photos").iterdir())
    rows = [f"{name},48.{number},16" for number, name in enumerate(names)]
    (home / "positions.csv").write_text("\n".join(["image,lat,lon", *rows]))
    colours = Colours()
    report = build_index(home / "city.gpkg", colours, home / "photos")  # type: ignore[arg-type]
    return report, colours.described


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        paint(tmp_path / "photos" / f"{number}.bmp", 40 * number, NOON)
    build(tmp_path)
    return tmp_path


def holds_what_is_there(home: Path) -> bool:
    with open_index(home / "city.gpkg") as index:
        held = {record.path: record.content for record in index.photos()}
        assert index.verify() == []
    there = {f"photos/{path.name}": content(path) for path in (home / "photos").iterdir()}
    return held == there


@pytest.mark.parametrize(
    "moment",
    [NOON - DAY, NOON + 3_600, NOON - 3_600, 0, -DAY, NOON + 40_000 * DAY, NOON + 1e-3],
    ids=["a day back", "summer time", "winter time", "1970", "1969", "far ahead", "a millisecond"],
)
def test_a_photo_that_changed_is_read_anew_whatever_the_clock_said(
    home: Path, moment: float
) -> None:
    paint(home / "photos" / "1.bmp", 200, moment)
    build(home)
    assert holds_what_is_there(home)


def test_a_photo_whose_time_alone_changed_is_not_described_again(home: Path) -> None:
    os.utime(home / "photos" / "1.bmp", (NOON + 3_600, NOON + 3_600))
    report, described = build(home)
    assert (report.added, described) == (0, [])
    assert holds_what_is_there(home)


def test_a_process_whose_clock_goes_back_builds_as_any_other(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter([NOON + DAY, NOON - DAY, 0.0, NOON, -5.0] * 10_000)
    monkeypatch.setattr(time, "time", lambda: next(moments))
    paint(home / "photos" / "3.bmp", 220, NOON)
    build(home)
    assert holds_what_is_there(home)
