"""HAF against its slow reference, and what holds for any image."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nn_samples import HAF_OPTIONS as SMALL
from nn_samples import close, image, shaken

from hafloc.errors import PhotoError
from hafloc.nn import half_resolution
from hafloc.nn.haf import HAF
from hafloc.nn.haf_level import LEVELS, HAFOptions
from hafloc.nn.half_resolution import Detection


def shaken_haf(options: HAFOptions) -> HAF:
    return shaken(HAF(options))


@cache
def unchanged_haf(detection: Detection) -> HAF:
    """One net for many examples, since making one takes longer than using it."""
    return shaken_haf(replace(SMALL, detection=detection))


VARIANTS = {
    "shipped": SMALL,
    "paper": replace(
        SMALL,
        detection="soft",
        pooling="sum",
        level_whitening="none",
        level_weights=(0.2, 0.3, 0.5),
    ),
    "max scores": replace(SMALL, pooling="sum", level_whitening="centre"),
    "uniform scores": replace(SMALL, detection="none", pooling="sum"),
    "no fusion": replace(SMALL, asf=False),
    "no masks": replace(SMALL, masks=False, detection="soft"),
    "masks at the tap's stride": replace(SMALL, mask_stride=0),
    "masks constant on cells": replace(SMALL, mask_upsampling="nearest"),
    "3×3 heads": replace(SMALL, head_kernel=3),
    "compact": replace(SMALL, compact=10, use_compact=True, power=2.5),
}


@pytest.mark.parametrize("size", [(48, 64), (37, 51)], ids=["even", "odd"])
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_stage_agrees_with_the_formulas(
    options: HAFOptions, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given bands far smaller than the image, so that their seams are inside it
    monkeypatch.setattr(half_resolution, "BAND_VALUES", 24 * 32 * 5)
    net, photo = shaken_haf(options), image(*size)
    # When one image is described
    description = net.describe(photo[None])[0]
    expected = reference.describe(net, photo)
    # Then each stage is the reference's
    for name in LEVELS:
        close(description.levels[name].mask, expected[name]["mask"])
        close(description.levels[name].score, expected[name]["score"])
        close(description.levels[name].vector, expected[name]["vector"])
    close(description.vector, expected["vector"])


def test_band_size_does_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    net, photo = shaken_haf(SMALL), image(90, 130)
    monkeypatch.setattr(half_resolution, "BAND_VALUES", 1 << 30)
    whole = net.describe(photo[None])[0]
    monkeypatch.setattr(half_resolution, "BAND_VALUES", 1)
    banded = net.describe(photo[None])[0]
    close(banded.vector, torch.as_tensor(whole.vector).double(), 1e-5)
    close(banded.fused_score, torch.as_tensor(whole.fused_score).double(), 1e-5)


def test_contributions_are_each_places_share_of_the_powers_that_are_pooled() -> None:
    # Given one level of 2×2 taps and two channels on a 4×4 grid, of a mask that halves the right
    responses = torch.tensor([[[1.0, 2.0], [0.0, 3.0]], [[0.5, 0.0], [1.0, 4.0]]])[None]
    mask = torch.ones(1, 4, 4)
    mask[..., 2:] = 0.5
    maps = half_resolution.HalfResolution(responses, None, mask, 2)
    power = torch.tensor(2.5)
    # When the shares are asked for
    shares = half_resolution.contributions(maps, power)
    # Then they are those of the maps written out
    powers = ((maps.rows(0, 4) * mask[..., None]) ** 2.5).sum(-1)
    assert torch.allclose(shares, powers / powers.sum(), atol=1e-6)


def test_where_scores_pool_they_are_the_contributions_and_else_the_fused_is_their_mean() -> None:
    photo = image(48, 64)[None]
    pooled = shaken_haf(replace(SMALL, pooling="sum")).describe(photo)[0]
    assert all((pooled.levels[n].contribution == pooled.levels[n].score).all() for n in LEVELS)
    net = shaken_haf(SMALL)
    powers = net.describe(photo)[0]
    weights = zip(net.options.level_weights, LEVELS, strict=True)
    expected = sum(w * powers.levels[n].contribution * (24 * 32) for w, n in weights)
    assert powers.attention == pytest.approx(expected, rel=1e-4)
    assert powers.attention.mean() == pytest.approx(1, abs=1e-4)


@settings(max_examples=12, deadline=None)
@given(height=st.integers(32, 90), width=st.integers(32, 90), soft=st.booleans())
def test_any_size_gives_unit_vectors_and_scores_that_sum_to_one(
    height: int, width: int, soft: bool
) -> None:
    net = unchanged_haf("soft" if soft else "max")
    description = net.describe(image(height, width)[None])[0]
    grid = ((height + 1) // 2, (width + 1) // 2)
    assert np.linalg.norm(description.vector) == pytest.approx(1, abs=1e-5)
    for level in description.levels.values():
        assert level.score.shape == level.mask.shape == grid
        assert level.score.sum() == pytest.approx(1, abs=1e-4)
        assert level.score.min() >= 0
        assert 0 < level.mask.min() <= level.mask.max() < 1
    points = description.key_points
    assert (points.xy >= -0.5).all()
    assert (points.xy <= np.array([width, height])).all()
    assert np.linalg.norm(points.descriptors, axis=1) == pytest.approx(1, abs=1e-4)


def test_a_batch_gives_what_its_images_give_alone() -> None:
    net = shaken_haf(SMALL)
    photos = torch.stack([image(40, 56, seed) for seed in range(3)])
    together = net(photos)
    alone = torch.cat([net(photo[None]) for photo in photos])
    close(together, alone.double(), 1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near(dtype: torch.dtype) -> None:
    net, photo = shaken_haf(replace(SMALL, level_whitening="none")), image(48, 64)
    expected = net(photo[None])
    for part in (net.trunk, *(net.level(name) for name in LEVELS)):
        part.to(dtype)
    vector = net(photo[None])
    assert (vector.float() * expected).sum() > 0.995


def test_an_image_where_nothing_fires_gets_uniform_scores() -> None:
    net = shaken_haf(replace(SMALL, detection="soft", pooling="sum"))
    for name in LEVELS:
        net.level(name).head.bias.fill_(-100)
    description = net.describe(image(32, 48)[None])[0]
    for level in description.levels.values():
        assert level.score == pytest.approx(1 / (16 * 24))
    assert np.isfinite(description.vector).all()
    assert len(description.key_points) == 0


def test_the_vector_is_blind_to_a_uniform_mask_under_soft_detection() -> None:
    net = shaken_haf(replace(SMALL, detection="soft", pooling="sum"))
    for name in LEVELS:
        net.level(name).mask.accumulate.weight.fill_(0)
    bright = net(image(40, 40)[None])
    for name in LEVELS:
        net.level(name).mask.accumulate.bias.fill_(-3)
    close(net(image(40, 40)[None]), bright.double(), 1e-5)


@pytest.mark.parametrize(
    ("detection", "smallest", "largest"),
    [("max", 0.85, 1.0), ("soft", 0.0, 0.1), ("none", 0.0, 0.0)],
)
def test_a_mask_moves_scores_and_vector_under_max_detection_alone(
    detection: Detection, smallest: float, largest: float
) -> None:
    # Given one level's maps, seen with a mask of 0.05 on the left half and 0.98 on the right,
    # and the other way round
    options = replace(SMALL, detection=detection, pooling="sum", level_whitening="none")
    net, photo = shaken_haf(options), image(64, 64)
    maps = net.maps(net.taps(photo[None]), (64, 64))["mid"]
    left = torch.full((1, 32, 32), 0.98)
    left[:, :, :16] = 0.05
    seen = []
    for mask in (left, left.flip(-1)):
        masked = replace(maps, mask=mask)
        scores = half_resolution.detect(masked, detection)
        seen.append((scores, torch.nn.functional.normalize(net.level("mid").pool(masked, scores))))
    (scores, vector), (other_scores, other_vector) = seen
    # Then the masked half's part in the scores changes with "max", hardly with "soft"
    moved = float(other_scores[:, :, :16].sum() - scores[:, :, :16].sum())
    assert smallest <= moved <= largest
    # And so does the vector
    apart = float((vector - other_vector).norm())
    assert apart > 0.05 if detection == "max" else apart < 0.005


def test_an_image_below_32_pixels_is_refused() -> None:
    with pytest.raises(PhotoError, match="31×64"):
        shaken_haf(SMALL).describe(image(64, 31)[None])


def test_descriptors_of_key_points_are_the_maps_at_their_places() -> None:
    net, photo = shaken_haf(SMALL), image(48, 64)
    maps = net.maps(net.taps(photo[None]), (48, 64))
    places = torch.arange(24 * 32)[None]
    for level in maps.values():
        rows = level.rows(0, 24).reshape(1, 24 * 32, -1)
        close(level.at(places), rows.double(), 1e-5)


def test_an_untrained_network_blends_evenly_and_every_layer_of_it_learns_at_once() -> None:
    # Given a network as it is made, with a trunk whose responses have a size
    torch.manual_seed(0)
    net = HAF(replace(SMALL, level_whitening="none"))
    trunk = shaken(HAF(SMALL)).trunk
    net.trunk.load_state_dict(trunk.state_dict())
    net.requires_grad_(True)
    photos = torch.stack([image(64, 96), image(64, 96, seed=1)])
    # Then fusion takes both of its inputs alike, not exactly
    with torch.no_grad():
        taps = net.taps(photos)
        for name in LEVELS:
            level = net.level(name)
            assert level.fusion is not None
            apart = (level.fusion(level.responses(getattr(taps, name))) - 0.5).abs().max()
            assert 0 < float(apart) < 0.2
    # And its first layer gets a gradient as its last does, and the masks' layers do
    vectors = net(photos)
    (vectors[0] @ vectors[1]).backward()
    for name, parameter in net.levels.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.norm() > 0, name
