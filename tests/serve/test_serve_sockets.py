"""What only a socket shows: slow and half-sent requests, clients that go, and how a server ends."""

import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from served import Client, build, form, jpeg, photo, served, until

from hafloc.serve import connections
from hard_life import server_process

HEAD = b"Host: localhost\r\nContent-Type: image/jpeg\r\n"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return build(tmp_path / "city.gpkg")


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def read_all(connection: socket.socket) -> bytes:
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def read_answer(connection: socket.socket) -> bytes:
    """One answer with its body, while the connection goes on."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536)
    length = int(data.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(data.partition(b"\r\n\r\n")[2]) < length:
        data += connection.recv(65_536)
    return data


def drip(connection: socket.socket) -> None:
    for _ in range(10_000):
        connection.sendall(b"x" * 10_000)
        time.sleep(0.001)


def locate(length: int, sent: bytes) -> bytes:
    return b"POST /v1/locate HTTP/1.1\r\n" + HEAD + b"Content-Length: %d\r\n\r\n" % length + sent


def test_an_upload_that_pauses_is_told_so(index: Path) -> None:
    with served(index, upload_pause=0.3) as city, connect(city.port) as connection:
        connection.sendall(locate(100_000, b"\xff\xd8"))
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"/problems/slow-upload" in answer


def test_an_upload_that_drips_ends_with_its_time(index: Path) -> None:
    with served(index, upload_seconds=0.6) as city, connect(city.port) as connection:
        connection.sendall(locate(100_000, b""))
        began = time.monotonic()
        connection.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() < began + 8:
            try:
                connection.sendall(b"x")
                answer = connection.recv(4096)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_leaves_amid_its_upload_costs_nothing(index: Path) -> None:
    with served(index) as city:
        for _ in range(5):
            with connect(city.port) as connection:
                connection.sendall(locate(100_000, b"x" * 50_000))
        until(lambda: city.service.room.left == city.service.options.max_upload_bytes)
        assert city.client.post("/v1/locate", files=[photo(jpeg())]).status_code == 200
        assert city.describer.seen == 1


def test_work_of_a_client_that_has_gone_never_reaches_the_network(index: Path) -> None:
    with served(index, slow=0.4, workers=1) as city:
        data = jpeg()
        connections_ = [connect(city.port) for _ in range(4)]
        for connection in connections_:
            connection.sendall(locate(len(data), data))
        until(lambda: city.service.queue.waiting == 3 and city.describer.seen == 1)
        for connection in connections_:
            connection.close()
        until(lambda: city.service.queue.waiting == 0 and not city.service.queue.working)
        assert city.describer.seen == 1
        until(lambda: [line["status"] for line in city.lines()] == [499] * 4)


def test_what_has_no_room_is_told_to_come_again(index: Path) -> None:
    with served(index, slow=0.5, workers=1, max_waiting=2) as city:
        data, statuses = jpeg(), []

        def ask() -> None:
            statuses.append(city.client.post("/v1/locate", files=[photo(data)]).status_code)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        threads[0].start()
        until(lambda: city.describer.seen == 1)
        for thread in threads[1:]:
            thread.start()
        until(lambda: city.service.queue.waiting == 2)
        busy = city.client.post("/v1/locate", files=[photo(data)])
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "5")
        assert city.client.get("/healthz").status_code == 200
        for thread in threads:
            thread.join()
        assert statuses == [200] * 3


def test_an_answer_that_comes_too_late_is_a_problem(index: Path) -> None:
    with served(index, slow=0.6, workers=1, deadline=0.3) as city:
        late = city.client.post("/v1/locate", files=[photo(jpeg())])
        assert (late.status_code, late.json()["type"]) == (504, "/problems/too-late")


def test_a_body_that_is_too_long_is_refused_before_it_is_sent(index: Path) -> None:
    with served(index) as city, connect(city.port) as connection:
        connection.sendall(locate(10**12, b""))
        answer = connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("kind", ["raw", "form", "chunked"])
def test_a_photo_that_is_too_large_is_refused_at_its_bound(index: Path, kind: str) -> None:
    """The client goes on sending meanwhile, and reads the answer all the same."""
    with served(index, max_photo_bytes=100_000) as city, connect(city.port) as connection:
        data = b"\xff\xd8" + b"x" * 1_500_000
        if kind == "chunked":
            head = b"POST /v1/locate HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
            connection.sendall(head + b"%x\r\n" % len(data) + data)
        elif kind == "raw":
            connection.sendall(locate(len(data), data))
        else:
            body = form([photo(data)])
            head = locate(len(body), b"").replace(
                b"image/jpeg", b"multipart/form-data; boundary=between-the-parts"
            )
            connection.sendall(head + body)
        answer = read_answer(connection)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"more than 100,000 bytes" in answer
        assert city.describer.seen == 0


def test_an_endless_body_is_not_read_for_ever(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LINGER_S", 0.3)
    with served(index, max_photo_bytes=1_000) as city, connect(city.port) as connection:
        connection.sendall(locate(20_000_000, b"x" * 100_000))
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            drip(connection)


def test_a_head_that_never_ends_is_cut_off(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.3)
    with served(index) as city, connect(city.port) as silent, connect(city.port) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        assert read_all(silent) == b""
        assert read_all(slow) == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"POST /v1/locate HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: a b\r\n\r\n",
    ],
)
def test_what_is_no_request_is_a_problem_and_ends_the_connection(index: Path, sent: bytes) -> None:
    with served(index) as city, connect(city.port) as connection:
        with suppress(OSError):  # it may be refused before it is all there
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 421 ")), answer[:200]
        assert b"application/problem+json" in answer
        assert city.client.get("/healthz").status_code == 200


def test_one_connection_serves_many_requests(index: Path) -> None:
    with served(index) as city, connect(city.port) as connection:
        for _ in range(3):
            data = jpeg()
            connection.sendall(locate(len(data), data))
            assert read_answer(connection).startswith(b"HTTP/1.1 200 ")


def test_several_hundred_idle_connections_keep_nobody_out(index: Path) -> None:
    with served(index) as city:
        idle = [connect(city.port) for _ in range(300)]
        assert city.client.post("/v1/locate", files=[photo(jpeg())]).status_code == 200
        for connection in idle:
            connection.close()


def test_sigterm_finishes_what_was_accepted_and_takes_no_more(index: Path) -> None:
    with server_process(index, slow=0.4) as (running, port):
        statuses: list[int] = []

        def ask() -> None:
            statuses.append(Client(port).post("/v1/locate", files=[photo(jpeg())]).status_code)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        with connect(port) as late:
            data = jpeg()
            late.sendall(locate(len(data), data[:100]))
            time.sleep(0.4)
            running.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            late.sendall(data[100:])
            assert late.recv(4096).startswith(b"HTTP/1.1 200 ")
        for thread in threads:
            thread.join()
        assert statuses == [200] * 4
        assert running.wait(10) == 0
        with pytest.raises(ConnectionRefusedError):
            connect(port)
