"""What several rooms' tests share: a tiny network's checkpoint, and the versions that matter."""

import os
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from command_line import Run, run_hafloc
from hypothesis import settings

from hafloc.nn import HAF, HAFOptions, save_checkpoint

TINY = HAFOptions(
    channels=(12, 16, 8), level_sizes=(12, 16, 8), local_features=120, longer_side=160
)
# Time is shared on the machines that test; a slow moment is no failure. The same cases every time,
# so that a change is judged by what it changes; `make test-slow` looks for new ones.
settings.register_profile("hafloc", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "hafloc"))

# Commands are tested with the exact runtime unless a test says otherwise, and write no graphs.
os.environ["HAFLOC_RUNTIME"] = "torch"

LIBRARIES = (
    "torch",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pyproj",
    "safetensors",
    "pyogrio",
)


def pytest_report_header() -> str:
    return ", ".join(f"{name} {version(name)}" for name in LIBRARIES)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HAF with random weights and few channels: enough to tell photos apart."""
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    generator = torch.Generator().manual_seed(0)
    net = HAF(TINY)
    for name, tensor in net.state_dict().items():
        if "trunk" in name and name.endswith("weight"):
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(noise * (2 / tensor[0].numel()) ** 0.5)
        elif "trunk" in name:
            tensor.zero_()
        elif "head.weight" in name:
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(noise * 0.05 / tensor.shape[1] ** 0.5)
    save_checkpoint(path, net, name="tiny", provenance={"trained": False})
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`hafloc` with some words: its exit status, standard output and standard error."""
    return partial(run_hafloc, monkeypatch, capsys)
