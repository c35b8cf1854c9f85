"""k-means: what every result must satisfy, and a search of all partitions."""

from itertools import product

import pytest
import torch

from hafloc.nn.k_means import k_means


def points(count: int, seed: int, dimensions: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dimensions, generator=generator, dtype=torch.float64)


def cost(sample: torch.Tensor, centres: torch.Tensor) -> float:
    return float(torch.cdist(sample, centres).square().min(1).values.sum())


@pytest.mark.parametrize("seed", range(5))
def test_each_centre_is_the_mean_of_the_points_nearest_to_it(seed: int) -> None:
    sample = points(200, seed, 3)
    centres = k_means(sample, 7, torch.Generator().manual_seed(seed))
    nearest = torch.cdist(sample, centres).argmin(1)
    for k, centre in enumerate(centres):
        assert torch.allclose(sample[nearest == k].mean(0), centre, atol=1e-9)


def test_the_best_of_a_few_starts_is_the_best_partition() -> None:
    # Given 8 points, few enough to try all partitions into 2
    sample = points(8, 0)
    best = float("inf")
    for labels in product((0, 1), repeat=8):
        chosen = torch.tensor(labels, dtype=torch.bool)
        if 0 < chosen.sum() < 8:
            best = min(
                best, cost(sample, torch.stack([sample[chosen].mean(0), sample[~chosen].mean(0)]))
            )
    found = min(
        cost(sample, k_means(sample, 2, torch.Generator().manual_seed(seed))) for seed in range(10)
    )
    assert found == pytest.approx(best)


def test_equal_points_leave_no_centre_undefined() -> None:
    sample = torch.ones(10, 4)
    centres = k_means(sample, 3, torch.Generator().manual_seed(0))
    assert torch.equal(centres, torch.ones(3, 4))


def test_as_many_clusters_as_points_fit_exactly() -> None:
    sample = points(6, 1)
    assert cost(sample, k_means(sample, 6, torch.Generator().manual_seed(0))) < 1e-12


def test_fewer_points_than_clusters_are_refused() -> None:
    with pytest.raises(ValueError, match="3 points are too few for 4 clusters"):
        k_means(points(3, 0), 4, torch.Generator())
