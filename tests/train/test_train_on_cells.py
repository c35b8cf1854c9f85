"""Whole runs on cells: they learn masks, resume to the same bits, and refuse what cannot work."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import street
import torch
import torch.nn.functional as F

from hafloc.errors import PhotoError, TrainingError
from hafloc.nn import load_checkpoint
from hafloc.progress import Silent
from hafloc.train import Recipe, train
from hafloc.train.pairs import pair_loss
from hafloc.train.prepare import prepare
from hafloc.train.recipe import parse_recipe

Table = dict[str, object]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of cells for all runs; the first to come fills it."""
    return tmp_path_factory.mktemp("cells")


def recipe_on(town: Path, start: Path, folder: Path, **changes: Table) -> Recipe:
    """Pairs of neighbours, with a changed copy of each photo."""
    tables: dict[str, Table] = {
        "network": {"name": "haf", "start": str(start), "train_from": "heads"},
        "data": {
            "train": [str(town / "train")],
            "validation": [str(town / "val")],
            "longer_side": 32,
            "cells": str(folder),
        },
        "cells": {"directions": 4, "copies": 1},
        "loss": {"local": 0.0, "pairs": 1.0, "temperature": 0.05},
        "augmentation": {"colour": 0.5},
        "whitening": {"refit": False, "learn": True},
        "optimizer": {
            "method": "adam",
            "lr": 1e-3,
            "epochs": 2,
            "batch": 6,
            "rates": {"*": 0.0, "*.mask.*": 1.0, "*.change": 0.1},
        },
        "run": {"device": "cpu", "checkpoint_every": 2},
    }
    for name, table in changes.items():
        tables[name] = {**tables.get(name, {}), **table}
    return parse_recipe(tables, "the test")


class StoppedError(Exception):
    pass


def stop_at(step: int) -> Callable[[int], None]:
    def after_step(number: int) -> None:
        if number == step:
            raise StoppedError

    return after_step


def losses(out: Path) -> list[float]:
    with (out / "steps.csv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


@pytest.mark.slow
def test_a_run_on_cells_moves_masks_and_whitenings_alone(
    town: Path, start: Path, cells: Path, tmp_path: Path
) -> None:
    model = train(recipe_on(town, start, cells), tmp_path / "out").model
    before, after = load_checkpoint(start).network, load_checkpoint(model).network
    changed = {
        name.split(".")[2] if name.startswith("levels") else name
        for name, value in after.state_dict().items()
        if not torch.equal(value, before.state_dict()[name])
    }
    assert changed == {"mask", "whitening"}
    assert len(losses(tmp_path / "out")) == 2 * 4
    assert len(list(cells.glob("*_0.safetensors"))) == 28
    assert len(list(cells.glob("*_1.safetensors"))) == 20


def test_a_stopped_run_on_cells_ends_with_the_same_bits(
    town: Path, start: Path, cells: Path, tmp_path: Path
) -> None:
    recipe = recipe_on(town, start, cells)
    whole = train(recipe, tmp_path / "whole")
    # Stopped between two saved states, and in the second epoch
    for stop in (3, 5):
        with pytest.raises(StoppedError):
            train(recipe, tmp_path / "out", resume=True, after_step=stop_at(stop))
    resumed = train(recipe, tmp_path / "out", resume=True)
    assert resumed.model.read_bytes() == whole.model.read_bytes()
    assert losses(tmp_path / "out") == losses(tmp_path / "whole")


@pytest.mark.slow
def test_pairs_are_told_apart_better_with_every_epoch(
    town: Path, start: Path, cells: Path, tmp_path: Path
) -> None:
    fast = {"lr": 0.02, "epochs": 6}
    train(recipe_on(town, start, cells, optimizer=fast), tmp_path / "out")
    found = losses(tmp_path / "out")
    assert np.mean(found[-4:]) < np.mean(found[:4])


def test_cells_of_another_checkpoint_or_recipe_are_refused(
    town: Path, start: Path, cells: Path, tmp_path: Path
) -> None:
    prepare(recipe_on(town, start, cells), tmp_path, Silent())  # fills the folder
    kept = (cells / "cells.json").read_text()
    with pytest.raises(TrainingError, match=r"holds cells of data\.longer_side = 32, .* says 48"):
        train(recipe_on(town, start, cells, data={"longer_side": 48}), tmp_path / "other")
    head = json.loads(kept)
    (cells / "cells.json").write_text(json.dumps({**head, "network.start": "another"}))
    with pytest.raises(TrainingError, match=r"holds cells of network\.start = 'another'"):
        train(recipe_on(town, start, cells), tmp_path / "third")
    (cells / "cells.json").write_text("[]")
    with pytest.raises(TrainingError, match=r"cannot read .*cells\.json"):
        train(recipe_on(town, start, cells), tmp_path / "fourth")
    (cells / "cells.json").write_text(kept)


@pytest.mark.slow
def test_a_vanished_photo_is_said_before_any_work(start: Path, town: Path, tmp_path: Path) -> None:
    street.write_street(tmp_path / "train", 8, seed=5)
    recipe = recipe_on(town, start, tmp_path / "cells", data={"train": [str(tmp_path / "train")]})
    train(recipe, tmp_path / "out")
    (tmp_path / "train" / "images" / "003_0.png").unlink()
    with pytest.raises(PhotoError, match=r"1 of 8 photos .* are missing, first .*003_0\.png"):
        train(recipe, tmp_path / "again")


@pytest.mark.slow
def test_a_set_without_pairs_is_refused(start: Path, town: Path, tmp_path: Path) -> None:
    alone = {"cells": {"copies": 0}, "augmentation": {"colour": 0.0}}
    apart = recipe_on(town, start, tmp_path / "cells", mining={"positive_within": 2.0}, **alone)
    with pytest.raises(TrainingError, match="none of 20 photos can train: 20 have no partner"):
        train(apart, tmp_path / "out")


@pytest.mark.slow
def test_neighbours_without_heading_are_pairs_by_similarity(
    start: Path, town: Path, tmp_path: Path
) -> None:
    # Given a street without headings, each place seen twice in different light
    street.write_street(tmp_path / "train", 12, seed=4, views=2)
    table = tmp_path / "train" / "positions.csv"
    rows = [row.split(",") for row in table.read_text().split()]
    table.write_text("\n".join(",".join([*row[:3], "", ""]) for row in rows[1:]).join(
        ["image,lat,lon,heading,time\n", "\n"]))  # fmt: skip
    changes = {
        "data": {"train": [str(tmp_path / "train")]},
        "cells": {"copies": 0, "elsewhere": 0},
        "augmentation": {"colour": 0.0},
        "mining": {"positive_within": 2.0},
    }
    # Then the two views of a place still make pairs
    train(recipe_on(town, start, tmp_path / "cells", **changes), tmp_path / "out")
    assert losses(tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": {"pairs": 0.0, "vector": 1.0}}, "data.cells and loss.pairs go together"),
        ({"loss": {"local": 1.0}}, "serves loss.pairs alone"),
        ({"network": {"train_from": "conv5_1"}}, 'train_from = "heads"'),
        ({"whitening": {"refit": True, "learn": False}}, "whitening.refit = false"),
        ({"cells": {"copies": 0}}, "cells.copies and augmentation go together"),
        ({"optimizer": {"batch": 1}}, "optimizer.batch above 1"),
    ],
)
def test_options_that_cancel_each_other_are_refused(
    changes: dict[str, Table], message: str, town: Path, start: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=message):
        recipe_on(town, start, tmp_path / "cells", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"options": {"pooling": "sum"}}}, "pooling|do not fit"),
        ({"network": {"options": {"mask_stride": 0}}}, "needs network.options.mask_stride = 16"),
        ({"optimizer": {"rates": {}}}, "cannot learn from them; set optimizer.rates"),
        ({"network": {"start": "vgg16"}}, "network.start must be a checkpoint"),
    ],
)
def test_networks_that_cells_cannot_teach_are_refused(
    changes: dict[str, Table], message: str, town: Path, start: Path, tmp_path: Path
) -> None:
    with pytest.raises(Exception, match=message):
        train(recipe_on(town, start, tmp_path / "cells", **changes), tmp_path / "out")


def test_the_pair_loss_is_cross_entropy_both_ways_without_unclear_ones() -> None:
    first = F.normalize(torch.tensor([[1.0, 0.2], [0.1, 1.0], [1.0, 1.0]]), dim=1)
    second = F.normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.9, 1.0]]), dim=1)
    unclear = torch.zeros(3, 3, dtype=torch.bool)
    unclear[0, 2] = True
    expected = 0.0
    similarity = (first @ second.T / 0.1).tolist()
    for i in range(3):
        row = sum(np.exp(similarity[i][j]) for j in range(3) if not unclear[i, j])
        column = sum(np.exp(similarity[j][i]) for j in range(3) if not unclear[j, i])
        expected += 0.5 * (np.log(row) + np.log(column) - 2 * similarity[i][i]) / 3
    assert float(pair_loss(first, second, unclear, 0.1)) == pytest.approx(expected, rel=1e-5)
