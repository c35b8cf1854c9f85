"""The describer: sizes, order, and files that cannot be described."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hafloc.describe import Described, Describer
from hafloc.errors import HaflocError, PhotoError, PositionError
from hafloc.photos import Photo


@pytest.fixture(scope="module")
def describer(tiny_checkpoint: Path) -> Describer:
    return Describer.open(tiny_checkpoint)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(9):
        blocks = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((96, 72)).save(tmp_path / f"{i}.png")
    return tmp_path


def test_larger_images_are_reduced_and_smaller_ones_left_alone(describer: Describer) -> None:
    assert describer.fit(np.zeros((300, 640, 3), np.uint8)).shape == (75, 160, 3)
    small = np.zeros((90, 160, 3), np.uint8)
    assert describer.fit(small) is small


def test_the_vector_is_that_of_the_full_description(describer: Describer, folder: Path) -> None:
    image = np.asarray(Image.open(folder / "0.png"))
    assert describer.vector(image) == pytest.approx(describer.describe(image).vector, abs=1e-5)


def test_files_come_back_in_their_order_with_their_own_vectors(
    describer: Describer, folder: Path
) -> None:
    paths = sorted(folder.glob("*.png"))[::-1]
    found = list(describer.describe_files(paths))
    assert [path for path, _ in found] == paths
    for path, described in found:
        assert isinstance(described, Described)
        alone = describer.vector(np.asarray(Image.open(path)))
        assert described.vector == pytest.approx(alone, abs=1e-6)


def test_bad_files_are_told_in_their_place(describer: Describer, folder: Path) -> None:
    (folder / "3.png").write_bytes(b"no picture")
    Image.new("RGB", (20, 200)).save(folder / "5.png")
    found = dict(describer.describe_files(sorted(folder.glob("*.png"))))
    assert isinstance(found[folder / "3.png"], PhotoError)
    narrow = found[folder / "5.png"]
    assert isinstance(narrow, PhotoError)
    assert "at least 32" in str(narrow)
    assert sum(isinstance(item, Described) for item in found.values()) == 7


def test_a_check_spares_a_photo_the_network(describer: Describer, folder: Path) -> None:
    def check(path: Path, photo: Photo) -> None:
        if path.name == "4.png":
            raise PositionError("no position")

    found = dict(describer.describe_files(sorted(folder.glob("*.png")), check))
    assert isinstance(found[folder / "4.png"], HaflocError)
    assert sum(isinstance(item, Described) for item in found.values()) == 8


def test_stopping_early_leaves_nothing_waiting(describer: Describer, folder: Path) -> None:
    stream = describer.describe_files(sorted(folder.glob("*.png")) * 50)
    next(stream)
    stream.close()
    with pytest.raises(StopIteration):
        next(stream)
