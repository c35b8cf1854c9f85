"""Loading without collections of garbage leaves the collector as it was."""

import gc
import subprocess
import sys

import torch

from hafloc.cli.quick_start import loading


def printed(code: str) -> str:
    code = "import gc\nfrom hafloc.cli.quick_start import loading\n" + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_nothing_is_collected_while_libraries_load_and_what_came_is_spared_later() -> None:
    code = """
with loading():
    print(gc.isenabled())
print(gc.isenabled(), gc.get_freeze_count() > 0)
"""
    assert printed(code) == "False\nTrue True"


def test_a_failure_to_load_leaves_the_collector_on() -> None:
    code = """
import sys
before = list(sys.meta_path)
try:
    with loading():
        raise ImportError
except ImportError:
    print(gc.isenabled(), before == sys.meta_path)
"""
    assert printed(code) == "True True"


def test_a_collector_that_is_off_stays_off() -> None:
    assert printed("gc.disable()\nwith loading():\n    pass\nprint(gc.isenabled())") == "False"


def test_where_torch_is_loaded_nothing_changes() -> None:
    assert torch is sys.modules["torch"]
    before = gc.get_freeze_count()
    with loading():
        assert gc.isenabled()
    assert gc.get_freeze_count() == before
