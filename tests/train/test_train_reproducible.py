"""Training asks torch for kernels that keep an order, and computes nothing that has none."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hafloc.train import Recipe
from hafloc.train.loop import epoch_order, load_tuples, mine_next, take_step
from hafloc.train.prepare import prepare
from hafloc.train.reproducible import deterministic
from hafloc.train.state import Cursor

# What torch.use_deterministic_algorithms lists as having no ordered kernel on a GPU, by ATen name.
UNORDERED = {
    "_ctc_loss_backward",
    "_embedding_bag",
    "adaptive_avg_pool3d_backward",
    "_adaptive_avg_pool2d_backward",
    "adaptive_max_pool2d_backward",
    "avg_pool3d_backward",
    "cumsum",
    "fractional_max_pool2d_backward",
    "fractional_max_pool3d_backward",
    "grid_sampler_2d_backward",
    "grid_sampler_3d_backward",
    "histc",
    "max_unpool2d",
    "max_unpool3d",
    "median",
    "nll_loss2d_forward",
    "put_",
    "reflection_pad1d_backward",
    "reflection_pad2d_backward",
    "replication_pad2d_backward",
    "scatter_reduce",
    "upsample_bicubic2d_backward",
    "upsample_bilinear2d_backward",
    "upsample_linear1d_backward",
}
# torch.nn.functional computes these otherwise on a GPU once ordered kernels are asked for.
REPLACED = {"upsample_bilinear2d_backward", "replication_pad2d_backward"}
Make = Callable[..., Recipe]


class Recorder(TorchDispatchMode):
    """Notes the ATen name of every operation, those of gradients included."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # A minimum is the same in any order.
        if not any(isinstance(value, str) and value == "amin" for value in args):
            self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def operations(recipe: Recipe, out: Path) -> set[str]:
    """What one step of training computes."""
    run = prepare(recipe, out, _Silent())
    cursor = Cursor()
    mine_next(run, cursor, epoch_order(run, 0))
    with Recorder() as recorder:
        take_step(run, cursor.waiting[:1], load_tuples(run, cursor))
    return recorder.names


class _Silent:
    def start(self, step: str, total: int) -> None: ...

    def advance(self, done: int) -> None: ...


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"detection": "max", "pooling": "sum"},
        {"detection": "soft", "pooling": "sum", "masks": False},
    ],
    ids=["shipped", "paper", "soft"],
)
def test_all_that_haf_computes_has_an_ordered_kernel(
    small_recipe: Make, tmp_path: Path, options: dict[str, object]
) -> None:
    shape = {"channels": [6, 6, 6], "level_sizes": [6, 6, 6]}
    network = {"options": {**shape, **options}, "train_from": "conv5_1"}
    names = operations(small_recipe(network=network), tmp_path)
    assert {"convolution_backward", "upsample_bilinear2d_backward"} <= names
    assert names & UNORDERED <= REPLACED


@pytest.mark.parametrize("name", ["netvlad", "crn"])
def test_all_that_netvlad_and_crn_compute_has_an_ordered_kernel(
    small_recipe: Make, tmp_path: Path, name: str
) -> None:
    network = {"name": name, "options": {"clusters": 3, "size": 0}, "train_from": "conv5_1"}
    names = operations(small_recipe(network=network, loss={"local": 0.0}), tmp_path)
    assert "convolution_backward" in names
    assert names & UNORDERED <= REPLACED


def test_superpoint_computes_what_has_none_as_the_documentation_says(
    small_recipe: Make, tmp_path: Path
) -> None:
    network = {"name": "superpoint", "start": "", "train_from": "conv1_1", "options": {"size": 0}}
    recipe = small_recipe(network=network, data={"cache": ""})
    names = operations(recipe, tmp_path)
    assert names & UNORDERED == {"grid_sampler_2d_backward", "upsample_bicubic2d_backward"}


def test_ordered_kernels_are_asked_for_within_a_run_and_not_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)

    @deterministic()
    def work() -> tuple[bool, str]:
        return torch.are_deterministic_algorithms_enabled(), os.environ["CUBLAS_WORKSPACE_CONFIG"]

    assert work() == (True, ":4096:8")
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory
