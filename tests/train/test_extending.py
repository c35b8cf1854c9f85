"""What docs/extending.md shows works as it stands there: its code is run, then used."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hafloc.evaluate import CATALOGUE, load
from hafloc.geo import Position
from hafloc.index import create_index, index_exists, open_index
from hafloc.index.backends import BACKENDS
from hafloc.index.records import ModelInfo, Record
from hafloc.nn import NETWORKS, load_checkpoint, save_checkpoint
from hafloc.photos import Metadata
from hafloc.train import Recipe, train
from hafloc.train.registry import TRAININGS

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
TABLES: tuple[dict[str, Any], ...] = (NETWORKS, TRAININGS, CATALOGUE, BACKENDS)


@pytest.fixture(scope="module")
def page() -> Iterator[dict[str, Any]]:
    """The names that the page's code defines; the tables are afterwards as before."""
    before = [dict(table) for table in TABLES]
    names: dict[str, Any] = {"__name__": "extending"}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        exec(compile(code, str(PAGE), "exec"), names)
    yield names
    for table, content in zip(TABLES, before, strict=True):
        table.clear()
        table.update(content)


@pytest.mark.usefixtures("page")
def test_the_network_is_saved_loaded_and_describes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = NETWORKS["mac"].build(None).eval()
    save_checkpoint(tmp_path / "mac.safetensors", net, name="mac", provenance={})
    found = load_checkpoint(tmp_path / "mac.safetensors").network
    photo = np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    (description,) = found.describe([photo])
    assert description.vector.shape == (512,)
    assert np.linalg.norm(description.vector) == pytest.approx(1, abs=1e-5)
    assert description.fused_score.shape == (20, 24)


@pytest.mark.usefixtures("page")
def test_the_network_trains(small_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = small_recipe(
        network={"name": "mac", "train_from": "conv5_3", "options": {}},
        data={"cache": "", "queries_per_epoch": 2},
        loss={"local": 0.0},
        optimizer={"epochs": 1},
    )
    result = train(recipe, tmp_path)
    assert load_checkpoint(result.model).network.name == "mac"


@pytest.mark.usefixtures("page")
def test_the_benchmark_is_loaded_by_name(tmp_path: Path) -> None:
    for part, names in (("day", "abc"), ("night", "ca")):
        (tmp_path / part).mkdir()
        for name in names:
            Image.new("RGB", (40, 40)).save(tmp_path / part / f"{name}.png")
    found = load("day-and-night", tmp_path)
    assert [rows.tolist() for rows in found.truths[""].positives] == [[0], [2]]


def test_the_reader_finds_waypoints_by_photo(page: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "walk.gpx").write_text(
        '<gpx xmlns="http://www.topografix.com/GPX/1/1">'
        '<wpt lat="48.5" lon="11.25"><name>a.jpg</name></wpt></gpx>'
    )
    positions = page["positions_from_gpx"](tmp_path / "walk.gpx")
    assert positions.complete(Metadata(heading=90.0), "a.jpg").position == Position(48.5, 11.25)
    assert positions.complete(Metadata(), "b.jpg").position is None


@pytest.mark.usefixtures("page")
def test_the_backend_is_chosen_by_its_scheme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert not index_exists("named://city")
    model = ModelInfo("m", "h", "{}", 4)
    record = Record("a.jpg", "c", Position(48.0, 11.0), 40, 30, "csv")
    with create_index("named://city", model) as index:
        index.add([record], np.eye(4, dtype=np.float32)[:1])
    with open_index("named://city") as index:
        assert index.count() == 1
    assert (tmp_path / "indexes" / "city.gpkg").is_file()
