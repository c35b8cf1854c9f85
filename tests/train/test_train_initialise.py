"""The fitted start: heads, neighbours, whitening, and the checkpoint that comes of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from hafloc.demo import render_city
from hafloc.errors import CheckpointError, TrainingError
from hafloc.geo import LocalFrame, Position
from hafloc.nn import HAF, HAFOptions, Whitening, load_checkpoint, pair_whitening
from hafloc.nn.vgg import LAYERS
from hafloc.photos import Metadata
from hafloc.train.fit import START, fit_start, same_way_pairs
from hafloc.train.initialise import fit_head, fit_local, fit_whitening

SMALL = HAFOptions(
    channels=(12, 16, 8),
    level_sizes=(6, 8, 4),
    compact=5,
    local_features=30,
    local_dimension=4,
    longer_side=96,
)


def samples(channels: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    spread = torch.linspace(0.1, 50, channels)
    return torch.rand(400, channels, generator=generator) ** 3 * spread


def test_a_narrow_head_keeps_the_most_variable_channels_in_range() -> None:
    level = HAF(SMALL).eval().requires_grad_(False).level("high")
    fit_head(level, samples(512), torch.Generator().manual_seed(0))
    weight = level.head.weight[:, :, 0, 0]
    assert (weight != 0).sum(1).tolist() == [1] * 8
    assert weight.abs().argmax(1).min() >= 512 - 40
    responses = torch.relu(samples(512) @ weight.T + level.head.bias)
    assert (responses <= 6 + 1e-4).float().mean() >= 0.998
    assert responses.amax(0).min() >= 5.9


def test_a_wide_head_keeps_every_channel_and_adds_mixtures() -> None:
    level = HAF(replace(SMALL, channels=(300, 16, 8))).eval().requires_grad_(False).level("low")
    fit_head(level, samples(256), torch.Generator().manual_seed(0))
    weight = level.head.weight[:, :, 0, 0]
    assert torch.equal(weight[:256] != 0, torch.eye(256, dtype=torch.bool))
    assert (weight[256:] != 0).all()
    assert (torch.relu(samples(256) @ weight.T + level.head.bias).amax(0) > 5.9).all()


def test_neighbours_are_near_and_look_the_same_way() -> None:
    frame = LocalFrame(Position(52, 0))
    places = [(0, 0, 10), (0, 6, 350), (0, 12, 10), (0, 3, 100), (500, 0, 10), (0, 1, None)]
    photos = [Metadata(frame.to_position(x, y), heading=h) for x, y, h in places]
    assert same_way_pairs(photos).tolist() == [[0, 1], [1, 2]]
    assert same_way_pairs([]).shape == (0, 2)


def test_pair_whitening_agrees_with_a_slow_one() -> None:
    rng = np.random.default_rng(0)
    places = rng.standard_normal((40, 6)) * [5, 4, 3, 1, 1, 1]
    noise = rng.standard_normal((80, 6)) * [4, 0.1, 0.1, 2, 0.1, 0.1]
    vectors = np.repeat(places, 2, 0) + noise
    pairs = np.array([[2 * i, 2 * i + 1] for i in range(40)])
    mean, projection = pair_whitening(
        torch.tensor(vectors), torch.tensor(pairs), 3, power=0.25, shrinkage=0.1
    )
    # The same from the definition: Wᵀ W = within⁻¹, then the eigenvectors of what is left.
    within = sum(np.outer(d, d) for d in vectors[pairs[:, 0]] - vectors[pairs[:, 1]]) / 80
    within = 0.9 * within + 0.1 * np.trace(within) / 6 * np.eye(6)
    centred = vectors - vectors.mean(0)
    total = centred.T @ centred / 80
    values, directions = np.linalg.eig(np.linalg.inv(within) @ total)
    order = np.argsort(-values.real)[:3]
    for row, k in zip(projection.numpy(), order, strict=True):
        expected = directions[:, k].real
        cosine = abs(row @ expected) / np.linalg.norm(row) / np.linalg.norm(expected)
        assert cosine == pytest.approx(1, abs=1e-9)
    assert mean.numpy() == pytest.approx(vectors.mean(0))


def test_too_few_photos_are_refused() -> None:
    net = HAF(SMALL).eval().requires_grad_(False)
    vectors = {"low": torch.rand(8, 12), "mid": torch.rand(8, 16), "high": torch.rand(8, 8)}
    with pytest.raises(TrainingError, match="8 photos are too few"):
        fit_whitening(net, vectors, torch.empty(0, 2, dtype=torch.long))


@pytest.mark.slow
def test_a_start_is_fitted_from_photos_and_loads(tmp_path: Path) -> None:
    city = render_city(tmp_path, database=12, queries=0, size=(96, 72))
    weights = {}
    for name, (inputs, outputs) in LAYERS.items():
        generator = torch.Generator().manual_seed(inputs)
        weight = torch.randn(outputs, inputs, 3, 3, generator=generator)
        weights[f"{name}.weight"] = weight * (2 / (9 * inputs)) ** 0.5
        weights[f"{name}.bias"] = torch.zeros(outputs)
    save_file(weights, tmp_path / "vgg.safetensors")
    out = tmp_path / "start.safetensors"
    folders = [city.folder / "database"]
    first = fit_start(folders, tmp_path / "vgg.safetensors", out, options=SMALL)
    assert first == fit_start(folders, tmp_path / "vgg.safetensors", out, options=SMALL)
    checkpoint = load_checkpoint(out)
    assert checkpoint.hash == first[0]
    assert isinstance(checkpoint.network, HAF)
    assert any(isinstance(part, Whitening) for part in checkpoint.network.modules())
    assert checkpoint.network.local is not None
    assert checkpoint.network.local.whitening.mean.any()
    with pytest.raises(CheckpointError, match="start weights"):
        fit_start(folders, tmp_path / "none.safetensors", out, options=SMALL)


def test_photos_without_corners_cannot_whiten_key_points(tmp_path: Path) -> None:
    Image.new("RGB", (96, 72), (90, 90, 90)).save(tmp_path / "blank.png")
    net = HAF(SMALL).eval().requires_grad_(False)
    with pytest.raises(TrainingError, match="0 corners are too few"):
        fit_local(net, [tmp_path / "blank.png"], torch.Generator())
    with pytest.raises(ValueError, match="no local features"):
        fit_local(HAF(replace(SMALL, local_features=0)), [], torch.Generator())


def test_the_shipped_checkpoint_went_on_from_the_start_it_says() -> None:
    checkpoint = load_checkpoint("haf")
    assert isinstance(checkpoint.network, HAF)
    assert checkpoint.network.options == replace(START, mask_filters=(0, 16, 0))
    assert checkpoint.network.dimension == 1152
    assert checkpoint.provenance["trained"] is True
    whitened = checkpoint.provenance["started from"]["provenance"]
    assert "VGG16" in whitened["started from"]["provenance"]["start weights"]
