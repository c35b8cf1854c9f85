"""Every recipe in configs/ runs as written for a step or two, on a small rendered city."""

import csv
import math
from pathlib import Path

import pytest
import torch

from hafloc.demo import render_city
from hafloc.nn import (
    HAF,
    HAFOptions,
    NetVLAD,
    NetVLADOptions,
    load_checkpoint,
    load_start_weights,
    save_checkpoint,
)
from hafloc.train import read_recipe, train

CONFIGS = Path(__file__).parents[2] / "configs"
# Only where photos lie and how large things are: all else is the recipe's own.
SIZES = [
    "data.queries=[]",
    "data.validation_from=[]",
    "data.longer_side=48",
    "data.queries_per_epoch=1",
    "mining.negatives=2",
    "mining.positive_within=15.0",  # stops of the rendered city are 8 to 12 metres apart
    "optimizer.epochs=1",
    "optimizer.batch=1",
    "mining.margin=2.0",  # so that networks that know the rendered city still have violators
]
OPTIONS = {
    "haf_paper": ["channels=[8, 8, 8]", "compact=8"],
    "netvlad": ["clusters=2", "size=8"],
    "netvlad_two_cores": ["clusters=2", "size=8"],
    "netvlad_anchored": ["clusters=2"],
    "superpoint": ["size=8"],
    "haf_public_code": ["channels=[4, 4, 4]", "clusters=2", "size=8"],
}
CELLS = ["cells.directions=2", "cells.copies=1", "optimizer.batch=2", "data.queries_per_epoch=4"]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos of a rendered city, and small start checkpoints of HAF and NetVLAD."""
    home = tmp_path_factory.mktemp("recipes")
    render_city(home / "city", seed=1, database=24, queries=0, size=(96, 72))
    torch.manual_seed(0)
    haf = HAF(HAFOptions(channels=(8, 8, 8), level_sizes=(8, 8, 8)))
    load_start_weights(haf.trunk, None)
    save_checkpoint(home / "haf.safetensors", haf, name="haf", provenance={})
    vlad = NetVLAD(NetVLADOptions(clusters=2, size=8))
    load_start_weights(vlad.trunk, None)
    vlad.vlad.initialise(torch.randn(50, 512), torch.Generator().manual_seed(0))
    save_checkpoint(home / "netvlad.safetensors", vlad, name="netvlad", provenance={})
    return home


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.toml")))
def test_every_recipe_runs_as_written_on_photos(name: str, town: Path, tmp_path: Path) -> None:
    # Given a shipped recipe with its paths set to a rendered city
    path = CONFIGS / f"{name}.toml"
    plain = read_recipe(path)
    photos = f'["{town / "city" / "database"}"]'
    changes = [*SIZES, f"data.train={photos}", f"data.validation={photos}"]
    changes += [f"network.options.{option}" for option in OPTIONS.get(name, [])]
    if plain.data.cache:
        changes.append(f'data.cache="{tmp_path / "cache"}"')
    if plain.data.cells:
        changes += [*CELLS, f'data.cells="{tmp_path / "cells"}"']
    if plain.network.start not in ("", "vgg16"):
        start = "netvlad" if plain.network.name == "crn" else plain.network.name
        changes.append(f'network.start="{town / start}.safetensors"')
    # When it is trained
    result = train(read_recipe(path, changes), tmp_path / "out")
    # Then steps were made, their loss is a number, and the network has changed its weights
    with (tmp_path / "out" / "steps.csv").open(newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses
    assert all(math.isfinite(loss) for loss in losses)
    found = load_checkpoint(result.model)
    assert found.provenance["trained"] is True
    assert found.network.name == plain.network.name
