"""One drawn street and one set of start weights for all training tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import street
import torch

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


@pytest.fixture
def small_recipe(town: Path) -> Callable[..., Recipe]:
    """A recipe of seconds: frozen trunk with cached features, tiny heads; tables may be changed."""

    def make(**changes: dict[str, object]) -> Recipe:
        return parse_recipe(street.small_table(town, **changes), "the test")

    return make
