"""Requests that are polite, are tried again, and never take half a file for a whole one."""

import gzip
import io
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from street_server import Street, serving

from hafloc.errors import SourceError
from hafloc.sources import Web
from hafloc.sources.web import plain

PHOTO = "/api/pictures/00000003-x/sd.jpg"


class Waits(list[float]):
    """Sleeps no time at all, and remembers."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def fetched(street: Street, waits: Waits | None = None, **known: object) -> bytes:
    with serving(street) as address:
        web = Web("1.2.3", wait=waits if waits is not None else Waits())
        return web.photo(address + PHOTO, **known)  # type: ignore[arg-type]


def test_requests_name_the_program_and_its_version() -> None:
    street = Street()
    fetched(street)
    assert street.agents == {"hafloc/1.2.3 (+https://github.com/hafloc/hafloc)"}


def test_a_server_that_asks_to_wait_is_waited_for_by_everyone() -> None:
    street, waits = Street(moods={PHOTO: ["429 7", "503 3"]}), Waits()
    with serving(street) as address:
        web = Web("0", wait=waits)
        assert web.photo(address + PHOTO) == street.photo(3)
        assert waits[0] == 7
        # Another request at the same time waits for the rest of it.
        web.photo(address + "/api/pictures/00000001-x/sd.jpg")
        assert 6 < waits[-1] <= 7


@pytest.mark.parametrize("asked", ["0", "-5", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_server_that_asks_for_no_wait_or_nonsense_is_not_asked_at_once(asked: str) -> None:
    waits = Waits()
    fetched(Street(moods={PHOTO: [f"429 {asked}"] * 3}), waits)
    assert [0.5 * 2**i <= wait <= 0.63 * 2**i for i, wait in enumerate(waits[:1])] == [True]
    assert max(waits) >= 2


def test_a_date_until_which_to_wait_is_understood() -> None:
    waits, until = Waits(), formatdate(time.time() + 30, usegmt=True)
    fetched(Street(moods={PHOTO: [f"503 {until}"]}), waits)
    assert 25 < waits[0] <= 30


def test_a_server_that_asks_to_wait_for_hours_is_left_for_later() -> None:
    with pytest.raises(SourceError, match=r"asks to wait 7,200 seconds; run the same command"):
        fetched(Street(moods={PHOTO: ["429 7200"]}))


def test_a_server_that_fails_for_good_is_given_up_after_six_tries() -> None:
    street, waits = Street(moods={PHOTO: ["500"] * 9}), Waits()
    with pytest.raises(SourceError, match=r"answers 500 .*, 6 times; run the same command"):
        fetched(street, waits)
    assert street.hits[f"GET {PHOTO}"] == 6
    assert waits == sorted(waits)
    assert waits[-1] >= 8


def test_what_is_not_there_is_not_asked_for_again() -> None:
    street = Street(moods={PHOTO: ["404"]})
    with pytest.raises(SourceError, match="404 Not Found"):
        fetched(street)
    assert street.hits[f"GET {PHOTO}"] == 1


def test_a_link_that_dies_is_taken_up_where_it_broke_off() -> None:
    street = Street(moods={PHOTO: ["dies", "dies"]})
    assert fetched(street) == street.photo(3)
    size = len(street.photo(3))
    assert street.ranges == [f"bytes={size // 2}-", f"bytes={size // 2 + (size - size // 2) // 2}-"]


def test_without_a_mark_of_the_file_a_dead_link_begins_again() -> None:
    # Given a server that cannot say whether the file is still the same
    street = Street(moods={PHOTO: ["dies"]}, tags=False)
    assert fetched(street) == street.photo(3)
    assert street.ranges == []


def test_bytes_that_are_not_of_the_hash_that_the_server_states_are_fetched_again() -> None:
    street = Street(moods={PHOTO: ["changed", "changed"]})
    assert fetched(street) == street.photo(3)
    with pytest.raises(SourceError, match="its sha256 is not what the server says, 6 times"):
        fetched(Street(moods={PHOTO: ["changed"] * 6}))


def test_bytes_that_are_not_what_the_list_of_photos_states_are_refused() -> None:
    street = Street()
    with pytest.raises(SourceError, match=r"bytes came, 6 times"):
        fetched(street, size=len(street.photo(3)) + 1)
    with pytest.raises(SourceError, match="its sha256 is not"):
        fetched(street, sha256="00" * 32)


def test_a_length_is_asked_for_without_the_file() -> None:
    street = Street()
    with serving(street) as address:
        web = Web("0", wait=Waits())
        assert web.size(address + PHOTO) == len(street.photo(3))
        assert web.size(address + "/nothing") is None
        assert web.size("http://127.0.0.1:9/") is None
    assert street.hits[f"GET {PHOTO}"] == 0


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x.org/a", "http://", "nonsense"])
def test_only_addresses_of_the_web_are_read(url: str) -> None:
    with pytest.raises(SourceError, match="only http and https addresses"):
        Web("0", wait=Waits()).photo(url)


def test_an_address_in_a_message_has_no_token() -> None:
    assert plain("https://u:p@x.org/a/b?token=1#c") == "https://x.org/a/b"
    assert len(plain("https://x.org/" + "a" * 5000)) < 250


class _Odd(BaseHTTPRequestHandler):
    """/to/PORT leads to another server with the token, /round to itself, /bomb swells."""

    seen: list[str | None]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization"))
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.path[4:]}/json")
        elif self.path == "/round":
            self.send_response(301)
            self.send_header("Location", "/round")
        elif self.path == "/evil":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
        else:
            self.send_response(200)
            memory = io.BytesIO()
            with gzip.GzipFile(fileobj=memory, mode="wb") as zipped:
                zipped.write(b"[]" if self.path == "/json" else b" " * 2_000_000)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(memory.getvalue())))
            self.end_headers()
            self.wfile.write(memory.getvalue())
            return
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def odd():
    _Odd.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Odd)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_token_does_not_follow_to_another_server(odd: int) -> None:
    url = f"http://127.0.0.1:{odd}/to/{odd}"
    assert Web("0").json(url, headers={"Authorization": "OAuth secret"}) == []
    assert _Odd.seen == ["OAuth secret", None]


def test_an_address_that_leads_round_and_one_that_leads_to_a_file_end(odd: int) -> None:
    with pytest.raises(SourceError, match="leads from address to address"):
        Web("0").json(f"http://127.0.0.1:{odd}/round")
    with pytest.raises(SourceError, match="only http and https"):
        Web("0").json(f"http://127.0.0.1:{odd}/evil")


def test_an_answer_that_swells_when_unpacked_is_cut_off(
    odd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hafloc.sources.web._LARGEST_JSON", 1_000_000)
    with pytest.raises(SourceError, match="longer than 1,000,000 bytes"):
        Web("0").json(f"http://127.0.0.1:{odd}/bomb")
