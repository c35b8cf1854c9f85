"""What a run writes about itself: two CSV files, and TensorBoard where asked for."""

import csv
import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hafloc.errors import MissingExtraError
from hafloc.files import write_whole
from hafloc.train.validate import Recall

STEPS = ("step", "epoch", "rate", "loss", "gradient", "violators", "images_per_s")
EPOCHS = ("step", "epoch", "recall_1", "recall_5", "recall_10", "heading_1", "heading_5",
          "heading_10", "queries", "hopeless")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One step: loss, norm of the gradient, negatives a tuple, photos read."""

    loss: float
    gradient: float
    violators: float
    images: int


class Log:
    """Appends rows to steps.csv and epochs.csv of a run's folder.

    steps.csv: step and epoch (from 0), the learning rate, loss, the gradient's norm before
    clipping, violators: hard negatives a tuple, images read a second. epochs.csv: recall@1/5/10 by
    position and with the same heading, each as a part of the `queries`, of which `hopeless` ones
    have no right photo at all. TensorBoard gets the same numbers as steps/… and epochs/….
    Rows beyond `step`, where a resumed run starts, are taken out: they will come again.
    Raises MissingExtraError where TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path, step: int, *, tensorboard: bool) -> None:
        self._folder = folder
        self._board = _open_board(folder) if tensorboard else None
        self._since = time.monotonic()
        self._recall = ""
        for name, columns in (("steps.csv", STEPS), ("epochs.csv", EPOCHS)):
            _cut(folder / name, columns, step)

    def step(self, number: int, epoch: int, rate: float, step: Step) -> str:
        """Write a step's row; returns it as a line to read."""
        now = time.monotonic()
        speed = step.images / max(now - self._since, 1e-9)
        self._since = now
        values = (rate, step.loss, step.gradient, step.violators, round(speed, 2))
        self._write("steps.csv", STEPS, (number, epoch, *values))
        return (
            f"loss {step.loss:.3g}, {step.violators:.1f} violators a tuple, {speed:.1f} images/s"
            + self._recall
        )

    def epoch(self, number: int, epoch: int, found: Recall) -> None:
        heading = found.by_heading or ("", "", "")
        values = (*found.by_position, *heading, found.queries, found.hopeless)
        self._write("epochs.csv", EPOCHS, (number, epoch, *values))
        self._recall = f", recall@5 {100 * found.by_position[1]:.1f} %"
        # Mining and validation do not count as the next step's time.
        self.pause()

    def pause(self) -> None:
        """Start the clock of the next step now."""
        self._since = time.monotonic()

    def _write(self, name: str, columns: tuple[str, ...], row: tuple[Any, ...]) -> None:
        with (self._folder / name).open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow(row)
        if self._board is not None:
            for column, value in zip(columns[2:], row[2:], strict=True):
                if value != "":
                    self._board.add_scalar(f"{Path(name).stem}/{column}", value, row[0])


def _cut(path: Path, columns: tuple[str, ...], step: int) -> None:
    rows = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            # A killed writer may leave half a row at the end.
            whole = [row for row in list(csv.reader(file))[1:] if len(row) == len(columns)]
            rows = [row for row in whole if int(row[0]) <= step]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([columns, *rows])
    write_whole(path, text.getvalue().encode())


def _open_board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError(
            "run.tensorboard needs TensorBoard; install it with pip install hafloc[train]"
        ) from error
    return SummaryWriter(str(folder))
