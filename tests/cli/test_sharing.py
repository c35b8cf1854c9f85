"""`index export` of a part, `index merge` and `index get` as a person runs them."""

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest
from command_line import Run
from small_index import MODEL, sample
from static_server import Files, serving_files

from hafloc.index import create_index


@pytest.fixture
def city(tmp_path: Path) -> Path:
    with create_index(tmp_path / "city.gpkg", MODEL) as index:
        index.add(*sample(12))
    return tmp_path / "city.gpkg"


def test_a_part_is_cut_and_joined_with_another(run: Run, city: Path, tmp_path: Path) -> None:
    west, rest, whole = tmp_path / "west.gpkg", tmp_path / "rest.gpkg", tmp_path / "whole.gpkg"
    code, out, _ = run("index", "export", city, west, "--bbox", "0,52,0.5,53", "--no-calibrate")
    count = int(out.split(": ")[1].split()[0])
    assert code == 0
    assert 0 < count < 12
    once = "--no-calibrate"
    assert run("index", "export", city, rest, "--near", "52.5,0.9,45000", once)[0] == 0
    run("index", "export", city, tmp_path / "all.gpkg", "--json", once)
    code, out, _ = run("index", "merge", whole, west, rest, tmp_path / "all.gpkg", "--json", once)
    assert code == 0
    assert json.loads(out)["added"] == 12
    _, out, _ = run("index", "merge", whole, west, once)
    assert out == f"{whole}: 0 added, {count:,} were there already\n"
    assert run("index", "verify", whole, "--bundle")[0] == 0


def test_a_part_with_pictures_says_how_many_there_are(run: Run, city: Path, tmp_path: Path) -> None:
    out = tmp_path / "part.gpkg"
    code, said, err = run("index", "export", city, out, "--thumbnails", "--no-calibrate")
    assert (code, said) == (0, f"{out}: 12 photos, 0 with a small picture\n")
    assert err == "12 photos are without a small picture: their files are gone or cannot be read\n"


def test_options_of_a_part_have_no_effect_on_a_table_and_say_so(
    run: Run, city: Path, tmp_path: Path
) -> None:
    for words in (("--bbox", "0,52,1,53"), ("--no-local",), ("--without-photos-of", tmp_path)):
        code, _, err = run("index", "export", city, tmp_path / "city.csv", *words)
        assert code == 2
        assert "let the name end in .gpkg" in err
    code, _, err = run(
        *("index", "export", city, tmp_path / "part.gpkg", "--bbox", "0,52,1,53"),
        *("--near", "52,0,9"),
    )
    assert (code, "name one" in err) == (2, True)
    code, _, err = run("index", "export", city, tmp_path / "part.gpkg", "--bbox", "0,53,1,52")
    assert (code, "is no box on Earth" in err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["city.gpkg"]


def test_an_index_is_got_by_its_name_or_address(run: Run, city: Path, tmp_path: Path) -> None:
    content = city.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    entry = {
        "name": "cambridge",
        "title": "Cambridge",
        "url": "c.gpkg",
        "bytes": len(content),
        "sha256": digest,
        "licences": ["CC-BY-4.0"],
    }
    listed = json.dumps({"hafloc_catalogue": 1, "indexes": [entry]}).encode()
    files = Files({"/all.json": listed, "/c.gpkg": content})
    out = tmp_path / "mine.gpkg"
    with serving_files(files) as address:
        there = ("--catalogue", f"{address}/all.json")
        assert run("index", "get", *there)[1] == "cambridge: Cambridge, 0 MB (CC-BY-4.0)\n"
        code, said, err = run("index", "get", "cambridge", *there, "--out", out)
        assert (code, err) == (0, "")
        assert f"{len(content):,} bytes, SHA-256 {digest}" in said
        code, _, err = run("index", "get", "oxford", *there)
        assert (code, "there is no oxford in" in err) == (2, True)
        out.unlink()
        code, _, err = run("index", "get", f"{address}/c.gpkg?x=1", "--out", out)
        assert (code, "nobody states its hash" in err) == (0, True)
        out.unlink()
        files.content["/c.gpkg.sha256"] = b"0" * 64
        code, _, err = run("index", "get", f"{address}/c.gpkg", "--out", out)
        assert (code, "its SHA-256 is" in err) == (2, True)
        assert err.count("\n") == 1
        code, _, err = run("index", "get", f"{address}/c.gpkg", "--out", out, "--sha256", digest)
        assert (code, err) == (0, "")
        # Run again it is whole; what has changed since, or cannot be compared, is left alone.
        again = ("index", "get", f"{address}/c.gpkg", "--out", out, "--sha256", digest)
        sent = files.sent
        code, said, err = run(*again)
        assert (code, err) == (0, "")
        assert f"{out} is there already, and whole" in said
        assert json.loads(run(*again, "--json")[1])["downloaded"] is False
        assert files.sent == sent
        with out.open("ab") as file:
            file.write(b"more")
        assert "is not what is shared now" in run(*again)[2]
        code, _, err = run("index", "get", f"{address}/bare.gpkg", "--out", out)
        assert (code, "nobody states the hash" in err) == (2, True)
    assert run("index", "get")[0] == 2
    assert "is no address; give one" in run("index", "get", "cambridge")[2]
    assert "is no SHA-256" in run("index", "get", "http://x.org/a", "--sha256", "12")[2]


def test_verify_refuses_a_bundle_of_a_stranger_by_name(run: Run, city: Path) -> None:
    connection = sqlite3.connect(city)
    connection.execute("CREATE VIEW evil AS SELECT 1")
    connection.commit()
    connection.close()
    code, _, err = run("index", "verify", city, "--bundle")
    assert code == 2
    assert f"cannot use {city}: the view 'evil' is not hafloc's" in err
