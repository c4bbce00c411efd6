"""The log of requests: what arrived, when and how it was answered, never with a key in it."""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from asrwatch.sandbox.faults import Route, Wire

__all__ = ["Seen", "Traffic"]

# A sandbox may run for days; what a person or a test looks at is recent.
_KEPT: Final = 100_000
_HIDDEN: Final = frozenset({"authorization"})


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request.

    Args:
        number: from 1, in order of arrival.
        at: when its headers had arrived (the sandbox's clock).
        method, path, query: as on the request line, the path decoded.
        route: what it is for.
        headers: lower-case names; the key replaced by `***`.
        account: whose key it carried, if it was accepted.
        size: bytes of body received.
        status: of the answer; None while it is under way, and where the connection was closed without one.
        fault: what was done to the answer.
    """

    number: int
    at: datetime
    method: str
    path: str
    query: str
    route: Route
    headers: Mapping[str, str]
    account: str = ""
    size: int = 0
    status: int | None = None
    fault: Wire | None = None


class Traffic:
    """All requests in order of arrival. Safe to read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._seen: deque[Seen] = deque(maxlen=_KEPT)

    @property
    def seen(self) -> tuple[Seen, ...]:
        """The requests, oldest first."""
        with self._lock:
            return tuple(self._seen)

    def arrived(
        self,
        *,
        at: datetime,
        method: str,
        path: str,
        query: str,
        route: Route,
        headers: Mapping[str, str],
    ) -> int:
        """Write a request down and give it a number."""
        shown = {name: "***" if name in _HIDDEN else value for name, value in headers.items()}
        with self._lock:
            self._count += 1
            self._seen.append(
                Seen(
                    number=self._count,
                    at=at,
                    method=method,
                    path=path,
                    query=query,
                    route=route,
                    headers=shown,
                )
            )
            return self._count

    def answered(
        self, number: int, *, account: str, size: int, status: int | None, fault: Wire | None
    ) -> None:
        """Complete a request's line."""
        with self._lock:
            index = number - 1 - (self._count - len(self._seen))
            if index >= 0:
                self._seen[index] = replace(
                    self._seen[index], account=account, size=size, status=status, fault=fault
                )
