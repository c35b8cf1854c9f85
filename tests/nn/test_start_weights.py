"""Start weights: shipped with the checkpoint, or from a file in any layout that people have."""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from nn_samples import image
from safetensors.torch import save_file

from hafloc.errors import CheckpointError
from hafloc.nn import VGG16, load_start_weights
from hafloc.nn.vgg import LAYERS

State = dict[str, torch.Tensor]
# Of the original weights in float16, BGR, layer by layer: weight, then bias.
ORIGINAL = "df80169abd450fcc3c1809371c6707f7a6e215d6761f70c3d5c36da74047e7bd"
# Where torchvision.models.vgg16().features has convolutions.
NUMBERS = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]


@pytest.fixture(scope="module")
def shipped() -> State:
    trunk = VGG16()
    load_start_weights(trunk)
    return {name: value.detach().clone() for name, value in trunk.state_dict().items()}


def turned(state: State) -> State:
    """RGB to BGR, or back."""
    return {**state, "conv1_1.weight": state["conv1_1.weight"].flip(1)}


def as_torchvision(state: State, prefix: str) -> State:
    return {
        f"{prefix}{number}.{part}": state[f"{name}.{part}"].contiguous()
        for number, name in zip(NUMBERS, LAYERS, strict=True)
        for part in ("weight", "bias")
    }


def loaded(path: Path) -> State:
    trunk = VGG16()
    load_start_weights(trunk, path)
    return trunk.state_dict()


def test_the_shipped_trunk_is_the_original_to_the_bit(shipped: State) -> None:
    digest = hashlib.sha256()
    for name in LAYERS:
        for part in ("weight", "bias"):
            digest.update(turned(shipped)[f"{name}.{part}"].half().contiguous().numpy().tobytes())
    assert digest.hexdigest() == ORIGINAL


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("original.safetensors", turned),
        ("features.pth", lambda state: as_torchvision(state, "features.")),
        ("features_bgr.pth", lambda state: as_torchvision(turned(state), "features.")),
        ("plain.safetensors", lambda state: as_torchvision(state, "")),
        (
            "whole_model.pth",
            lambda state: {
                **as_torchvision(state, "features."),
                "classifier.0.weight": torch.zeros(4, 4),
            },
        ),
        ("checkpoint.safetensors", lambda state: {f"trunk.{k}": v for k, v in state.items()}),
    ],
)
def test_every_layout_of_the_original_gives_the_same_trunk(
    shipped: State, tmp_path: Path, name: str, make: Callable[[State], State]
) -> None:
    tensors = {key: value.contiguous() for key, value in make(shipped).items()}
    path = tmp_path / name
    if path.suffix == ".pth":
        torch.save(tensors, path)
    else:
        save_file(tensors, path)
    found = loaded(path)
    assert all(torch.equal(found[key], shipped[key]) for key in shipped)


def test_torchvisions_own_weights_see_their_own_normalised_input(tmp_path: Path) -> None:
    # Given weights that were trained on (x / 255 - mean) / deviation, as torchvision documents
    torch.manual_seed(3)
    theirs = {name: value.detach() for name, value in VGG16().state_dict().items()}
    torch.save(as_torchvision(theirs, "features."), tmp_path / "vgg16-397923af.pth")
    photo = image(40, 48)[None].float()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    expected = F.conv2d(
        (photo / 255 - mean) / deviation, theirs["conv1_1.weight"], theirs["conv1_1.bias"]
    )
    # When the trunk runs on the same photo
    trunk = VGG16().requires_grad_(False)
    load_start_weights(trunk, tmp_path / "vgg16-397923af.pth")
    found = trunk.get_submodule("conv1_1")(trunk.centre(photo))[:, :, 1:-1, 1:-1]
    # Then its first layer responds as theirs
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this must not run",)


def test_what_holds_no_vgg16_is_refused_in_one_line(
    shipped: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = dict(list(turned(shipped).items())[:5])
    save_file(
        {key: value.contiguous() for key, value in part.items()}, tmp_path / "part.safetensors"
    )
    deeper = {key.replace("5_", "6_"): value.contiguous() for key, value in shipped.items()}
    save_file(deeper, tmp_path / "deeper.safetensors")
    with_normalisation = as_torchvision(shipped, "features.")
    with_normalisation["features.2.weight"] = torch.zeros(64)
    torch.save(with_normalisation, tmp_path / "vgg16_bn.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "malicious.pth").write_bytes(pickle.dumps(Malicious()))
    (tmp_path / "noise.pth").write_bytes(bytes(range(256)))
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "folder").mkdir()
    for path in [*tmp_path.iterdir(), tmp_path / "missing.pth"]:
        with pytest.raises(CheckpointError, match="cannot read start weights from") as caught:
            loaded(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert "must not run" not in capsys.readouterr().out
