"""An adapter of requests whose connections can be broken off at a deadline."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool

from asrwatch.crew import begun, no_threads

__all__ = ["Adapter", "deadline"]


class Adapter(HTTPAdapter):
    """An adapter that can cut its connections from another thread, whatever they are waiting for."""

    def __init__(self) -> None:
        super().__init__(pool_connections=2, pool_maxsize=1, max_retries=0)
        self._connections: list[Any] = []
        self.was_cut = False

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,
        proxies: Mapping[str, str] | None = None,
        cert: tuple[str, str] | str | None = None,
    ) -> ConnectionPool:
        """The pool for a request, which from now on tells us of each connection it makes."""
        pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
        if isinstance(pool, HTTPConnectionPool) and "ConnectionCls" not in vars(pool):
            make: Callable[..., Any] = pool.ConnectionCls

            def remembered(*args: Any, **kwargs: Any) -> Any:
                connection = make(*args, **kwargs)
                self._connections.append(connection)
                return connection

            pool.ConnectionCls = remembered  # type: ignore[assignment]  # it is only ever called
        return pool

    def allow(self, seconds: float) -> None:
        """Let one operation on the connection take that long."""
        for sock in self._sockets():
            sock.settimeout(seconds)

    def cut(self) -> None:
        """Break off: whoever waits for the connection wakes up with an error."""
        self.was_cut = True
        for sock in self._sockets():
            try:
                # not the TLS socket's own shutdown, which takes its state away under the reader
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                continue  # closed meanwhile

    def _sockets(self) -> list[socket.socket]:
        socks = [getattr(connection, "sock", None) for connection in tuple(self._connections)]
        return [sock for sock in socks if isinstance(sock, socket.socket)]


@contextmanager
def deadline(seconds: float, cut: Callable[[], None]) -> Iterator[None]:
    """Call `cut` if the block takes longer: sockets' own time-outs start anew with every byte.

    Raises:
        TemporaryError: nobody is to be had who would watch the time; the block was not begun.
    """
    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.name = "deadline"
    if not begun(timer):
        raise no_threads()
    try:
        yield
    finally:
        timer.cancel()
