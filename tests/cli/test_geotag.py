"""Tracks and tables at the command line, and positions written back beside photos."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from command_line import Run
from dated_photos import Walk, write_photo
from small_index import sample

from hafloc.cli.geotag import _judged, _tag
from hafloc.geo import Position, distance
from hafloc.index import Record, open_index
from hafloc.locate import Answer, Candidate
from hafloc.photos import tagged

WALK = Walk()


@pytest.fixture
def run(run: Run, tiny_checkpoint: Path) -> Run:
    return lambda *words: run(*words, "--model", tiny_checkpoint)


def records(index: Path) -> dict[str, Record]:
    with open_index(index) as opened:
        return {Path(record.path).name: record for record in opened.iterate()}


# --- index build --track ---


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """A folder of three photos on the walk's track, and one from before it."""
    folder = tmp_path / "photos"
    for at in (100, 400, 700, -9000):
        write_photo(
            folder / f"{at}.jpg", reading=WALK.time(at).replace(tzinfo=None), offset="+00:00"
        )
    WALK.gpx(tmp_path / "walk.gpx")
    return folder


def test_a_track_places_photos_and_a_corrected_one_corrects_them(run: Run, walk: Path) -> None:
    index, track = walk.parent / "walk.gpkg", walk.parent / "walk.gpx"
    build = ("index", "build", index, walk, "--track", track, "--no-calibrate")
    status, out, err = run(*build)
    placed = "3 placed by the track, 1 skipped\n"
    assert (status, out) == (1, f"{index}: 3 added, 0 unchanged, {placed}")
    assert "cannot place -9000.jpg: it was taken 2024-05-31 11:30:00 UTC, 2 h 30 min before" in err
    stored = records(index)
    for at in (100, 400, 700):
        record = stored[f"{at}.jpg"]
        assert distance(record.position, WALK.position(at)) < 1
        assert (record.source, record.time) == ("track", WALK.time(at))
    # When nothing has changed, and when the track is forgotten, what it said stays
    assert run(*build)[1] == f"{index}: 0 added, 3 unchanged, {placed}"
    forgotten = run(*build[:4], "--no-calibrate")
    assert "3 photos placed by a table or track that is not here now" in forgotten[2]
    assert records(index) == {name: replace(r, stated=records(index)[name].stated)
                              for name, r in stored.items()}  # fmt: skip
    # When the clock turns out to be wrong, positions are corrected without describing anything
    corrected = run(*build, "--offset", "60")
    assert corrected[1] == f"{index}: 0 added, 3 unchanged, 3 corrected, {placed}"
    assert distance(records(index)["100.jpg"].position, WALK.position(160)) < 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--timezone", "Vienna"), "did you mean Europe/Vienna"),
        (("--offset", "soon"), "--offset 'soon' is no time; give seconds such as -3600"),
        (("--max-gap", "-1"), "--max-gap -1 is no length of time"),
        (("--track", "gone.gpx"), "cannot read gone.gpx: there is no such file"),
    ],
)
def test_options_of_tracks_are_refused_in_one_line(
    run: Run, walk: Path, words: tuple[str, ...], said: str
) -> None:
    track = ("--track", walk.parent / "walk.gpx")
    status, out, err = run("index", "build", walk.parent / "x.gpkg", walk, *track, *words)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert said in err
    assert not (walk.parent / "x.gpkg").exists()


def test_options_of_tracks_without_a_track_are_refused(run: Run, walk: Path) -> None:
    status, _, err = run("index", "build", walk.parent / "x.gpkg", walk, "--timezone", "+02:00")
    assert status == 2
    assert "--timezone is about tracks, and none is named; add --track" in err


# --- geotag, and the forms of answers ---


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """A folder with photos that a table places, and their index."""
    from hafloc.describe import Describer
    from hafloc.index import build_index

    folder = tmp_path_factory.mktemp("city")
    names = [write_photo(folder / "database" / f"street {10**n}.jpg").name for n in (1, 2, 3)]
    rows = "".join(f"{name},48.{n},16.37\n" for n, name in enumerate(names))
    (folder / "database" / "positions.csv").write_text(f"image,lat,lon\n{rows}")
    build_index(folder / "city.gpkg", Describer.open(tiny_checkpoint), folder / "database")
    return folder


@pytest.fixture
def mine(city: Path, tmp_path: Path) -> Path:
    """A copy of a photo of the city, a photo with a position, and a stranger."""
    folder = tmp_path / "mine"
    folder.mkdir()
    shutil.copy(city / "database" / "street 10.jpg", folder / "copy.jpg")
    write_photo(folder / "placed.jpg", position=Position(1, 2))
    write_photo(folder / "a stranger to this city.jpg")
    return folder


def test_geotag_writes_sidecars_that_an_index_can_be_built_from(
    run: Run, city: Path, mine: Path
) -> None:
    index = city / "city.gpkg"
    before = {path.name: path.read_bytes() for path in mine.iterdir()}
    status, out, err = run("geotag", mine, "--index", index, "--yes")
    assert status == 1
    assert out.splitlines()[-1] == "1 written, 1 had a position, 1 left as they are"
    assert f"to undo: delete the 1 file written now ({mine / 'copy.jpg.xmp'})" in err
    # Then photos are as they were, and only the one that is sure has a sidecar
    assert {path.name for path in mine.iterdir()} == {*before, "copy.jpg.xmp"}
    assert {name: (mine / name).read_bytes() for name in before} == before
    truth = Position(48.0, 16.37)
    assert distance(tagged(mine / "copy.jpg").position, truth) < 0.05
    # Then an index takes its position from there, when told so
    new = mine.parent / "new.gpkg"
    run("index", "build", new, mine, "--positions", mine, "--no-calibrate")
    found = records(new)["copy.jpg"]
    assert found.source == "sidecar"
    assert distance(found.position, truth) < 0.05
    # When run again, that photo has a position
    again = run("geotag", mine, "--index", index, "--yes")
    assert again[1].splitlines()[-1] == "0 written, 2 had a position, 1 left as they are"


def test_a_dry_run_writes_nothing(run: Run, city: Path, mine: Path) -> None:
    names = sorted(path.name for path in mine.iterdir())
    status, out, _ = run("geotag", mine, "--index", city / "city.gpkg", "--dry-run", "--json")
    assert status == 0
    said = json.loads(out)
    assert (said["written"], said["dry_run"]) == (0, True)
    by_name = {Path(photo["photo"]).name: photo for photo in said["photos"]}
    assert by_name["copy.jpg"]["reason"] is None
    assert "how sure" in by_name["a stranger to this city.jpg"]["reason"]
    assert by_name["placed.jpg"]["position"] is None
    assert sorted(path.name for path in mine.iterdir()) == names


def test_where_nobody_can_answer_geotag_asks_for_yes(run: Run, city: Path, mine: Path) -> None:
    status, out, err = run("geotag", mine, "--index", city / "city.gpkg")
    assert (status, out) == (2, "")
    assert "add --yes, or --dry-run" in err


@pytest.mark.parametrize("agrees", [False, True])
def test_a_person_at_the_terminal_is_asked(
    run: Run, city: Path, mine: Path, monkeypatch: pytest.MonkeyPatch, agrees: bool
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(typer, "confirm", lambda text, **_: asked.append(text) or agrees)
    assert run("geotag", mine / "copy.jpg", "--index", city / "city.gpkg")[0] == (not agrees)
    assert asked == ["write 1 position beside the photos, as XMP sidecars?"]
    assert (mine / "copy.jpg.xmp").exists() == agrees


def answer(**more: object) -> Answer:
    candidate = Candidate(1, 7, "db.jpg", Position(48, 16), None, 0.5, 1.0, 0.0)
    return Answer("q.jpg", Position(48, 16), (candidate,), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"confidence": 0.95, "found": True}, ""),
        ({"confidence": 0.89, "found": True}, "below 0.9"),
        ({"confidence": 0.95, "found": False}, "not in this database"),
        ({}, "how sure it is nobody knows; hafloc calibrate learns it"),
    ],
)
def test_only_sure_answers_are_written(more: dict[str, object], why: str) -> None:
    assert _judged(Path("q.jpg"), answer(**more), 0.9).why == why


def test_a_tag_says_radius_and_how_sure_it_was_found() -> None:
    tag = _tag(answer(confidence=0.953, found=True, radius=31.5), "a/city.gpkg")
    assert (tag.position, tag.accuracy, tag.heading) == (Position(48, 16), 31.5, None)
    assert tag.method == "hafloc: looked up in city.gpkg, confidence 0.95"


def test_answers_go_into_gpx_kml_and_a_table_that_is_read_again(
    run: Run, city: Path, mine: Path, tmp_path: Path
) -> None:
    from xml.etree import ElementTree

    files = {kind: tmp_path / f"answers.{kind}" for kind in ("gpx", "kml", "csv")}
    words = [word for kind, path in files.items() for word in (f"--{kind}", path)]
    # Given a name that would break XML
    odd = mine / 'a & <b> "c".jpg'
    shutil.copy(mine / "copy.jpg", odd)
    status, out, err = run("locate", city / "city.gpkg", odd, mine / "placed.jpg", "--json", *words)
    assert status in (0, 1)
    assert f"{files['gpx']}: 2 answers" in err
    said = [json.loads(line)["position"] for line in out.splitlines()]
    (gpx, kml) = (ElementTree.parse(files[kind]).getroot() for kind in ("gpx", "kml"))
    points = gpx.findall("{*}wpt")
    assert [float(point.get("lat", "")) for point in points] == [p["lat"] for p in said]
    assert points[0].findtext("{*}name") == str(odd)
    places = [text.text for text in kml.iter() if text.tag.endswith("coordinates")]
    assert places[0] == f"{said[0]['lon']:.7f},{said[0]['lat']:.7f}"
    # Then the table is one of positions
    new = tmp_path / "new.gpkg"
    run("index", "build", new, mine, "--positions", files["csv"], "--no-calibrate")
    assert distance(records(new)[odd.name].position, Position(**said[0])) < 0.1


def test_the_heading_of_a_panorama_is_not_that_of_its_view() -> None:
    record = replace(sample(1)[0][0], id=1, path="p.jpg#view=90", heading=100.0)
    answer = Answer.from_hits("p.jpg", [record], [1.0], duplicate_of=record)
    assert _tag(answer, "city.gpkg").heading == 10


def test_a_wrong_clock_takes_nothing_out_of_an_index(run: Run, walk: Path) -> None:
    index = walk.parent / "city.gpkg"
    track = ("--track", walk.parent / "walk.gpx", "--no-calibrate")
    run("index", "build", index, walk, *track)
    before = records(index)
    assert len(before) == 3
    code, _, err = run("index", "build", index, walk, *track, "--offset", 72_000)
    assert code == 1
    assert "skipped:" in err
    assert records(index).keys() == before.keys()


@pytest.mark.parametrize("option", ["--csv", "--gpx", "--kml", "--map"])
def test_answers_are_written_over_no_photo_and_no_index(
    run: Run, city: Path, mine: Path, option: str
) -> None:
    photo = next(mine.glob("*.jpg"))
    for precious in (photo, city / "city.gpkg"):
        before = precious.read_bytes()
        code, _, err = run("locate", city / "city.gpkg", photo, option, precious)
        assert code == 2
        assert "choose another name" in err
        assert precious.read_bytes() == before


def test_two_files_of_answers_have_two_names(run: Run, city: Path, mine: Path) -> None:
    photo, out = next(mine.glob("*.jpg")), mine.parent / "o.csv"
    code, _, err = run("locate", city / "city.gpkg", photo, "--csv", out, "--kml", out)
    assert (code, "name one file" in err, out.exists()) == (2, True, False)
