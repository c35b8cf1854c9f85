"""Runs the server: sockets, signals, and an end that finishes what was accepted."""

import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import uvicorn

from hafloc.errors import OptionError
from hafloc.locate import Localizer
from hafloc.serve.app import create_app
from hafloc.serve.connections import BoundedProtocol
from hafloc.serve.databases import Databases, SharedNetworks
from hafloc.serve.files import AllowedPaths
from hafloc.serve.logs import Log
from hafloc.serve.network import Network
from hafloc.serve.options import Options
from hafloc.serve.service import Service

KEEP_ALIVE_S = 5
# After the deadline of what was accepted, for its last bytes to be fetched.
_SPARE_S = 10
_BACKLOG = 2_048
# Requests of one connection are read into memory no further than this before they are asked for.
_HEAD_BYTES = 32_768


def open_service(
    locations: Sequence[str],
    options: Options,
    *,
    model: str | None = None,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    trust: bool = False,
    log: Log | None = None,
) -> Service:
    """A service with all its databases open. Raises HaflocError where one cannot be."""

    def describer(location: str, name: str) -> Network:
        with Localizer.open(
            location,
            model,
            device=device,
            runtime=runtime,
            precision=precision,
            trust=trust,
        ) as localizer:
            return Network(localizer.describer)

    networks = SharedNetworks(describer)

    def opened(location: str, paths: AllowedPaths) -> Localizer:
        return networks.localizer(location, paths)

    databases = Databases(locations, opened, options.photos)
    try:
        databases.open()
    except BaseException:
        databases.close()
        raise
    service = Service(databases, options, log)
    service.prepare()
    return service


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any that is free. Raises OptionError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0]
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(found[4])
    except OSError as error:
        listening.close()
        raise OptionError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --port or "
            "--host"
        ) from error
    return listening


def check_open(host: str, options: Options, *, open_: bool) -> None:
    """Raises OptionError where a server without keys would listen to others without being told."""
    if options.keys or open_ or is_loopback(host):
        return
    raise OptionError(
        f"without keys anybody who reaches {host} could use this server; give keys with --keys or "
        "HAFLOC_KEYS, or --open if that is meant"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def own_names(host: str, more: Sequence[str]) -> frozenset[str]:
    """The names under which a server that listens on `host` may be called; see `gate.is_own`."""
    names = {"localhost", "127.0.0.1", "::1", host.lower(), *(name.lower() for name in more)}
    if host in ("0.0.0.0", "::", ""):
        names |= {"ip", socket.gethostname().lower()}
    return frozenset(names)


def run(
    service: Service,
    listening: socket.socket,
    *,
    proxies: str = "127.0.0.1",
    started: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, and then finish what was accepted. Closes the service."""
    try:
        with service.log.of_libraries():
            make_server(service, proxies=proxies, started=started).run(sockets=[listening])
    finally:
        service.close()


def make_server(
    service: Service, *, proxies: str = "127.0.0.1", started: Callable[[], None] = lambda: None
) -> uvicorn.Server:
    """A server that is not running yet; `started` is called when it is."""
    config = uvicorn.Config(
        create_app(service),
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=True,
        forwarded_allow_ips=proxies,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(
            service.options.upload_seconds + service.options.deadline + _SPARE_S
        ),
        backlog=_BACKLOG,
        h11_max_incomplete_event_size=_HEAD_BYTES,
    )
    return _Server(config, started)


class _Server(uvicorn.Server):
    """uvicorn's server, whose end by a signal is an end like any other."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._say_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._say_started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Not as uvicorn, which raises them again when all is done: that would be an error.
        before = {}
        for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
            number = getattr(signal, name, None)
            if number is None or signal.getsignal(number) is signal.SIG_IGN:
                continue
            try:
                before[number] = signal.signal(number, self._stop)
            except ValueError:  # not in the main thread
                break
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        # The first one ends the server well, a second one at once.
        self.force_exit = self.should_exit
        self.should_exit = True
