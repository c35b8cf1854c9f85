"""A network written as ONNX: it says what it is, does as torch does, and comes back as a model."""

import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hafloc.describe import Describer, export_onnx
from hafloc.errors import CheckpointError, MissingExtraError, OptionError, OutputError
from hafloc.nn import NetVLAD, NetVLADOptions, load_checkpoint, save_checkpoint

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

home: Any = sys.modules["hafloc.describe.export_onnx"]


def a_photo(height: int = 60, width: int = 80) -> Any:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_file_is_a_model_again_with_the_same_vectors(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    made = export_onnx(load_checkpoint(tiny_checkpoint), tmp_path / "tiny.onnx")
    assert made.options == tmp_path / "tiny.toml"
    assert made.largest_difference < 1e-5

    theirs = Describer.open(f"onnx:{made.file}")
    ours = Describer.open(tiny_checkpoint)
    assert theirs.longer_side == ours.longer_side == 160
    a, b = (x.describe(x.fit(a_photo(150, 200))).vector for x in (theirs, ours))
    assert len(a) == made.dimension
    assert float(a @ b) > 1 - 1e-6


def test_the_file_says_what_it_is(tmp_path: Path, tiny_checkpoint: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    export_onnx(checkpoint, tmp_path / "tiny.onnx")
    model = onnx.load(tmp_path / "tiny.onnx")
    facts = {each.key: each.value for each in model.metadata_props}
    assert facts["checkpoint_hash"] == checkpoint.hash
    assert "red, green, blue" in facts["input"]
    assert "0 to 255" in facts["input"]
    assert facts["size"] == (
        "any sides from 32 px; reduce larger photos to a longer side of 160 px"
    )
    assert "CC BY 4.0" in facts["licence"]
    onnx.checker.check_model(model, full_check=True)
    sides = model.graph.input[0].type.tensor_type.shape.dim
    assert [x.dim_value or x.dim_param for x in sides] == ["batch", 3, "height", "width"]


def test_values_go_in_from_0_to_255(tmp_path: Path, tiny_checkpoint: Path) -> None:
    export_onnx(load_checkpoint(tiny_checkpoint), tmp_path / "tiny.onnx")
    options = tomllib.loads((tmp_path / "tiny.toml").read_text("utf-8"))
    white = (1 - np.array(options["mean"])) / np.array(options["std"])
    np.testing.assert_allclose(white, 255)


@pytest.mark.parametrize(("part", "dimension"), [("low", 12), ("mid", 16), ("high", 8)])
def test_a_level_alone_is_a_model_too(
    part: str, dimension: int, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    made = export_onnx(load_checkpoint(tiny_checkpoint), tmp_path / "level.onnx", part)
    assert made.dimension == dimension


def test_the_trunk_alone_is_no_model_and_gets_no_options(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    made = export_onnx(load_checkpoint(tiny_checkpoint), tmp_path / "trunk.onnx", "trunk")
    assert made.options is None
    assert [path.name for path in tmp_path.iterdir()] == ["trunk.onnx"]


def test_a_trained_checkpoint_of_another_network_is_taken(tmp_path: Path) -> None:
    net = NetVLAD(NetVLADOptions(clusters=2, size=8)).eval()
    net.vlad.initialise(torch.randn(40, 512), torch.Generator().manual_seed(0))
    save_checkpoint(tmp_path / "own.safetensors", net, name="own", provenance={})
    made = export_onnx(load_checkpoint(tmp_path / "own.safetensors"), tmp_path / "own.onnx")
    assert made.dimension == 8


def test_a_graph_that_differs_from_torch_is_not_written(
    tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a runtime that gives the high level's vectors rounded
    network = load_checkpoint(tiny_checkpoint)
    whole = home._by_torch

    def coarse(*given: Any) -> list[Any]:
        return [np.round(x, 2) for x in whole(*given)]

    monkeypatch.setattr(home, "_by_torch", coarse)
    with pytest.raises(CheckpointError, match=r"off what torch gives.*nothing was written"):
        export_onnx(network, tmp_path / "tiny.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_told_before_anything_is_written(
    package: str, tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install hafloc\[onnx\]"):
        export_onnx(load_checkpoint(tiny_checkpoint), tmp_path / "tiny.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_told(tmp_path: Path, tiny_checkpoint: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    with pytest.raises(OptionError, match=r"does not end in \.onnx"):
        export_onnx(checkpoint, tmp_path / "tiny.pt")
    with pytest.raises(OptionError, match="haf has no part top; it has vector, low, mid, high"):
        export_onnx(checkpoint, tmp_path / "tiny.onnx", "top")
    # A TOML of somebody else is not written over
    (tmp_path / "tiny.toml").write_text("a = 1")
    with pytest.raises(OutputError, match="exists already"):
        export_onnx(checkpoint, tmp_path / "tiny.onnx")
    assert (tmp_path / "tiny.toml").read_text() == "a = 1"
