"""Training against anchors: a changed photo must find itself among the start's vectors."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hafloc.errors import TrainingError
from hafloc.nn import load_checkpoint
from hafloc.train import Recipe, train
from hafloc.train.anchors import NAME, Anchors
from hafloc.train.data import read_photo_set
from hafloc.train.losses import anchor_loss
from hafloc.train.mining import Mining, find_neighbours

Make = Callable[..., Recipe]
ANCHORED: dict[str, dict[str, object]] = {
    "data": {"cache": ""},
    "loss": {"local": 0.0, "vector": 0.0, "anchor": 1.0},
    "optimizer": {"method": "adam", "weight_decay": 0.0},
    "whitening": {"refit": False},
    "augmentation": {"colour": 0.5, "zoom": 0.5},
}


def unit(seed: int, *shape: int) -> torch.Tensor:
    rows = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return rows / rows.norm(dim=-1, keepdim=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**20), st.integers(1, 4), st.integers(0, 4))
def test_the_loss_is_what_a_loop_adds_up(seed: int, right: int, unclear: int) -> None:
    vector, anchors = unit(seed, 5), unit(seed + 1, 12, 5)
    found = anchor_loss(
        vector, anchors, torch.arange(right), torch.arange(right, right + unclear), 0.3
    )
    good = wrong = 0.0
    for row in range(12):
        part = np.exp(sum(float(a * b) for a, b in zip(anchors[row], vector, strict=True)) / 0.3)
        if row < right:
            good += part
        elif row >= right + unclear:
            wrong += part
    assert float(found) == pytest.approx(-np.log(good / (good + wrong)))


def test_the_loss_has_the_gradient_of_its_values() -> None:
    anchors = unit(1, 8, 4)
    right, unclear = torch.tensor([0, 3]), torch.tensor([1])
    vector = unit(0, 4).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v: anchor_loss(v, anchors, right, unclear, 0.2), (vector,)
    )


def test_right_are_the_photo_itself_and_its_positives_and_near_ones_do_not_count(
    town: Path,
) -> None:
    photos = read_photo_set([town / "train"])
    mining = Mining(positive_within=7.0, heading_within=45.0)
    neighbours = find_neighbours(photos, photos, mining)
    vectors = unit(0, len(photos), 6)
    anchors = Anchors(vectors, neighbours, with_own=True)
    for query in (0, 7, 19):
        metres = np.linalg.norm(photos.xyz - photos.xyz[query], axis=1)
        turn = np.abs((photos.headings - photos.headings[query] + 180) % 360 - 180)
        right = (metres > 1) & (metres <= 7) & (turn <= 45)
        right[query] = True
        counts = right | (metres > 25)
        similarity = (vectors @ vectors[2] / 0.1).exp().numpy()
        expected = -np.log(similarity[right].sum() / similarity[counts].sum())
        assert float(anchors.loss(query, vectors[2], 0.1)) == pytest.approx(expected)


@pytest.mark.slow
def test_it_learns_what_it_is_asked_and_resumes_to_the_same_bits(
    small_recipe: Make, start: Path, tmp_path: Path
) -> None:
    network = {"start": str(start), "options": {}}
    recipe = small_recipe(**ANCHORED, network=network)
    losses: list[str] = []
    train(recipe, tmp_path / "whole", tell=losses.append)
    anchors = np.load(tmp_path / "whole" / NAME)

    class StoppedError(Exception):
        pass

    def stop(step: int) -> None:
        if step == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(recipe, tmp_path / "halves", after_step=stop)
    train(recipe, tmp_path / "halves", resume=True)
    assert (np.load(tmp_path / "halves" / NAME) == anchors).all()
    states = [torch.load(tmp_path / x / "state.pt") for x in ("whole", "halves")]
    assert states[0]["network"].keys() == states[1]["network"].keys()
    for name, part in states[0]["network"].items():
        assert torch.equal(part, states[1]["network"][name]), name
    made = load_checkpoint(tmp_path / "whole" / "model.safetensors").provenance
    assert made["started from"]["hash"] == load_checkpoint(start).hash
    # 8 queries of 2 epochs, one photo each, two a step.
    assert len(losses) == 8


def test_start_weights_are_no_anchor(small_recipe: Make, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"network\.start must be a checkpoint"):
        train(small_recipe(**ANCHORED), tmp_path)


def test_anchors_of_other_photos_are_refused(
    small_recipe: Make, start: Path, tmp_path: Path
) -> None:
    stale = np.zeros((3, 18), np.float32)
    np.save(tmp_path / NAME, stale)
    few = {**ANCHORED, "data": {"cache": "", "queries_per_epoch": 2}}
    few["optimizer"] = {**ANCHORED["optimizer"], "epochs": 1}
    recipe = small_recipe(**few, network={"start": str(start), "options": {}})
    train(recipe, tmp_path)  # no run has left a state here, so these are nobody's
    assert len(np.load(tmp_path / NAME)) == 20
    np.save(tmp_path / NAME, stale)
    with pytest.raises(TrainingError, match="holds 3 photos, now there are 20"):
        train(recipe, tmp_path, resume=True)
