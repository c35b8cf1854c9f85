"""What the file and its medium can do to an index, and who may use it at the same time."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from small_index import MODEL, sample

from hafloc.errors import IndexBusyError, IndexFileError
from hafloc.index import GeoPackageIndex, connection, schema


@pytest.fixture
def city(tmp_path: Path) -> Path:
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        index.add(*sample(10))
    return tmp_path / "city.gpkg"


def run_python(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    folder = Path(__file__).parents[1] / "support"
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_closed_index_is_one_single_file_that_needs_no_others_beside_it(city: Path) -> None:
    assert names(city.parent) == {"city.gpkg"}
    assert city.read_bytes()[18:20] == b"\x01\x01"  # 2 would ask every reader for WAL files


def test_the_file_declares_itself_a_geopackage(city: Path) -> None:
    header = city.read_bytes()[:100]

    assert header[68:72] == b"GPKG"
    assert int.from_bytes(header[60:64], "big") == 10_400


def test_a_reader_reads_on_while_a_writer_writes_and_the_last_one_leaves_one_file(
    city: Path,
) -> None:
    reader = GeoPackageIndex.open(city)
    writer = GeoPackageIndex.open(city, write=True)
    writer.add(*sample(3, start=10))
    late = GeoPackageIndex.open(city)

    assert [index.count() for index in (reader, writer, late)] == [13, 13, 13]
    writer.close()
    assert reader.count() == 13
    reader.close()
    late.close()
    assert names(city.parent) == {"city.gpkg"}


def test_a_second_writer_is_told_at_once(city: Path) -> None:
    with GeoPackageIndex.open(city, write=True) as first:
        with pytest.raises(IndexBusyError, match=r"city\.gpkg: another program is writing"):
            GeoPackageIndex.open(city, write=True)
        first.add(*sample(1, start=10))  # and the first is not disturbed
    with GeoPackageIndex.open(city, write=True) as second:
        assert second.count() == 11


def test_a_writer_in_another_process_keeps_others_out_until_it_dies(city: Path) -> None:
    script = """
        import sys
        from hafloc.index import GeoPackageIndex
        index = GeoPackageIndex.open(sys.argv[1], write=True)
        print("open", flush=True)
        sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(city)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(IndexBusyError):
            GeoPackageIndex.open(city, write=True)
        holder.kill()
        holder.wait()

    with GeoPackageIndex.open(city, write=True) as index:
        assert index.verify() == []


def test_an_index_open_for_reading_does_not_write(city: Path) -> None:
    with GeoPackageIndex.open(city) as index:
        with pytest.raises(IndexFileError, match="open for reading"):
            index.remove([1])
        assert index.count() == 10


# Killed at random points, 25 times; on a busy machine the last one waits until the writer got
# anywhere. The launcher forks a writer that continues where the last one was cut off, kills it, and
# checks: the interpreter starts once, not 40 times.
KILLING = """
    import os, random, signal, sys, time
    from pathlib import Path
    from small_index import MODEL, sample
    from hafloc.index import GeoPackageIndex

    path, batch, total, said = Path(sys.argv[1]), 4, 10**9, Path(sys.argv[2])
    sample(1)

    def write():
        if path.exists():
            index = GeoPackageIndex.open(path, write=True)
        else:
            index = GeoPackageIndex.create(path, MODEL)
        with said.open("a") as log:
            for start in range(index.count(), total, batch):
                index.add(*sample(batch, start))
                log.write(f"{start + batch}\\n")
                log.flush()
        index.close()

    chance = random.Random(11)
    seen, kills = 0, 0
    while kills < 25:
        child = os.fork()
        if child == 0:
            write()
            os._exit(0)
        time.sleep(chance.uniform(0.0, 0.1))
        for _ in range(600 if kills == 24 and not seen else 0):
            if said.exists() and said.read_text():
                break
            time.sleep(0.1)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the writer was done before it was killed"
        kills += 1
        if not path.exists():
            continue
        opener = GeoPackageIndex.open(path, write=kills % 2 == 0)
        with opener as index:
            stored, problems = index.count(), index.verify()
        assert problems == [], problems
        lines = said.read_text().split() if said.exists() else []
        promised = int(lines[-1]) if lines else 0
        # All that was promised is there; a batch may be stored without its promise.
        assert promised <= stored <= promised + batch, (promised, stored)
        assert stored % batch == 0 and stored >= seen, (seen, stored)
        seen = stored
        said.write_text(f"{stored}\\n")
    total = seen + 8
    write()
    with GeoPackageIndex.open(path) as index:
        assert index.verify() == []
        print(kills, seen, index.count())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_an_index_survives_a_writer_killed_at_any_moment(tmp_path: Path) -> None:
    output = run_python(KILLING, tmp_path / "city.gpkg", tmp_path / "said").split()

    kills, seen, completed = map(int, output)
    assert kills == 25
    assert seen > 0
    assert completed == seen + 8
    assert {name for name in names(tmp_path) if name.startswith("city")} == {"city.gpkg"}


def test_a_full_disk_leaves_the_previous_content(city: Path) -> None:
    with GeoPackageIndex.open(city, write=True) as index:
        ((pages,),) = index._connections.rows("PRAGMA page_count")
        index._connections.rows(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(IndexFileError, match=r"cannot write to .*: the disk is full; free"):
            index.add(*sample(5_000, start=10))
        assert index.count() == 10
        index._connections.rows("PRAGMA max_page_count = 100000")
        index.add(*sample(5, start=10))

    with GeoPackageIndex.open(city) as index:
        assert index.verify() == []
        assert index.count() == 15


FILE_SIZE_LIMIT = """
    import resource, sys
    from small_index import MODEL, sample
    from hafloc.errors import IndexFileError
    from hafloc.index import GeoPackageIndex

    with GeoPackageIndex.open(sys.argv[1], write=True) as index:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
        try:
            for start in range(10, 100_000, 100):
                index.add(*sample(100, start))
        except IndexFileError as error:
            print(index.count() == start, error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        index.add(*sample(100, start))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of file sizes")
def test_a_write_that_the_system_refuses_loses_only_its_batch(city: Path) -> None:
    lost_only_its_batch, message = run_python(FILE_SIZE_LIMIT, city).split(maxsplit=1)

    assert lost_only_its_batch == "True"
    assert "cannot write to" in message
    assert "what was stored before is intact" in message
    with GeoPackageIndex.open(city) as index:
        assert index.verify() == []
        assert index.count() % 100 == 10
        assert index.count() > 110


@pytest.fixture
def read_only_folder(city: Path) -> Iterator[Path]:
    """The index in a folder where nobody but root may write; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp())
    shutil.copy(city, folder / "city.gpkg")
    (folder / "city.gpkg").chmod(0o444)
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


# Root may write anywhere, so it becomes nobody once all is imported.
AS_NOBODY = """
    import os, sys
    from pathlib import Path
    import numpy, pyproj.geod
    from small_index import MODEL, sample
    from hafloc.errors import IndexFileError, OutputError
    from hafloc.index import GeoPackageIndex, export

    sample(1)
    if os.geteuid() == 0:
        os.setgid(65534), os.setuid(65534)
    folder = Path(sys.argv[1])

    def say(action):
        try:
            print(action())
        except (IndexFileError, OutputError) as error:
            print(type(error).__name__, error)

    def read():
        with GeoPackageIndex.open(folder / "city.gpkg") as index:
            say(lambda: export(index, folder / "out.csv"))
            return index.count(), index.search(sample(1)[1], 1).ids.tolist(), index.verify()

    say(read)
    say(lambda: GeoPackageIndex.open(folder / "city.gpkg", write=True))
    say(lambda: GeoPackageIndex.create(folder / "new.gpkg", MODEL))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_read_only_medium_is_read_and_refuses_writing(
    read_only_folder: Path, journal: str
) -> None:
    city = read_only_folder / "city.gpkg"
    if journal == "wal":  # as QGIS leaves a file
        read_only_folder.chmod(0o755)
        city.chmod(0o644)
        database = sqlite3.connect(city)
        database.execute("PRAGMA journal_mode=WAL")
        database.close()
        city.chmod(0o444)
        read_only_folder.chmod(0o555)
    before = city.read_bytes()

    exported, read, written, created = run_python(AS_NOBODY, read_only_folder).splitlines()

    assert "OutputError cannot write" in exported
    assert read == "(10, [[1]], [])"
    assert f"IndexFileError cannot write to {city}: the file or its folder is read-only" in written
    assert f"IndexFileError cannot create {read_only_folder}/new.gpkg: the file" in created
    assert city.read_bytes() == before
    assert names(read_only_folder) == {"city.gpkg"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_unfinished_changes_on_a_read_only_medium_are_named(
    read_only_folder: Path, city: Path
) -> None:
    with GeoPackageIndex.open(city, write=True) as index:
        index.add(*sample(5, start=10))
        read_only_folder.chmod(0o755)
        for end in ("", "-wal"):  # the state that a kill would leave
            (read_only_folder / f"city.gpkg{end}").unlink(missing_ok=True)
            shutil.copy(f"{city}{end}", read_only_folder)
        read_only_folder.chmod(0o555)

    read = run_python(AS_NOBODY, read_only_folder).splitlines()[0]

    assert "city.gpkg-wal beside it holds changes to finish" in read
    assert "copy both files to a folder of your own" in read


def test_what_is_no_index_is_refused_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "empty.gpkg").touch()
    (tmp_path / "text.gpkg").write_text("this is no database, only a longish text " * 50)
    for name, application in (("other.db", 0), ("other.gpkg", schema.APPLICATION_ID)):
        database = sqlite3.connect(tmp_path / name)
        database.execute(f"PRAGMA application_id={application}")
        database.execute("CREATE TABLE photos (id)")
        database.close()
    expected = {
        "": "it is a folder; name the index file in it",
        "absent.gpkg": "there is no such file; make one with `hafloc index build`",
        "empty.gpkg": "it is not a GeoPackage; name a file",
        "text.gpkg": "it is not a GeoPackage; name a file",
        "other.db": "it is not a GeoPackage; name a file",
        "other.gpkg": "it is a GeoPackage of another program; name a file",
    }
    for name, message in expected.items():
        for write in (False, True):
            before = names(tmp_path)
            with pytest.raises(IndexFileError, match=f"{tmp_path / name}: {message}"):
                GeoPackageIndex.open(tmp_path / name, write=write)
            assert names(tmp_path) == before


def test_a_newer_format_is_refused(city: Path) -> None:
    database = sqlite3.connect(city)
    database.execute("UPDATE hafloc SET value = '9' WHERE key = 'format_version'")
    database.commit()
    database.close()

    for write in (False, True):
        with pytest.raises(IndexFileError, match=r"its format 9 is newer .* \(7\); update hafloc"):
            GeoPackageIndex.open(city, write=write)


def test_an_older_format_is_migrated_by_the_first_writer(
    city: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = (*schema.MIGRATIONS, "ALTER TABLE photos ADD COLUMN camera TEXT;")
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    monkeypatch.setattr(connection, "MIGRATIONS", later)
    monkeypatch.setattr(connection, "OLDEST_READABLE", 8)

    with pytest.raises(IndexFileError, match="its format 7 is older"):
        GeoPackageIndex.open(city)
    with GeoPackageIndex.open(city, write=True) as index:
        assert index.info().details["format"] == 8
    with GeoPackageIndex.open(city) as index:
        index._connections.rows("SELECT camera FROM photos")
        assert index.count() == 10


def test_an_index_of_another_checkpoint_is_refused_with_both_named(city: Path) -> None:
    other = replace(MODEL, name="large", hash="fedcba9876543210")

    for write in (False, True):
        with pytest.raises(
            IndexFileError,
            match=r"checkpoint small \(0123456789ab\), not with large \(fedcba987654\); rebuild "
            r"with `hafloc index build`, or pass --model",
        ):
            GeoPackageIndex.open(city, write=write, model=other)
    with GeoPackageIndex.open(city, write=True, model=replace(MODEL, name="renamed")) as index:
        assert index.info().model == MODEL


@pytest.mark.parametrize("write", [False, True])
def test_a_truncated_file_is_reported_and_left_as_it_is(city: Path, write: bool) -> None:
    whole = city.read_bytes()
    city.write_bytes(whole[: len(whole) // 2])

    def use() -> None:
        with GeoPackageIndex.open(city, write=write) as index:
            problems = index.verify()
            raise IndexFileError("damaged: " + problems[0])

    with pytest.raises(IndexFileError, match="damaged"):
        use()
    assert len(city.read_bytes()) == len(whole) // 2


def test_creating_refuses_what_is_in_the_way_and_leaves_nothing(city: Path) -> None:
    before = city.read_bytes()

    with pytest.raises(IndexFileError, match="it exists already"):
        GeoPackageIndex.create(city, MODEL)
    with pytest.raises(IndexFileError, match="there is no folder"):
        GeoPackageIndex.create(city.parent / "absent" / "city.gpkg", MODEL)
    with pytest.raises(IndexFileError, match="float16, float32, int8"):
        GeoPackageIndex.create(city.parent / "new.gpkg", MODEL, "float8")

    assert names(city.parent) == {"city.gpkg"}
    assert city.read_bytes() == before


def test_a_creation_that_breaks_off_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = (schema.MIGRATIONS[0], "CREATE TABLE photos (id);")
    monkeypatch.setattr(schema, "MIGRATIONS", broken)

    with pytest.raises(IndexFileError, match=r"cannot create .*already exists"):
        GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL)

    assert names(tmp_path) == set()


def test_side_files_of_a_deleted_index_do_not_reach_its_successor(city: Path) -> None:
    with GeoPackageIndex.open(city, write=True) as index:
        index.add(*sample(5, start=10))
        stale = Path(f"{city}-wal").read_bytes()
    city.unlink()
    Path(f"{city}-wal").write_bytes(stale)

    with GeoPackageIndex.create(city, MODEL) as index:
        assert index.count() == 0
        assert index.verify() == []
