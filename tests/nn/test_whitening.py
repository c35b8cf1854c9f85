"""PCA whitening: few vectors of many dimensions against the direct way."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hafloc.nn import Whitening, pca_whitening


def direct(
    vectors: torch.Tensor, dimensions: int, power: float, shrinkage: float
) -> NDArray[np.float64]:
    """The projection from the eigenvectors of the n×n covariance, in numpy."""
    sample = vectors.double().numpy()
    variances, directions = np.linalg.eigh(np.cov(sample, rowvar=False, bias=True))
    order = np.argsort(-variances)[:dimensions]
    shrunk = (1 - shrinkage) * variances + shrinkage * variances.mean()
    rows = []
    for i in order:
        empty = variances[i] <= variances.max() * 1e-10
        rows.append(directions[:, i] * (0 if empty else shrunk[i] ** -power))
    projection = np.array(rows)
    return projection / np.linalg.norm(projection, axis=1).max()


def upright(projection: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows turned to a positive largest value: an eigenvector's sign is anyone's."""
    largest = np.abs(projection).argmax(1)
    signs = np.sign(projection[np.arange(len(projection)), largest])
    return projection * np.where(signs == 0, 1, signs)[:, None]


@pytest.mark.parametrize("shrinkage", [0.0, 0.2])
@pytest.mark.parametrize("power", [0.0, 0.25, 0.5])
@pytest.mark.parametrize(("count", "dimensions"), [(12, 8), (12, 11), (80, 8)])
def test_few_vectors_give_what_the_direct_way_gives(
    count: int, dimensions: int, power: float, shrinkage: float
) -> None:
    generator = torch.Generator().manual_seed(count)
    spread = torch.linspace(3, 0.3, 30, dtype=torch.float64)
    vectors = torch.randn(count, 30, generator=generator, dtype=torch.float64) * spread + 1
    mean, projection = pca_whitening(vectors, dimensions, power=power, shrinkage=shrinkage)
    expected = direct(vectors, dimensions, power, shrinkage)
    assert mean.numpy() == pytest.approx(vectors.numpy().mean(0))
    assert upright(projection.numpy()) == pytest.approx(upright(expected), abs=1e-8)


def test_directions_beyond_the_sample_are_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(5, 40, generator=generator)
    _, projection = pca_whitening(vectors, 10)
    assert projection.shape == (10, 40)
    assert (projection[:4].norm(dim=1) > 0.1).all()
    assert (projection[4:] == 0).all()


def test_whitened_vectors_have_unit_covariance_up_to_one_scale() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(20, 64, generator=generator, dtype=torch.float64)
    mean, projection = pca_whitening(vectors, 6)
    whitened = (vectors - mean) @ projection.T
    covariance = whitened.T @ whitened
    assert torch.allclose(covariance / covariance[0, 0], torch.eye(6).double(), atol=1e-8)


def test_equal_vectors_give_finite_zeros() -> None:
    _, projection = pca_whitening(torch.ones(4, 9), 3)
    assert (projection == 0).all()


def test_what_a_whitening_learns_becomes_part_of_it() -> None:
    vectors = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    whitening = Whitening(6, 4)
    whitening.fit(vectors)
    fitted = whitening(vectors)
    whitening.learn()
    assert torch.equal(whitening(vectors), fitted)
    assert whitening.change is not None
    with torch.no_grad():
        whitening.change += torch.randn(4, 4, generator=torch.Generator().manual_seed(1)) / 4
    learned = whitening(vectors)
    assert not torch.allclose(learned, fitted, atol=0.01)
    whitening.settle()
    assert "change" not in whitening.state_dict()
    torch.testing.assert_close(whitening(vectors), learned)


def test_a_whitening_keeps_its_precision_where_convolutions_run_in_half() -> None:
    vectors = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    whitening = Whitening(6, 4)
    whitening.fit(vectors)
    with torch.autocast("cpu", torch.bfloat16):
        halved = whitening(vectors)
    assert torch.equal(halved, whitening(vectors))
