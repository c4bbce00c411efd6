"""Remembers answers for a moment, so that many visitors cost what one costs."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["Remembering"]

ValueT = TypeVar("ValueT")


class Remembering:
    """Answers by name, each with the moment at which it was found; one thread finds, others wait for it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, Any]] = {}
        self._dear: dict[str, float] = {}
        self._at_work: dict[str, threading.Lock] = {}

    def recall_within(self, name: str, share: float, find: Callable[[], ValueT]) -> ValueT:
        """What was found a moment ago, or now: so that finding takes this share of a processor's time at most."""
        with self._lock:
            seconds = self._dear.get(name, 0.0) / share

        def timed() -> ValueT:
            begun = time.thread_time()
            value = find()
            self._dear[name] = time.thread_time() - begun
            return value

        return self.recall(name, seconds, timed)

    def recall(self, name: str, seconds: float, find: Callable[[], ValueT]) -> ValueT:
        """What was found under a name within so many seconds, or what is found now."""
        with self._lock:
            at_work = self._at_work.setdefault(name, threading.Lock())
        with at_work:
            known = self._found.get(name)
            if known is not None and self._clock() - known[0] < seconds:
                value: ValueT = known[1]
                return value
            value = find()
            self._found[name] = (self._clock(), value)
        return value
