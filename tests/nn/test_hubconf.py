"""torch.hub finds the networks in the repository."""

import inspect
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from hafloc.errors import CheckpointError, OptionError
from hafloc.nn import NETWORKS

ROOT = Path(__file__).parents[2]


def load(entry: str, **options: Any) -> Any:
    return torch.hub.load(str(ROOT), entry, source="local", **options)


def test_there_is_an_entry_for_every_network() -> None:
    there = runpy.run_path(str(ROOT / "hubconf.py"))
    entries = {name for name, x in there.items() if inspect.isfunction(x) and name[0] != "_"}
    assert entries == {*NETWORKS, "checkpoint"}
    assert all(there[name].__doc__ for name in entries)


def test_the_shipped_network_comes_with_its_weights() -> None:
    network = load("haf")
    image = torch.rand(1, 3, 48, 64) * 255
    vector = network(image)
    assert vector.shape == (1, 1152)
    assert float(vector.norm()) == pytest.approx(1)
    assert len(network.describe(image)[0].levels) == 3


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"haf"}))
def test_networks_without_a_checkpoint_come_untrained_with_options(name: str) -> None:
    network = load(name, size=16)
    assert network(torch.rand(2, 3, 40, 40) * 255).shape == (2, 16)
    assert not network.training
    with pytest.raises(CheckpointError, match=f"no checkpoint of {name} comes with hafloc"):
        load(name, pretrained=True)


def test_a_checkpoint_of_ones_own_is_loaded(tiny_checkpoint: Path) -> None:
    assert load("checkpoint", file=str(tiny_checkpoint)).dimension == 36


def test_options_beside_weights_are_told() -> None:
    with pytest.raises(OptionError, match="leave out longer_side"):
        load("haf", longer_side=320)


def test_it_works_where_hafloc_is_not_installed() -> None:
    # Given a Python that sees the packages but no hafloc
    code = (
        "import sys, torch\n"
        f"sys.path = [x for x in sys.path if x != {str(ROOT / 'src')!r}]\n"
        "class None_:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == 'hafloc' and {str(ROOT / 'src')!r} not in sys.path:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, None_())\n"
        f"net = torch.hub.load({str(ROOT)!r}, 'superpoint', source='local', size=8)\n"
        "print(net.dimension)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "8", done.stderr
