"""uvicorn in a thread, on a loopback port, able to close any connection and to stop at once."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from asrwatch.errors import StartupError
from asrwatch.sandbox.app import build_app
from asrwatch.sandbox.service import Service
from asrwatch.sandbox.wire import Connection, Connections

__all__ = ["HOST", "Running", "bound"]

HOST: Final = "127.0.0.1"
_BACKLOG: Final = 2048
# Gateways keep idle connections about this long; less would hang up on clients that pool them.
_KEEP_ALIVE_SECONDS: Final = 75
# How often to look whether the thread that is to do something is still there.
_LOOK_SECONDS: Final = 0.5


class Running:
    """A server and its thread."""

    def __init__(self, service: Service, listening: socket.socket) -> None:
        self.service = service
        self._socket = listening
        connections: Connections = {}
        self._server = _Server(
            uvicorn.Config(
                build_app(service, connections),
                http=_protocol(connections),
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                date_header=False,  # the gate tells the sandbox's own time
                proxy_headers=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            ),
            service,
            connections,
        )
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)

    def start(self) -> None:
        """Return when requests are answered.

        Raises:
            StartupError: the server gave up before that.
        """
        self._thread.start()
        self._server.ready.wait()
        if not self._server.started:
            raise StartupError("The sandbox's server did not start.", code="not-started")

    def stop(self) -> None:
        """Drop what is under way and end the thread."""
        self.call(self._server.over.set)
        self._thread.join()

    def call(self, change: Callable[[], None]) -> None:
        """Run something in the event loop and wait for it."""
        loop = self._server.loop
        if loop is None or not self._thread.is_alive():
            change()
            return
        done = threading.Event()

        def step() -> None:
            change()
            done.set()

        with contextlib.suppress(RuntimeError):  # the loop was closed this very moment
            loop.call_soon_threadsafe(step)
        while not done.wait(_LOOK_SECONDS):
            if not self._thread.is_alive():
                change()
                return

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))


class _Server(uvicorn.Server):
    """Says when it answers, and gives up the work under way when it stops."""

    def __init__(self, config: uvicorn.Config, service: Service, connections: Connections) -> None:
        super().__init__(config)
        self._open = connections
        self.ready = threading.Event()
        self.over = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._service = service

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say when requests are answered."""
        self.loop = asyncio.get_running_loop()
        try:
            await super().startup(sockets)
        finally:
            self.ready.set()

    async def main_loop(self) -> None:
        """Tick once a second until told to stop."""
        while not await self.on_tick(0) and not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Hang up on everybody: what is under way is of no use to anybody any more.

        uvicorn's own way waits for answers under way, and a tenth of a second in any case.
        """
        for server in self.servers:
            server.close()
        for each in sockets or []:
            each.close()
        await self._service.stop()
        for connection in list(self._open.values()):
            connection.transport.abort()
        await asyncio.sleep(
            0
        )  # so that the requests under way learn of it before they are cancelled
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _protocol(connections: Connections) -> type[asyncio.Protocol]:
    """Uvicorn's protocol, which also lets faults close a connection without an answer."""

    class Known(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if self.client is not None:
                connections[self.client] = Connection(transport=transport)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self.client is not None:
                connection = connections.pop(self.client, None)
                if connection is not None:
                    connection.closed.set()

    return Known


@contextlib.contextmanager
def bound(port: int) -> Iterator[socket.socket]:
    """A listening socket on loopback.

    Raises:
        StartupError: the port is taken.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
        except OSError as error:
            raise StartupError(
                f"The sandbox cannot listen on {HOST}:{port}: {error.strerror}.",
                code="port-taken",
                advice="Choose another port, or 0 for a free one.",
            ) from error
        listening.listen(_BACKLOG)
        yield listening
