"""Whole runs on a drawn street: they end, resume to the same bits, and refuse what cannot work."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import run_steps
import street
import torch

from hafloc.errors import CheckpointError, OutputError, PhotoError, TrainingError
from hafloc.nn import load_checkpoint
from hafloc.train import Recipe, read_recipe, train
from hafloc.train import features as features_module
from hafloc.train import loop as loop_module
from hafloc.train import vectors as vectors_module

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.toml"
Make = Callable[..., Recipe]


class StoppedError(Exception):
    """What ends a run in the middle of a test."""


def stop_at(step: int) -> Callable[[int], None]:
    def after_step(number: int) -> None:
        if number == step:
            raise StoppedError

    return after_step


def same_bits(a: Path, b: Path) -> bool:
    """Whether two runs ended with the same weights, optimizer, memory and checkpoint."""
    states = [torch.load(folder / "state.pt", weights_only=True) for folder in (a, b)]
    flat = [json.dumps(state, default=lambda t: t.tolist()) for state in states]
    models = [(folder / "model.safetensors").read_bytes() for folder in (a, b)]
    return flat[0] == flat[1] and models[0] == models[1]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, town: Path) -> Path:
    """An uninterrupted run of the small recipe."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("finished")
    train(run_steps.parse_recipe(street.small_table(town), "the test"), out)
    return out


def test_the_smoke_recipe_runs_from_photos_to_a_checkpoint(town: Path, tmp_path: Path) -> None:
    changes = [f"network.start={town}/vgg.safetensors", f'data.train=["{town}/train"]']
    changes += [f'data.validation=["{town}/val"]', f"data.cache={town}/cache"]
    recipe = read_recipe(SMOKE, changes)
    result = train(recipe, tmp_path / "out")
    checkpoint = load_checkpoint(result.model)
    assert checkpoint.provenance["recipe"] == recipe.plain()
    assert checkpoint.network.dimension == 24
    assert [row["epoch"] for row in rows(tmp_path / "out" / "epochs.csv")] == ["0", "1"]
    rates = {float(row["rate"]) for row in rows(tmp_path / "out" / "steps.csv")}
    assert rates == {1e-3, 5e-4}


def test_a_stopped_and_resumed_run_ends_with_the_same_bits(
    small_recipe: Make, finished: Path, tmp_path: Path
) -> None:
    recipe = small_recipe()
    for stop in (1, 4, 5):
        with pytest.raises(StoppedError):
            train(recipe, tmp_path, resume=True, after_step=stop_at(stop))
    train(recipe, tmp_path, resume=True)
    assert same_bits(tmp_path, finished)
    kept = [[row[k] for k in ("step", "loss")] for row in rows(tmp_path / "steps.csv")]
    assert kept == [[row[k] for k in ("step", "loss")] for row in rows(finished / "steps.csv")]


def test_a_killed_process_resumes_to_the_same_bits(
    small_recipe: Make, finished: Path, tmp_path: Path
) -> None:
    table = tmp_path / "recipe.json"
    table.write_text(json.dumps(small_recipe().plain()))
    command = [sys.executable, run_steps.__file__, "kill", str(table), str(tmp_path / "out"), "5"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    train(small_recipe(), tmp_path / "out", resume=True)
    assert same_bits(tmp_path / "out", finished)


def test_two_processes_give_the_gradients_of_one(small_recipe: Make, tmp_path: Path) -> None:
    recipe = small_recipe(optimizer={"batch": 3, "clip": 0.0})
    table = tmp_path / "recipe.json"
    table.write_text(json.dumps(recipe.plain()))
    alone = run_steps.gradients(recipe, tmp_path / "alone")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    command = [
        sys.executable,
        run_steps.__file__,
        "gradients",
        str(table),
        str(tmp_path / "two"),
        "0",
    ]
    processes = [
        subprocess.Popen(command, env={**os.environ, **where, "RANK": rank}) for rank in "01"
    ]
    try:
        assert [process.wait(600) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    together = torch.load(tmp_path / "two" / "gradients.pt", weights_only=True)
    assert together.keys() == alone.keys()
    for name, gradient in alone.items():
        bound = 1e-5 * float(gradient.abs().max())
        torch.testing.assert_close(together[name], gradient, rtol=1e-4, atol=bound)
    assert any(gradient.any() for gradient in alone.values())


FEW: dict[str, dict[str, object]] = {"optimizer": {"epochs": 1}}


def test_superpoint_trains_under_the_same_loop(town: Path, tmp_path: Path) -> None:
    own = {"name": "superpoint", "options": {"size": 8}, "start": "", "train_from": "conv1_1"}
    data = {"cache": "", "queries_per_epoch": 2}
    table = street.small_table(town, network=own, data=data, **FEW)
    result = train(run_steps.parse_recipe(table, "the test"), tmp_path)
    assert load_checkpoint(result.model).network.dimension == 8
    assert rows(tmp_path / "steps.csv")


def test_netvlad_and_from_it_crn_train_under_the_same_loop(town: Path, tmp_path: Path) -> None:
    small = {"data": {"queries_per_epoch": 2}, "loss": {"local": 0.0}, **FEW}
    vlad = {"name": "netvlad", "options": {"clusters": 2, "size": 8}, "train_from": "conv5_3"}
    first = street.small_table(town, network=vlad, **small)
    start = train(run_steps.parse_recipe(first, "the test"), tmp_path / "netvlad").model
    untrained = load_checkpoint(tmp_path / "netvlad" / "start.safetensors")
    assert untrained.provenance["trained"] is False
    assert untrained.network.vlad.centres.any()
    crn = {"name": "crn", "options": {}, "train_from": "conv5_3", "start": str(start)}
    second = street.small_table(town, network=crn, **small)
    network = load_checkpoint(
        train(run_steps.parse_recipe(second, "the test"), tmp_path / "crn").model
    ).network
    assert (network.name, network.dimension) == ("crn", 8)


def test_a_run_validates_queries_against_a_database_of_their_own(
    small_recipe: Make, town: Path, tmp_path: Path
) -> None:
    # Given queries that are the very photos of the database
    val = [str(town / "val")]
    recipe = small_recipe(data={"validation": val, "validation_from": val}, optimizer={"epochs": 1})
    # When they are looked for, then each finds itself; with one folder none may
    train(recipe, tmp_path / "run")
    with (tmp_path / "run" / "epochs.csv").open() as file:
        assert [float(row["recall_1"]) for row in csv.DictReader(file)] == [1.0]
    apart = small_recipe(data={"validation": val, "validation_from": [str(town / "train")]})
    with pytest.raises(TrainingError, match=r"none of the 20 photos of data\.validation_from"):
        train(apart, tmp_path / "apart")


def test_a_checkpoint_of_another_network_is_refused(
    small_recipe: Make, finished: Path, tmp_path: Path
) -> None:
    start = {"name": "netvlad", "options": {}, "start": str(finished / "model.safetensors")}
    with pytest.raises(CheckpointError, match="holds a haf, the recipe trains a netvlad"):
        train(small_recipe(network=start, loss={"local": 0.0}), tmp_path / "out")


def test_a_changed_recipe_is_refused_on_resume(small_recipe: Make, finished: Path) -> None:
    with pytest.raises(TrainingError, match=r"optimizer\.lr = 0\.001, the recipe now says 0\.5"):
        train(small_recipe(optimizer={"lr": 0.5}), finished, resume=True)


def test_changed_start_weights_are_refused_on_resume(
    small_recipe: Make, finished: Path, tmp_path: Path
) -> None:
    start = street.write_trunk(tmp_path / "vgg.safetensors", seed=1)
    state = torch.load(finished / "state.pt", weights_only=True)
    state["recipe"]["network"]["start"] = str(start)
    torch.save(state, tmp_path / "state.pt")
    recipe = small_recipe(network={"start": str(start)})
    with pytest.raises(TrainingError, match=r"from other start weights than .* now holds"):
        train(recipe, tmp_path, resume=True)


def test_a_folder_that_holds_a_run_is_refused_without_resume(
    small_recipe: Make, finished: Path
) -> None:
    with pytest.raises(OutputError, match="holds a run already; resume it"):
        train(small_recipe(), finished)


def test_missing_photos_are_counted_before_any_work(
    small_recipe: Make, town: Path, tmp_path: Path
) -> None:
    street.write_street(tmp_path / "train", 4, seed=1)
    (tmp_path / "train" / "images" / "001_0.png").unlink()
    with pytest.raises(PhotoError, match=r"1 of 4 photos .* are missing, first .*001_0\.png"):
        train(small_recipe(data={"train": [str(tmp_path / "train")]}), tmp_path / "out")


def test_too_little_disk_for_the_cache_is_said_before_any_work(
    small_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "SPARE_BYTES", 10**18)
    recipe = small_recipe(data={"cache": str(tmp_path / "cache")})
    # 28 photos of 32×32: conv3_2 8×8×256, conv4_3 4×4×512, conv5_3 2×2×512, two bytes each.
    with pytest.raises(OutputError, match=r"28 photos needs 1,490,944 bytes"):
        train(recipe, tmp_path / "out")


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_batch(
    small_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "local_loss", lambda *a, **k: torch.tensor(torch.nan))
    recipe = small_recipe(loss={"local": 1.0, "vector": 1.0})
    with pytest.raises(TrainingError, match=r"loss nan, gradient .* on the tuples of \d+_\d\.png"):
        train(recipe, tmp_path)


def test_a_rate_for_no_parameter_is_refused(small_recipe: Make, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"'\*\.maks\.\*' names no parameter of haf"):
        train(small_recipe(optimizer={"rates": {"*.maks.*": 0.0}}), tmp_path)


def test_a_run_removes_no_file_that_it_still_maps_into_memory(
    small_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Windows refuses to make such a file anew, or to remove it.
    maps: list[tuple[Path, weakref.ref[np.ndarray]]] = []
    open_shared, unlink = vectors_module._open_shared, Path.unlink

    def free(path: Path) -> None:
        assert not [name for name, mapped in maps if name == path and mapped() is not None]

    def opened(path: Path, shape: tuple[int, int]) -> np.ndarray:
        free(path)
        rows = open_shared(path, shape)
        maps.append((path, weakref.ref(rows)))
        return rows

    def removed(path: Path, missing_ok: bool = False) -> None:
        free(path)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(vectors_module, "_open_shared", opened)
    monkeypatch.setattr(Path, "unlink", removed)
    train(small_recipe(data={"queries_per_epoch": 4}, optimizer={"epochs": 1}), tmp_path)
    assert {name.name for name, _ in maps} == {"mining.npy", "validation.npy"}
    assert not (tmp_path / "mining.npy").exists()


def test_only_what_learns_is_in_the_state(finished: Path) -> None:
    state = torch.load(finished / "state.pt", weights_only=True)["network"]
    assert not any(name.startswith("trunk") for name in state)
    assert any(name.endswith("head.weight") for name in state)
