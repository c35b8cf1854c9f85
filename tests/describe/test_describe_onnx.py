"""Networks of others: a small exported one describes, is indexed and located with, or refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image as Pillow

from hafloc.describe import Describer
from hafloc.errors import CheckpointError
from hafloc.index import build_index, open_index
from hafloc.locate import Localizer

SETTINGS = """
longer_side = 64
multiple_of = 8
mean = [0.5, 0.25, 0.0]
std = [0.5, 0.25, 1.0]
"""


def save_model(
    folder: Path, settings: str | None = SETTINGS, shape: tuple[int | str, ...] = (1, 3, "h", "w")
) -> str:
    """A network whose vector is each channel's mean over a 4×4 grid: `[1, 48]`."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, list(shape))
    vector = helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, "d"])
    size = helper.make_tensor("size", TensorProto.INT64, [4], [1, 3, 4, 4])
    nodes = [
        helper.make_node("Resize", ["image", "", "", "size"], ["grid"], mode="linear", antialias=1),
        helper.make_node("Flatten", ["grid"], ["vector"]),
    ]
    graph = helper.make_graph(nodes, "means", [image], [vector], [size])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = folder / "means.onnx"
    onnx.save(model, path)
    if settings is not None:
        path.with_suffix(".toml").write_text(settings)
    return f"onnx:{path}"


def picture(place: int, size: tuple[int, int] = (64, 48)) -> NDArray[np.uint8]:
    colours = np.random.default_rng(place).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return np.array(Pillow.fromarray(colours).resize(size, Pillow.Resampling.NEAREST))


def test_the_vector_sees_normalised_channels_in_their_order(tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), dtype=np.uint8)
    image[:, :] = (255, 0, 51)  # 1, 0 and 0.2; normalised 1, -1 and 0.2
    expected = np.repeat([1.0, -1.0, 0.2], 16)
    expected /= np.linalg.norm(expected)
    describer = Describer.open(save_model(tmp_path))
    assert describer.dimension == 48
    assert describer.vector(image) == pytest.approx(expected, abs=1e-5)
    described = describer.describe(image)
    assert described.vector == pytest.approx(expected, abs=1e-5)
    assert described.fused_score.shape == (24, 32)
    assert len(described.key_points) == 0
    swapped = Describer.open(save_model(tmp_path, SETTINGS + 'channels = "BGR"\n'))
    assert swapped.vector(image[:, :, ::-1]) == pytest.approx(expected, abs=1e-5)


def test_a_network_of_one_size_gets_that_size(tmp_path: Path) -> None:
    settings = "size = [40, 32]\nmean = [0, 0, 0]\nstd = [1, 1, 1]\n"
    describer = Describer.open(save_model(tmp_path, settings, (1, 3, 40, 32)))
    assert describer.longer_side == 80
    assert describer.vector(picture(1)).shape == (48,)


def test_photos_larger_than_the_network_sees_are_reduced_first(tmp_path: Path) -> None:
    describer = Describer.open(save_model(tmp_path))
    large = describer.vector(picture(1, (640, 480)))
    assert large @ describer.vector(picture(1)) > 0.99


def test_sides_are_brought_to_multiples(tmp_path: Path) -> None:
    model = save_model(tmp_path, SETTINGS, (1, 3, 48, 64))
    # 50×61 goes in as 48×64; the model takes nothing else.
    with pytest.raises(CheckpointError, match=r"means\.onnx cannot describe an image of"):
        Describer.open(model)
    free = Describer.open(save_model(tmp_path))
    assert free.vector(picture(1, (61, 50))).shape == (48,)


def build_city(folder: Path, model: str) -> Path:
    """An index of three places in `folder`, and a query of the last."""
    rows = ["image,lat,lon"]
    (folder / "photos").mkdir(parents=True)
    for place in range(3):
        Pillow.fromarray(picture(place)).save(folder / "photos" / f"{place}.png")
        rows.append(f"{place}.png,{52 + place / 100},0.1")
    (folder / "photos" / "positions.csv").write_text("\n".join(rows))
    Pillow.fromarray(picture(2, (60, 44))).save(folder / "query.png")
    build_index(folder / "city.gpkg", Describer.open(model), folder / "photos")
    return folder / "city.gpkg"


def locate(index: Path) -> float:
    with Localizer.open(index) as city:
        return city.locate(index.parent / "query.png").position.lat


def recorded_name(index: Path) -> str:
    with open_index(index) as opened:
        return opened.info().model.name


def test_such_a_network_indexes_and_locates(tmp_path: Path) -> None:
    index = build_city(tmp_path / "town", save_model(tmp_path))
    assert locate(index) == pytest.approx(52.02)


def test_an_index_moved_with_its_model_still_finds_it(tmp_path: Path) -> None:
    (tmp_path / "a" / "models").mkdir(parents=True)
    index = build_city(tmp_path / "a" / "town", save_model(tmp_path / "a" / "models"))
    assert recorded_name(index) == "onnx:../models/means.onnx"
    (tmp_path / "a").rename(tmp_path / "b")
    assert locate(tmp_path / "b" / "town" / "city.gpkg") == pytest.approx(52.02)


def test_no_name_gives_away_where_a_model_lies(tmp_path: Path) -> None:
    model = save_model(tmp_path)
    assert Describer.open(model).name == "onnx:means.onnx"
    assert Describer.open(model).name_from(Path("/elsewhere")) == "onnx:means.onnx"


def test_a_model_is_found_beside_the_index_or_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    index = build_city(tmp_path / "town", save_model(tmp_path / "models"))
    for suffix in (".onnx", ".toml"):
        (tmp_path / "models" / f"means{suffix}").rename(tmp_path / "town" / f"means{suffix}")
    assert locate(index) == pytest.approx(52.02)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for suffix in (".onnx", ".toml"):
        (tmp_path / "town" / f"means{suffix}").rename(f"means{suffix}")
    assert locate(index) == pytest.approx(52.02)
    Path("means.onnx").unlink()
    with pytest.raises(CheckpointError, match=r"is not at hand \(there is no means\.onnx at"):
        locate(index)


def test_settings_belong_to_the_identity_of_the_vectors(tmp_path: Path) -> None:
    first = Describer.open(save_model(tmp_path)).hash
    assert Describer.open(save_model(tmp_path)).hash == first
    assert Describer.open(save_model(tmp_path, SETTINGS.replace("64", "96"))).hash != first


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (None, r"means\.toml is missing; write size"),
        ("size = [", r"cannot read .*means\.toml"),
        ("mean = [0, 0]\nstd = [1, 1, 1]", r"mean is \[0, 0\], not a list of 3 numbers"),
        ("mean = [0, 0, 0]", "std is None"),
        ("mean = [0, 0, 0]\nstd = [1, 0, 1]", "must be above 0"),
        ("mean = [0, 0, 0]\nstd = [1, 1, 1]\nsize = [0, 9]", "not in whole pixels"),
        ("mean = [0, 0, 0]\nstd = [1, 1, 1]\nlonger_side = 1.5", "longer_side is 1.5"),
        ('mean = [0, 0, 0]\nstd = [1, 1, 1]\nchannels = "HSV"', "channels is 'HSV'"),
        ("mean = [0, 0, 0]\nstd = [1, 1, 1]\nscale = 2", "unknown key scale"),
    ],
)
def test_settings_that_are_missing_or_wrong_are_named(
    tmp_path: Path, settings: str | None, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        Describer.open(save_model(tmp_path, settings))


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    model = save_model(tmp_path)
    (tmp_path / "means.onnx").write_bytes(b"no model")
    with pytest.raises(CheckpointError, match=r"means\.onnx is not an ONNX model"):
        Describer.open(model)
    (tmp_path / "means.onnx").unlink()
    with pytest.raises(CheckpointError, match=r"cannot read .*means\.onnx"):
        Describer.open(model)
