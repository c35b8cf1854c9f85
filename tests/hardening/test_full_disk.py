"""A disk that fills up in the middle, and one that may only be read: one line, and nothing lost."""

import hashlib
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from dated_photos import write_photo
from PIL import Image as Pillow
from static_server import Files, serving_files

from hafloc.cli import main
from hafloc.errors import IndexFileError, OutputError
from hafloc.geo import Position
from hafloc.index import open_index
from hafloc.nn import HAF, HAFOptions, save_checkpoint

resource = pytest.importorskip("resource")  # which Windows lacks

Told = Callable[..., tuple[int, str]]  # the exit status, and what is said on standard error


@pytest.fixture
def run(run: Run) -> Told:
    return lambda *words: run(*words)[::2]


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Every file of this process can take that many bytes and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def take_photos(folder: Path, first: int, count: int) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(first, first + count):
        path = write_photo(folder / f"{number}.jpg", position=Position(48 + number / 1_000, 16.37))
        with Pillow.open(path) as photo:
            exif = photo.info["exif"]
        noise = np.random.default_rng(number).integers(0, 255, (12, 16, 3), dtype=np.uint8)
        Pillow.fromarray(noise).resize((160, 120)).save(path, exif=exif, quality=90)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """A folder with photos and their index."""
    home = tmp_path_factory.mktemp("full")
    take_photos(home / "photos", 0, 5)
    words = ["hafloc", "index", "build", home / "city.gpkg", home / "photos"]
    words += ["--model", tiny_checkpoint]
    before, sys.argv = sys.argv, list(map(str, words))
    with pytest.raises(SystemExit):
        main()
    sys.argv = before
    return home


@pytest.fixture
def home(tmp_path: Path, made: Path) -> Path:
    shutil.copytree(made, tmp_path / "home")
    return tmp_path / "home"


def state(folder: Path) -> dict[str, str]:
    """The content of each file, of an index only that it is sound and who is in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".gpkg":
            with open_index(path) as index:
                assert index.verify() == []
                found[path.name] = str([(record.path, record.content) for record in index.photos()])
        elif path.is_file():
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def check(before: dict[str, str], home: Path, code: int, err: str) -> None:
    assert code in (1, 2), err
    assert "Traceback" not in err
    told = [line for line in err.splitlines() if line.startswith("hafloc: ")]
    assert len(told) == 1, err
    after = state(home)
    assert {name: after.get(name) for name in before} == before
    assert not [name for name in after if name.endswith(".part") or name.startswith(".")]


COMMANDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "build": (40_000, ("index", "build", "new.gpkg", "photos")),
    "build of more": (1_000, ("index", "build", "city.gpkg", "photos")),
    "export": (200, ("index", "export", "city.gpkg", "out.csv")),
    "export of a part": (30_000, ("index", "export", "city.gpkg", "part.gpkg")),
    "merge": (30_000, ("index", "merge", "all.gpkg", "city.gpkg")),
    "locate to a map": (500, ("locate", "city.gpkg", "photos/1.jpg", "--map", "map.html")),
    "locate to a table": (20, ("locate", "city.gpkg", "photos/1.jpg", "--csv", "out.csv")),
    "an export over another": (200, ("index", "export", "city.gpkg", "kept.csv")),
}  # fmt: skip


@pytest.mark.parametrize("what", COMMANDS)
def test_a_disk_that_fills_up_is_told_in_one_line_and_loses_nothing(
    home: Path, run: Told, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    size, words = COMMANDS[what]
    monkeypatch.chdir(home)
    (home / "kept.csv").write_text("what was there\n" * 50)
    if what == "build of more":
        take_photos(home / "photos", 10, 3)
    before = state(home)
    model = ("--model", tiny_checkpoint) if words[0] == "locate" or words[1] == "build" else ()
    with at_most(size):
        code, err = run(*words, *model)
    check(before, home, code, err)
    assert any(cure in err for cure in ("free", "space")), err
    # … and once there is space, it goes on.
    code, err = run(*words, *model)
    assert code in (0, 1), err


def test_a_download_onto_a_full_disk_keeps_nothing_half(
    home: Path, run: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    files = Files({"/city.gpkg": (home / "city.gpkg").read_bytes()})
    before = state(home)
    with serving_files(files) as address, at_most(30_000):
        code, err = run("index", "get", f"{address}/city.gpkg", "got.gpkg")
    check(before, home, code, err)


def test_a_calibration_that_cannot_be_written_leaves_the_index(home: Path) -> None:
    before = state(home)
    with open_index(home / "city.gpkg", write=True) as index:
        with (
            at_most(1_000),
            pytest.raises(IndexFileError, match=r"what was stored before is intact"),
        ):
            index.store_calibration("x" * 100_000)
        assert index.calibration() is None or "x" not in index.calibration()
    assert state(home) == before


def test_a_checkpoint_on_a_full_disk_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    network = HAF(HAFOptions(channels=(4, 4, 4), level_sizes=(4, 4, 4)))
    save_checkpoint(path, network, name="one", provenance={})
    before = path.read_bytes()
    with at_most(100_000), pytest.raises(OutputError, match=r"cannot write .*; free space"):
        save_checkpoint(path, network, name="two", provenance={})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
