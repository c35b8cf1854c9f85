"""Compact key points: where they are found, what they hold, and that one pass gives both."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from nn_samples import HAF_OPTIONS as SMALL
from nn_samples import close, image, shaken

from hafloc.errors import PhotoError
from hafloc.nn import HAF
from hafloc.nn.haf import LOCAL_LEVELS, local_responses
from hafloc.nn.local_features import find_corners, join, sample, sample_all, to_int8
from hafloc.nn.vgg import TAP_STRIDES

LOCAL = replace(SMALL, local_features=40, local_dimension=6)


def windows(shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    """A wall of 12 bright windows on grey, as soft as a lens, moved by (x, y) pixels."""
    picture = np.full((160, 200, 3), 90, np.uint8)
    for row in range(3):
        for column in range(4):
            y, x = 20 + 40 * row + shift[1], 20 + 42 * column + shift[0]
            picture[y : y + 18, x : x + 14] = 220
    # Exact edges tie their corners' strengths, and ties are no maxima.
    return np.asarray(cv2.GaussianBlur(picture, (5, 5), 0.9))


def test_corners_of_windows_are_found_within_two_pixels() -> None:
    found = find_corners(windows(), 200)
    for row in range(3):
        for column in range(4):
            for dy in (0, 17):
                for dx in (0, 13):
                    corner = np.array([20 + 42 * column + dx, 20 + 40 * row + dy])
                    assert np.abs(found - corner).max(1).min() <= 2


def test_corners_move_with_the_picture() -> None:
    def places(xy: np.ndarray) -> set[tuple[float, ...]]:
        return {tuple(point) for point in xy.tolist()}

    moved = find_corners(windows((5, 3)), 500) - np.array([5, 3], np.float32)
    assert places(moved) == places(find_corners(windows(), 500))


def test_the_strongest_corners_are_kept() -> None:
    picture = windows()
    picture[40:] //= 2
    picture[:, 40:] //= 2
    kept = find_corners(picture, 4)
    assert len(kept) == 4
    assert (kept < 40).all()


def test_one_colour_has_no_corners_and_no_crash() -> None:
    assert find_corners(np.full((64, 96, 3), 128, np.uint8), 100).shape == (0, 2)


@given(st.integers(0, 1_000), st.integers(1, 300), st.sampled_from([1, 3, 9]))
def test_a_higher_contrast_that_finds_enough_finds_the_same_corners(
    seed: int, count: int, softness: int
) -> None:
    # Given pictures of many strengths, with ties, and what the lowest contrast alone finds
    picture = np.random.default_rng(seed).integers(0, 9, (60, 80), np.uint8) * 30
    picture = np.asarray(cv2.GaussianBlur(picture, (softness, softness), 0))
    every = cv2.FastFeatureDetector.create(5).detect(picture, None)
    strongest = sorted(every, key=lambda point: -point.response)[:count]
    expected = np.array([point.pt for point in strongest], np.float32).reshape(-1, 2)
    assert np.array_equal(find_corners(np.dstack([picture] * 3), count), expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 1)])
def test_maps_of_one_row_or_column_are_sampled_within_them(size: tuple[int, int]) -> None:
    maps = torch.arange(6.0)[: size[0] * size[1]].view(1, 1, *size)
    xy = torch.tensor([[0.0, 0.0], [100.0, 100.0], [-3.0, 2.0]])
    scale = 2 / (torch.tensor([size[1], size[0]]) * 4)
    expected = F.grid_sample(
        maps, ((xy + 0.5) * scale - 1)[None, None], padding_mode="border", align_corners=False
    )
    assert torch.allclose(sample(maps, xy, 4), expected[0, :, 0].T)


@given(st.integers(0, 1_000), st.sampled_from([4, 8]))
def test_sampling_is_bilinear_between_the_middles_of_the_taps(seed: int, stride: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(1, 3, 6, 7, generator=generator)
    xy = torch.rand(5, 2, generator=generator) * torch.tensor([7, 6]) * stride - 0.5
    found = sample(maps, xy, stride)
    for point, values in zip(xy, found, strict=True):
        x, y = ((point + 0.5) / stride - 0.5).tolist()
        x, y = min(max(x, 0), 6), min(max(y, 0), 5)
        left, top = min(int(x), 5), min(int(y), 4)
        a, b = x - left, y - top
        box = maps[0, :, top : top + 2, left : left + 2]
        expected = (1 - b) * ((1 - a) * box[:, 0, 0] + a * box[:, 0, 1]) + b * (
            (1 - a) * box[:, 1, 0] + a * box[:, 1, 1]
        )
        assert torch.allclose(values, expected, atol=1e-4)


def test_int8_keeps_directions() -> None:
    rows = torch.randn(200, 32, generator=torch.Generator().manual_seed(0))
    stored = torch.from_numpy(to_int8(rows).astype(np.float32))
    assert F.cosine_similarity(rows, stored).min() > 0.9995
    assert (stored.abs().amax(1) == 127).all()


def test_a_row_of_zeros_stays_zero() -> None:
    assert not to_int8(torch.zeros(2, 8)).any()


@pytest.mark.parametrize("size", [(48, 64), (90, 131)])
def test_one_pass_gives_the_vector_and_features_of_the_taps(size: tuple[int, int]) -> None:
    net, photo = shaken(HAF(LOCAL)), image(*size)[None]
    assert isinstance(net, HAF)
    assert net.local is not None
    (seen,) = net.features(photo, local=True, regions=False)
    local = seen.local
    assert local is not None
    close(torch.from_numpy(seen.vector), net(photo)[0].double(), 1e-6)
    pixels = photo[0].permute(1, 2, 0).to(torch.uint8).numpy()
    assert np.array_equal(local.xy, find_corners(pixels, 40))
    assert local.size == (size[1], size[0])
    taps = net.taps(photo)
    levels = [
        F.normalize(sample(getattr(taps, name), torch.from_numpy(local.xy), TAP_STRIDES[name]))
        for name in LOCAL_LEVELS
    ]
    whole = torch.cat(levels, 1).double()
    head = net.local.whitening
    expected = F.normalize((whole - head.mean.double()) @ head.projection.double().T)
    given_ = F.normalize(torch.from_numpy(local.descriptors.astype(np.float64)))
    assert (expected * given_).sum(1).min() > 0.999


def test_a_photo_of_one_colour_has_a_vector_and_no_features() -> None:
    net = shaken(HAF(LOCAL))
    assert isinstance(net, HAF)
    (seen,) = net.features(torch.full((1, 3, 48, 64), 127.0), local=True, regions=True)
    assert np.linalg.norm(seen.vector) == pytest.approx(1, abs=1e-5)
    assert seen.local is not None
    assert (seen.local.xy.shape, seen.local.descriptors.shape) == ((0, 2), (0, 6))
    assert seen.regions is not None
    assert np.linalg.norm(seen.regions, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("regions", [True, False])
@pytest.mark.parametrize("power", [3.0, 2.5])
def test_a_device_that_is_slow_to_be_asked_gives_the_same(
    monkeypatch: pytest.MonkeyPatch, *, regions: bool, power: float
) -> None:
    net = shaken(HAF(replace(LOCAL, power=power)))
    assert isinstance(net, HAF)
    # One has no corner at all, and one fewer than it may have.
    photo = image(90, 131)
    photos = torch.stack([photo, torch.full_like(photo, 7), photo // 9])
    expected = net.features(photos, local=True, regions=regions)
    for room in ("haf", "half_resolution"):
        monkeypatch.setattr(f"hafloc.nn.{room}.on_processor", lambda values: False)
    found = net.features(photos, local=True, regions=regions)
    assert [len(e.local.xy) > 0 for e in expected if e.local is not None] == [True, False, True]
    for one, other in zip(found, expected, strict=True):
        close(torch.from_numpy(one.vector), torch.from_numpy(other.vector), 1e-5)
        assert (one.regions is None) == (other.regions is None) == (not regions)
        if one.regions is not None and other.regions is not None:
            close(torch.from_numpy(one.regions), torch.from_numpy(other.regions), 1e-5)
        assert one.local is not None
        assert other.local is not None
        assert np.array_equal(one.local.xy, other.local.xy)
        steps = one.local.descriptors.astype(int) - other.local.descriptors
        assert np.abs(steps).max(initial=0) <= 1


@given(st.integers(1, 3), st.integers(2, 9), st.integers(2, 9), st.sampled_from([4, 8]))
def test_all_images_are_read_as_each_is(count: int, height: int, width: int, stride: int) -> None:
    rng = np.random.default_rng(height * width)
    maps = torch.from_numpy(rng.normal(size=(count, 5, height, width)).astype(np.float32))
    # Beyond the last middle too.
    xy = rng.uniform(0, [width * stride, height * stride], (count, 11, 2)).astype(np.float32)
    found = sample_all(maps, torch.from_numpy(xy), stride)
    for i in range(count):
        expected = sample(maps[i : i + 1], torch.from_numpy(xy[i]), stride)
        assert torch.allclose(found[i], expected, atol=1e-5)


def test_too_small_a_photo_is_refused_and_what_a_network_lacks_is_none() -> None:
    net = shaken(HAF(LOCAL))
    assert isinstance(net, HAF)
    with pytest.raises(PhotoError, match="at least 32"):
        net.features(torch.zeros(1, 3, 20, 90), local=True, regions=True)
    without = shaken(HAF(SMALL))
    assert isinstance(without, HAF)
    (seen,) = without.features(torch.zeros(1, 3, 40, 90), local=True, regions=False)
    assert (seen.local, seen.regions) == (None, None)


def test_joined_levels_have_equal_shares() -> None:
    rows = join([torch.rand(5, 7) * 100, torch.rand(5, 3)])
    assert torch.allclose(rows[:, :7].norm(dim=1), torch.ones(5))
    assert torch.allclose(rows[:, 7:].norm(dim=1), torch.ones(5))


def test_responses_are_read_at_the_corners() -> None:
    net, photo = shaken(HAF(LOCAL)), torch.from_numpy(windows()).permute(2, 0, 1)[None].float()
    assert isinstance(net, HAF)
    with torch.inference_mode():
        xy, levels = local_responses(photo, net.taps(photo), 25)
    assert xy.shape == (25, 2)
    assert [level.shape for level in levels] == [(25, 256), (25, 512)]
