import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hafloc.errors import IndexFileError
from hafloc.index import vectors as stored


def unit_rows(n: int, d: int, seed: int) -> NDArray[np.float32]:
    # A length summed in float32 would leave them a few last places off unit length.
    rows = np.random.default_rng(seed).standard_normal((n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


# The worst angle by hand: float16 rounds each entry by 2⁻¹¹ of itself; int8 by half a step of
# (largest entry)/127 each, so by at most √D·max/254 in all, and max is about 0.12 at D = 1,024.
@pytest.mark.parametrize(
    ("vector_type", "bytes_per_entry", "largest_error"),
    [("float32", 4, 1e-6), ("float16", 2, 5e-4), ("int8", 1, 1.5e-2)],
)
def test_a_vector_comes_back_with_unit_length_and_little_error(
    vector_type: str, bytes_per_entry: int, largest_error: float
) -> None:
    rows = unit_rows(50, 1_024, seed=1)

    blobs = stored.encode(rows, vector_type)
    back = stored.unit(stored.stack(blobs, vector_type))

    assert {len(blob) for blob in blobs} == {1_024 * bytes_per_entry}
    assert np.linalg.norm(back, axis=1) == pytest.approx(np.ones(50), abs=1e-6)
    assert np.linalg.norm(back - rows, axis=1).max() < largest_error


@given(
    seed=st.integers(0, 2**32 - 1), d=st.integers(1, 70), kind=st.sampled_from(stored.VECTOR_TYPES)
)
def test_what_is_encoded_is_sound_and_encodes_to_itself(seed: int, d: int, kind: str) -> None:
    blobs = stored.encode(unit_rows(3, d, seed), kind)
    rows = stored.stack(blobs, kind)

    assert stored.is_sound(rows).all()
    again = stored.stack(stored.encode(stored.unit(rows), kind), kind)
    # A second rounding may move an entry by one last place, never further.
    steps = np.abs(rows.view(f"i{rows.dtype.itemsize}") - again.view(f"i{rows.dtype.itemsize}"))
    assert steps.max() <= 2


def test_lengths_other_than_one_are_unsound() -> None:
    halves = np.full((1, 4), 0.25, dtype=np.float16)

    assert not stored.is_sound(halves).any()
    assert not stored.is_sound(np.full((1, 4), 90, dtype=np.int8)).any()


def test_an_unknown_vector_type_is_refused_with_the_choices() -> None:
    with pytest.raises(IndexFileError, match=r"'float8'.*float16, float32, int8"):
        stored.check_type("float8")
