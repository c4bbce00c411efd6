"""uvicorn in the page's thread: started, stopped at once, and without a tick while nobody visits."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import timedelta
from typing import Final

import anyio.to_thread
import uvicorn
from starlette.types import ASGIApp

from asrwatch.config import Settings
from asrwatch.control import Counter
from asrwatch.daemon import Daemon
from asrwatch.heartbeats import beat, idle
from asrwatch.web.app import build_app
from asrwatch.web.bell import Bell
from asrwatch.web.patience import Patient
from asrwatch.web.secret import token_of
from asrwatch.web.sight import Sight
from asrwatch.web.sockets import listening

__all__ = ["Running"]

_AT_ONCE: Final = 128
"""Connections; one more is told to come again."""
_READING_AT_ONCE: Final = 12
"""Threads that look something up."""
_KEEP_ALIVE_SECONDS: Final = 20
_GOODBYE: Final = timedelta(milliseconds=200)


class Running:
    """One life of the page.

    Args:
        settings: of the configuration, with a page in it.
        daemon: that the pages are about.
        counter: where the daemon is asked.
        bell: rung at every change.

    Raises:
        StartupError: its token cannot be read.
    """

    def __init__(self, settings: Settings, daemon: Daemon, counter: Counter, bell: Bell) -> None:
        assert settings.web is not None  # noqa: S101 - nobody serves a page that is switched off
        self._web = settings.web
        self._sight = Sight.of(settings, daemon, counter.ask)
        self._served = build_app(self._sight, self._web, token_of(self._web), bell)
        self._server: _Server | None = None
        self._over = False

    def run(self, *, serving: Callable[[str], None]) -> None:
        """Serve until `stop`.

        Args:
            serving: called once requests are answered, with the page's address.

        Raises:
            StartupError: it cannot listen.
        """
        with ExitStack() as closing:
            closing.callback(self._sight.readers.close)
            opened = closing.enter_context(listening(self._web.address))
            self._server = _Server(self._served.app)
            url = _url(self._web.address.url, opened)
            with idle():
                asyncio.run(self._serve(opened, lambda: serving(url)))
            beat()

    def stop(self) -> None:
        """Hang up on everybody and end; from any thread."""
        self._over = True
        if self._server is not None:
            self._server.tell_to_end()

    async def _serve(self, opened: socket.socket, serving: Callable[[], None]) -> None:
        assert self._server is not None  # noqa: S101 - made by the caller
        anyio.to_thread.current_default_thread_limiter().total_tokens = _READING_AT_ONCE
        async with self._served.living():
            server = self._server
            server.begin(serving)
            if self._over:
                return
            await server.serve(sockets=[opened])


class _Server(uvicorn.Server):
    """Without uvicorn's tick ten times a second: it sleeps until a request or the end comes."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Patient,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                limit_concurrency=_AT_ONCE,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
        )
        self._end = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._serving: Callable[[], None] = lambda: None

    def begin(self, serving: Callable[[], None]) -> None:
        """In the loop's thread, before it serves."""
        self._loop = asyncio.get_running_loop()
        self._serving = serving

    def tell_to_end(self) -> None:
        """From any thread."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop was closed this very moment
                self._loop.call_soon_threadsafe(self._end.set)

    async def main_loop(self) -> None:
        """Nothing to do but to wait."""
        self._serving()
        if not self.should_exit:
            await self._end.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Hang up: uvicorn's own way waits for answers under way, and events never end."""
        for server in self.servers:
            server.close()
        for each in sockets or []:
            each.close()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_GOODBYE.total_seconds())
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _url(url: str, opened: socket.socket) -> str:
    """The address with the port that was really given (0 takes a free one)."""
    if opened.family == socket.AF_UNIX:
        return url
    return url.replace(":0/", f":{opened.getsockname()[1]}/")
