"""Averages of checkpoints, and whitenings that learn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hafloc.errors import CheckpointError, TrainingError
from hafloc.nn import HAF, HAFOptions, NetVLAD, NetVLADOptions, load_checkpoint, save_checkpoint
from hafloc.train import Recipe
from hafloc.train.average import average
from hafloc.train.networks import build, make_optimizer

SMALL = HAFOptions(channels=(6, 6, 6), level_sizes=(4, 4, 4))


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        save_checkpoint(path, HAF(SMALL), name=path.stem, provenance={}, dtype=torch.float32)
    return paths


def test_an_average_mixes_every_weight_and_tells_where_it_comes_from(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "c.safetensors"
    average(*two, 0.25, out)
    a, b, c = (load_checkpoint(path) for path in (*two, out))
    for key, value in c.network.state_dict().items():
        expected = 0.75 * a.network.state_dict()[key] + 0.25 * b.network.state_dict()[key]
        torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-6)
    parts = c.provenance["average of"]
    assert [(part["hash"], part["weight"]) for part in parts] == [(a.hash, 0.75), (b.hash, 0.25)]


def test_checkpoints_of_other_networks_or_options_are_refused(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    other, vlad = tmp_path / "other.safetensors", tmp_path / "vlad.safetensors"
    save_checkpoint(other, HAF(replace(SMALL, power=2.0)), name="haf", provenance={})
    options = NetVLADOptions(clusters=2, size=4)
    save_checkpoint(vlad, NetVLAD(options), name="netvlad", provenance={})
    out = tmp_path / "c.safetensors"
    with pytest.raises(CheckpointError, match=r"has power = 3\.0, .* has 2\.0"):
        average(two[0], other, 0.5, out)
    with pytest.raises(CheckpointError, match=r"holds a haf, .* a netvlad"):
        average(two[0], vlad, 0.5, out)
    with pytest.raises(CheckpointError, match=r"1\.5 is not within 0 and 1"):
        average(*two, 1.5, out)
    assert not out.exists()


def test_a_learning_whitening_gets_a_rate_and_a_gradient(
    small_recipe: Callable[..., Recipe],
) -> None:
    recipe = small_recipe(
        whitening={"refit": False, "learn": True},
        optimizer={"rates": {"*.whitening.*": 0.5}},
    )
    trainee, _ = build(recipe)
    optimizer = make_optimizer(trainee, recipe)
    change = trainee.network.level("low").whitening.change
    halved = next(g for g in optimizer.param_groups if g["factor"] == 0.5)
    assert any(part is change for part in halved["params"])
    trainee.finish(torch.rand(3, trainee.pooled_size))[0, :2].sum().backward()
    assert bool(change.grad.any())


def test_a_whitening_cannot_both_learn_and_be_fitted_anew(
    small_recipe: Callable[..., Recipe],
) -> None:
    with pytest.raises(TrainingError, match=r"whitening\.learn needs whitening\.refit = false"):
        small_recipe(whitening={"learn": True})
