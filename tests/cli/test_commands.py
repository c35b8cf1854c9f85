"""The commands as a person runs them: exit status, what is printed, what is left on disk."""

import json
import shutil
from pathlib import Path

import pytest
from command_line import Run

from hafloc.demo import DemoCity, render_city
from hafloc.geo import Position
from hafloc.index import open_index


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> DemoCity:
    folder = tmp_path_factory.mktemp("city")
    return render_city(folder, database=12, queries=2, size=(160, 120))


@pytest.fixture(scope="session")
def index(city: DemoCity, tiny_checkpoint: Path) -> Path:
    from hafloc.describe import Describer
    from hafloc.index import build_index

    path = city.folder / "city.gpkg"
    build_index(path, Describer.open(tiny_checkpoint), city.folder / "database")
    return path


@pytest.fixture
def run(run: Run, tiny_checkpoint: Path) -> Run:
    def with_network(*words: object, model: bool = True) -> tuple[int, str, str]:
        return run(*words, *(["--model", tiny_checkpoint] if model else []))

    return with_network


def test_a_folder_becomes_an_index_and_a_second_run_adds_nothing(
    run: Run, city: DemoCity, tmp_path: Path
) -> None:
    target = tmp_path / "city.gpkg"
    assert run("index", "build", target, city.folder / "database")[:2] == (
        0,
        f"{target}: 12 added, 0 unchanged\n",
    )
    assert run("index", "build", target, city.folder / "database")[1] == (
        f"{target}: 0 added, 12 unchanged\n"
    )
    assert run("index", "verify", target, model=False)[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["city.gpkg"]


def test_a_position_that_the_table_corrects_is_taken_over(
    run: Run, city: DemoCity, index: Path, tmp_path: Path
) -> None:
    target = index.with_name("corrected.gpkg")
    shutil.copy(index, target)
    table = tmp_path / "table.csv"
    table.write_text("image,lat,lon,heading\nview_0003.jpg,-48.5,-123.25,90\n")
    build = ("index", "build", target, city.folder / "database", "--positions", table)
    assert run(*build)[1] == f"{target}: 0 added, 12 unchanged, 1 corrected\n"
    assert run(*build)[1] == f"{target}: 0 added, 12 unchanged\n"
    with open_index(target) as opened:
        records = {Path(record.path).name: record for record in opened.iterate()}
    with open_index(index) as opened:
        before = {Path(record.path).name: record for record in opened.iterate()}
    changed = records.pop("view_0003.jpg")
    assert (changed.position, changed.heading) == (Position(-48.5, -123.25), 90)
    assert changed.source == "csv"
    assert all(before[name] == record for name, record in records.items())
    target.unlink()


def test_bad_photos_are_skipped_and_listed_and_the_run_goes_on(
    run: Run, city: DemoCity, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(city.folder / "database", photos)
    whole = (photos / "view_0000.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "words.png").write_text("no picture")
    shutil.copy(city.queries[0].path, photos / "nowhere.jpg")
    code, out, err = run("index", "build", tmp_path / "city.gpkg", photos)
    assert code == 1
    assert "12 added, 0 unchanged, 4 skipped" in out
    for name in ("cut.jpg", "empty.jpg", "words.png", "nowhere.jpg"):
        assert name in err
    assert [line[:8] for line in err.splitlines()[:4]] == ["skipped:"] * 4


@pytest.mark.parametrize("kind", ["missing", "no photos", "no positions"])
def test_a_folder_that_gives_nothing_is_refused_and_leaves_no_index(
    run: Run, city: DemoCity, tmp_path: Path, kind: str
) -> None:
    photos = tmp_path / "photos"
    if kind != "missing":
        photos.mkdir()
    if kind == "no positions":
        shutil.copy(city.queries[0].path, photos)
    code, out, err = run("index", "build", tmp_path / "city.gpkg", photos)
    assert (code, out) == (2, "")
    assert err.startswith("hafloc: ")
    assert str(photos) in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.glob("*.gpkg*"))


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("view_0000.jpg,95,0", "95"),
        ("view_0000.jpg,0,200", "200"),
        ("view_0000.jpg,nan,0", "nan"),
        ("view_0000.jpg,-123.4,-48.9", "-123.4"),
    ],
)
def test_a_wrong_row_of_positions_is_named_and_refused(
    run: Run, city: DemoCity, tmp_path: Path, row: str, named: str
) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"image,lat,lon\n{row}\n")
    code, _, err = run(
        "index", "build", tmp_path / "c.gpkg", city.folder / "database", "--positions", table
    )
    assert code == 2
    assert "row 2" in err
    assert named in err
    assert not (tmp_path / "c.gpkg").exists()


def test_photos_can_be_removed_and_come_back(run: Run, index: Path, tmp_path: Path) -> None:
    target = index.with_name("copy.gpkg")
    shutil.copy(index, target)
    database = index.parent / "database"
    gone = run("index", "remove", target, database / "view_0003.jpg", model=False)
    assert gone[:2] == (0, f"{target}: 1 removed\n")
    assert run("index", "remove", target, database / "view_0003.jpg", model=False)[0] == 1
    assert "1 added, 11 unchanged" in run("index", "add", target, database)[1]
    assert "photos      12\n" in run("index", "info", target, model=False)[1]
    target.unlink()


def test_an_index_of_another_checkpoint_is_refused_with_the_remedy(
    run: Run, index: Path, city: DemoCity, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    import torch

    from hafloc.nn import load_checkpoint, save_checkpoint

    first = load_checkpoint(tiny_checkpoint)
    other = tmp_path / "other.safetensors"
    network = first.network
    with torch.no_grad():
        next(network.parameters()).add_(0.1)
    save_checkpoint(other, network, name="other", provenance={})
    code, _, err = run(
        "index", "add", index, city.folder / "database", "--model", other, model=False
    )
    assert code == 2
    assert "tiny" in err
    assert "other" in err
    assert "hafloc index build" in err


def test_export_writes_what_other_programs_read(run: Run, index: Path, tmp_path: Path) -> None:
    assert run("index", "export", index, tmp_path / "city.geojson", model=False)[0] == 0
    features = json.loads((tmp_path / "city.geojson").read_text())["features"]
    assert len(features) == 12


def test_a_query_is_located_as_json(run: Run, index: Path, city: DemoCity) -> None:
    code, out, err = run("locate", index, city.queries[0].path, "--json", "--top", "3")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["query"] == str(city.queries[0].path)
    assert len(answer["candidates"]) == 3
    assert answer["duplicate_of"] is None


def test_many_queries_give_one_json_line_each_and_a_bad_one_stops_none(
    run: Run, index: Path, city: DemoCity, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff")
    queries = [city.queries[0].path, bad, city.queries[1].path]
    code, out, err = run("locate", index, *queries, "--json")
    assert code == 1
    assert [json.loads(line)["query"] for line in out.splitlines()] == [
        str(queries[0]),
        str(queries[2]),
    ]
    assert "bad.jpg" in err


def test_a_photo_of_the_database_is_told_so(run: Run, index: Path, city: DemoCity) -> None:
    _, out, _ = run("locate", index, city.database[5].path)
    assert "this very photo is in the index" in out
    assert city.database[5].path.name in out


def test_geojson_has_longitude_first(run: Run, index: Path, city: DemoCity) -> None:
    _, out, _ = run("locate", index, city.queries[0].path, "--geojson")
    lon, lat = json.loads(out)["features"][0]["geometry"]["coordinates"]
    truth = city.queries[0].camera.position
    assert (lat, lon) == pytest.approx((truth.lat, truth.lon), abs=0.01)


def test_near_limits_the_search_and_says_when_nothing_is_there(
    run: Run, index: Path, city: DemoCity
) -> None:
    place = city.database[0].camera.position
    near = f"{place.lat},{place.lon},5"
    _, out, _ = run("locate", index, city.queries[0].path, "--json", "--near", near)
    assert all(c["path"].startswith("database/") for c in json.loads(out)["candidates"])
    code, _, err = run("locate", index, city.queries[0].path, "--near", "10,10,100")
    assert code == 2
    assert "nearest" in err
    assert run("locate", index, city.queries[0].path, "--near", "here")[0] == 2


def test_the_map_is_one_page(run: Run, index: Path, city: DemoCity, tmp_path: Path) -> None:
    page = tmp_path / "map.html"
    assert run("locate", index, city.queries[0].path, "--map", page)[0] == 0
    assert page.read_text().lstrip().lower().startswith("<!doctype html>")


def test_attention_is_drawn(run: Run, city: DemoCity, tmp_path: Path) -> None:
    picture = tmp_path / "seen.png"
    assert run("show", "attention", city.queries[0].path, "-o", picture)[0] == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
