"""Shorter vectors: the directions that photos show, what these lose, and the file they are in."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow

from hafloc.describe import Describer, shorten
from hafloc.describe.projection import loss_of, principal_directions
from hafloc.errors import CheckpointError, IndexFileError, OptionError
from hafloc.index import build_index, open_index
from hafloc.locate import Localizer
from hafloc.progress import Silent

# Each channel's mean over a 4×4 grid: vectors of 48 numbers.
HUBCONF = """
import torch
def means():
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten())
"""


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def write_photos(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    rows = ["image,lat,lon"]
    for place in range(count):
        colours = np.random.default_rng(place).integers(0, 256, (4, 4, 3)).astype(np.uint8)
        Pillow.fromarray(colours).resize((64, 48), Pillow.Resampling.NEAREST).save(
            folder / f"{place:02}.png"
        )
        rows.append(f"{place:02}.png,{52 + place / 100},0.1")
    (folder / "positions.csv").write_text("\n".join(rows))
    return sorted(folder.glob("*.png"))


def write_network(folder: Path) -> str:
    folder.mkdir()
    (folder / "hubconf.py").write_text(HUBCONF)
    return f"hub:{folder}"


@pytest.mark.parametrize("shape", [(60, 20), (30, 200)])
def test_directions_are_those_of_the_largest_singular_values(shape: tuple[int, int]) -> None:
    rows = unit(np.random.default_rng(0).standard_normal(shape) ** 3)
    found = principal_directions(rows, 7)
    expected = np.linalg.svd(rows.astype(float), full_matrices=False)[2][:7]
    assert found @ found.T == pytest.approx(np.eye(7), abs=1e-4)
    # Up to their sign.
    assert np.abs(np.sum(found * expected, axis=1)) == pytest.approx(1, abs=1e-4)


def test_what_lies_in_few_directions_is_shortened_without_loss() -> None:
    random = np.random.default_rng(0)
    rows = unit(random.standard_normal((400, 6)) @ random.standard_normal((6, 100)))
    loss = loss_of(rows, 6)
    assert (loss.first, loss.ten, loss.queries) == (1.0, 1.0, 100)
    assert loss.length == pytest.approx(1, abs=1e-4)
    worse = loss_of(rows, 2)
    assert worse.first < 0.9
    assert worse.length < 0.9
    assert "vectors of 2 in place of 100 numbers" in worse.in_words()


@pytest.mark.parametrize(
    ("dimension", "said"),
    [(20, "give from 2 to 19"), (1, "give from 2 to 19"), (15, "give at most 10")],
)
def test_more_directions_than_there_are_is_refused(dimension: int, said: str) -> None:
    rows = unit(np.random.default_rng(0).standard_normal((10, 20)))
    with pytest.raises(OptionError, match=said):
        principal_directions(rows, dimension)


def test_photos_that_all_look_alike_show_fewer_directions() -> None:
    with pytest.raises(OptionError, match="show fewer directions"):
        principal_directions(unit(np.ones((10, 20))), 5)


def test_an_index_of_shorter_vectors_finds_its_file_and_network_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    paths = write_photos(home / "photos", 24)
    whole = Describer.open(write_network(home / "net"), trust=True)
    file = home / "city.pca.safetensors"
    short, loss = shorten(whole, paths, 12, file, progress=Silent(), trust=True)
    assert (short.dimension, loss.dimension, loss.full) == (12, 12, 48)
    assert short.hash != whole.hash
    image = np.asarray(Pillow.open(paths[3]))
    full = torch.from_numpy(whole.vector(image))
    directions = principal_directions(
        np.stack([whole.vector(np.asarray(Pillow.open(path))) for path in paths]), 12
    )
    expected = directions @ full.numpy()
    assert short.vector(image) == pytest.approx(expected / np.linalg.norm(expected), abs=2e-3)
    assert short.describe(image).vector == pytest.approx(short.vector(image), abs=1e-6)
    build_index(home / "city.gpkg", short, home / "photos")
    home.rename(tmp_path / "moved")
    moved = tmp_path / "moved"
    with open_index(moved / "city.gpkg") as index:
        assert index.model.name == "pca:city.pca.safetensors"
        assert index.model.dimension == 12
    with Localizer.open(moved / "city.gpkg", trust=True) as localizer:
        answer = localizer.locate(moved / "photos" / "03.png")
        assert answer.candidates[0].path == "photos/03.png"
    with pytest.raises(IndexFileError):
        Localizer.open(moved / "city.gpkg", f"hub:{moved / 'net'}", trust=True)
    (moved / "net" / "hubconf.py").write_text(HUBCONF + "\n# another network\n")
    with pytest.raises(CheckpointError, match="was fitted to another network"):
        Localizer.open(moved / "city.gpkg", trust=True)


def test_key_points_stay_as_they_were(tiny_checkpoint: Path, tmp_path: Path) -> None:
    paths = write_photos(tmp_path / "photos", 3)
    whole = Describer.open(tiny_checkpoint)
    file = tmp_path / "city.pca.safetensors"
    short, _ = shorten(whole, paths, 2, file, progress=Silent())
    image = np.asarray(Pillow.open(paths[0]))
    assert short.has_local_features == whole.has_local_features
    seen = short.features(image)
    assert seen.vector.shape == (2,)
    assert seen.regions is None or seen.regions.shape == (whole.regions, 2)
    local, expected = seen.local, whole.features(image).local
    assert (local is None) == (expected is None)
    if local is not None and expected is not None:
        assert np.array_equal(local.xy, expected.xy)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "city.pca.safetensors"
    for content in (b"", b"no directions"):
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"cannot read .*city\.pca\.safetensors"):
            Describer.open(f"pca:{file}")
    with pytest.raises(CheckpointError, match="cannot read"):
        Describer.open(f"pca:{tmp_path / 'none'}")
