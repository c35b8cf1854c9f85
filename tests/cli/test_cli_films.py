"""Films at the command line: built, located, shown, and refused in one line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from films import gpx, write_film

from hafloc.geo import LocalFrame, Position
from hafloc.index import open_index

FRAME = LocalFrame(Position(48.2, 16.37))
GREYS = [np.full((48, 64, 3), 5 * number, np.uint8) for number in range(31)]


@pytest.fixture
def run(run: Run, tiny_checkpoint: Path) -> Run:
    def with_network(*words: object, model: bool = True) -> tuple[int, str, str]:
        return run(*words, *(["--model", tiny_checkpoint] if model else []))

    return with_network


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """Three seconds of noise of its own in each, 10 m/s to the east, with a track."""
    rng = np.random.default_rng(0)
    images = [
        np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        for _ in range(31)
    ]
    ends = [("2024-01-12T18:30:00Z", 0.0), ("2024-01-12T18:30:20Z", 200.0)]
    places = [(time, FRAME.to_position(metres, 0)) for time, metres in ends]
    gpx(tmp_path / "drive.gpx", [(time, p.lat, p.lon) for time, p in places])
    return write_film(tmp_path / "drive.mp4", images)


def test_a_table_beside_a_film_that_is_named_alone_is_of_others(
    run: Run, drive: Path, tmp_path: Path
) -> None:
    (tmp_path / "positions.csv").write_text("image,lat,lon\nother.jpg,48.2,16.37\n")
    track = tmp_path / "drive.gpx"
    status, _, err = run("index", "build", tmp_path / "c.gpkg", drive, "--track", track)
    assert (status, "positions.csv" in err) == (0, False)


def test_a_film_is_built_located_and_shown(run: Run, drive: Path, tmp_path: Path) -> None:
    index = tmp_path / "c.gpkg"
    build = ("index", "build", index, drive, "--track", tmp_path / "drive.gpx", "--no-calibrate",
             "--every", "10m")  # fmt: skip
    status, out, _ = run(*build)
    assert (status, out) == (0, f"{index}: 4 added (of them 4 frames of 1 film), 0 unchanged\n")

    # When the film itself is the query, its frames find themselves.
    status, out, _ = run("locate", index, drive, "--every", "1s", "--json", "--top", 1)
    answers = [json.loads(line) for line in out.splitlines()]
    with open_index(index) as opened:
        held = {record.path: record for record in opened.iterate()}
    assert [answer["time_code"] for answer in answers] == pytest.approx([0, 1, 2, 3], abs=0.13)
    for answer in answers:
        assert answer["query"] == f"{drive}#t={answer['time_code']:g}"
        twin = f"drive.mp4#t={answer['time_code']:g}"
        assert (answer["duplicate_of"] or {}).get("path") == twin
        assert answer["position"]["lon"] == pytest.approx(held[twin].position.lon, abs=1e-6)

    # When people read it, one line sums the film up, and files carry the time code.
    gpx_file, csv, page = tmp_path / "o.gpx", tmp_path / "o.csv", tmp_path / "o.html"
    status, out, _ = run("locate", index, drive, "--every", "1s", "--gpx", gpx_file, "--csv", csv,
                         "--map", page, "--top", 1)  # fmt: skip
    # 30 m, but neighbours of the first and last frame may be sharper.
    summary = r".*drive\.mp4: 4 frames located, (28|29|30|31) m from 48\.2\d+, 16\.37"
    assert re.match(summary, out.splitlines()[-1])
    assert gpx_file.read_text().count("drive.mp4#t=") == 4
    assert "<trk>" in gpx_file.read_text()
    assert len([line for line in csv.read_text().splitlines() if "drive.mp4#t=" in line]) == 4
    # Frames of the query and of the database are one picture each.
    assert page.read_text().count("data:image/jpeg;base64") == 4


def test_films_are_refused_in_one_line_each(run: Run, drive: Path, tmp_path: Path) -> None:
    def said(*arguments: object) -> str:
        status, out, err = run(*arguments)
        assert status == 2
        assert not out
        assert len(err.splitlines()) == 1
        return err

    index = tmp_path / "n.gpkg"
    assert "tells no way of its own" in said("index", "build", index, drive)
    assert "--every '5 furlongs' is no distance" in said(
        "index", "build", index, drive, "--every", "5 furlongs"
    )
    assert not index.exists()
    assert "no query is one" in said("locate", index, tmp_path / "a.jpg", "--every", "2s")
    (tmp_path / "none.mp4").write_bytes(b"no film " * 99)
    assert "it is no film in a known format" in said("index", "build", index, tmp_path / "none.mp4")


def test_what_a_film_lacks_is_told_with_the_way_out(run: Run, drive: Path, tmp_path: Path) -> None:
    index, track = tmp_path / "n.gpkg", tmp_path / "drive.gpx"
    table = tmp_path / "table.csv"
    table.write_text("image,lat,lon\ndrive.mp4,48.2,16.37\n")
    status, _, err = run("index", "build", index, drive, "--positions", table)
    assert (status, "table.csv: tables place no films; leave it out" in err) == (2, True)

    # A film alone is no folder of which nothing could be indexed.
    status, _, err = run("index", "build", index, drive)
    assert (status, "no index was made: cannot place " in err, "first" in err) == (2, True, False)

    silent = write_film(tmp_path / "silent.mp4", GREYS, tags={})
    status, _, err = run("index", "build", index, silent, "--track", track)
    assert status == 2
    assert "put the time at which it began into its name, such as 20260131_142500.mp4" in err
    named = silent.rename(tmp_path / "20240112_183000.mp4")
    assert run("index", "build", index, named, "--track", track, "--no-calibrate")[0] == 0


def test_a_film_among_queries_that_is_none_stops_no_other(
    run: Run, drive: Path, tmp_path: Path
) -> None:
    index = tmp_path / "c.gpkg"
    run("index", "build", index, drive, "--track", tmp_path / "drive.gpx", "--no-calibrate")
    (tmp_path / "none.mp4").write_bytes(b"no film " * 99)

    status, out, err = run("locate", index, tmp_path / "none.mp4", drive, "--json")

    assert (status, len(out.splitlines())) == (1, 2)
    assert "skipped: cannot read" in err
    # A frame may be named alone, and looked at.
    status, out, _ = run("locate", index, f"{drive}#t=1", "--json")
    assert json.loads(out)["time_code"] == 1
    picture = tmp_path / "m.png"
    status, out, _ = run("show", "matches", f"{drive}#t=1", "--index", index, "-o", picture)
    assert status in (0, 1)
    assert "drive.mp4#t=" in out
    assert picture.stat().st_size > 10_000
