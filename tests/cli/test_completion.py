"""Tab completes commands and options in every shell, and soon."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

import pytest

from hafloc.cli.commands import COMMANDS

MAIN = "from hafloc.cli import main; main()"


def hafloc(environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.argv = ['hafloc', *sys.argv[1:]]; {MAIN}"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def completed(line: str) -> list[str]:
    """What bash would offer at the end of a line."""
    words = line.split()
    at = len(words) if line.endswith(" ") else len(words) - 1
    done = hafloc({"_HAFLOC_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(at)})
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("shell", "mark"),
    [
        ("bash", "complete -o default -F _hafloc_completion hafloc"),
        ("zsh", "compdef _hafloc_completion hafloc"),
        ("fish", "complete --command hafloc"),
        ("powershell", "Register-ArgumentCompleter"),
        ("pwsh", "Register-ArgumentCompleter"),
    ],
)
def test_the_script_of_every_shell_is_printed(shell: str, mark: str) -> None:
    done = hafloc({"_HAFLOC_COMPLETE": f"source_{shell}"})
    assert (done.returncode, done.stderr) == (0, "")
    assert mark in done.stdout


def test_commands_options_and_parts_of_words_are_offered() -> None:
    assert completed("hafloc ") == list(COMMANDS)
    assert completed("hafloc cal") == ["calibrate"]
    assert completed("hafloc index bu") == ["build"]
    assert "--workers" in completed("hafloc index build --wo")


def test_the_first_word_is_completed_without_loading_the_commands() -> None:
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print([x for x in sys.modules if x in "
        "('torch', 'numpy', 'rich', 'hafloc.cli.locate', 'hafloc.cli.index')], file=sys.stderr))\n"
        f"sys.argv = ['hafloc']; {MAIN}"
    )
    there = {"_HAFLOC_COMPLETE": "complete_bash", "COMP_WORDS": "hafloc ", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **there}
    )
    assert done.stdout.split() == list(COMMANDS)
    assert done.stderr.strip() == "[]"


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_shell_is_told_by_itself() -> None:
    # `; true` keeps bash from stepping aside for what it runs.
    script = f"{sys.executable} -c \"import sys; sys.argv[0] = 'hafloc'; {MAIN}\" --show-completion"
    done = subprocess.run(["bash", "-c", f"{script}; true"], capture_output=True, text=True)
    assert "_hafloc_completion" in done.stdout


def test_a_shell_that_cannot_be_told_is_told() -> None:
    code = (
        "import sys, shellingham\n"
        "def none(): raise shellingham.ShellDetectionFailure\n"
        "shellingham.detect_shell = none\n"
        f"sys.argv = ['hafloc', '--show-completion']; {MAIN}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    # typer's own word goes before it.
    assert done.stderr.splitlines()[-1].startswith(
        "hafloc: the shell that runs this cannot be told"
    )
