"""Failures of the network are told in our words, whichever library met them."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from hafloc.errors import SourceError
from hafloc.photos.remote import PhotoUrl, RemoteError
from hafloc.server_failures import certificate_in_words, failure_in_words
from hafloc.sources import Web

urllib3 = pytest.importorskip("urllib3")

LEAKS = ("<", "urllib3", "aiohttp", "HTTPConnection", "Errno", "object at", "Max retries", "ssl:")


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """The address of a server that sends some bytes to whoever asks, and hangs up."""
    listeners: list[socket.socket] = []

    def serve(data: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    connection.sendall(data)

        threading.Thread(target=answer, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/x.json"

    yield serve
    for listener in listeners:
        listener.close()


def said_by_fetch(url: str) -> str:
    with pytest.raises(SourceError) as told:
        Web("1", wait=lambda seconds: None).json(url)
    return str(told.value)


def said_by_photos(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    monkeypatch.setattr("hafloc.photos.remote._WAITS", ())
    with pytest.raises(RemoteError) as told:
        PhotoUrl(url).read_bytes()
    return str(told.value.strerror)


def bare(message: str, url: str) -> str:
    assert not any(leak in message.replace(url, "") for leak in LEAKS), message
    assert "\n" not in message
    return message


def test_a_port_that_nobody_listens_on(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{closed_port()}/a.jpg"
    for said in (said_by_fetch(url), said_by_photos(url, monkeypatch)):
        assert "the server refuses the connection" in bare(said, url)


def test_a_server_of_no_known_name(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://nowhere.invalid/a.jpg"

    def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for said in (said_by_fetch(url), said_by_photos(url, monkeypatch)):
        assert "no server of that name is known" in bare(said, url)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the server broke off"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "the server"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nshort", "less came than was announced"),
        (
            # As it hangs up, else the client may ask again on a connection that is no more.
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 8\r\n"
            b"Content-Encoding: gzip\r\n\r\nnot gzip",
            "what came cannot be unpacked",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ""),
    ],
)
def test_a_server_that_answers_badly(
    answering: Callable[[bytes], str],
    monkeypatch: pytest.MonkeyPatch,
    data: bytes,
    words: str,
) -> None:
    url = answering(data)
    for said in (said_by_fetch(url), said_by_photos(url, monkeypatch)):
        assert words in bare(said, url)


def test_a_server_without_encryption_behind_a_secure_address(
    answering: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n").replace("http:", "https:")
    for said in (said_by_fetch(url), said_by_photos(url, monkeypatch)):
        assert "no secure connection comes about" in bare(said, url)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("certificate verify failed: certificate has expired (_ssl.c:1006)", "it has expired"),
        ("certificate verify failed: self-signed certificate", "nobody vouches for it"),
        ("Hostname mismatch, certificate is not valid for 'x.org'.", "it is another server's"),
    ],
)
def test_certificates_are_told_by_what_is_wrong_with_them(text: str, words: str) -> None:
    error = ssl.SSLCertVerificationError(1, f"[SSL: CERTIFICATE_VERIFY_FAILED] {text}")
    assert certificate_in_words(error) == f"its certificate is not valid: {words}"
    assert failure_in_words(urllib3.exceptions.SSLError(error)) == certificate_in_words(error)


def test_what_nobody_foresaw_is_still_told_without_its_words() -> None:
    class OddError(Exception):
        pass

    assert failure_in_words(OddError("<urllib3 object at 0x7f>")) == "the connection failed"
    # One that is its own cause ends too.
    error = OddError()
    error.__cause__ = error
    assert failure_in_words(error) == "the connection failed"
