"""What an existing index makes of options, what `index` prints as JSON, and what a stop leaves."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from command_line import Run

from hafloc.cli.existing import stored_photos
from hafloc.cli.options import runtime_for
from hafloc.demo import render_city
from hafloc.describe import Describer, choose_device
from hafloc.errors import OptionError
from hafloc.index import GeoPackageIndex, build_index


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """A folder with four photos, `with.gpkg` with key points and `without.gpkg` without."""
    folder = tmp_path_factory.mktemp("street")
    render_city(folder, database=4, queries=1, size=(160, 120))
    for name, local in (("with", True), ("without", False)):
        describer = Describer.open(tiny_checkpoint)
        build_index(
            folder / f"{name}.gpkg", describer, folder / "database", local=local, regions=local
        )
    return folder


@pytest.fixture
def run(run: Run, tiny_checkpoint: Path) -> Run:
    def with_network(*words: object, model: bool = False) -> tuple[int, str, str]:
        return run(*words, *(["--model", tiny_checkpoint] if model else []))

    return with_network


@pytest.mark.parametrize(
    ("index", "option", "said"),
    [
        ("with", ["--vector-type", "float16"], "holds int8 vectors; --vector-type float16 has no"),
        ("with", ["--no-local"], "holds key points; --no-local has no effect"),
        ("without", ["--local"], "holds no key points; --local has no effect"),
        ("with", ["--no-regions"], "holds vectors of regions; --no-regions has no effect"),
        ("without", ["--regions"], "holds no vectors of regions; --regions has no effect"),
        (
            "with",
            ["--local-points", 100],
            "with.gpkg keeps all key points a photo, 8 bits a number; "
            "--local-points 100 has no effect",
        ),
        ("with", ["--local-bits", 4], "8 bits a number; --local-bits 4 has no effect"),
        ("with", ["--local-bits", 5], "--local-bits is 5; give 4 or 8"),
        ("new", ["--search", "lsh"], "search 'lsh' is not known; choose one of exact, hnsw, ivf"),
        ("new", ["--no-local", "--local-bits", 4], "--no-local stores no key points"),
    ],
)
def test_an_option_that_an_existing_index_contradicts_is_refused(
    run: Run, street: Path, index: str, option: list[object], said: str
) -> None:
    file = street / f"{index}.gpkg"
    code, out, err = run("index", "build", file, street / "database", *option, model=True)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_new_index_is_a_gpkg_file_by_its_name(run: Run, street: Path, tmp_path: Path) -> None:
    new, held = tmp_path / "new.txt", tmp_path / "held.txt"
    makes = (
        ("build", new, street / "database", "--model", "none"),
        ("copy", street / "with.gpkg", new),
        ("merge", new, street / "with.gpkg"),
    )
    for words in makes:
        code, out, err = run("index", *words)
        assert (code, out) == (2, "")
        assert err.startswith(f"hafloc: cannot make the index {new}: let its name end in .gpkg")
        assert not new.exists()
    # When one of another name is there already, it goes on.
    shutil.copy(street / "with.gpkg", held)
    assert run("index", "copy", street / "with.gpkg", held)[0] == 0


def test_options_that_say_what_the_index_is_are_welcome(run: Run, street: Path) -> None:
    asked = ("index", "build", street / "with.gpkg", street / "database", "--no-calibrate")
    assert run(*asked, "--vector-type", "int8", "--local", "--regions", model=True)[::2] == (
        0,
        "",
    )


def test_a_new_index_keeps_fewer_and_coarser_key_points(
    run: Run, street: Path, tmp_path: Path
) -> None:
    asked = ("index", "build", tmp_path / "city.gpkg", street / "database", "--no-calibrate")
    assert run(*asked, "--local-points", 20, "--local-bits", 4, model=True)[0] == 0
    # The same again, and without a word of it, go on as it is.
    assert run(*asked, "--local-points", 20, model=True)[::2] == (0, "")
    assert run(*asked, model=True)[::2] == (0, "")

    _, out, _ = run("index", "info", tmp_path / "city.gpkg")
    assert "verifiable  4, with at most 20 key points a photo, 4 bits a number" in out
    _, facts, _ = run("index", "info", tmp_path / "city.gpkg", "--json")
    assert json.loads(facts)["local"] == {"points": 20, "bits": 4}
    assert 0 < json.loads(facts)["details"]["key_point_bytes"] <= 4 * (10 + 20 * (4 + 16))
    with GeoPackageIndex.open(tmp_path / "city.gpkg") as opened:
        assert max(len(item) for item in opened.local_features([1, 2, 3, 4]) if item) == 20


def test_a_search_is_chosen_once_and_small_databases_stay_exact(
    run: Run, street: Path, tmp_path: Path
) -> None:
    pytest.importorskip("faiss")
    index = tmp_path / "city.gpkg"
    asked = ("index", "build", index, street / "database", "--no-calibrate")
    assert run(*asked, "--search", "ivf", model=True)[0] == 0
    assert run(*asked, model=True)[::2] == (0, "")
    _, facts, _ = run("index", "info", index, "--json")
    assert json.loads(facts)["details"]["search"] == "exact"
    assert json.loads(facts)["details"]["search_chosen"] == "ivf, from 20,000 photos on"
    assert "companion" not in json.loads(facts)["details"]

    assert run(*asked, "--search", "exact", model=True)[::2] == (0, "")
    _, facts, _ = run("index", "info", index, "--json")
    assert json.loads(facts)["details"]["search"] == "exact"


def test_a_search_without_its_package_is_refused_before_anything_is_done(
    run: Run, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    asked = ("index", "build", tmp_path / "new.gpkg", street / "database", "--search", "hnsw")
    code, out, err = run(*asked, model=True)
    assert (code, out) == (2, "")
    assert "faiss is not installed; pip install hafloc[faiss]" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "new.gpkg").exists()


def test_an_index_tells_of_its_regions_and_evaluates_by_them(run: Run, street: Path) -> None:
    _, out, _ = run("index", "info", street / "with.gpkg")
    assert "regions     7 a photo" in out
    _, out, _ = run("index", "info", street / "without.gpkg")
    assert "regions" not in out

    words = ("evaluate", "--benchmark", "index", "--root", street / "with.gpkg", "--set",
             f"queries={street / 'database'}", "--tolerance", 500, "--json", "-",
             "--cache", street / "cache")  # fmt: skip
    code, out, err = run(*words, "--regions", model=True)
    assert (code, err) == (0, "")
    (result,) = json.loads(out)["results"]
    _, facts, _ = run("index", "info", street / "with.gpkg", "--json")
    assert result["model"]["dimension"] == 8 * json.loads(facts)["model"]["dimension"]


def test_new_photos_are_stored_as_the_index_has_it(run: Run, street: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    photo = (street / "database" / "view_0000.jpg").read_bytes()
    (more / "again.jpg").write_bytes(photo + b"not the same file")
    (more / "positions.csv").write_text("image,lat,lon\nagain.jpg,48,16\n")
    index = tmp_path / "copy.gpkg"
    shutil.copy(street / "without.gpkg", index)
    code, _, err = run("index", "add", index, more, model=True)
    assert code == 0
    assert "was built without key points, and new photos get none either" in err
    with GeoPackageIndex.open(index) as opened:
        assert (opened.info().photos, opened.info().verifiable) == (5, 0)


def test_facts_are_one_json_object_each(run: Run, street: Path, tmp_path: Path) -> None:
    index = street / "with.gpkg"
    expected = {
        ("info",): {"index": str(index), "photos": 4, "verifiable": 4, "vector_type": "int8"},
        ("verify",): {"index": str(index), "photos": 4, "sound": True, "problems": []},
        ("export", tmp_path / "x.csv"): {"written": str(tmp_path / "x.csv"), "photos": 4},
    }
    for (command, *more), facts in expected.items():
        code, out, err = run("index", command, index, *more, "--json")
        assert (code, err, out.count("\n")) == (0, "", 1)
        said = json.loads(out)
        assert {key: said[key] for key in facts} == facts
        assert all(key == key.lower() and " " not in key for key in said)
    said = json.loads(run("index", "info", index, "--json")[1])
    assert set(said["bounds"]) == {"west", "south", "east", "north"}
    assert said["model"]["options"]["longer_side"] == 160


def test_a_build_tells_as_json_what_was_skipped(run: Run, street: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(street / "database", photos)
    (photos / "bad\n[x].jpg").write_bytes(b"")
    code, out, err = run("index", "build", tmp_path / "c.gpkg", photos, "--json", model=True)
    said = json.loads(out)
    assert (code, err, said["added"]) == (1, "", 4)
    assert [photo["path"] for photo in said["skipped"]] == [str(photos / "bad\n[x].jpg")]


def test_a_skipped_photo_is_one_line_whatever_its_name(
    run: Run, street: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(street / "database", photos)
    (photos / "bad\nhafloc: forged\x1b[31m.jpg").write_bytes(b"")
    _, _, err = run("index", "build", tmp_path / "c.gpkg", photos, "--no-calibrate", model=True)
    assert len(err.splitlines()) == 1
    assert r"bad\nhafloc: forged\x1b[31m.jpg" in err


def test_a_stopped_build_says_what_is_stored_and_how_to_go_on(
    run: Run, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "copy.gpkg"
    shutil.copy(street / "with.gpkg", index)

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hafloc.index.build_index", stopped)
    code, _, err = run("index", "build", index, street / "database", model=True)
    assert code == 130
    kept = f"4 photos are stored in {index}; run the same command again to go on"
    assert err == f"hafloc: interrupted; {kept}\n"
    assert stored_photos(tmp_path / "none.gpkg").startswith("nothing is stored yet; run the same")


@pytest.mark.parametrize("name", ["[edited]", "x[/b]", ":smile:", "東京 " + "long " * 40])
def test_names_stand_whole_in_an_answer(run: Run, street: Path, tmp_path: Path, name: str) -> None:
    photos = tmp_path / "p"
    file = photos / f"{name}.jpg"
    file.parent.mkdir(parents=True)
    shutil.copy(street / "database" / "view_0000.jpg", file)
    (photos / "positions.csv").write_text(f"image,lat,lon\n{name}.jpg,48,16\n", encoding="utf-8")
    index = tmp_path / "p.gpkg"
    assert run("index", "build", index, photos, model=True)[0] == 0
    _, out, _ = run("locate", index, file, model=True)
    # As the query, as the duplicate, and as the candidate.
    assert out.count(f"p/{name}.jpg") == 3


def test_a_device_is_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [choose_device(name) for name in ("auto", "cpu", "cpu:0")] == ["cpu"] * 3
    with pytest.raises(OptionError, match=r"no CUDA device here: torch .*; use --device cpu"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [choose_device(name) for name in ("auto", "cuda", "cuda:1")] == [
        "cuda",
        "cuda",
        "cuda:1",
    ]
    with pytest.raises(OptionError, match="the last CUDA device here is cuda:1"):
        choose_device("cuda:2")


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CUDA", "cpu:"])
def test_a_device_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="there is no device"):
        choose_device(name)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--runtime", "tensorrt"), "no runtime 'tensorrt'"),
        (("--runtime", "torch", "--precision", "int8"), "--runtime torch has no --precision int8"),
        (("--precision", "half"), "no precision 'half'"),
    ],
)
@pytest.mark.parametrize("command", ["build", "add", "locate", "attention"])
def test_a_runtime_that_is_none_is_one_line(
    command: str, words: tuple[str, ...], said: str, run: Run, street: Path, tmp_path: Path
) -> None:
    index, photo = street / "with.gpkg", street / "queries" / "query_0000.jpg"
    given = {
        "build": ("index", "build", tmp_path / "new.gpkg", street / "database"),
        "add": ("index", "add", index, street / "queries"),
        "locate": ("locate", index, photo),
        "attention": ("show", "attention", photo, "-o", tmp_path / "seen.png"),
    }[command]
    code, out, err = run(*given, *words, model=True)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_index_info_says_what_made_the_vectors(run: Run, street: Path) -> None:
    assert "by torch float32" in run("index", "info", street / "with.gpkg")[1]


def test_a_runtime_for_few_photos_is_torch_unless_named() -> None:
    assert [runtime_for("auto", count) for count in (1, 19, 20)] == ["torch", "torch", "auto"]
    assert runtime_for("onnx", 1) == "onnx"
