"""Indices on file systems that lack something, and two programs that make one at once."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from small_index import MODEL, sample

from hafloc.errors import IndexBusyError, IndexFileError
from hafloc.index import GeoPackageIndex, connection, create_index, open_index


@pytest.fixture(scope="module")
def no_shared_memory(tmp_path_factory: pytest.TempPathFactory) -> str:
    if sys.platform != "linux" or shutil.which("gcc") is None:
        pytest.skip("needs Linux and gcc")
    library = tmp_path_factory.mktemp("noshm") / "noshm.so"
    source = Path(__file__).with_name("noshm.c")
    build = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(build, check=True)
    return str(library)


def run(library: str, script: str, *arguments: object, **more: str) -> list[str]:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    environment = {**os.environ, "LD_PRELOAD": library, **more}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1] / "support",
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# One interpreter for all, since starting it is what takes the time.
ON_A_DRIVE = """
    import os, signal, sqlite3, sys, threading
    from pathlib import Path
    from small_index import MODEL, sample
    from hafloc.errors import IndexBusyError
    from hafloc.index import create_index, open_index

    folder = Path(sys.argv[1])
    with create_index(folder / "new.gpkg", MODEL) as index:
        index.add(*sample(3))
        print("made", index.count())
        try:
            open_index(folder / "new.gpkg")
        except IndexBusyError as error:
            print(error)
    print(sorted(path.name for path in folder.iterdir()))

    for name in ("old.gpkg", "wal.gpkg", "killed.gpkg"):
        with open_index(folder / name) as index, open_index(folder / name) as second:
            found = []
            thread = threading.Thread(target=lambda: found.append(index.count()))
            thread.start(), thread.join()
            print(name, index.count(), second.count(), *found, index.search(sample(1)[1], 1).ids)

    child = os.fork()
    if child == 0:
        index = open_index(folder / "old.gpkg", write=True)
        index.add(*sample(2, start=10))
        with index._connections.lent("test") as connection:
            connection.execute("PRAGMA cache_size=1")
            connection.execute("DELETE FROM descriptors")
            connection.execute("DELETE FROM photos")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    print("hot", (folder / "old.gpkg-journal").exists())
    with open_index(folder / "old.gpkg") as index:
        print("after a kill", index.count(), index.verify())
    with open_index(folder / "old.gpkg", write=True) as index:
        index.add(*sample(1, start=20))
    print(sorted(path.name for path in folder.iterdir()))
"""


def test_without_shared_memory_all_is_stored_and_read_all_the_same(
    no_shared_memory: str, tmp_path: Path
) -> None:
    folder = tmp_path / "drive"
    folder.mkdir()
    with create_index(folder / "old.gpkg", MODEL) as index:
        index.add(*sample(3))
    shutil.copy(folder / "old.gpkg", folder / "wal.gpkg")
    with open_index(folder / "wal.gpkg", write=True) as index:
        index.add(*sample(1, start=30))
        for end in ("", "-wal"):  # what a killed writer leaves
            shutil.copy(f"{folder / 'wal.gpkg'}{end}", f"{folder / 'killed.gpkg'}{end}")
    run_sql = __import__("sqlite3").connect(folder / "wal.gpkg")
    run_sql.execute("PRAGMA journal_mode=WAL")  # as QGIS leaves a file
    run_sql.close()

    said = run(no_shared_memory, ON_A_DRIVE, folder)

    assert said == [
        "made 3",
        f"cannot open {folder}/new.gpkg: another program is writing to it; wait for it to end",
        "['killed.gpkg', 'killed.gpkg-wal', 'new.gpkg', 'old.gpkg', 'wal.gpkg']",
        "old.gpkg 3 3 3 [[1]]",
        "wal.gpkg 4 4 4 [[1]]",
        "killed.gpkg 4 4 4 [[1]]",
        "hot True",
        "after a kill 5 []",
        "['killed.gpkg', 'new.gpkg', 'old.gpkg', 'wal.gpkg']",
    ]
    with open_index(folder / "old.gpkg") as index:
        assert index.count() == 6


def test_without_locks_the_drive_is_named_and_nothing_is_left_behind(
    no_shared_memory: str, tmp_path: Path
) -> None:
    script = """
        import sys
        from pathlib import Path
        from small_index import MODEL
        from hafloc.errors import IndexFileError
        from hafloc.index import create_index, open_index
        try:
            create_index(Path(sys.argv[1]) / "new.gpkg", MODEL)
        except IndexFileError as error:
            print(error)
    """
    (said,) = run(no_shared_memory, script, tmp_path, HAFLOC_NO_LOCKS="1")

    assert "the file system locks no files, as some network drives; copy it" in said
    assert names(tmp_path) == []


def test_of_two_that_make_one_index_the_second_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "city.gpkg"
    write = connection._write_schema
    quicker = []

    def overtaken(unfinished: Path, settings: dict[str, str]) -> None:
        write(unfinished, settings)
        if not quicker:
            quicker.append(path)
            first = create_index(path, MODEL)
            first.add(*sample(4))
            quicker.append(first)

    monkeypatch.setattr(connection, "_write_schema", overtaken)

    with pytest.raises(IndexBusyError, match="another program is writing to it"):
        create_index(path, MODEL)

    quicker[1].add(*sample(4, start=4))  # type: ignore[attr-defined]
    quicker[1].close()  # type: ignore[attr-defined]
    with open_index(path) as index:
        assert index.count() == 8
    assert names(tmp_path) == ["city.gpkg"]


def test_the_emptied_index_of_one_is_not_deleted_under_another(tmp_path: Path) -> None:
    path = tmp_path / "city.gpkg"
    first = create_index(path, MODEL)
    reader = open_index(path)
    assert not first.drop()
    with open_index(path, write=True) as second:
        second.add(*sample(2))
    assert reader.count() == 2
    reader.close()


def test_a_writer_that_waited_at_a_deleted_file_does_not_write_into_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "city.gpkg"
    create_index(path, MODEL).close()
    share = connection._share

    def late(opened: object) -> None:
        path.unlink()
        share(opened)  # type: ignore[arg-type]

    monkeypatch.setattr(connection, "_share", late)
    with pytest.raises(IndexFileError):
        open_index(path, write=True)


def test_an_index_that_cannot_be_opened_once_made_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> None:
        raise IndexFileError(f"cannot write to {path}: the disk refused")

    monkeypatch.setattr(connection, "open_writer", refused)
    with pytest.raises(IndexFileError, match="refused"):
        GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL)
    assert names(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few make links")
def test_an_index_may_be_a_link_even_one_that_leads_to_nothing_yet(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "city.gpkg").symlink_to("far/real.gpkg")
    with create_index(tmp_path / "city.gpkg", MODEL) as index:
        index.add(*sample(2))
    with open_index(tmp_path / "city.gpkg", write=True) as index:
        index.add(*sample(2, start=2))
    with open_index(tmp_path / "far" / "real.gpkg") as index:
        assert index.count() == 4
    assert names(tmp_path) == ["city.gpkg", "far"]
    assert names(tmp_path / "far") == ["real.gpkg"]


@pytest.mark.parametrize("path", ["x" * 300 + ".gpkg", "file/city.gpkg", "zero\0.gpkg"])
def test_a_path_that_no_file_can_have_is_one_line(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    for use in (open_index, lambda at: create_index(at, MODEL)):
        with pytest.raises(IndexFileError, match=r"cannot (open|create)") as error:
            use(tmp_path / path)
        assert "\n" not in str(error.value)
