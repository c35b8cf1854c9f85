"""`hafloc serve`: its options, and the files around it."""

import json
import os
import re
import shlex
from pathlib import Path

import pytest

from hafloc.cli.app import run
from hafloc.errors import IndexFileError, OptionError
from hafloc.serve import Databases, Options, SharedNetworks, Tiles
from hafloc.serve.gate import page_policy

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--host", "0.0.0.0"], "without keys anybody"),
        (["--tiles", "ftp://x/{z}/{x}/{y}"], "--tiles"),
        (["--attribution", "me"], "add --tiles"),
        (["--pmtiles", "none.pmtiles"], "there is no such file"),
        (["--root-path", "geo"], "--root-path"),
        (["--photos-folder", "kept"], "add --writable"),
        (["--keys", "none.txt"], "cannot read the keys"),
        (["--host", "256.1.1.1", "--open"], "cannot listen on"),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_line(words: list[str], says: str) -> None:
    with pytest.raises(OptionError) as told:
        run(["serve", "city.gpkg", "--port", "0", *words])
    assert says in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.skipif(os.name != "posix", reason="Windows has other permissions")
def test_keys_that_everybody_can_read_are_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text("read:" + "k" * 20)
    for mode, told in ((0o600, ""), (0o640, ""), (0o644, "everybody on this machine can read")):
        keys.chmod(mode)
        with pytest.raises(IndexFileError, match="there is no such file"):
            run(["serve", str(tmp_path / "none.gpkg"), "--port", "0", "--keys", str(keys)])
        err = capsys.readouterr().err
        assert (told in err, len(err.splitlines())) == (True, int(bool(told)))


def test_keys_and_writable_contradict_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAFLOC_KEYS", "read:" + "k" * 20)
    with pytest.raises(OptionError, match="write:KEY"):
        run(["serve", "city.gpkg", "--port", "0", "--writable"])


def test_what_is_said_of_the_network_reaches_whoever_opens_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: dict[str, object] = {}

    def opened(locations: list[str], options: Options, **more: object) -> None:
        said.update(more)
        raise IndexFileError("that will do")

    monkeypatch.setattr("hafloc.serve.open_service", opened)
    network = "--model repo:net --device cpu --runtime torch --precision exact --trust"
    with pytest.raises(IndexFileError, match="that will do"):
        run(["serve", "city.gpkg", "--port", "0", *network.split()])
    assert said == {
        "model": "repo:net",
        "device": "cpu",
        "runtime": "torch",
        "precision": "exact",
        "trust": True,
    }


def test_an_index_that_is_not_there_ends_it_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(IndexFileError, match=re.escape("city.gpkg")):
        run(["serve", str(tmp_path / "city.gpkg"), "--port", "0"])


def test_databases_are_named_by_their_files_each_by_another_name() -> None:
    networks = SharedNetworks(lambda *_: None)  # type: ignore[arg-type, return-value]
    locations = ["a/city.gpkg", "b/city.gpkg", "milvus://host:1/town", "my city?.gpkg"]
    names = [one.name for one in Databases(locations, networks.localizer)]
    assert names == ["city", "city-2", "town", "my-city-"]


def test_errors_tell_clients_the_names_of_databases_and_never_where_they_lie() -> None:
    networks = SharedNetworks(lambda *_: None)  # type: ignore[arg-type, return-value]
    databases = Databases(["/srv/a.gpkg", "/srv/old/b.gpkg"], networks.localizer)
    said = "cannot open /srv/old/b.gpkg: see /srv/a.gpkg, /srv/x.jpg and /srv/old/y.jpg"
    assert databases.words(said) == "cannot open b: see a, x.jpg and y.jpg"


def test_the_map_of_others_is_let_in_by_its_origin_alone() -> None:
    policy = page_policy(["https://tiles.example"])
    assert "img-src 'self' blob: data: https://tiles.example;" in policy
    assert Options(tiles=Tiles("https://x/{z}/{x}/{y}.png", "")).tiles is not None
    assert "unsafe" not in policy


def instructions(text: str) -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def test_the_image_is_made_of_what_is_there() -> None:
    steps = instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for step, words in steps:
        if step == "COPY" and not words.startswith("--from"):
            for name in words.split()[:-1]:
                assert (ROOT / name).exists()
                assert f"!{name.rstrip('/')}" in ignored
    by_name = dict(steps)
    assert by_name["USER"] == "hafloc"
    assert any(step == "HEALTHCHECK" and "/readyz" in words for step, words in steps)
    assert json.loads(by_name["ENTRYPOINT"]) == ["hafloc"]
    assert json.loads(by_name["CMD"])[0] == "serve"


def test_the_image_installs_extras_that_are_there() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    wanted = re.search(r'"\.\[([\w,-]+)\]"', text)
    assert wanted is not None
    known = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in wanted[1].split(","):
        assert re.search(rf"^{extra} = \[", known, re.MULTILINE)


def test_every_command_of_the_page_on_the_server_has_options_that_are_there() -> None:
    page = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
    source = (ROOT / "src" / "hafloc" / "cli" / "serve.py").read_text(encoding="utf-8")
    shown = re.findall(r"hafloc serve [^`\n]*", page)
    assert len(shown) > 4
    for line in shown:
        for word in shlex.split(line.replace("$", ""))[2:]:
            if word.startswith("--"):
                name = word[2:].replace("-", "_")
                assert f'"{word}"' in source or re.search(rf"\n    {name}_?: ", source), word
