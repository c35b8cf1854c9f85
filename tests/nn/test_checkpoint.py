"""Checkpoints: every network comes back as it was, and whatever is wrong with a file is said."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nn_samples import CASES, Case, image, shaken
from safetensors.torch import save_file

from hafloc.errors import CheckpointError, OutputError
from hafloc.nn import SuperPoint, SuperPointOptions, load_checkpoint, save_checkpoint

Head = dict[str, Any]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the smallest network."""
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    net = shaken(SuperPoint(SuperPointOptions(size=5)))
    save_checkpoint(path, net, name="small", provenance={"seed": 0})
    return path


def with_head(path: Path, target: Path, change: Callable[[Head], object]) -> Path:
    """A copy of a checkpoint with its own header changed, as a careful forger would."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    outer = json.loads(content[8 : 8 + length])
    head = json.loads(outer["__metadata__"]["hafloc"])
    change(head)
    outer["__metadata__"]["hafloc"] = json.dumps(head)
    text = json.dumps(outer).encode()
    text += b" " * (-len(text) % 8)
    target.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return target


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_network_comes_back_as_it_was(case: Case, tmp_path: Path) -> None:
    net, path = shaken(case.fresh()), tmp_path / "net.safetensors"
    saved = save_checkpoint(path, net, name="mine", provenance={"epochs": 3}, dtype=torch.float32)
    found = load_checkpoint(path)
    assert found.network.name == case.name
    assert found.network.options == net.options
    assert (found.name, found.hash, found.provenance) == ("mine", saved, {"epochs": 3})
    photo = image(40, 48)[None]
    assert torch.equal(found.network(photo), net(photo))


def test_loading_draws_no_random_weights(small: Path) -> None:
    before = torch.get_rng_state()
    load_checkpoint(small)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_same_network_makes_the_same_file(small: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    found = load_checkpoint(small)
    saved = save_checkpoint(again, found.network, name=found.name, provenance=found.provenance)
    assert saved == found.hash
    assert again.read_bytes() == small.read_bytes()


def test_the_hash_tells_weights_and_options_apart(tmp_path: Path) -> None:
    hashes = set()
    for options in (SuperPointOptions(size=0), SuperPointOptions(size=0, key_points=7)):
        for seed in (0, 1):
            net = shaken(SuperPoint(options), seed)
            path = tmp_path / "net.safetensors"
            hashes.add(save_checkpoint(path, net, name="x", provenance={}))
    assert len(hashes) == 4


@pytest.mark.parametrize("name", ["netvlad", "crn", "superpoint"])
def test_a_network_that_is_not_shipped_says_how_to_get_it(name: str) -> None:
    with pytest.raises(CheckpointError, match=rf"hafloc train configs/{name}\.toml"):
        load_checkpoint(name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint .*gone\.safetensors; name a"):
        load_checkpoint(tmp_path / "gone.safetensors")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda head: head.update(format=2), "format 2, this hafloc reads up to 1; upgrade"),
        (lambda head: head.update(format="1"), "not a hafloc checkpoint"),
        (lambda head: head.clear(), "not a hafloc checkpoint"),
        (lambda head: head.pop("provenance"), "no valid 'provenance' in its header"),
        (lambda head: head.update(options=[]), "no valid 'options' in its header"),
        (lambda head: head["options"].update(size=4), "does not match its own hash"),
        (lambda head: head.update(network="netvlad"), "does not match its own hash"),
    ],
)
def test_a_changed_header_is_refused(
    small: Path, tmp_path: Path, change: Callable[[Head], object], reason: str
) -> None:
    path = with_head(small, tmp_path / "changed.safetensors", change)
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(path)


def from_elsewhere(net: SuperPoint, path: Path, **changes: object) -> Path:
    """A checkpoint that is sound in itself, but of a hafloc that has other networks or options."""
    from hafloc.nn import checkpoint

    tensors = {key: value.half().contiguous() for key, value in net.state_dict().items()}
    head = {
        "format": 1,
        "network": net.name,
        "name": "x",
        "options": {"size": 5},
        "provenance": {},
        **changes,
    }
    head["hash"] = checkpoint._hash(tensors, str(head["network"]), dict(head["options"]))
    save_file(tensors, path, metadata={"hafloc": json.dumps(head)})
    return path


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"network": "eigenplaces"}, "no network 'eigenplaces'; there are haf, netvlad"),
        ({"options": {"size": 5, "cells": 4}}, "superpoint has no option 'cells'"),
        ({"options": {"size": "5"}}, "option 'size' of superpoint is '5'"),
        ({"options": {"size": 1000}}, "size must be 0 to 256"),
        ({"options": {"size": 6}}, "does not hold the weights of superpoint"),
        ({"network": "netvlad"}, "does not hold the weights of netvlad"),
    ],
)
def test_a_checkpoint_of_another_hafloc_says_what_does_not_fit(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    net = shaken(SuperPoint(SuperPointOptions(size=5)))
    path = from_elsewhere(net, tmp_path / "other.safetensors", **changes)
    with pytest.raises(CheckpointError, match=reason) as error:
        load_checkpoint(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_options_that_an_older_hafloc_did_not_know_take_their_defaults(tmp_path: Path) -> None:
    net = shaken(SuperPoint(SuperPointOptions(size=5)))
    found = load_checkpoint(from_elsewhere(net, tmp_path / "old.safetensors"))
    assert found.network.options == SuperPointOptions(size=5)


def test_safetensors_of_another_program_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="not a hafloc checkpoint"):
        load_checkpoint(path)


@settings(max_examples=15, deadline=None)
@given(st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(small: Path, part: float) -> None:
    content = small.read_bytes()
    path = small.with_name("truncated.safetensors")
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(CheckpointError, match="truncated"):
        load_checkpoint(path)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_damaged_byte_is_refused_or_harmless(small: Path, data: st.DataObject) -> None:
    # Given one byte changed, half of the times in the header
    content = bytearray(small.read_bytes())
    end = data.draw(st.sampled_from([6_000, len(content)]))
    place = data.draw(st.integers(0, end - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path = small.with_name("damaged.safetensors")
    path.write_bytes(content)
    # Then it is refused, unless only what the maker noted has changed
    try:
        found = load_checkpoint(path)
    except CheckpointError:
        return
    assert found.hash == load_checkpoint(small).hash


def test_a_checkpoint_is_written_whole_or_not_at_all(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a good checkpoint and a disk that fills up while a new one replaces it
    path = tmp_path / "net.safetensors"
    path.write_bytes(small.read_bytes())

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    net = shaken(SuperPoint(SuperPointOptions(size=5)), seed=9)
    with pytest.raises(OutputError, match=r"cannot write .*net\.safetensors: No space left"):
        save_checkpoint(path, net, name="new", provenance={})
    # Then the old one is as it was and nothing else is left
    assert path.read_bytes() == small.read_bytes()
    assert list(tmp_path.iterdir()) == [path]
