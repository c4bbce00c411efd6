"""Small servers that answer exactly as a test says, and a cloud that talks to them."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from asrwatch import engines, parts
from asrwatch.cloud import Cloud, KeyRing
from asrwatch.cloud.pacer import Pacer
from asrwatch.engines import Engine, EngineOptions

KEY = "sk-very-secret-0123456789"
NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as the server saw it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(kw_only=True)
class Answer:
    """What the server says."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


class Server:
    """An HTTP server on a free loopback port whose answers come from a function."""

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        self.asked: list[Asked] = []
        seen = self.asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = urlsplit(self.path)
                request = Asked(
                    method=self.command,
                    path=parts.path,
                    query=dict(parse_qsl(parts.query)),
                    headers={key.lower(): value for key, value in self.headers.items()},
                    body=body,
                )
                seen.append(request)
                said = answer(request)
                self.send_response(said.status)
                for key, value in said.headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(said.body)))
                self.end_headers()
                self.wfile.write(said.body)

            do_GET = do_POST = _serve  # noqa: N815 - http.server's names

            def date_time_string(self, timestamp: float | None = None) -> str:
                """By the clock of the clouds that tests make."""
                return format_datetime(
                    NOW if timestamp is None else datetime.fromtimestamp(timestamp, UTC),
                    usegmt=True,
                )

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                """Say nothing."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that breaks off is what some tests are about."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def posts(self) -> list[Asked]:
        """The requests that could cost money."""
        return [asked for asked in self.asked if asked.method == "POST"]


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator["RawServer"]:
    """A server that does to each connection whatever `serve` says."""
    server = RawServer(serve)
    try:
        yield server
    finally:
        server.stop()


class RawServer:
    """Sockets without HTTP, for answers no HTTP server would give."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._run, args=(connection,))
            thread.start()
            self._threads.append(thread)

    def _run(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            self._serve(connection)

    def stop(self) -> None:
        """Stop listening and wait for the connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for thread in self._threads:
            thread.join()


def read_request(connection: socket.socket) -> bytes:
    """One whole request with a Content-Length, head and body."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (piece := connection.recv(65_536)):
            return received
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    while lengths and len(body) < lengths[0]:
        if not (piece := connection.recv(65_536)):
            break
        body += piece
    return head + b"\r\n\r\n" + body


def http(status: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """An HTTP answer as bytes; `length` lies about its size."""
    told = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {told}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def key_ring(key: str = KEY) -> KeyRing:
    """A key ring with this key in its environment."""
    return KeyRing(environment={"DASHSCOPE_API_KEY": key}, home=None)


def cloud_at(url: str | None, *, region: str = "beijing", **changes: Any) -> Cloud:
    """A cloud at this address, whose queries do not wait for each other."""
    settings: dict[str, Any] = {
        "keys": key_ring(),
        "connect_timeout": timedelta(seconds=2),
        "now": lambda: NOW,
        "pacer": Pacer(1e6, sleep=lambda _: None),
        **changes,
    }
    return Cloud(region=region, base_url=url, **settings)


def json_answer(document: object, status: int = 200, **headers: str) -> Answer:
    """A JSON answer; `Retry_After` is the header Retry-After."""
    return Answer(
        status=status,
        body=json.dumps(document).encode(),
        headers={
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        },
    )


def engine_named(name: str, cloud: Cloud, **options: Any) -> Engine[EngineOptions]:
    """The engine of this name, with its own defaults."""
    kind: type[Engine[EngineOptions]] = parts.find(engines, Engine, name)  # type: ignore[type-abstract]  # finds a subclass
    return kind(kind.Options.model_validate(options), cloud)
