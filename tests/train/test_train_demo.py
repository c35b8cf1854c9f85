"""The recipe that anyone can rerun, on a tiny rendered city; photos that carry their position."""

import logging
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hafloc.demo import DemoCity, render_city
from hafloc.errors import PositionError
from hafloc.geo import distance
from hafloc.nn import load_checkpoint
from hafloc.train import read_recipe, train
from hafloc.train.data import read_photo_set

RECIPE = Path(__file__).parents[2] / "configs" / "demo.toml"


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> DemoCity:
    folder = tmp_path_factory.mktemp("run") / "photos" / "train"
    return render_city(folder, seed=1, database=16, queries=0, size=(96, 72))


def test_the_demo_recipe_trains_on_a_rendered_city(
    city: DemoCity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given tiny cities where the recipe looks for them
    monkeypatch.chdir(tmp_path)
    shutil.copytree(city.folder, "photos/train")
    shutil.copytree(city.folder, "photos/val")
    changes = ["data.longer_side=64", "data.queries_per_epoch=2", "optimizer.epochs=1"]
    changes += ["optimizer.batch=1", "mining.margin=2.0"]
    # When it is trained by the recipe as it lies there
    result = train(read_recipe(RECIPE, changes), Path("runs/demo"))
    # Then a checkpoint comes out that learned
    found = load_checkpoint(result.model)
    assert found.provenance["trained"] is True
    assert found.provenance["photos"] == 16
    assert found.hash != load_checkpoint("haf").hash


def test_recipes_name_no_folder_outside_the_one_they_run_in() -> None:
    for path in RECIPE.parent.glob("*.toml"):
        table = tomllib.loads(path.read_text("utf-8"))
        named = read_recipe(path).data
        for folder in (*named.train, *named.queries, *named.validation, named.cache):
            assert ".." not in Path(folder).parts
            assert not Path(folder).is_absolute()
        assert ".." not in table["network"].get("start", "")


def test_without_a_table_photos_bring_their_own_position_and_heading(city: DemoCity) -> None:
    found = read_photo_set([city.folder / "database"])
    assert found.paths == tuple(photo.path for photo in city.database)
    headings = [photo.camera.heading for photo in city.database]
    np.testing.assert_allclose(found.headings, headings, atol=0.01)
    here, there = (city.database[n].camera.position for n in (0, 5))
    apart = np.linalg.norm(found.xyz[0] - found.xyz[5])
    assert apart == pytest.approx(distance(here, there), abs=0.05)


def test_photos_without_any_position_are_left_out_and_counted_or_refused(
    city: DemoCity, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "nowhere.jpg")
    with pytest.raises(PositionError, match=r"no positions\.csv, and none of its 1 photos holds"):
        read_photo_set([tmp_path])
    shutil.copy(city.database[0].path, tmp_path / "somewhere.jpg")
    with caplog.at_level(logging.WARNING):
        found = read_photo_set([tmp_path])
    assert found.names == ("somewhere.jpg",)
    assert "have no position; they are left out" in caplog.text
