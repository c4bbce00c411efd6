"""Hangs up on who has connected and asks nothing: idle connections must not keep the page from everybody else."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["Patient"]


class Patient(H11Protocol):
    """uvicorn's own, but a request whose head does not come is waited for at most twice `timeout_keep_alive`.

    uvicorn waits for it for ever, and counts it among those who are served at once.
    """

    _glance: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Somebody has connected."""
        super().connection_made(transport)
        self._look_again(idle_since=self)

    def connection_lost(self, exc: Exception | None) -> None:
        """And has gone."""
        if self._glance is not None:
            self._glance.cancel()
        super().connection_lost(exc)

    def _look(self, idle_since: object) -> None:
        cycle: Any = self.cycle  # None before the first request
        if cycle is not None and not cycle.response_complete:
            self._look_again(idle_since=self)
        elif cycle is idle_since:
            self.transport.close()
        else:
            self._look_again(idle_since=cycle)

    def _look_again(self, *, idle_since: object) -> None:
        """`idle_since` the answer to this request (None: since the beginning); `self` where it was not idle."""
        self._glance = self.loop.call_later(self.timeout_keep_alive, self._look, idle_since)
