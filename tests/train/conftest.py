"""One drawn street, one set of start weights and one checkpoint for all training tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import street
import torch

from hafloc.nn import save_checkpoint
from hafloc.progress import Silent
from hafloc.train.loop import fit_whitening, pool_training
from hafloc.train.prepare import prepare
from hafloc.train.recipe import Recipe, parse_recipe


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums of floats depend on how many threads share them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders train (20 photos), val (8), and start weights vgg.safetensors."""
    home = tmp_path_factory.mktemp("town")
    street.write_street(home / "train", 10, seed=1, views=2)
    street.write_street(home / "val", 8, seed=2, lat=49.0)
    street.write_trunk(home / "vgg.safetensors")
    return home


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory, town: Path) -> Path:
    """A checkpoint to start from: heads and whitenings fitted, masks constant on cells."""
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("start")
    options = {"channels": [6, 6, 6], "level_sizes": [6, 6, 6], "mask_upsampling": "nearest"}
    tables = street.small_table(town, network={"options": options})
    run = prepare(parse_recipe(tables, "the test"), home, Silent())
    fit_whitening(run, pool_training(run, "start"))
    save_checkpoint(home / "start.safetensors", run.network, name="haf", provenance={})
    return home / "start.safetensors"


@pytest.fixture
def small_recipe(town: Path) -> Callable[..., Recipe]:
    """A recipe of seconds: frozen trunk with cached features, tiny heads; tables may be changed."""

    def make(**changes: dict[str, object]) -> Recipe:
        return parse_recipe(street.small_table(town, **changes), "the test")

    return make
