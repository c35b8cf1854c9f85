"""The house: who may import whom by which way, and what loads when."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hafloc

SOURCE = Path(hafloc.__file__).parent
ROOMS = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
# Training works on the networks' insides; a command loads what it needs and no more.
KEYS = {("train", "nn"), *(("cli", room) for room in ROOMS)}


def passed_doors() -> list[str]:
    """Imports of a file inside another room, which should come by that room's door."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        room = path.relative_to(SOURCE).parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(
                "hafloc."
            ):
                continue
            _, other, *inside = (node.module or "").split(".")
            if other in ROOMS - {room} and inside and (room, other) not in KEYS:
                found.append(f"{path.relative_to(SOURCE)}:{node.lineno} imports {node.module}")
    return found


def test_rooms_are_entered_by_their_doors() -> None:
    assert passed_doors() == []


@pytest.mark.parametrize("name", ["hafloc", "hafloc.index", "hafloc.photos", "hafloc.cli"])
def test_what_is_read_first_loads_no_network_library(name: str) -> None:
    heavy = "{'torch', 'matplotlib', 'pymilvus'}"
    code = f"import sys, {name}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
