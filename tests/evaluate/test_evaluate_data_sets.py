"""Checking and fetching data sets, against a local server that misbehaves."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import small_sets

from hafloc.errors import EvaluationError
from hafloc.evaluate.data_sets import prepare as data_sets
from hafloc.evaluate.data_sets.download import Remote, download
from hafloc.evaluate.data_sets.prepare import check, prepare
from hafloc.progress import Silent

CONTENT = bytes(range(256)) * 40


@dataclass
class Server:
    """`content` at any path. The first answers end after `cuts` bytes each; the log holds the
    ranges that were asked for."""

    url: str = ""
    content: bytes = CONTENT
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    status: int = 200
    log: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.log.append(wanted)
            if state.status != 200:
                self.send_error(state.status)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            if state.ranges and start >= len(state.content):
                self.send_error(416)
                return
            start = start if state.ranges else 0
            body = state.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.cuts.pop(0)] if state.cuts else body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{httpd.server_port}/file.tgz"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def remote(server: Server, content: bytes = CONTENT) -> Remote:
    return Remote(server.url, "file.tgz", hashlib.sha256(content).hexdigest())


def test_a_download_goes_on_where_the_connection_broke(server: Server, tmp_path: Path) -> None:
    server.cuts = [1_000, 500]
    path = download(remote(server), tmp_path, Silent())
    assert path.read_bytes() == CONTENT
    assert server.log == [None, "bytes=1000-", "bytes=1500-"]
    assert [file.name for file in tmp_path.iterdir()] == ["file.tgz"]


def test_a_download_goes_on_in_a_later_run(server: Server, tmp_path: Path) -> None:
    server.cuts = [100, 100, 100, 100]
    with pytest.raises(EvaluationError, match="run it again to go on"):
        download(remote(server), tmp_path, Silent())
    assert (tmp_path / "file.tgz.part").stat().st_size == 400
    assert download(remote(server), tmp_path, Silent()).read_bytes() == CONTENT
    assert server.log[-1] == "bytes=400-"


def test_a_server_without_ranges_is_read_from_the_start(server: Server, tmp_path: Path) -> None:
    server.cuts, server.ranges = [1_000], False
    assert download(remote(server), tmp_path, Silent()).read_bytes() == CONTENT


def test_a_corrupted_transfer_is_refused_and_fetched_anew(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(EvaluationError, match=r"has SHA-256 .*damaged or of another version"):
        download(remote(server), tmp_path, Silent())
    assert list(tmp_path.iterdir()) == []
    server.content = CONTENT
    assert download(remote(server), tmp_path, Silent()).read_bytes() == CONTENT


def test_a_file_that_is_there_is_not_fetched_but_checked(server: Server, tmp_path: Path) -> None:
    download(remote(server), tmp_path, Silent())
    download(remote(server), tmp_path, Silent())
    assert len(server.log) == 1
    (tmp_path / "file.tgz").write_bytes(b"other")
    with pytest.raises(EvaluationError, match=r"file\.tgz from .* has SHA-256"):
        download(remote(server), tmp_path, Silent())


def test_all_bytes_of_an_earlier_run_need_no_more(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.tgz.part").write_bytes(CONTENT)
    assert download(remote(server), tmp_path, Silent()).read_bytes() == CONTENT


def test_a_missing_address_is_refused_at_once(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(EvaluationError, match=rf"cannot download {server.url}: .*404"):
        download(remote(server), tmp_path, Silent())
    assert len(server.log) == 1


def packed(names: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_prepare_fetches_unpacks_and_does_nothing_twice(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content = packed({"hall_000000.jpg": b"x"})
    fetched = ((remote(server, server.content), "jpg"),)
    monkeypatch.setattr(data_sets, "REMOTES", {"oxford5k": fetched})
    done = prepare("oxford5k", tmp_path)
    assert done == (f"file.tgz: 1 files into {tmp_path / 'jpg'}",)
    assert (tmp_path / "jpg" / "hall_000000.jpg").read_bytes() == b"x"
    assert prepare("oxford5k", tmp_path) == ()


def test_an_archive_without_a_known_hash_is_pinned_at_first_and_held_to_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an archive whose publisher states no hash
    server.content = first = packed({"hall_000000.jpg": b"x"})
    fetched = ((Remote(server.url, "file.tgz"), "jpg"),)
    monkeypatch.setattr(data_sets, "REMOTES", {"oxford5k": fetched})
    # When it is fetched, the report says its hash, and so does the file beside it
    done = prepare("oxford5k", tmp_path)
    digest = hashlib.sha256(first).hexdigest()
    assert f"file.tgz: SHA-256 {digest}, kept in file.tgz.sha256" in done
    assert (tmp_path / "file.tgz.sha256").read_text() == f"{digest}  file.tgz\n"
    assert prepare("oxford5k", tmp_path) == ()
    # Then another one is refused by name, whether it lies there or is fetched again
    (tmp_path / "file.tgz").write_bytes(packed({"hall_000000.jpg": b"y"}))
    with pytest.raises(EvaluationError, match=r"file\.tgz has SHA-256 .* as when it first came"):
        prepare("oxford5k", tmp_path)
    (tmp_path / "file.tgz").unlink()
    server.content = packed({"hall_000000.jpg": b"evil"})
    with pytest.raises(EvaluationError, match=r"file\.tgz has SHA-256 .* as when it first came"):
        prepare("oxford5k", tmp_path)
    assert not (tmp_path / "file.tgz").exists()
    assert not (tmp_path / "file.tgz.part").exists()
    # And the first one is welcome again
    server.content = first
    assert prepare("oxford5k", tmp_path) == ()


def test_a_damaged_archive_is_not_pinned(tmp_path: Path) -> None:
    whole = packed({"jpg/1.jpg": b"x" * 5_000})
    (tmp_path / "jpg1.tar.gz").write_bytes(whole[:60])
    with pytest.raises(EvaluationError, match="cannot unpack"):
        prepare("holidays", tmp_path)
    (tmp_path / "jpg1.tar.gz").write_bytes(whole)
    with pytest.raises(EvaluationError, match=r"jpg2\.tar\.gz is not there"):
        prepare("holidays", tmp_path)
    assert (tmp_path / "jpg1.tar.gz.sha256").is_file()


def test_a_pin_file_that_holds_no_hash_is_named(tmp_path: Path) -> None:
    (tmp_path / "jpg1.tar.gz").write_bytes(packed({"jpg/1.jpg": b"x"}))
    (tmp_path / "jpg1.tar.gz.sha256").write_text("nonsense")
    with pytest.raises(EvaluationError, match=r"jpg1\.tar\.gz\.sha256 holds no SHA-256"):
        prepare("holidays", tmp_path)


def test_prepare_refuses_archives_that_lead_outside(tmp_path: Path) -> None:
    root = tmp_path / "holidays"
    root.mkdir()
    (root / "jpg1.tar.gz").write_bytes(packed({"../../evil.jpg": b"x"}))
    with pytest.raises(EvaluationError, match=r"cannot unpack .*jpg1\.tar\.gz"):
        prepare("holidays", root)
    assert not (tmp_path / "evil.jpg").exists()


def test_prepare_refuses_a_damaged_archive_by_name(tmp_path: Path) -> None:
    (tmp_path / "jpg1.tar.gz").write_bytes(packed({"jpg/1.jpg": b"x" * 5_000})[:60])
    with pytest.raises(EvaluationError, match=r"cannot unpack .*jpg1\.tar\.gz"):
        prepare("holidays", tmp_path)


def test_prepare_says_what_to_do_where_nothing_is_public(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"Tokyo 24/7 cannot be fetched: .* on request"):
        prepare("tokyo247", tmp_path)
    with pytest.raises(EvaluationError, match=r"jpg1\.tar\.gz is not there; fetch it from"):
        prepare("holidays", tmp_path)


def test_check_tells_counts_that_differ_and_images_that_are_broken(tmp_path: Path) -> None:
    root = small_sets.pittsburgh(tmp_path)
    victim = root / "000" / "000001_pitch1_yaw1.jpg"
    victim.write_bytes(victim.read_bytes()[:400])
    finding = check("pitts30k", root)
    assert any("6 database images and 4 queries, where" in text for text in finding.problems)
    assert any(str(victim) in text for text in finding.problems)
    assert len(finding.problems) == 2


def test_check_of_a_wrong_layout_says_what_the_folder_should_hold(tmp_path: Path) -> None:
    finding = check("sf0", tmp_path)
    assert "it should hold: database.txt with the names" in finding.facts[0]
    assert len(finding.problems) == 1


def test_check_finds_nothing_wrong_with_a_whole_folder(tmp_path: Path) -> None:
    assert check("folder", small_sets.folder(tmp_path)).problems == ()
