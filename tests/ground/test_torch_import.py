"""Torch imported in part: the rest comes when something asks for it."""

import json
import subprocess
import sys

import pytest

ASKING = {
    "code of others": "load_the_rest()",
    "torch's compiler": "importlib.util.find_spec('torch._dynamo')",
    "one of its names": "torch._meta_registrations.aten",
}
# Importing torch is what takes long: once, and a fork for each way of asking.
PROCESS = f"""
import importlib.util, json, os, sys
from hafloc.torch_import import in_part, load_the_rest
with in_part():
    import torch

def shape_alone():
    a, b = torch.empty(3, 2, device="meta"), torch.empty(4, 2, device="meta")
    try:
        return list(torch.cdist(a, b).shape)
    except NotImplementedError:
        return None

for who, asking in {ASKING!r}.items():
    if os.fork() == 0:
        found = {{"computes": float(torch.cdist(torch.ones(1, 4), torch.zeros(1, 4)))}}
        found["before"] = shape_alone()
        for _ in range(2):
            exec(asking)
        found["after"] = shape_alone()
        found["waiting"] = [str(f) for f in sys.meta_path if "hafloc" in type(f).__module__]
        before = list(sys.meta_path)
        with in_part():
            found["once more"] = before == sys.meta_path
        print(json.dumps([who, found]), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, object]]:
    done = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("who", sorted(ASKING))
def test_shapes_of_operators_are_known_once_somebody_asks(
    who: str, found: dict[str, dict[str, object]]
) -> None:
    # Given torch in part, which computes as ever but knows no shapes without numbers
    assert found[who]["computes"] == pytest.approx(2, abs=1e-6)
    assert found[who]["before"] is None
    # When they are asked for, then it knows them, and nothing waits for imports any more
    assert found[who]["after"] == [3, 4]
    assert found[who]["waiting"] == []


@pytest.mark.parametrize("who", sorted(ASKING))
def test_torch_that_is_there_already_is_left_alone(
    who: str, found: dict[str, dict[str, object]]
) -> None:
    assert found[who]["once more"] is True
