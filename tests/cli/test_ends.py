"""How commands end: the status, the one line, and what signals, pipes and code pages do to them."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from small_index import MODEL, sample
from typer.testing import CliRunner

from hafloc.cli import app as application
from hafloc.cli.demo import _kept
from hafloc.cli.guard import explain, guarded
from hafloc.cli.output import plain, print_json, shown
from hafloc.cli.statuses import EVERY, PARTLY, epilog
from hafloc.cli.stopping import when_stopped
from hafloc.errors import HaflocError, Interrupted, OptionError, PhotoError
from hafloc.index import create_index

DOCS = Path(__file__).parents[2] / "docs" / "commands.md"
End = Callable[..., tuple[int, str, str]]


@pytest.fixture
def end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> End:
    """The status, output and errors of a command that raises what it is given."""

    def end(error: BaseException, *words: str) -> tuple[int, str, str]:
        def work(_: list[str]) -> int:
            raise error

        monkeypatch.setattr(sys, "argv", ["hafloc", *words])
        status = guarded(work)
        return (status, *capsys.readouterr())

    return end


def test_a_users_error_is_its_line_and_status_2(end: End) -> None:
    assert end(PhotoError("cannot read x.jpg: it is empty; remove it")) == (
        2,
        "",
        "hafloc: cannot read x.jpg: it is empty; remove it\n",
    )


def test_a_fault_is_one_line_with_its_place_and_where_to_report_it(end: End) -> None:
    status, out, err = end(KeyError("x"))
    assert (status, out) == (70, "")
    assert re.fullmatch(
        r"hafloc: something broke that should not: KeyError: 'x' \(\S+\.py:\d+\); report it .*; "
        r"--debug shows the trace\n",
        err,
    )


def test_the_place_of_a_fault_is_the_innermost_line_of_ours() -> None:
    # Given a fault that the library json meets on behalf of a line of ours
    with pytest.raises(TypeError) as fault:
        print_json(object())
    line, status = explain(fault.value)
    assert status == 70
    assert re.search(r"\(hafloc/cli/output\.py:\d+\)", line)


@pytest.mark.parametrize("words", [("--debug",), ("index", "--debug", "info")])
def test_debug_shows_the_trace_wherever_it_stands(end: End, words: tuple[str, ...]) -> None:
    _, _, err = end(KeyError("x"), *words)
    assert err.startswith("Traceback")
    assert err.splitlines()[-1].startswith("hafloc: something broke")


@pytest.mark.parametrize(("value", "traced"), [("1", True), ("0", False), ("", False)])
def test_the_environment_can_ask_for_the_trace(
    end: End, monkeypatch: pytest.MonkeyPatch, value: str, traced: bool
) -> None:
    monkeypatch.setenv("HAFLOC_DEBUG", value)
    assert ("Traceback" in end(KeyError("x"))[2]) is traced


def test_debug_after_two_dashes_is_a_photos_name(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr(sys, "argv", ["hafloc", "locate", "--", "--debug"])
    assert guarded(lambda words: heard.extend(words) or 0) == 0
    assert heard == ["locate", "--", "--debug"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "x", "/d/a.jpg"), "cannot read or write /d/a.jpg: no permission"),
        (OSError(28, "x", "/d/out"), "the disk is full; free some space"),
        (OSError(24, "x"), "too many files are open; allow more with `ulimit"),
        (OSError(36, "x", b"long"), "cannot read or write long: the name is too long"),
        (MemoryError(), "there is not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9"), "not enough memory"),
    ],
)
def test_what_the_system_refuses_is_said_in_natural_words(
    end: End, error: BaseException, words: str
) -> None:
    status, _, err = end(error)
    assert status == 2
    assert words in err
    assert len(err.splitlines()) == 1


def test_ctrl_c_says_what_is_kept(end: End) -> None:
    assert end(KeyboardInterrupt())[::2] == (130, "hafloc: interrupted\n")
    assert (
        end(Interrupted("3 photos are stored"))[2] == "hafloc: interrupted; 3 photos are stored\n"
    )


def test_help_tells_that_ctrl_c_ends_a_server_well() -> None:
    assert "130 interrupted before it serves (once it does, Ctrl-C ends it with 0)." in (
        epilog("serve")
    )


def test_a_demo_that_is_stopped_says_what_of_it_is_of_use(tmp_path: Path) -> None:
    folder = tmp_path / "my demo"
    folder.mkdir()
    assert _kept(folder) == f"remove {folder} and run it again"
    with create_index(folder / "city.gpkg", MODEL) as index:
        index.add(*sample(12))
    assert _kept(folder) == (
        f"12 photos are stored in {folder}/city.gpkg; `hafloc index build '{folder}/city.gpkg' "
        f"'{folder}/database'` completes it, or remove {folder} and run it again"
    )


def test_the_room_that_knows_better_is_heard_when_stopped() -> None:
    with pytest.raises(Interrupted, match="the command"), when_stopped("the command"):
        raise KeyboardInterrupt
    with pytest.raises(Interrupted, match="the room"), when_stopped("the command"):
        raise Interrupted("the room")
    with pytest.raises(OptionError), when_stopped("the command"):
        raise OptionError("no stop at all")


def test_an_interruption_is_no_error_that_is_swallowed() -> None:
    assert not issubclass(Interrupted, Exception)
    assert not issubclass(Interrupted, HaflocError)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "no such command 'nonsense'; `hafloc --help` shows how"),
        (["locate"], "missing argument 'INDEX'; `hafloc locate --help` shows how"),
        (["index", "info", "--bogus"], "`hafloc index info --help` shows how"),
        (["locate", "x.gpkg", ""], "an argument is empty"),
        (["index", "build", "-", "p"], "- is no file here"),
        (["locate", "x", "q", "--pairs"], "--pairs adds matches to what --json prints"),
        (["locate", "x", "q", "--json", "--geojson"], "name one"),
        (["locate", "x", "q", "--json", "--pairs", "--rerank", "0"], "--rerank 0 compares no"),
        (["locate", "x", "q", "--near", "48,16,-5"], "a radius of -5 m holds no place"),
        (["locate", "x", "q", "--map", "no/such/m.html"], "there is no folder no/such"),
        (["locate", "x", "q", "--map", "/"], "it is a folder; name a file in it"),
        (["calibrate", "x", "--positions", "p.csv"], "--positions tells where --queries were"),
        (["calibrate", "x", "--queries", "p", "--sample", "3"], "leave one out"),
        (["sweep", "p", "-o", "o", "--set", "a.b=1"], "--set changes a recipe, and there is none"),
        (["reproduce", "table1", "--data", "d", "-o", "o", "--photo", "p"], "--photo is for"),
        (["reproduce", "fig3", "--data", "d", "-o", "o", "--per-weight", "p"], "for table2, not"),
        (["reproduce", "table2", "--data", "d", "-o", "o", "--per-weight", "no"], "no such folder"),
        (["sweep", "p", "-o", "o", "--queries", "q"], "--queries is for models to be trained"),
        (["datasets", "prepare", "pitts30k", "p", "--copy"], "add --out FOLDER"),
        (
            ["show", "attention", "q.jpg", "-o", "o.png", "--device", "gpu"],
            "there is no device 'gpu'",
        ),
        (["show", "attention", "q.jpg", "-o", "o.png", "--device", "cuda:"], "no device 'cuda:'"),
    ],
)
def test_words_that_make_no_command_are_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["hafloc", *words])
    assert guarded(application.run) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1


def _commands() -> Iterator[tuple[str, object]]:
    def below(name: str, command: object) -> Iterator[tuple[str, object]]:
        for word, inner in getattr(command, "commands", {}).items():
            yield from below(f"{name} {word}".strip(), inner)
        if not hasattr(command, "commands"):
            yield name, command

    yield from below("", typer.main.get_command(application.app))


def test_the_documented_statuses_are_those_of_the_code() -> None:
    text = DOCS.read_text()
    every = dict(re.findall(r"^\| (\d+) \| (.*) \|$", text, re.M))
    assert every.pop("1") == "done, but see below"
    assert {int(n): words.replace("\\|", "|") for n, words in every.items()} == EVERY
    assert dict(re.findall(r"^\| `([a-z ]+)` \| (.*) \|$", text, re.M)) == PARTLY


def test_every_command_tells_its_statuses_and_prints_json() -> None:
    commands = dict(_commands())
    assert set(PARTLY) <= set(commands)
    for name, command in commands.items():
        assert getattr(command, "epilog", None) == epilog(name)
        options = {word for one in command.params for word in one.opts}  # type: ignore[attr-defined]
        # A server has its interface for programs.
        assert ("--json" in options) == (name != "serve"), name


def test_a_fault_ends_commands_of_the_application_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(*_: object) -> None:
        raise EOFError("from within")

    monkeypatch.setattr("hafloc.evaluate.check", breaks)
    monkeypatch.setattr(sys, "argv", ["hafloc", "datasets", "check", "holidays", "x"])
    assert guarded(application.run) == 70
    assert "EOFError: from within" in capsys.readouterr().err


# Names.


@given(st.text())
def test_whatever_a_name_holds_it_is_one_harmless_line(name: str) -> None:
    line = shown(name)
    assert len(line.splitlines()) <= 1
    assert line.isprintable() or not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in line)
    line.encode()  # no half of a broken character is left


def test_names_of_any_language_stay_as_they_are() -> None:
    name = "東京 [edited] 😀 می‌خواهم [/b] :smile:.jpg"
    assert shown(name) == name
    assert shown("a\nb\x1b[31m\udce9\u202egpj.exe") == r"a\nb\x1b[31m\udce9\u202egpj.exe"


def test_json_has_no_number_that_json_lacks() -> None:
    value = {"path": Path("a"), "nan": float("nan"), "rows": ((1, 2.5), {"x": None})}
    assert plain(value) == {"path": "a", "nan": None, "rows": [[1, 2.5], {"x": None}]}


# Processes.


def _program(body: str) -> list[str]:
    """The command line of a process that does `body` within the guard."""
    program = (
        "import sys, time\nfrom hafloc.cli.guard import guarded\nfrom hafloc.cli.output import *\n"
        f"def work(words):\n{body}\n    return 0\nsys.exit(guarded(work))\n"
    )
    return [sys.executable, "-c", program]


def _python(body: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        _program(body),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding=environment.get("PYTHONIOENCODING"),
        env={**os.environ, **environment},
        # What a shell starts in the background has Ctrl-C switched off, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


WAITS = "    print('up', flush=True)\n    time.sleep(60)"
WINDS_DOWN = (
    "    try:\n        print('up', flush=True); time.sleep(60)\n"
    "    finally:\n        print('down', flush=True); time.sleep(60)"
)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_with_a_word_and_their_status(number: int, status: int) -> None:
    with _python(WAITS) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (status, "hafloc: interrupted\n")


def test_a_second_ctrl_c_ends_at_once() -> None:
    with _python(WINDS_DOWN) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "down\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    with _python("    for n in range(100_000): say(n)") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(30) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_onto_a_full_disk_is_no_success() -> None:
    program = "import sys; from hafloc.cli import main; sys.argv[1:] = ['--version']; main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert "the disk is full" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("code", ["ascii", "cp1252", "cp437"])
def test_a_code_page_that_lacks_letters_gets_escapes(code: str) -> None:
    body = (
        "    say('東京.jpg'); print_json({'a': '東京'})\n"
        "    print_table(['photo'], [['東京 😀']], title='a × b')"
    )
    with _python(body, PYTHONIOENCODING=code) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[:2] == [r"\u6771\u4eac.jpg", r'{"a": "\u6771\u4eac"}']


def test_tables_are_whole_where_no_terminal_is_even_in_colour() -> None:
    path = "p/" + "very-long-folder-name/" * 12 + "[x] :smile: IMG.jpg"
    body = f"    print_table(['photo', 'm'], [[{path!r}, '1']], left=['photo'])"
    with _python(body, FORCE_COLOR="1", COLUMNS="40") as process:
        out, _ = process.communicate(timeout=30)
    assert f"{path}  1" in " ".join(out.split("\n")).replace("  ", " ").replace(" 1", "  1")


def test_warnings_of_libraries_stay_away_and_ours_are_a_line() -> None:
    body = (
        "    import logging, warnings; warnings.warn('theirs'); logging.warning('theirs')\n"
        "    logging.getLogger('matplotlib').warning('theirs')\n"
        "    logging.getLogger('hafloc.x').warning('our\\nown')"
    )
    with _python(body) as process:
        _, err = process.communicate(timeout=30)
    assert err == "hafloc: warning: our\\nown\n"


def test_output_keeps_to_its_stream_while_a_bar_is_drawn_on_a_terminal() -> None:
    pty = pytest.importorskip("pty")
    body = (
        "    from hafloc.cli.progress import bar\n    with bar() as b:\n"
        "        b.start('a [/b] step', 2)\n        with b.aside(): print_json({'n': 1})\n"
        "        b.advance(2)"
    )
    leader, follower = pty.openpty()
    done = subprocess.run(
        _program(body),
        stdout=subprocess.PIPE,
        stderr=follower,
        text=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(follower)
    drawn = os.read(leader, 65536).decode()
    os.close(leader)
    assert done.stdout == '{"n": 1}\n'
    assert "a [/b] step" in drawn


def test_a_bare_json_option_means_standard_output() -> None:
    from hafloc.cli.evaluate import complete

    assert complete(["--json"], "--json", "-") == ["--json", "-"]
    assert complete(["--json", "--root", "r"], "--json", "-") == ["--json", "-", "--root", "r"]
    assert complete(["--json", "f", "--json", "-"], "--json", "-") == ["--json", "f", "--json", "-"]


def test_help_is_told_by_every_command() -> None:
    for name, _ in _commands():
        done = CliRunner().invoke(application.app, [*name.split(), "--help"])
        assert done.exit_code == 0
        assert "Exit status: 0 done;" in done.output


@pytest.mark.parametrize("home", [None, "/nonexistent-home", ""])
def test_without_a_home_the_cache_is_to_be_named(
    monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    from hafloc.errors import OutputError
    from hafloc.evaluate import cache_folder

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    if home:
        monkeypatch.setenv("HOME", home)
    else:
        monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(OutputError, match="--cache"):
        cache_folder()
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache_folder() == Path("/c/hafloc/vectors")
