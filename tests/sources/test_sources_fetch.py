"""Photos brought into a folder: whole, once, with their credits, whatever happens on the way."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from street_server import Street, serving

from hafloc.errors import Interrupted, OptionError, OutputError, SourceError
from hafloc.geo import Position
from hafloc.photos import PositionTable, read_positions_csv
from hafloc.sources import (
    FetchReport,
    Offer,
    Panoramax,
    StreetPhoto,
    Wanted,
    Web,
    area_of_box,
    check_room,
    fetch,
    offer,
)
from hafloc.sources.fetch import file_name
from hafloc.sources.table import read_rows, row_of, write_rows

WANTED = Wanted(area_of_box("16.36,48.19,16.40,48.21"))
RUN = "from hafloc.cli import main; main()"
NAME = "panoramax-{:08d}-65eb-4a90-9764-86b3661aaa77.jpg"


def path_of(i: int) -> str:
    size = "hd" if i % 5 == 0 else "sd"
    return f"/api/pictures/{i:08d}-65eb-4a90-9764-86b3661aaa77/{size}.jpg"


def brought(street: Street, folder: Path, **choice: object) -> tuple[Offer, FetchReport]:
    with serving(street) as address:
        web = Web("0", wait=lambda seconds: None)
        source = Panoramax(web, address)
        found = offer(source, WANTED, folder, web, **choice)  # type: ignore[arg-type]
        return found, fetch(source, found.photos, folder, web)


def photos_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.jpg"))


def table(folder: Path) -> PositionTable:
    return read_positions_csv(folder / "positions.csv")


def test_a_street_is_fetched_with_positions_and_credits(tmp_path: Path) -> None:
    street, folder = Street(count=7), tmp_path / "vienna" / "photos"
    found, report = brought(street, folder)

    assert photos_in(folder) == [NAME.format(i) for i in range(7)]
    assert (folder / NAME.format(3)).read_bytes() == street.photo(3)
    assert (report.fetched, report.held, report.failed) == (7, 0, ())
    assert report.bytes == sum(len(street.photo(i)) for i in range(7))
    assert (found.licences, found.producers) == ({"CC-BY-SA-4.0": 7}, 2)
    row = table(folder).rows[NAME.format(3)]
    assert row.position is not None
    assert (row.position.lat, row.position.lon) == (48.2, pytest.approx(16.3703, abs=1e-7))
    assert (row.heading, row.licence, row.producer) == (30.0, "CC-BY-SA-4.0", "Ada 1")
    assert row.source_url is not None
    assert row.source_url.endswith("/api/items/00000003-65eb-4a90-9764-86b3661aaa77")
    assert row.time is not None
    assert table(folder).problems == ()
    credits = (folder / "CREDITS.txt").read_text()
    assert "7 fetched" in credits
    assert "CC-BY-SA-4.0\n  Ada 0: 4\n  Ada 1: 3\n" in credits


def test_what_is_there_is_not_fetched_again_and_what_is_new_is_added(tmp_path: Path) -> None:
    brought(Street(count=4), tmp_path)
    street = Street(count=6)
    found, report = brought(street, tmp_path)
    assert (found.held, report.held, report.fetched) == (4, 4, 2)
    assert sum(street.hits[f"GET {path_of(i)}"] for i in range(4)) == 0
    assert len(table(tmp_path).rows) == 6
    # Photos that the server has no more keep their rows.
    brought(Street(count=2), tmp_path)
    assert len(table(tmp_path).rows) == 6
    assert "6 fetched" in (tmp_path / "CREDITS.txt").read_text()


def test_how_much_there_is_to_fetch_is_told_by_a_sample(tmp_path: Path) -> None:
    street = Street(count=40)
    with serving(street) as address:
        web = Web("0")
        found = offer(Panoramax(web, address), WANTED, tmp_path, web)
    real = sum(len(street.photo(i)) for i in range(40))
    assert found.bytes == pytest.approx(real, rel=0.05)
    assert sum(count for what, count in street.hits.items() if what.startswith("HEAD")) == 8
    assert not photos_in(tmp_path)


def test_photos_that_cannot_be_had_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    moods = {
        path_of(0): ["broken"],
        path_of(1): ["torn"],
        path_of(2): ["404"],
        path_of(3): ["html"],
        path_of(4): ["500", "dies", "429 1", "slow"],
    }
    _, report = brought(Street(count=7, moods=moods), tmp_path)
    assert photos_in(tmp_path) == [NAME.format(i) for i in (4, 5, 6)]
    assert len(report.failed) == 4
    assert all(line.startswith("skipped panoramax-0000000") for line in report.failed)
    assert all("\n" not in line for line in report.failed)
    assert sorted(table(tmp_path).rows) == photos_in(tmp_path)
    # A later run fetches them alone.
    again = Street(count=7)
    _, report = brought(again, tmp_path)
    assert (report.fetched, report.held) == (4, 3)


def test_a_source_of_which_photo_after_photo_fails_is_given_up(tmp_path: Path) -> None:
    moods = {path_of(i): ["404"] for i in range(60)}
    street = Street(count=60, moods=moods)
    with pytest.raises(SourceError, match=r"20 photos in a row failed; the last: .*404"):
        brought(street, tmp_path)
    assert sum(count for what, count in street.hits.items() if "GET /api/pict" in what) < 40


def test_never_more_than_four_connections_are_open(tmp_path: Path) -> None:
    street = Street(count=24, pause=0.02)
    brought(street, tmp_path)
    assert 2 <= street.most_at_once <= 4


def test_a_disk_that_fills_up_costs_one_line_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = os.fsync, []

    def full(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OutputError, match=r"cannot write .*: No space left on device; free"):
            brought(Street(count=12), tmp_path)
    kept = photos_in(tmp_path)
    assert 1 <= len(kept) <= 4
    assert not list(tmp_path.glob("*.part"))
    # What is there has its credit.
    assert set(kept) <= set(table(tmp_path).rows)
    street = Street(count=12)
    _, report = brought(street, tmp_path)
    assert (report.held, report.fetched) == (len(kept), 12 - len(kept))
    assert sorted(table(tmp_path).rows) == photos_in(tmp_path)


def test_too_little_room_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    check_room(tmp_path / "new" / "folder", 1)
    check_room(tmp_path, None)
    with pytest.raises(OutputError, match=r"about 1,000,000,000,000 MB are wanted and .* free"):
        check_room(tmp_path / "new", 10**18)


def test_a_table_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    own = "image,lat,lon\nmy.jpg,48,16\n"
    (tmp_path / "positions.csv").write_text(own)
    with pytest.raises(OptionError, match=r"its positions\.csv is not one of `hafloc fetch`"):
        brought(Street(count=2), tmp_path)
    assert (tmp_path / "positions.csv").read_text() == own
    assert photos_in(tmp_path) == []


def test_a_name_of_a_server_never_leaves_the_folder() -> None:
    source = Panoramax(Web("0"), "http://x.org")
    for name in ("../../etc/passwd", "a/b", "..", "C:\\x", "", "ÅB", "A" * 300, "a\ud800"):
        photo = StreetPhoto(name, WANTED.area.centre, "http://x/1", "http://x/1")
        assert Path(file_name(source, photo)).name == file_name(source, photo)
        assert file_name(source, photo).isascii()
        assert len(file_name(source, photo)) < 100
    names = {file_name(source, replace(photo, id=one)) for one in ("a", "A", "../a")}
    assert len({name.casefold() for name in names}) == 3


@settings(max_examples=40)
@given(st.text(max_size=60), st.text(max_size=30), st.floats(-90, 90), st.floats(-180, 180))
def test_whatever_a_server_says_of_a_photo_its_row_is_one_and_is_read(
    producer: str, licence: str, lat: float, lon: float
) -> None:
    photo = StreetPhoto("a", Position(lat, lon), "http://x/1", "http://x/1")
    photo = replace(photo, producer=producer, licence=licence)
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder), [row_of(photo, "a.jpg")])
        assert read_rows(Path(folder)) == {"a.jpg": row_of(photo, "a.jpg")}
        found = table(Path(folder))
    assert (list(found.rows), found.problems) == (["a.jpg"], ())
    row = found.rows["a.jpg"]
    assert row.position is not None
    assert abs(row.position.lat - lat) < 1e-8
    assert abs(row.position.lon - lon) < 1e-8
    printable = "".join(letter if letter.isprintable() else " " for letter in producer).strip()
    assert row.producer == (printable if printable not in ("", "nan") else None)


def test_what_a_server_calls_itself_cannot_forge_rows(tmp_path: Path) -> None:
    forged = 'Ada"\n../../x.jpg,0,0,,,,,CC0,me,"http://evil'
    change = {"providers": [{"name": forged, "roles": ["producer"]}]}
    brought(Street(count=1, change={0: change}), tmp_path)
    assert list(table(tmp_path).rows) == [NAME.format(0)]
    assert "\n../" not in (tmp_path / "CREDITS.txt").read_text()


def test_a_photo_is_never_without_its_row_when_the_process_is_stopped(tmp_path: Path) -> None:
    class Stopping:
        def start(self, step: str, total: int) -> None: ...

        def advance(self, done: int) -> None:
            if done == 3:
                raise KeyboardInterrupt

    with serving(Street(count=40)) as address:
        web = Web("0", wait=lambda seconds: None)
        source = Panoramax(web, address)
        found = offer(source, WANTED, tmp_path, web)
        with pytest.raises(Interrupted, match=r"photos are in .*; run the same command again"):
            fetch(source, found.photos, tmp_path, web, progress=Stopping())
    assert 3 <= len(photos_in(tmp_path)) < 40
    assert sorted(table(tmp_path).rows) == photos_in(tmp_path)


def test_who_waits_for_a_server_is_woken_when_the_work_is_stopped(tmp_path: Path) -> None:
    class Stopping:
        def start(self, step: str, total: int) -> None: ...

        def advance(self, done: int) -> None:
            raise KeyboardInterrupt

    moods = {path_of(i): ["429 200"] for i in range(1, 8)}
    with serving(Street(count=8, moods=moods, pause=0.05)) as address:
        web = Web("0")
        photos = offer(Panoramax(web, address), WANTED, tmp_path, web).photos
        started = time.monotonic()
        with pytest.raises(Interrupted):
            fetch(Panoramax(web, address), photos, tmp_path, web, progress=Stopping())
    assert time.monotonic() - started < 20
    assert photos_in(tmp_path) == [NAME.format(0)]


def test_two_cannot_fetch_into_one_folder_at_once(tmp_path: Path) -> None:
    from filelock import FileLock

    with (
        FileLock(tmp_path / ".hafloc-fetch.lock"),
        pytest.raises(OutputError, match="another process is fetching into it"),
    ):
        brought(Street(count=1), tmp_path)


@pytest.fixture
def slow_street() -> Iterator[tuple[Street, str]]:
    street = Street(count=24, pause=0.02)
    with serving(street) as address:
        yield street, address


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_fetch_goes_on_with_nothing_fetched_twice(
    slow_street: tuple[Street, str], tmp_path: Path
) -> None:
    street, address = slow_street
    words = ["fetch", "panoramax", str(tmp_path), "--bbox", "16.36,48.19,16.40,48.21", "--yes"]
    command = [sys.executable, "-c", RUN, *words, "--server", address]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(photos_in(tmp_path)) < 5 and time.monotonic() < deadline:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    kept = set(photos_in(tmp_path))
    assert 5 <= len(kept) < 24
    assert kept <= set(table(tmp_path).rows)

    before = street.hits.copy()
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert f"{24 - len(kept):,} fetched" in done.stdout
    again = {what for what in street.hits if street.hits[what] > before[what]}
    for i in range(24):
        if NAME.format(i) in kept:
            assert f"GET {path_of(i)}" not in again
        assert (tmp_path / NAME.format(i)).read_bytes() == street.photo(i)
    assert sorted(table(tmp_path).rows) == photos_in(tmp_path)
    assert not list(tmp_path.glob("*.part"))
