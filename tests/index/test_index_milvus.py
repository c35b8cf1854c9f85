"""What the backend of Milvus does beside the engine: addresses, cells, calls that fail."""

import itertools
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from small_index import MODEL, sample

from hafloc.errors import IndexBusyError, IndexFileError, MissingExtraError
from hafloc.geo import Position
from hafloc.index import Near, Record, create_index, folder_of, open_index, paths_of
from hafloc.index.milvus import rows, search, server, table
from hafloc.index.milvus.address import parse
from hafloc.index.milvus.cells import EVERYWHERE, cells, covering
from hafloc.index.milvus.server import Server
from hafloc.index.spatial import around

CITY = "milvus://host/city"


@pytest.mark.parametrize(
    ("location", "uri", "collection"),
    [
        ("milvus://host/city", "http://host:19530", "city"),
        ("milvus://10.0.0.7:9000/city_2", "http://10.0.0.7:9000", "city_2"),
        ("milvus://[::1]:9000/city", "http://[::1]:9000", "city"),
        ("milvus+tls://host/city", "https://host:19530", "city"),
        ("MILVUS+TLS://host/city", "https://host:19530", "city"),
        ("milvus://host/city?secure=true", "https://host:19530", "city"),
        ("milvus-lite://folder/city.db", "folder/city.db", "photos"),
        ("milvus-lite:///a/b.db?collection=night", "/a/b.db", "night"),
    ],
)
def test_an_address_says_where_a_collection_lies(location: str, uri: str, collection: str) -> None:
    found = parse(location, {})
    assert (found.uri, found.collection, found.credentials) == (uri, collection, {})


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("milvus://host", "a collection is named by"),
        ("milvus://host/a/b", "a collection is named by"),
        ("milvus://host/2city", "a collection is named by"),
        ("milvus://host/" + "a" * 201, "a collection is named by"),
        ("milvus:///city", "it names no host"),
        ("milvus://host:x/city", "Port could not be cast"),
        ("milvus://host:99999/city", "Port out of range"),
        ("milvus://host/city?timeout=soon", "timeout=soon is no number of seconds"),
        ("milvus://host/city?timeout=nan", "timeout=nan is no number of seconds"),
        ("milvus://host/city?index=BEST", "index=BEST is not known; give one of FLAT, HNSW"),
        ("milvus://host/city?secure=perhaps", "secure=perhaps is neither"),
        ("milvus://host/city?securre=true", "there is no option securre"),
        ("milvus-lite://folder/city", r"must end in \.db"),
        ("milvus-lite://", r"must end in \.db"),
        ("milvus-lite://a.db?collection=a b", "a collection is named by"),
    ],
)
def test_an_address_that_is_none_is_refused_with_the_right_form(location: str, why: str) -> None:
    with pytest.raises(IndexFileError, match=why) as told:
        open_index(location)
    assert "; give " in str(told.value)


def test_credentials_come_from_the_environment_and_are_shown_nowhere() -> None:
    token = parse(CITY, {"MILVUS_TOKEN": "s3cret", "MILVUS_USER": "ann"})
    pair = parse(CITY + "?database=maps", {"MILVUS_USER": "ann", "MILVUS_PASSWORD": "s3cret"})
    assert token.credentials == {"token": "s3cret"}
    assert pair.credentials == {"token": "ann:s3cret", "db_name": "maps"}
    assert "s3cret" not in f"{token!r} {pair!r}"
    with pytest.raises(IndexFileError, match="holds no password") as told:
        parse("milvus://ann:s3cret@host/city")
    assert "s3cret" not in str(told.value)


def test_photos_of_a_server_are_named_by_their_whole_path(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    assert paths_of(CITY).name_of(photo) == photo.as_posix()
    assert paths_of(CITY).file_of(photo.as_posix()) == photo
    assert folder_of(CITY) is None
    lite = f"milvus-lite://{tmp_path / 'city.db'}"
    assert paths_of(lite).name_of(photo) == "a.jpg"
    assert folder_of(lite) == tmp_path


degrees = st.floats(-90, 90), st.floats(-180, 180)


@given(st.builds(Position, *degrees), st.floats(0, 2.1e7), *degrees)
@example(Position(90, 0), 1.0, 90.0, 180.0)
@example(Position(0, 180), 10.0, 0.0, -180.0)
@example(Position(-90, -180), 2.1e7, 90.0, 180.0)
def test_all_that_is_in_a_box_is_in_its_cells(
    centre: Position, radius: float, lat: float, lon: float
) -> None:
    boxes = around(Near(centre, radius))
    ranges = covering(boxes)
    inside = any(w <= lon <= e and s <= lat <= n for w, s, e, n in boxes)
    cell = int(cells(lat, lon))
    assert 0 <= cell <= EVERYWHERE[1]
    assert not inside or any(first <= cell <= last for first, last in ranges)
    # And filters stay short: ranges are apart, in order, and few
    assert len(ranges) <= 16 * len(boxes)
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(ranges))


def test_the_cells_of_a_street_are_few_of_the_earth() -> None:
    ranges = covering(around(Near(Position(52.2, 0.12), 500)))
    covered = sum(last - first + 1 for first, last in ranges)
    # A kilometre square at that latitude, and at most four times as much
    share = 1_000**2 / (40_075_000 * np.cos(np.radians(52.2)) * 20_004_000)
    assert share <= covered / (EVERYWHERE[1] + 1) < 4 * share


def test_keys_are_apart_and_the_same_for_ever() -> None:
    assert rows.key("photos/0.jpg") == 1_842_128_486_890_560_052
    assert len({rows.key("a", attempt) for attempt in range(50)} | {rows.key("b")}) == 51
    assert all(0 <= rows.key(text) < 2**63 for text in ("", "ä", "a" * 9_999))


class TroubleError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Any]], tuple[Server, list[str]]]:
    """A server whose client answers, or raises, what it is given, one after the other."""
    monkeypatch.setattr(server, "_FIRST_PAUSE", 0.001)

    def of(answers: list[Any], timeout: float = 30.0) -> tuple[Server, list[str]]:
        calls: list[str] = []

        def answer(name: str) -> Any:
            def call(*given: object, **named: object) -> Any:
                calls.append(name)
                if name == "load_collection":
                    return None
                found = answers.pop(0) if len(answers) > 1 else answers[0]
                if isinstance(found, Exception):
                    raise found
                return found

            return call

        client = SimpleNamespace(
            **{name: answer(name) for name in ("query", "load_collection", "has_collection")},
            close=lambda: None,
        )
        library = SimpleNamespace(MilvusClient=lambda *given, **named: client)
        monkeypatch.setattr(server, "library", lambda: library)
        return Server(parse(f"{CITY}?timeout={timeout}", {})), calls

    return of


def test_what_passes_is_tried_again(asked: Any) -> None:
    answers = [
        TroubleError(2, "Fail connecting"),
        TroubleError(65535, "no shard leader"),
        [1],
    ]
    found, calls = asked(answers)
    assert found.call("read", "query", collection_name="city") == [1]
    assert calls == ["query"] * 3


def test_a_collection_that_was_released_is_loaded(asked: Any) -> None:
    said = (
        TroubleError(101, "collection not loaded"),
        TroubleError(1, "collection 442 has not been loaded to memory"),  # servers before 2.3
        TroubleError(1, "Collection 'city' is in state 'released'; call load()"),  # Milvus Lite
    )
    for error in said[1:]:
        assert asked([error, [1]])[0].call("read", "query", collection_name="city") == [1]
    found, calls = asked([said[0], [1]])
    assert found.call("read", "query", collection_name="city") == [1]
    assert calls == ["query", "load_collection", "query"]


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (TroubleError(100, "collection not found"), "there is no collection city"),
        (
            TroubleError(1100, "cannot parse\n expression"),
            "cannot parse expression; see the server's",
        ),
        (TroubleError(1400, "auth check failure, token is wrong"), "give MILVUS_TOKEN"),
        (TroubleError(65535, "x" * 5_000), "x…; see"),
        (TroubleError(9, "quota exceeded: disk is full"), "disk is full; see the server's log"),
    ],
)
def test_what_stays_wrong_is_told_at_once(asked: Any, error: Exception, word: str) -> None:
    found, calls = asked([error])
    with pytest.raises(IndexFileError, match=f"cannot read {CITY}.*: .*{word}") as told:
        found.call("read", "query", collection_name="city")
    assert calls == ["query"]
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 400


def test_when_the_time_is_up_the_last_reason_is_told(asked: Any) -> None:
    found, calls = asked([TroubleError(2, "Fail connecting to server")], timeout=0.2)
    with pytest.raises(IndexFileError, match=r"no answer for 0 seconds \(Fail connecting"):
        found.call("read", "query", collection_name="city")
    assert len(calls) > 1


def test_without_pymilvus_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MissingExtraError, match=r"pip install hafloc\[milvus\]"):
        open_index(CITY)


needs_lite = pytest.mark.skipif(find_spec("milvus_lite") is None, reason="needs milvus-lite")


@needs_lite
def test_collections_of_others_and_other_networks_are_refused(tmp_path: Path) -> None:
    # Given a folder in which somebody else keeps a collection of that name
    location = f"milvus-lite://{tmp_path}/city.db"
    client = server.library().MilvusClient(f"{tmp_path}/city.db")
    client.create_collection("photos", dimension=8)
    # Then it is neither opened nor written over
    with pytest.raises(IndexFileError, match="photos is not one of hafloc's; choose another"):
        open_index(location)
    with pytest.raises(IndexFileError, match="it exists already"):
        create_index(location, MODEL)
    client.drop_collection("photos")
    # And what was made with another network is told from what is asked for
    create_index(location, MODEL).close()
    other = type(MODEL)("other", "f" * 16, "{}", 32)
    with pytest.raises(IndexFileError, match=r"was made with checkpoint small .* pass --model"):
        open_index(location, model=other)
    with pytest.raises(IndexFileError, match="there is no such folder; make it"):
        open_index(f"milvus-lite://{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(IndexFileError, match="there is no folder"):
        create_index(f"milvus-lite://{tmp_path}/none/city.db", MODEL)
    with pytest.raises(IndexFileError, match="regions of 32 numbers are more than a text"):
        create_index(f"{location}?collection=much", MODEL, regions=2_000)
    client.close()


@needs_lite
def test_paths_of_any_letters_are_found_and_moved_ones_keep_their_ids(tmp_path: Path) -> None:
    names = ["a\"b'.jpg", "back\\\\slash.jpg", "neu\nzeile.jpg", "日本.jpg", "%s {x} --.jpg"]
    records, vectors = sample(len(names))
    named = [_renamed(record, name) for record, name in zip(records, names, strict=True)]
    with create_index(f"milvus-lite://{tmp_path}/city.db", MODEL) as index:
        ids = index.add(named, vectors)
        assert [index.find_paths([name])[0].id for name in names] == ids
        # Given a photo that moves away from the path that its id came of
        (first,) = index.get(ids[:1])
        index.update([_renamed(first, "moved.jpg")])
        # Then a new one at that path gets an id of its own
        (fresh,) = index.add(named[:1], vectors[:1])
        assert fresh not in ids
        assert index.add([_renamed(named[0], "moved.jpg")], vectors[:1]) == ids[:1]
        assert index.count() == len(names) + 1
        # And two photos are never of one path
        with pytest.raises(IndexFileError, match=r"two photos would be moved\.jpg"):
            index.update([_renamed(index.get([fresh])[0], "moved.jpg")])
        assert index.add([named[1], named[1]], vectors[:2]) == [ids[1], ids[1]]
        assert index.count() == len(names) + 1
        assert index.verify() == []


def _renamed(record: Record, path: str) -> Record:
    return replace(record, path=path)


@needs_lite
def test_answers_are_whole_however_short_the_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given pages of three rows, and an engine that names no more than 50 of the best
    monkeypatch.setattr(table, "_PAGE", 3)
    monkeypatch.setattr(search, "MOST_ROWS", 50)
    records, vectors = sample(90)
    vectors[40:80] = vectors[3]  # alike to the bit, and more than k of them
    with create_index(f"milvus-lite://{tmp_path}/city.db", MODEL) as index:
        ids = index.add(records, vectors)
        assert [id_ for id_, _ in index.names()] == sorted(ids)
        assert [held.path for held in index.held()] == [r.path for r in index.iterate()]
        assert index.info().bounds == (
            min(record.position.lon for record in records),
            min(record.position.lat for record in records),
            max(record.position.lon for record in records),
            max(record.position.lat for record in records),
        )
        # Then equals come by their ids, of all that are equal
        alike = sorted(ids[i] for i in [3, *range(40, 80)])
        assert index.search(vectors[[3]], 10).ids[0].tolist() == alike[:10]
        assert index.search(vectors[:2], 80).ids.shape == (2, 80)
        place = Near(records[7].position, 30_000)
        inside = {record.id for record in index.within(place)}
        found = index.search(vectors[[3]], 90, place)
        assert set(found.ids[0].tolist()) == inside
        assert 1 < len(inside) < 90


@needs_lite
def test_a_folder_that_another_process_has_open_is_busy(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    location = f"milvus-lite://{tmp_path}/city.db"
    (tmp_path / "city.db").mkdir()
    with (tmp_path / "city.db" / "LOCK").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(IndexBusyError, match="another process has it open; wait for it"):
            open_index(location)
