"""The losses against loops written from the formulas, in float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hafloc.nn.half_resolution import HalfResolution, detect
from hafloc.train.haf_maps import HafMaps
from hafloc.train.losses import (
    Against,
    choose_places,
    local_distance,
    local_loss,
    match,
    sare_loss,
    vector_loss,
)


class Made:
    """A level given by its scores `[h, w]` and descriptors `[h·w, n]`."""

    def __init__(self, score: Tensor, descriptors: Tensor) -> None:
        self.score, self.all = score, descriptors

    def scores(self) -> Tensor:
        return self.score.detach()

    def descriptors(self, places: Tensor) -> Tensor:
        return self.all[places]

    def described(self, places: Tensor) -> tuple[Tensor, Tensor]:
        return self.all[places], self.score.flatten()[places]


def random_level(seed: int, height: int = 6, width: int = 7, channels: int = 4) -> Made:
    generator = torch.Generator().manual_seed(seed)
    score = torch.rand(height, width, generator=generator, dtype=torch.float64)
    rows = torch.randn(height * width, channels, generator=generator, dtype=torch.float64)
    return Made(score / score.sum(), rows / rows.norm(dim=1, keepdim=True))


def slow_maxima(score: Tensor, count: int) -> list[int]:
    """Flood every plateau of equal neighbours; it counts where nothing around it is higher."""
    height, width = score.shape
    values = score.tolist()
    seen: set[tuple[int, int]] = set()
    found = []
    for start in ((i, j) for i in range(height) for j in range(width)):
        if start in seen:
            continue
        waiting, highest, value = [start], True, values[start[0]][start[1]]
        seen.add(start)
        while waiting:
            i, j = waiting.pop()
            for y in range(max(i - 1, 0), min(i + 2, height)):
                for x in range(max(j - 1, 0), min(j + 2, width)):
                    highest &= values[y][x] <= value
                    if values[y][x] == value and (y, x) not in seen:
                        seen.add((y, x))
                        waiting.append((y, x))
        if highest:
            found.append((-value, start[0] * width + start[1]))
    return [place for _, place in sorted(found)[:count]]


@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    heights=st.integers(2, 6),
    seed=st.integers(0, 10**6),
)
def test_places_are_the_strongest_plateaus_that_nothing_exceeds(
    height: int, width: int, heights: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    score = torch.randint(heights, (height, width), generator=generator).double()
    score.view(-1)[0] = heights  # a score that is the same everywhere is another test
    chosen = choose_places(score, maxima=3, candidates=12)
    if score.min() < score.max():
        assert chosen.maxima.tolist() == slow_maxima(score, 3)
        assert chosen.candidates.tolist() == slow_maxima(score, 12)


def test_nearest_upsampling_adds_no_maxima_inside_its_blocks() -> None:
    # Given a map of 6×7 with its own maxima, repeated 8 times each way
    score = random_level(4, 6, 7).score
    large = score.repeat_interleave(8, 0).repeat_interleave(8, 1)
    # When places are chosen from both
    small = choose_places(score, maxima=99, candidates=99).candidates
    found = choose_places(large, maxima=99, candidates=99).candidates
    # Then there is one place for each maximum, in its block
    rows, columns = found // (8 * 7) // 8, found % (8 * 7) // 8
    assert (rows * 7 + columns).tolist() == small.tolist()


def test_candidates_of_a_smooth_hill_do_not_clump_around_its_top() -> None:
    # Given a broad hill and, far off, a low one
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    broad = torch.exp(-((y - 6) ** 2 + (x - 6) ** 2) / 50)
    low = 0.2 * torch.exp(-((y - 20) ** 2 + (x - 20) ** 2) / 2)
    # Then the low one is a candidate, although many places of the broad one are stronger
    chosen = choose_places(broad + low, maxima=1, candidates=4)
    assert chosen.maxima.tolist() == [6 * 24 + 6]
    assert chosen.candidates.tolist() == [6 * 24 + 6, 20 * 24 + 20]


def test_a_score_without_any_maximum_offers_places_all_over_the_image() -> None:
    chosen = choose_places(torch.full((16, 16), 1 / 256), maxima=16, candidates=64)
    assert len(chosen.candidates.unique()) == 64
    assert torch.equal(chosen.maxima, chosen.candidates[:16])
    rows, columns = chosen.candidates // 16, chosen.candidates % 16
    assert set((rows // 4 * 4 + columns // 4).tolist()) == set(range(16))
    few = choose_places(torch.ones(2, 2), maxima=4, candidates=16)
    assert sorted(few.candidates.tolist()) == [0, 1, 2, 3]


def slow_distance(a: Made, b: Made, places: int, mutual: bool) -> float:
    """Equation (5), word by word."""
    ours = slow_maxima(a.score, places)
    theirs = slow_maxima(b.score, 4 * places)
    pairs = []
    for p in ours:
        apart = [float((a.all[p] - b.all[q]).norm()) for q in theirs]
        q = theirs[apart.index(min(apart))]
        back = [float((a.all[o] - b.all[q]).norm()) for o in ours]
        if not mutual or ours[back.index(min(back))] == p:
            pairs.append((p, q))
    weights = [float(a.score.flatten()[p] * b.score.flatten()[q]) for p, q in pairs]
    distances = [float((a.all[p] - b.all[q]).norm()) for p, q in pairs]
    return sum(w * d for w, d in zip(weights, distances, strict=True)) / sum(weights)


@pytest.mark.parametrize("how", ["nearest", "mutual"])
@pytest.mark.parametrize("places", [1, 3, 50])
def test_the_distance_of_two_images_is_equation_5(how: str, places: int) -> None:
    for seed in range(5):
        a, b = random_level(2 * seed), random_level(2 * seed + 1, 5, 9)
        chosen = tuple(choose_places(m.score, maxima=places, candidates=4 * places) for m in (a, b))
        fast = local_distance(a.described(chosen[0].maxima), b, chosen[1].candidates, how)
        assert float(fast) == pytest.approx(slow_distance(a, b, places, how == "mutual"), rel=1e-12)


def test_the_loss_of_a_tuple_is_equations_6_and_7() -> None:
    images = [[random_level(10 * i + level) for level in range(3)] for i in range(4)]
    weights = (0.2, 0.3, 0.5)
    expected = 0.0
    for level, weight in enumerate(weights):
        d = [slow_distance(images[0][level], x[level], 3, False) for x in images[1:]]
        expected += weight * sum(max(0.0, 0.1 + d[0] - negative) for negative in d[1:])
    found = local_loss(
        images, weights, margin=0.1, places=3, candidates=4, correspondence="nearest"
    )
    assert expected > 0
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_a_level_of_weight_zero_is_not_looked_at() -> None:
    images = [[random_level(i), None] for i in range(3)]
    found = local_loss(
        images, (1.0, 0.0), margin=9.0, places=3, candidates=4, correspondence="nearest"
    )
    assert float(found) > 0


def test_the_vector_loss_is_netvlads_triplet_on_squared_distances() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(5, 8, generator=generator, dtype=torch.float64)
    q, p, negatives = vectors[0], vectors[1], vectors[2:]
    expected = sum(
        max(0.0, 0.1 + float(((q - p) ** 2).sum()) - float(((q - n) ** 2).sum())) for n in negatives
    )
    assert float(vector_loss(vectors, 0.1)) == pytest.approx(expected, rel=1e-12)
    vectors.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: vector_loss(v, 0.1), vectors)


@pytest.mark.parametrize("against", ["joint", "each"])
def test_sare_is_the_surprise_at_the_positive_among_the_negatives(against: Against) -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(5, 8, generator=generator, dtype=torch.float64)
    near, *far = [math.exp(-float(((vectors[0] - v) ** 2).sum())) for v in vectors[1:]]
    expected = {
        "joint": -math.log(near / (near + sum(far))),
        "each": sum(-math.log(near / (near + part)) for part in far) / len(far),
    }
    assert float(sare_loss(vectors, against)) == pytest.approx(expected[against], rel=1e-12)
    vectors.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: sare_loss(v, against), vectors)


def test_sare_of_vectors_that_are_all_alike_is_that_of_chance() -> None:
    alike = torch.ones(6, 3)
    assert float(sare_loss(alike, "joint")) == pytest.approx(math.log(5))
    assert float(sare_loss(alike, "each")) == pytest.approx(math.log(2))


def test_gradients_of_the_local_loss_pass_gradcheck() -> None:
    made = [random_level(seed, 4, 5) for seed in range(3)]
    values = [m.score.clone().requires_grad_() for m in made]
    values += [m.all.clone().requires_grad_() for m in made]

    def loss(*tensors: Tensor) -> Tensor:
        images = [[Made(s, d)] for s, d in zip(tensors[:3], tensors[3:], strict=True)]
        return local_loss(
            images, (1.0,), margin=2.0, places=3, candidates=4, correspondence="nearest"
        )

    assert torch.autograd.gradcheck(loss, values)


def test_identical_images_have_distance_zero_and_a_finite_gradient() -> None:
    a = random_level(3)
    a.all.requires_grad_()
    chosen = choose_places(a.score, maxima=3, candidates=12)
    distance = local_distance(a.described(chosen.maxima), a, chosen.candidates, "nearest")
    distance.backward()
    assert float(distance.detach()) == 0
    assert bool(a.all.grad.isfinite().all())


def test_equal_descriptors_match_the_first_of_their_equals() -> None:
    rows = torch.eye(3).repeat(2, 1)
    here, there = match(torch.eye(3), rows, "mutual")
    assert here.tolist() == [0, 1, 2]
    assert there.tolist() == [0, 1, 2]


def small_maps(seed: int, blend: bool = True) -> HalfResolution:
    generator = torch.Generator().manual_seed(seed)
    responses = 6 * torch.rand(1, 5, 4, 3, generator=generator, dtype=torch.float64)
    weights = torch.rand(1, 2, 7, 6, generator=generator, dtype=torch.float64)
    mask = torch.rand(1, 7, 6, generator=generator, dtype=torch.float64)
    return HalfResolution(responses, weights if blend else None, mask, 2)


@pytest.mark.parametrize("detection", ["soft", "max", "none"])
@pytest.mark.parametrize("blend", [True, False])
def test_strengths_at_places_are_the_maps_scores_up_to_one_factor(
    detection: str, blend: bool
) -> None:
    maps = HafMaps(small_maps(1, blend), detection)
    places = torch.arange(42)
    whole = detect(maps.maps, detection)[0].flatten()
    strengths = maps.described(places)[1]
    torch.testing.assert_close(strengths / strengths.sum(), whole, rtol=1e-9, atol=0)


@pytest.mark.parametrize("detection", ["soft", "max", "none"])
def test_gathered_places_give_the_gradient_of_whole_maps(detection: str) -> None:
    """Equation (5) on whole half-resolution maps with normalised scores, by autograd alone."""
    gradients = []
    for whole in (False, True):
        pair = []
        for seed in (1, 2):
            made = small_maps(seed)
            tensors = [t.clone().requires_grad_() for t in (made.responses, made.blend, made.mask)]
            maps = HalfResolution(*tensors, made.scale)
            level = HafMaps(maps, detection)
            if whole:
                rows = torch.nn.functional.normalize(maps.rows(0, 7)[0].flatten(0, 1), dim=1)
                level = Made(detect(maps, detection)[0], rows)
            pair.append((tensors, level))
        levels = [level for _, level in pair]
        chosen = tuple(choose_places(m.scores(), maxima=4, candidates=16) for m in levels)
        here = levels[0].described(chosen[0].maxima)
        local_distance(here, levels[1], chosen[1].candidates, "nearest").backward()
        gradients.append([t.grad for tensors, _ in pair for t in tensors])
    for gathered, expected in zip(*gradients, strict=True):
        if gathered is None or expected is None:
            assert not (gathered if gathered is not None else torch.zeros(1)).any()
            assert not (expected if expected is not None else torch.zeros(1)).any()
        else:
            torch.testing.assert_close(gathered, expected, rtol=1e-8, atol=1e-14)
