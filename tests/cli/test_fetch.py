"""`hafloc fetch` as a person runs it: what is shown first, what is asked, what is left on disk."""

import contextlib
import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Run
from street_server import Street, serving

from hafloc.cli.fetch import _size

BOX = ("--bbox", "16.36,48.19,16.40,48.21")


def test_how_many_how_large_and_under_which_licences_is_shown_first(
    run: Run, tmp_path: Path
) -> None:
    change = {1: {"properties": {"license": None}}}
    with serving(Street(count=6, change=change)) as address:
        code, out, err = run("fetch", "panoramax", tmp_path / "p", *BOX, "--server", address)
    assert code == 2
    assert re.search(r"6 photos to fetch, about [1-9]\d* KB\n", out)
    assert "licence CC-BY-SA-4.0: 5" in out
    assert "licence unknown: ask the server's operator before you publish anything: 1" in out
    assert "producers: 2" in out
    assert "add --yes to fetch them" in err
    assert not (tmp_path / "p").exists()


def test_a_town_is_fetched_indexed_and_located_in_with_its_credits(
    run: Run, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    photos, index = tmp_path / "photos", tmp_path / "city.gpkg"
    street = Street(count=5, side=96)
    with serving(street) as address:
        words = ("fetch", "panoramax", photos, *BOX, "--server", address, "--yes")
        assert json.loads(run(*words, "--json")[1])["fetched"] == 5
        model = ("--model", tiny_checkpoint)
        code, out, _ = run(*words, "--index", index, *model)
    assert code == 0
    assert "0 fetched, 5 were there; credits in CREDITS.txt" in out
    assert out.endswith(f"{index}: 5 added, 0 unchanged\n")

    query = sorted(photos.glob("*.jpg"))[3]
    _, out, _ = run("locate", index, query, "--rerank", 0, *model)
    page = f"{street.address}/api/items/00000003-65eb-4a90-9764-86b3661aaa77"
    assert f"photo 1: Ada 1, CC-BY-SA-4.0, {page}" in out
    run("index", "export", index, tmp_path / "city.csv")
    assert (tmp_path / "city.csv").read_text().count("CC-BY-SA-4.0") == 5


def test_an_area_without_photos_names_the_nearest(run: Run, tmp_path: Path) -> None:
    with serving(Street(count=3)) as address:
        code, out, err = run(
            *("fetch", "panoramax", tmp_path / "p", "--near", "48.2,16.5,200"),
            *("--server", address, "--yes"),
        )
    assert (code, out) == (2, "")
    assert "has no photo in this area; the nearest to its middle is 9,6" in err
    assert "--near 48.20000,16.37020,500 has it" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "p").exists()


def test_photos_that_fail_are_named_and_the_status_says_so(run: Run, tmp_path: Path) -> None:
    broken = "/api/pictures/00000001-65eb-4a90-9764-86b3661aaa77/sd.jpg"
    with serving(Street(count=3, moods={broken: ["broken"]})) as address:
        words = ("fetch", "panoramax", tmp_path, *BOX, "--server", address, "--yes")
        code, out, err = run(*words)
    assert code == 1
    assert "2 fetched" in out
    assert err.startswith("skipped panoramax-00000001-65eb-4a90-9764-86b3661aaa77.jpg: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name one area"),
        ((*BOX, "--near", "48,16,100"), "name one area"),
        ((*BOX, "--every", "x"), "is no distance in metres"),
        ((*BOX, "--every", "-3m"), "is no distance in metres"),
        ((*BOX, "--years", "2024-2020"), "is not FROM-TO"),
        ((*BOX, "--kind", "round"), "choose one of 360, flat, all"),
        ((*BOX, "--size", "huge"), "choose one of hd, sd, auto"),
        ((*BOX, "--index", "x.gpkg", "--json"), "--json prints one object"),
        ((*BOX, "--server", "x"), "is no address of a server"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_asked(
    run: Run, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    code, out, err = run("fetch", "panoramax", tmp_path / "p", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_mapillary_needs_a_token_and_never_shows_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAPILLARY_TOKEN", raising=False)
    code, _, err = run("fetch", "mapillary", tmp_path / "p", *BOX)
    assert code == 2
    assert "MAPILLARY_TOKEN is not set" in err
    monkeypatch.setenv("MAPILLARY_TOKEN", "MLY|1|secret")
    with serving(Street(count=3)) as address:
        monkeypatch.setenv("HAFLOC_MAPILLARY_SERVER", address)
        code, out, err = run(
            "fetch", "mapillary", tmp_path / "p", "--near", "48.2,16.37,500", "--yes"
        )
    assert (code, err) == (0, f"next: hafloc index build city.gpkg {tmp_path / 'p'}\n")
    assert "3 fetched" in out
    assert "licence CC-BY-SA-4.0: 3" in out
    left = "".join(path.read_text() for path in (tmp_path / "p").glob("*.[ct][sx][vt]"))
    assert "secret" not in out + err + left


@pytest.mark.slow
def test_one_command_goes_on_after_kill_9_in_either_half(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    # Slow for four starts of the command.
    photos, index = tmp_path / "photos", tmp_path / "city.gpkg"
    count = 70
    street = Street(count=count, side=96)

    def killed_once(is_there: Callable[[], bool]) -> None:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not is_there() and process.poll() is None:
            time.sleep(0.005)
        process.kill()
        process.wait()

    def fetched() -> int:
        return sum(n for path, n in street.hits.items() if path.startswith("GET /api/pictures/"))

    def stored() -> int:
        if not index.exists():
            return 0
        connection = sqlite3.connect(f"file:{index}?mode=ro", uri=True)
        with contextlib.closing(connection), contextlib.suppress(sqlite3.Error):
            return int(connection.execute("SELECT count(*) FROM photos").fetchone()[0])
        return 0

    with serving(street) as address:
        words = [sys.executable, "-c", "from hafloc.cli import main; main()", "fetch", "panoramax"]
        words += [str(photos), *BOX, "--server", address, "--yes", "--index", str(index)]
        words += ["--model", str(tiny_checkpoint)]
        killed_once(lambda: len(list(photos.glob("*.jpg"))) > count // 3)
        kept = len(list(photos.glob("*.jpg")))
        assert 0 < kept < count
        killed_once(lambda: stored() > 0)
        begun = stored()
        done = subprocess.run(words, capture_output=True, text=True, check=True)

    # Those on their way when it was killed are asked for once more, at most four.
    assert count <= fetched() <= count + 4
    assert f"0 fetched, {count} were there" in done.stdout
    assert 0 < begun < count
    assert f"{index}: {count - begun} added, {begun} unchanged" in done.stdout


def test_a_file_in_place_of_the_folder_is_told_in_our_words(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "text.jpg"
    file.write_text("no folder")
    for folder, it_is in ((file, "it is"), (file / "below", "a part of its path is")):
        code, out, err = run("fetch", "panoramax", folder, *BOX, "--yes")
        assert (code, out) == (2, "")
        assert err.endswith(
            f"cannot fetch into {folder}: {it_is} a file; name a folder for the photos\n"
        )


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 KB"), (1, "1 KB"), (99_000, "99 KB"), (240_000, "0.2 MB"), (9_960_000, "10.0 MB"),
     (12_400_000, "12 MB"), (1_250_000_000, "1,250 MB")],
)  # fmt: skip
def test_sizes_are_said_so_that_little_is_not_nothing(count: int, said: str) -> None:
    assert _size(count) == said
