"""Networks and matchers of others on the command line: asked for, allowed, refused, told."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from PIL import Image as Pillow

from hafloc import consent

HUBCONF = """
import torch
def means():
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(8), torch.nn.Flatten())
"""


@pytest.fixture
def street(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six photos with positions and a network in a folder; nobody has allowed anything."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(consent.ENVIRONMENT, raising=False)
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "hubconf.py").write_text(HUBCONF)
    (tmp_path / "photos").mkdir()
    rows = ["image,lat,lon"]
    for place in range(6):
        colours = np.random.default_rng(place).integers(0, 256, (24, 32, 3)).astype(np.uint8)
        Pillow.fromarray(colours).resize((160, 120)).save(tmp_path / "photos" / f"{place}.png")
        rows.append(f"{place}.png,{52 + place / 100},0.1")
    (tmp_path / "photos" / "positions.csv").write_text("\n".join(rows))
    return tmp_path


def test_code_of_others_is_refused_allowed_and_remembered(
    run: Run, street: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = street / "city.gpkg"
    build = ("index", "build", index, street / "photos", "--model", f"hub:{street / 'net'}")
    status, out, err = run(*build, "--no-calibrate")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "allow it by --trust" in err
    assert not index.exists()

    status, out, _ = run(*build, "--no-calibrate", "--trust")
    assert (status, out) == (0, f"{index}: 6 added, 0 unchanged\n")
    # A yes by option is for that command alone.
    assert run("locate", index, street / "photos" / "1.png")[0] == 2

    asked: list[str] = []
    # In place of a terminal at which a person says yes.
    monkeypatch.setattr("hafloc.cli.app.start_asking", lambda: None)
    consent.allow_always(False)
    consent.ask_by(lambda question: asked.append(question) is None)
    for _ in range(2):
        status, out, _ = run("locate", index, street / "photos" / "1.png", "--json")
        assert status == 0
        assert json.loads(out)["candidates"][0]["path"] == "photos/1.png"
    assert len(asked) == 1
    consent.ask_by(None)


def test_a_matcher_is_named_and_says_that_it_is_not_calibrated(run: Run, street: Path) -> None:
    index = street / "city.gpkg"
    model = f"hub:{street / 'net'}"
    run(
        *("index", "build", index, street / "photos", "--model", model, "--dimension", "4"),
        *("--no-calibrate", "--trust"),
    )
    assert (street / "city.pca.safetensors").is_file()
    (street / "photos" / "0.png").unlink()
    locate = ("locate", index, street / "photos" / "3.png", "--trust", "--matcher")
    status, out, err = run(*locate, "sift", "--json")
    assert status == 0
    answer = json.loads(out)
    assert answer["candidates"][0]["inliers"] > 20
    assert answer["radius"] is None
    assert answer["note"] == "confidence is not calibrated for the matcher sift"
    assert "1 candidate was judged by similarity alone" in err
    assert "answers have no radius" in err
    status, out, err = run(*locate, "orb")
    assert "not calibrated" not in out
    assert err.count("not calibrated for the matcher orb") == 1
    for words, said in (
        (("surf",), "there is no matcher 'surf'"),
        (("sift", "--rerank", "0"), "--rerank 0 compares no photos"),
    ):
        status, _, err = run(*locate, *words)
        assert status == 2
        assert said in err


def test_an_index_goes_on_with_the_directions_it_was_begun_with(run: Run, street: Path) -> None:
    index = street / "city.gpkg"
    build = ("index", "build", index, street / "photos", "--model", f"hub:{street / 'net'}")
    more = ("--no-calibrate", "--trust", "--dimension")
    _, _, err = run(*build, *more, 3)
    assert "vectors of 3 in place of 192 numbers" in err
    assert run(*build, *more, 3)[:2] == (0, f"{index}: 0 added, 6 unchanged\n")
    status, _, err = run(*build, *more, 4)
    assert status == 2
    assert "has vectors of 3 numbers" in err
    assert run(*build, "--no-calibrate", "--trust")[0] == 2
    (street / "city.pca.safetensors").unlink()
    status, _, err = run(*build, *more, 3)
    assert status == 2
    assert "is gone" in err
