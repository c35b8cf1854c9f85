"""What a run writes and tells about itself."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from hafloc.errors import MissingExtraError
from hafloc.train.log import Log, Step
from hafloc.train.validate import Recall

STEP = Step(loss=0.25, gradient=2.0, violators=4.5, images=12)
FOUND = Recall((0.5, 0.625, 0.75), None, queries=8, hopeless=1)


class Writer:
    """Stands for TensorBoard's writer."""

    written: list[tuple[str, float, int]]

    def __init__(self, folder: str) -> None:
        type(self).written = []

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.written.append((name, value, step))


def test_a_step_is_told_with_loss_violators_speed_and_the_last_recall(tmp_path: Path) -> None:
    log = Log(tmp_path, 0, tensorboard=False)
    first = log.step(1, 0, 1e-3, STEP)
    assert first.startswith("loss 0.25, 4.5 violators a tuple, ")
    assert first.endswith(" images/s")
    log.epoch(1, 0, FOUND)
    assert log.step(2, 1, 1e-3, STEP).endswith(" images/s, recall@5 62.5 %")


def test_tensorboard_gets_the_numbers_of_both_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    log = Log(tmp_path, 0, tensorboard=True)
    log.step(1, 0, 1e-3, STEP)
    log.epoch(1, 0, FOUND)
    assert ("steps/loss", 0.25, 1) in Writer.written
    assert ("epochs/recall_5", 0.625, 1) in Writer.written
    assert not any(name == "epochs/heading_5" for name, _, _ in Writer.written)


def test_tensorboard_that_is_not_installed_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"^run\.tensorboard needs .* hafloc\[train\]$"):
        Log(tmp_path, 0, tensorboard=True)
