"""Every command that README and docs/ show exists as it is written, and does what it says.

All of them are parsed; all but those that `shown.toml` exempts are run as well, a page in a folder
of its own, in the order in which a reader runs them, on a little rendered town.
"""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import typer
from shown_commands import LANGUAGES, ROOT, SHELL, Shown, commands, fences, inline, pages
from street_server import Street, serving

from hafloc import nn
from hafloc.cli import main
from hafloc.cli.app import app
from hafloc.demo import render_city
from hafloc.nn.checkpoint import find

TABLE: dict[str, list[dict[str, Any]]] = tomllib.loads(
    (Path(__file__).parent / "shown.toml").read_text("utf-8")
)
# What a page makes itself.
NEW = {"docs/index.md": ["demo-city"]}
LEFT_OUT = re.compile(r"…|\.\.\.")
SERVER = "hafloc serve"
# The usual one, which may be taken here.
PORT = 8000
# In the table: the address of a server of street-level photos on this machine.
STREET = "@street@"


def entries(kind: str, page: str) -> list[dict[str, Any]]:
    return [entry for entry in TABLE.get(kind, ()) if entry["page"] in ("*", page)]


def is_exempt(shown: Shown) -> bool:
    text = "python" if shown.language == "python" else shown.text
    return any(text.startswith(entry["command"]) for entry in entries("exempt", shown.page))


def as_run(shown: Shown) -> str:
    text = shown.text
    for entry in entries("instead", shown.page):
        text = text.replace(entry["shown"], entry["run"])
    return text


ALL = [shown for page in pages() for shown in commands(page)]
# With a setting before it at most; alone it prints its help, or what completes it.
HAFLOC = [x for x in ALL if x.language == "sh" and re.match(r"(\w+=\S+ )?hafloc [^>]", x.text)]
INLINE = [shown for page in pages() for shown in inline(page)]
RUN = [page for page in pages() if not all(map(is_exempt, commands(page)))]


def where(shown: Shown) -> str:
    return f"{shown.page}:{shown.line}"


# What is written exists


@pytest.mark.parametrize("page", pages())
def test_every_fence_says_what_it_holds(page: str) -> None:
    for fence in fences(page):
        assert fence.language in LANGUAGES, f"{page}:{fence.line}"
        if fence.language not in ("sh", "console"):
            hidden = re.search(r"^(\$ )?(hafloc|pip|make|curl|docker) ", fence.text, re.MULTILINE)
            assert hidden is None, f"{page}:{fence.line} shows a command; call the fence sh"


def the_command(words: list[str]) -> tuple[Any, Any, list[str]]:
    """A command with its context's parent and its own words, as `hafloc` finds it."""
    command: Any = typer.main.get_command(app)
    context, name = None, "hafloc"
    while hasattr(command, "commands"):
        context = command.context_class(command, info_name=name, parent=context)
        if not words or words[0].startswith("-"):
            return command, context, words
        assert words[0] in command.commands, f"{context.command_path} has no {words[0]}"
        name, *words = words
        command = command.commands[name]
    return command, context, words


def options_of(command: Any, context: Any) -> set[str]:
    return {option for x in command.get_params(context) for option in (*x.opts, *x.secondary_opts)}


@pytest.mark.parametrize("shown", HAFLOC, ids=where)
def test_a_shown_command_is_accepted_as_it_is_written(shown: Shown) -> None:
    words = shlex.split(re.split(r" [|>&]", shown.text)[0], comments=True)
    command, parent, left = the_command(words[words.index("hafloc") + 1 :])
    if hasattr(command, "commands"):
        assert left
        assert set(left) <= options_of(command, parent)
        return
    # typer's own check of all words, without running what they name.
    command.make_context(words[-1], left, parent=parent)


@pytest.mark.parametrize("shown", INLINE, ids=where)
def test_a_command_in_running_text_names_what_there_is(shown: Shown) -> None:
    words = [word for word in shown.text.split()[1:] if not LEFT_OUT.fullmatch(word)]
    for way in _ways(words):
        command, context, left = the_command(way)
        known = options_of(command, context)
        left = left[: left.index("--")] if "--" in left else left
        named = {word.partition("=")[0] for word in left if re.match(r"--?[a-zA-Z]", word)}
        assert named <= known, f"{shown}: {sorted(named - known)}"


def _ways(words: list[str]) -> Iterator[list[str]]:
    """`build / add / remove` and `panoramax/…` stand for each of them."""
    if "/" in words:
        at = words.index("/") - 1
        for choice in [word for word in words[at:] if word != "/"]:
            yield [*words[:at], choice]
    else:
        yield words


def test_every_entry_of_the_table_meets_something() -> None:
    for kind, rows in TABLE.items():
        for row in rows:
            assert row["reason"], row
            meant = [x for x in ALL if row["page"] in ("*", x.page)]
            if kind == "ends":
                meant = [x for x in meant if x.text == row["command"]]
            if kind == "exempt":
                word = row["command"]
                meant = [x for x in meant if x.text.startswith(word) or x.language == word]
            if kind == "instead":
                meant = [x for x in meant if row["shown"] in x.text]
            assert meant, f"{kind} meets nothing: {row}"


# What is written works


NETWORKS = [
    # Quick: a network of random weights in place of the shipped one, which it is to the commands.
    pytest.param("tiny", id="tiny network"),
    pytest.param("shipped", id="shipped network", marks=pytest.mark.slow),
]


@dataclass(frozen=True)
class Town:
    """A folder, and the checkpoint that is `haf` there."""

    folder: Path
    checkpoint: str

    def enter(self, patch: pytest.MonkeyPatch) -> None:
        """Put its network in place of the shipped one, until the patch ends."""
        patch.setitem(nn.NETWORKS, "haf", replace(nn.NETWORKS["haf"], checkpoint=self.checkpoint))


@pytest.fixture(scope="session", params=NETWORKS)
def town(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path
) -> Town:
    """What the pages take for granted: photos, an index of them, and photos to be located."""
    checkpoint = nn.NETWORKS["haf"].checkpoint
    if request.param == "tiny":
        tiny = nn.load_checkpoint(tiny_checkpoint).network
        checkpoint = str(tmp_path_factory.mktemp("network") / "haf.safetensors")
        nn.save_checkpoint(Path(checkpoint), tiny, name="haf", provenance={})
    made = Town(tmp_path_factory.mktemp("town"), checkpoint)
    # Other tests of this process come between those of the session's pages.
    with pytest.MonkeyPatch.context() as patch:
        made.enter(patch)
        furnish(made.folder)
    return made


def furnish(folder: Path) -> None:
    render_city(folder / "demo-city", database=12, queries=3, size=(128, 96))
    shutil.copytree(folder / "demo-city" / "database", folder / "photos")
    shutil.copytree(folder / "demo-city" / "queries", folder / "queries")
    shutil.copytree(folder / "demo-city" / "database", folder / "city" / "database")
    shutil.copytree(folder / "demo-city" / "queries", folder / "city" / "queries")
    shutil.copyfile(folder / "demo-city" / "queries.csv", folder / "city/queries/positions.csv")
    shutil.copyfile(folder / "photos" / "view_0001.jpg", folder / "query.jpg")
    (folder / "configs").symlink_to(ROOT / "configs")
    in_folder(folder, lambda: hafloc("index", "build", "city.gpkg", "photos/", "--no-calibrate"))
    for copy in ("demo-city/city.gpkg", "graz.gpkg"):
        shutil.copyfile(folder / "city.gpkg", folder / copy)
    shutil.copyfile(find("haf"), folder / "other.safetensors")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def in_folder(folder: Path, work: Callable[[], object]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        work()


def hafloc(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["hafloc", *words])
        with pytest.raises(SystemExit) as end:
            main()
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] if entries("slow", page) else []) for page in RUN],
)
def test_the_commands_of_a_page_do_what_they_say(
    page: str, town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, port = tmp_path / "reader", str(free_port())
    shutil.copytree(town.folder, folder, symlinks=True)
    town.enter(monkeypatch)
    for name in NEW.get(page, ()):
        shutil.rmtree(folder / name)
    monkeypatch.chdir(folder)
    with ExitStack() as servers:
        for shown in commands(page):
            if is_exempt(shown):
                continue
            text = as_run(shown).replace(f"127.0.0.1:{PORT}", f"127.0.0.1:{port}")
            if text.startswith(SERVER):
                text = f"{text.partition('#')[0]} --port {port}"
            if STREET in text:
                text = text.replace(STREET, servers.enter_context(serving(Street(6, side=128))))
            ends = (x["status"] for x in entries("ends", page) if shown.text == x["command"])
            status = run(shown, text, folder, servers)
            assert status in next(ends, [0]), str(shown)


def run(shown: Shown, text: str, folder: Path, servers: ExitStack) -> int:
    """The exit status of a command or program in a folder."""
    if shown.language == "python":
        exec(compile(text, f"{shown.page}:{shown.line}", "exec"), {"__name__": "__main__"})
        return 0
    if text.startswith(SERVER):
        servers.enter_context(serve(text, folder))
        return 0
    words = shlex.split(text, comments=True)
    if words[0] == "hafloc" and words[-2] == ">":
        with Path(words[-1]).open("w", encoding="utf-8") as file, redirect_stdout(file):
            return hafloc(*words[1:-2])
    if words[0] == "hafloc" and not SHELL.search(re.sub(r"#.*|'[^']*'", "", text)):
        return hafloc(*words[1:])
    return subprocess.run(["bash", "-c", text], cwd=folder, env=environment(folder)).returncode


def environment(folder: Path) -> dict[str, str]:
    """Of a shell that finds `hafloc`, and this one."""
    tools = folder / ".bin"
    tools.mkdir(exist_ok=True)
    script = tools / "hafloc"
    script.write_text(f"#!{sys.executable}\nfrom hafloc.cli import main\nmain()\n", "utf-8")
    script.chmod(0o755)
    path = os.pathsep.join([str(tools), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src")}


@contextmanager
def serve(text: str, folder: Path) -> Iterator[None]:
    """`hafloc serve …` in a process of its own, from when it answers until the page's end."""
    words = shlex.split(text, comments=True)
    port = words[words.index("--port") + 1]
    # Of the network that made the town's index; a process of its own knows the shipped one alone.
    whole = f"exec {text} --model other.safetensors"
    server = subprocess.Popen(["bash", "-c", whole], cwd=folder, env=environment(folder))
    try:
        until = time.monotonic() + 60
        while server.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).close()
                break
            except OSError:
                assert time.monotonic() < until, f"{text} does not answer"
                time.sleep(0.1)
        assert server.poll() is None, f"{text} has ended"
        yield
    finally:
        server.terminate()
        server.wait(30)
