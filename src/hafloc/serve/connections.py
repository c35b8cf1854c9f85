"""HTTP connections with bounds that uvicorn's have not: on slow heads, on bodies that nobody reads
any more, on answers that nobody fetches, and on how many there are."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from hafloc.serve.problems import BAD_REQUEST, MEDIA_TYPE, Problem

# For the head of a request, from the connection or the end of the last answer's wait.
HEAD_S = 15.0
# After an answer that came before the body's end: what the client sends on is thrown away for so
# long, so that it gets to read the answer (a closed socket would have the system drop it).
LINGER_S = 2.0
LINGER_BYTES = 4_000_000
# For the last bytes of an answer to be fetched when the connection is to end.
FLUSH_S = 15.0
MOST = 2_000


class BoundedProtocol(H11Protocol):
    """uvicorn's connection, which ends in time whatever the client does."""

    _ending: asyncio.TimerHandle | None = None
    _left = -1

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > MOST:
            transport.abort()
            return
        self._end_after(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._keep()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._left >= 0:
            self._left -= len(data)
            if self._left < 0:
                self.transport.abort()
                return
        cycle = self.cycle
        super().data_received(data)
        if self.cycle is not cycle:  # a head is complete
            self._left = -1
            if not self.cycle.response_complete:
                self._keep()
        elif (cycle is None or cycle.response_complete) and self._ending is None:
            self._end_after(HEAD_S)

    def on_response_complete(self) -> None:
        unread = self.conn.their_state is h11.SEND_BODY
        super().on_response_complete()
        if self.transport.is_closing():
            self._flush()
        elif unread and self.conn.their_state is h11.SEND_BODY:
            self._left = LINGER_BYTES
            self._end_after(LINGER_S)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._flush()

    def shutdown(self) -> None:
        super().shutdown()
        if self.transport.is_closing():
            self._flush()

    def send_400_response(self, msg: str) -> None:
        problem = Problem(BAD_REQUEST, "this is no HTTP request that this server understands")
        body = problem.body()
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        try:
            for event in (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:
            pass  # amid another answer
        self.transport.close()
        self._flush()

    def _end_after(self, seconds: float) -> None:
        self._keep()
        self._ending = self.loop.call_later(seconds, self._end)

    def _keep(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    def _end(self) -> None:
        self._ending = None
        self.transport.close()
        self._flush()

    def _flush(self) -> None:
        """What is still to be fetched is waited for, but not for ever."""
        self._keep()
        self._ending = self.loop.call_later(FLUSH_S, self.transport.abort)
