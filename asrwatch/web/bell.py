"""Rung by the daemon at every change; costs it next to nothing while nobody looks."""

import secrets
import threading
from collections import deque
from collections.abc import Callable
from itertools import takewhile
from typing import Final

from asrwatch.journey.book import Change

__all__ = ["Bell"]

_REMEMBERED: Final = 1000


class Bell:
    """Hands changes on to whoever listens, in the thread that rings, and remembers the last of them.

    A page is filled a moment before its browser listens: what changed in between is asked for by `since`.
    """

    def __init__(self) -> None:
        self._listener: Callable[[int], None] | None = None
        self._life = secrets.token_hex(4)
        self._rung = 0
        self._lately: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        self._lock = threading.Lock()

    @property
    def mark(self) -> str:
        """This moment, for `since`."""
        return f"{self._life}-{self._rung}"

    def since(self, mark: str) -> frozenset[int] | None:
        """The numbers of the recordings that changed since then; None where nobody remembers that long."""
        life, _, written = mark.partition("-")
        if life != self._life or not written.isdecimal():
            return None
        then = int(written[:20])
        with self._lock:
            if self._rung - then > len(self._lately):
                return None
            newest_first = takewhile(lambda each: each[0] > then, reversed(self._lately))
            return frozenset(recording for _, recording in newest_first)

    def listen(self, listener: Callable[[int], None] | None) -> None:
        """From now on, have this called with the number of each recording that changed; None: nobody listens."""
        self._listener = listener

    def ring(self, change: Change) -> None:
        """A recording has become something else, and that is saved."""
        with self._lock:
            self._rung += 1
            self._lately.append((self._rung, change.after.id))
        listener = self._listener
        if listener is not None:
            listener(change.after.id)
