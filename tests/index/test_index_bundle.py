"""Indexes of strangers: what is not to the letter what hafloc writes is refused, and never run."""

import hashlib
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_index import BEFORE_FORMAT_7, MODEL, sample
from static_server import Files, serving_files

from hafloc.description import LocalFeatures
from hafloc.errors import IndexFileError, OptionError, OutputError, SourceError
from hafloc.index import check_bundle, create_index, get_index, open_index
from hafloc.index.functions import add_functions
from hafloc.index.rows import FIELDS
from hafloc.progress import Silent
from hafloc.sources import Shared, Web, read_catalogue, stated_hash


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "city.gpkg"
    records, vectors = sample(8)
    xy = np.array([[1.5, 2.5], [100, 200]], np.float32)
    local = LocalFeatures(xy, np.ones((2, 8), np.int8), (480, 360))
    with create_index(path, MODEL) as index:
        index.add(records, vectors, [local] * 8)
        index.remove([8])
    return path


@pytest.fixture
def city(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sound, tmp_path / "city.gpkg"))


def by_hand(city: Path, *statements: str) -> None:
    connection = sqlite3.connect(city)
    add_functions(connection)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def schema(city: Path, old: str, new: str) -> None:
    """Rewrite a statement of the schema behind SQLite's back."""
    connection = sqlite3.connect(city)
    connection.execute("PRAGMA writable_schema=ON")
    changed = connection.execute(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE instr(sql, ?)", (old, new, old)
    )
    assert changed.rowcount
    connection.commit()
    connection.close()


def test_what_hafloc_writes_is_let_in_of_every_format(city: Path) -> None:
    check_bundle(city, "it")
    by_hand(
        city,
        *BEFORE_FORMAT_7,
        *(f"ALTER TABLE photos DROP COLUMN {name}" for name in FIELDS[-3:]),
        "UPDATE hafloc SET value = '5' WHERE key = 'format_version'",
    )
    check_bundle(city, "it")
    by_hand(city, "ANALYZE", "VACUUM")
    check_bundle(city, "it")


FOREIGN = {
    "a trigger": (
        "CREATE TRIGGER evil AFTER INSERT ON photos BEGIN DELETE FROM photos; END",
        "the trigger 'evil' is not hafloc's",
    ),
    "a view": ("CREATE VIEW places AS SELECT * FROM photos", "the view 'places' is not hafloc's"),
    "a table": ("CREATE TABLE notes (text)", "the table 'notes' is not hafloc's"),
    "an index with an expression": (
        "CREATE INDEX sly ON photos (abs(id))",
        "the index 'sly' is not hafloc's",
    ),
    "a column": (
        "ALTER TABLE photos ADD COLUMN more TEXT CHECK (length(more) < 9)",
        "the table 'photos' is another than hafloc's",
    ),
    "a computed column": (
        "ALTER TABLE changes ADD COLUMN more TEXT AS (zeroblob(1000000))",
        "the table 'changes' is another than hafloc's",
    ),
    "a name that looks like ours": (
        "CREATE TABLE rtree_photos_geom_rowids (rowid, nodeno)",
        "the table 'rtree_photos_geom_rowids' is not hafloc's",
    ),
    "a missing trigger": (
        "DROP TRIGGER photos_delete_descriptor",
        "the trigger photos_delete_descriptor is missing",
    ),
    "a way up": (
        "UPDATE photos SET path = '../../etc/passwd' WHERE id = 3",
        "1 of its photos lie outside its folder, the first at '../../etc/passwd'",
    ),
    "an absolute path": (
        "UPDATE photos SET path = '/etc/' || id",
        "7 of its photos lie outside its folder, the first at '/etc/1'",
    ),
    "a drive": ("UPDATE photos SET path = 'C:/x' WHERE id = 1", "lie outside its folder"),
    "a path of bytes": ("UPDATE photos SET path = x'2e2e' WHERE id = 1", "lie outside its folder"),
    "a long text": (
        "UPDATE photos SET producer = printf('%.*c', 20000, 'x')",
        "producer of a photo is longer than 10,000 letters",
    ),
    "a format to come": (
        "UPDATE hafloc SET value = '99' WHERE key = 'format_version'",
        "its format 99 is not known",
    ),
    "a vector cut off": (
        "UPDATE descriptors SET vector = x'00' WHERE photo_id = 2",
        "vector that is not 32 bytes long",
    ),
    "key points of noise": (
        "UPDATE local_features SET features = randomblob(500) WHERE photo_id = 2",
        "damaged local features",
    ),
    "vectors of no length": (
        "UPDATE hafloc SET value = '-5' WHERE key = 'dimension'",
        "vectors of -5",
    ),
    "a number that is none": (
        "UPDATE hafloc SET value = 'many' WHERE key = 'dimension'",
        "it is damaged or no index of hafloc",
    ),
    "an address": (
        "UPDATE photos SET path = 'https://h.example/x.jpg' WHERE id = 1",
        "lie outside its folder",
    ),
    "a size of key points that is none": (
        "INSERT OR REPLACE INTO hafloc VALUES ('local_bits', '3')",
        "it is damaged or no index of hafloc",
    ),
    "a search of its own": (
        "INSERT OR REPLACE INTO hafloc VALUES ('search', 'IVF999999999,Flat')",
        "its kind of search 'IVF999999999,Flat' is not known",
    ),
    "a huge row": (
        "UPDATE hafloc SET value = printf('%.*c', 40000000, 'x') WHERE key = 'model_options'",
        "it is damaged or no index of hafloc .*too big",
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_hafloc_does_not_write_is_refused_by_name(city: Path, what: str) -> None:
    statement, message = FOREIGN[what]
    by_hand(city, statement)
    before = hashlib.sha256(city.read_bytes()).digest()
    with pytest.raises(IndexFileError, match=message) as caught:
        check_bundle(city, "what x.org gives")
    assert str(caught.value).startswith("cannot use what x.org gives: ")
    assert "\n" not in str(caught.value)
    assert hashlib.sha256(city.read_bytes()).digest() == before


def test_a_trigger_of_our_name_that_does_something_else_is_refused(city: Path) -> None:
    schema(city, "DELETE FROM descriptors WHERE photo_id = OLD.id", "DELETE FROM hafloc")
    with pytest.raises(IndexFileError, match="'photos_delete_descriptor' is another than hafloc's"):
        check_bundle(city, "it")


def test_a_table_that_is_really_a_view_is_refused(city: Path) -> None:
    by_hand(
        city,
        "ALTER TABLE hafloc RENAME TO settings",
        "CREATE VIEW hafloc AS WITH RECURSIVE t(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM t) "
        "SELECT i AS key, i AS value FROM t",
    )
    with pytest.raises(IndexFileError, match="it has no table hafloc"):
        check_bundle(city, "it")


def test_a_shadow_table_with_an_expression_is_refused(city: Path) -> None:
    schema(
        city,
        "rowid INTEGER PRIMARY KEY,nodeno",
        "rowid INTEGER PRIMARY KEY,nodeno CHECK(abs(nodeno))",
    )
    with pytest.raises(IndexFileError, match="'rtree_photos_geom_rowid' is another than"):
        check_bundle(city, "it")


@pytest.mark.parametrize("content", [b"", b"<html>", b"SQLite format 3\x00" + bytes(500)])
def test_what_is_no_index_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "city.gpkg").write_bytes(content)
    with pytest.raises(IndexFileError, match="cannot use it: it is"):
        check_bundle(tmp_path / "city.gpkg", "it")


def test_bytes_changed_anywhere_never_end_in_anything_but_one_line(city: Path) -> None:
    data, random = city.read_bytes(), np.random.default_rng(5)
    for _ in range(40):
        spoilt = bytearray(data)
        for at in random.integers(0, len(data), 30):
            spoilt[at] = random.integers(256)
        city.write_bytes(spoilt)
        said = ""
        try:
            check_bundle(city, "it")
        except IndexFileError as error:
            said = str(error)
        assert "\n" not in said


def test_a_reader_trusts_no_view_or_trigger_of_a_file(city: Path) -> None:
    with open_index(city) as index:
        assert index._connections.rows("PRAGMA trusted_schema") == [(0,)]  # type: ignore[attr-defined]


def shared(address: str, content: bytes, **facts: object) -> Shared:
    digest = hashlib.sha256(content).hexdigest()
    one = Shared("city", f"{address}/city.gpkg", len(content), digest)
    return replace(one, **facts)  # type: ignore[arg-type]


def web() -> Web:
    return Web("0", wait=lambda seconds: None)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


Got = Callable[..., str]


def test_an_index_is_downloaded_and_searched(sound: Path, tmp_path: Path) -> None:
    content, target = sound.read_bytes(), tmp_path / "mine.gpkg"
    with serving_files(Files({"/city.gpkg": content})) as address:
        get_index(shared(address, content), target, web())
    assert left(tmp_path) == ["mine.gpkg"]
    with open_index(target) as index:
        assert index.search(sample(8)[1][:7], k=1).ids[:, 0].tolist() == list(range(1, 8))


@pytest.mark.parametrize("ranges", [True, False])
def test_a_link_that_dies_is_gone_on_with(sound: Path, tmp_path: Path, ranges: bool) -> None:
    content = sound.read_bytes()
    files = Files({"/city.gpkg": content}, dies=[50_000, 50_000], ranges=ranges)
    with serving_files(files) as address:
        get_index(shared(address, content), tmp_path / "mine.gpkg", web())
    assert (tmp_path / "mine.gpkg").read_bytes() == content
    assert files.sent == len(content) + (0 if ranges else 100_000)


def test_a_cache_that_answers_from_before_what_was_asked_for_spoils_nothing(
    sound: Path, tmp_path: Path
) -> None:
    content = sound.read_bytes()
    files = Files({"/city.gpkg": content}, dies=[50_000], block=4_096)
    with serving_files(files) as address:
        get_index(shared(address, content), tmp_path / "mine.gpkg", web())
    assert (tmp_path / "mine.gpkg").read_bytes() == content
    assert files.sent == len(content) + 50_000 % 4_096


def test_a_part_that_is_whole_or_too_long_is_not_gone_on_with(sound: Path, tmp_path: Path) -> None:
    content, target = sound.read_bytes(), tmp_path / "mine.gpkg"
    with serving_files(Files({"/city.gpkg": content}, dies=[60_000] * 6)) as address:
        one = shared(address, content, bytes=None)
        with pytest.raises(SourceError, match=r"6 times; run the same command again later"):
            get_index(one, target, web())
        (part,) = tmp_path.iterdir()
        part.write_bytes(content + b"more")
        get_index(one, target, web())
        assert target.read_bytes() == content
        target.rename(part)
        get_index(one, target, web())
        assert target.read_bytes() == content


def test_another_run_goes_on_where_one_was_stopped(sound: Path, tmp_path: Path) -> None:
    content, target = sound.read_bytes(), tmp_path / "mine.gpkg"

    class Stopping(Silent):
        def advance(self, done: int) -> None:
            if done > 40_000:
                raise KeyboardInterrupt

    files = Files({"/city.gpkg": content})
    with serving_files(files) as address:
        with pytest.raises(KeyboardInterrupt):
            get_index(shared(address, content), target, web(), Stopping())
        assert not target.exists()
        (part,) = tmp_path.iterdir()
        have = part.stat().st_size
        assert 40_000 < have < len(content)
        get_index(shared(address, content, bytes=None), target, web())
    assert files.asked[-1] == ("/city.gpkg", f"bytes={have}-")
    assert left(tmp_path) == ["mine.gpkg"]


def test_another_content_than_stated_is_deleted(sound: Path, tmp_path: Path) -> None:
    content, target = sound.read_bytes(), tmp_path / "mine.gpkg"
    with serving_files(Files({"/city.gpkg": content})) as address:
        with pytest.raises(SourceError, match=r"its SHA-256 is \w+…, not 000000000000… as stated"):
            get_index(shared(address, content, sha256="0" * 64), target, web())
        with pytest.raises(SourceError, match="longer than 1,000 bytes"):
            get_index(shared(address, content, bytes=1_000), target, web())
        with pytest.raises(SourceError, match="bytes came"):
            get_index(shared(address, content, bytes=len(content) + 1), target, web())
    assert [name for name in left(tmp_path) if not name.endswith(".part")] == []


def test_a_hostile_bundle_is_refused_and_leaves_nothing(city: Path, tmp_path: Path) -> None:
    by_hand(city, FOREIGN["a trigger"][0])
    content = city.read_bytes()
    (folder := tmp_path / "folder").mkdir()
    with serving_files(Files({"/city.gpkg": content})) as address:
        expected = rf"cannot use what {address}/city\.gpkg gives: the trigger 'evil'"
        with pytest.raises(IndexFileError, match=expected):
            get_index(shared(address, content), folder / "mine.gpkg", web())
    assert left(folder) == []


def test_two_do_not_download_one_index_at_once(sound: Path, tmp_path: Path) -> None:
    content, target = sound.read_bytes(), tmp_path / "mine.gpkg"

    class Meanwhile(Silent):
        def advance(self, done: int) -> None:
            with pytest.raises(OutputError, match="another process is downloading it"):
                get_index(one, target, web())

    with serving_files(Files({"/city.gpkg": content})) as address:
        one = shared(address, content)
        get_index(one, target, web(), Meanwhile())
    assert left(tmp_path) == ["mine.gpkg"]


def test_what_is_there_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.gpkg").write_text("mine")
    one = Shared("city", "http://127.0.0.1:9/city.gpkg")
    with pytest.raises(OptionError, match="it exists already"):
        get_index(one, tmp_path / "mine.gpkg", web())
    with pytest.raises(OutputError, match="there is no folder"):
        get_index(one, tmp_path / "nowhere" / "mine.gpkg", web())


CATALOGUE = """{"hafloc_catalogue": 1, "indexes": [{"name": "vienna", "title": "Vienna, inner city",
"url": "cities/vienna.gpkg", "bytes": 123, "sha256": "%s", "licences": ["CC-BY-SA-4.0"]}]}"""


def test_a_catalogue_names_what_there_is_beside_it(tmp_path: Path) -> None:
    text = CATALOGUE % ("AB" * 32)
    files = Files({"/all.json": text.encode(), "/x.gpkg.sha256": b"%b *x.gpkg\n" % (b"cd" * 32)})
    with serving_files(files) as address:
        (one,) = read_catalogue(f"{address}/all.json", web())
        assert one == Shared(
            *("vienna", f"{address}/cities/vienna.gpkg", 123, "ab" * 32),
            *("Vienna, inner city", ("CC-BY-SA-4.0",)),
        )
        assert stated_hash(f"{address}/x.gpkg", web()) == "cd" * 32
        assert stated_hash(f"{address}/y.gpkg", web()) is None
    # A file has no address that others could be beside.
    path = tmp_path / "all.json"
    path.write_text(text)
    with pytest.raises(OptionError, match="vienna has no http or https address"):
        read_catalogue(str(path), web())
    path.write_text(text.replace("cities/", "https://x.org/cities/"))
    assert read_catalogue(str(path), web())[0].url == "https://x.org/cities/vienna.gpkg"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"hafloc_catalogue": 1', '"hafloc_catalogue": 2'),
        ('"vienna"', '"../vienna"'),
        ('"vienna"', '"a/b"'),
        ('"vienna"', "7"),
        ('"https://x.org/vienna.gpkg"', '"file:///etc/passwd"'),
        ('"https://x.org/vienna.gpkg"', "null"),
        ("ab" * 32, "none"),
        ("123", "-1"),
        ("[{", "[7, {"),
        ("{", "no json {"),
    ],
)
def test_a_catalogue_that_is_none_is_refused_by_name(tmp_path: Path, old: str, new: str) -> None:
    text = CATALOGUE.replace("cities/", "https://x.org/") % ("ab" * 32)
    assert old in text
    (tmp_path / "all.json").write_text(text.replace(old, new, 1))
    with pytest.raises(OptionError, match=r"cannot read .*all\.json: "):
        read_catalogue(str(tmp_path / "all.json"), web())


def test_a_file_from_before_credits_is_read_as_it_is_and_takes_them_once_written_to(
    city: Path,
) -> None:
    by_hand(
        city,
        *BEFORE_FORMAT_7,
        *(f"ALTER TABLE photos DROP COLUMN {name}" for name in FIELDS[-3:]),
        "UPDATE hafloc SET value = '5' WHERE key = 'format_version'",
    )
    before = city.read_bytes()
    with open_index(city) as index:
        (old,) = index.get([1])
        assert index.info().details["format"] == 5
    assert (old.licence, old.producer, old.source_url) == (None, None, None)
    assert city.read_bytes() == before
    credited = replace(old, licence="CC-BY-4.0", producer="Ada", source_url="https://x.org/1")
    with open_index(city, write=True) as index:
        index.update([credited])
    with open_index(city) as index:
        assert index.get([1]) == [credited]
        assert index.info().details["format"] == 7
        assert index.verify() == []
    check_bundle(city, "it")
