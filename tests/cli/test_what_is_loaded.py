"""Which libraries a command loads before it needs them: by their names, in a fresh process."""

import subprocess
import sys
from pathlib import Path

ANSWERING = {"torch", "cv2", "pyproj", "numpy", "PIL", "safetensors"}
DRAWING = {"matplotlib", "rich", "markdown_it", "pygments"}
RARE = {"scipy", "faiss", "onnx", "onnxruntime", "openvino", "sklearn", "pandas"}
OTHERS = ANSWERING | DRAWING | RARE | {"pydantic"}


def loaded(code: str, *words: str) -> set[str]:
    """The libraries that a fresh process has loaded after `code`."""
    told = "\nimport sys; print('LOADED', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code + told, *words], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


def running(*commands: str) -> str:
    """Code that runs the command lines one after another in one process."""
    return f"""
import sys
from hafloc.cli import main
for words in {[command.split() for command in commands]!r}:
    sys.argv = ["hafloc", *words]
    try:
        main()
    except SystemExit:
        pass
"""


def test_help_and_version_load_no_library_at_all() -> None:
    assert not loaded(running("--help", "--version")) & {"typer", "click", *OTHERS}


def test_the_help_of_commands_loads_nothing_but_typer() -> None:
    found = loaded(running("locate -h", "index -h", "index build -h", "evaluate -h", "train -h"))
    assert not found & OTHERS
    assert "typer" in found


def test_hafloc_itself_loads_nothing() -> None:
    assert not loaded("import hafloc, hafloc.cli") & {"typer", "click", *OTHERS}


def test_the_rooms_that_a_server_imports_load_no_network_and_nothing_that_draws() -> None:
    found = loaded("import hafloc.index, hafloc.locate")
    assert not found & (DRAWING | RARE | {"torch", "typer", "pydantic"})


def test_locate_loads_the_network_only_when_the_index_is_there(tmp_path: Path) -> None:
    # Given an index that is missing
    found = loaded(running(f"locate {tmp_path}/gone.gpkg {tmp_path}/query.jpg"))
    # Then that is said without torch
    assert not found & (DRAWING | RARE | {"torch"})
