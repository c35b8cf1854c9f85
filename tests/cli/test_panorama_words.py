"""What a build says of panoramas, in words and in numbers."""

import json

import pytest

from hafloc.cli.build_report import report_build
from hafloc.index import BuildReport


def said(capsys: pytest.CaptureFixture[str], report: BuildReport) -> tuple[str, list[str]]:
    report_build("c.gpkg", report, None, False)
    out, err = capsys.readouterr()
    return out.strip(), err.splitlines()


def test_files_are_counted_and_their_views_told(capsys: pytest.CaptureFixture[str]) -> None:
    report = BuildReport(added=1_200, unchanged=5, moved=0, panoramas=1_000, views=8_000)

    out, err = said(capsys, report)

    assert out == "c.gpkg: 1,200 added (of them 1,000 panoramas in 8,000 views), 5 unchanged"
    assert err == []


def test_one_panorama_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = said(capsys, BuildReport(added=1, unchanged=0, moved=0, panoramas=1, views=3))

    assert out == "c.gpkg: 1 added (of them 1 panorama in 3 views), 0 unchanged"


def test_what_only_looks_like_a_panorama_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    wide = tuple(f"{number}.jpg" for number in range(7))
    report = BuildReport(added=7, unchanged=0, moved=0, wide=wide)

    _, err = said(capsys, report)

    assert err == [
        "7 photos look like panoramas: 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg, …; "
        "--panorama cuts such photos into views"
    ]


def test_a_damaged_panorama_is_one_line_and_no_reason_to_fail(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = tuple(f"{n}.jpg calls itself a panorama, but it lies" for n in range(6))
    report = BuildReport(added=6, unchanged=0, moved=0, flat=lines)

    _, err = said(capsys, report)

    assert err[0] == "0.jpg calls itself a panorama, but it lies; taken as it is"
    assert err[-1] == "and 1 photo more like these"


def test_numbers_are_in_the_json(capsys: pytest.CaptureFixture[str]) -> None:
    report = BuildReport(added=2, unchanged=0, moved=0, panoramas=1, views=8, wide=("a.jpg",))

    report_build("c.gpkg", report, None, True)

    facts = json.loads(capsys.readouterr().out)
    assert (facts["panoramas"], facts["views"], facts["wide"]) == (1, 8, ["a.jpg"])
