"""The describer: sizes, order, and files that cannot be described."""

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hafloc.describe import Described, Describer
from hafloc.description import ImageFeatures
from hafloc.errors import HaflocError, OptionError, PhotoError, PositionError
from hafloc.nn import load_checkpoint
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
        assert described.features.vector == pytest.approx(alone, abs=1e-6)


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


def test_neighbours_of_one_size_described_together_are_as_described_alone(
    describer: Describer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given landscape photos with an upright one, a broken one and a narrow one between
    Image.open(folder / "2.png").rotate(90, expand=True).save(folder / "2.png")
    (folder / "4.png").write_bytes(b"no picture")
    Image.new("RGB", (20, 200)).save(folder / "8.png")
    paths = sorted(folder.glob("*.png"))
    alone = list(describer.describe_files(paths, local=True))
    # When up to three go through the network together
    sizes = []
    network = describer.features_of
    monkeypatch.setattr(describer, "features_of",
                        lambda images, **wanted: (sizes.append(len(images)),
                                                  network(images, **wanted))[1])  # fmt: skip
    monkeypatch.setattr("hafloc.describe.describer._BATCH", {"cpu": 3})
    together = list(describer.describe_files(paths, local=True))
    # Then photos of one size do, and all comes out in the same order and the same
    assert sizes == [2, 1, 1, 3, 1]
    assert [path for path, _ in together] == paths
    for (_, one), (_, other) in zip(alone, together, strict=True):
        assert type(one) is type(other)
        if isinstance(one, Described) and isinstance(other, Described):
            assert one.features.vector == pytest.approx(other.features.vector, abs=1e-6)
            assert one.features.local is not None
            assert other.features.local is not None
            assert np.array_equal(one.features.local.xy, other.features.local.xy)
        else:
            assert str(one) == str(other)


def test_threads_get_the_same_vectors_one_at_a_time(
    describer: Describer, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [
        np.random.default_rng(seed).integers(0, 256, (60 + 8 * seed, 96, 3), dtype=np.uint8)
        for seed in range(4)
    ]
    alone = [describer.vector(image) for image in images]
    network, inside, most = describer._haf, [], []
    assert network is not None
    one_pass = network.features

    def watched(batch: torch.Tensor, **wanted: bool) -> list[ImageFeatures]:
        inside.append(1)
        most.append(len(inside))
        try:
            return one_pass(batch, **wanted)
        finally:
            inside.pop()

    monkeypatch.setattr(network, "features", watched)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(describer.vector, images))
    assert np.allclose(found, alone, atol=1e-6)
    assert max(most) == 1


def test_a_device_that_is_not_here_is_told(tiny_checkpoint: Path) -> None:
    assert Describer.open(tiny_checkpoint, device="cpu").device == "cpu"
    with pytest.raises(OptionError, match="there is no device 'gpu'; name one of auto, cpu"):
        Describer.open(tiny_checkpoint, device="gpu")


def test_a_describer_sent_to_another_process_is_opened_there_anew(
    describer: Describer, tiny_checkpoint: Path
) -> None:
    copy = pickle.loads(pickle.dumps(describer))
    assert (copy.hash, copy.device) == (describer.hash, describer.device)
    image = np.full((40, 60, 3), 90, np.uint8)
    assert np.array_equal(copy.vector(image), describer.vector(image))
    with pytest.raises(TypeError, match="use open"):
        pickle.dumps(Describer(load_checkpoint(tiny_checkpoint)))


@pytest.mark.skipif(sys.platform == "win32", reason="slow to begin processes")
def test_photos_described_by_processes_are_those_described_by_one(
    describer: Describer, folder: Path
) -> None:
    paths = [folder / "0.png", folder / "missing.png", folder / "1.png"]

    alone = list(describer.describe_files(paths, local=True))
    together = list(describer.describe_files(paths, local=True, workers=2))

    assert [path for path, _ in together] == paths
    assert str(together[1][1]) == str(alone[1][1])
    for (_, one), (_, other) in zip(alone[::2], together[::2], strict=True):
        assert isinstance(one, Described)
        assert isinstance(other, Described)
        assert other.features.vector == pytest.approx(one.features.vector, abs=1e-5)
        assert other.photo.content == one.photo.content
