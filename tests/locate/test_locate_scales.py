"""A query is looked up at two sizes, and each candidate keeps the better one."""

import numpy as np
import pytest
from memory_index import MemoryIndex, MemoryStore
from small_index import MODEL, sample

from hafloc.description import ImageFeatures
from hafloc.locate.scales import MARGIN, Found, at_scales, search_scales


class Sized:
    """Remembers what it was asked for."""

    longer_side = 480

    def __init__(self, regions: int) -> None:
        self.seen: list[tuple[int, ...]] = []
        self._regions = np.ones((regions, 4), np.float32) / 2 if regions else None

    def features(
        self, image: np.ndarray, *, local: bool = True, regions: bool = True
    ) -> ImageFeatures:
        self.seen.append(image.shape[:2])
        return ImageFeatures(np.ones(4, np.float32) / 2, None, self._regions)


@pytest.mark.parametrize(
    ("size", "half"),
    [((360, 480), (180, 240)), ((3000, 4000), (180, 240)), ((200, 300), (100, 150))],
)
def test_the_second_size_is_half_of_what_the_network_sees(
    size: tuple[int, int], half: tuple[int, int]
) -> None:
    eye = Sized(8)
    found = at_scales(eye, np.zeros((*size, 3), np.uint8), local=False, regions=True)
    assert (len(found), eye.seen) == (2, [size, half])


def test_small_photos_and_networks_without_regions_have_one_size() -> None:
    for eye, size in ((Sized(8), (120, 300)), (Sized(0), (360, 480))):
        assert len(at_scales(eye, np.zeros((*size, 3), np.uint8), local=True, regions=True)) == 1


def test_a_candidate_keeps_the_scale_at_which_it_is_clearly_more_alike() -> None:
    # Given a query that is one photo as it is, and another at half its size
    records, vectors = sample(30)
    index = MemoryIndex(MemoryStore(MODEL), write=True)
    ids = index.add(records, vectors)
    query = [ImageFeatures(vectors[3]), ImageFeatures(vectors[8])]
    # When it is looked up
    first, second, *rest = search_scales(index, query, 5)
    # Then both come first, the half one behind by the margin, and no photo twice
    assert first == Found(ids[3], pytest.approx(1, abs=1e-5), 0)
    assert second == Found(ids[8], pytest.approx(1 - MARGIN, abs=1e-5), 1)
    both = np.maximum(vectors @ vectors[3], vectors @ vectors[8] - MARGIN)
    assert [found.id for found in (first, second, *rest)] == [
        ids[i] for i in np.argsort(-both, kind="stable")[:5]
    ]
