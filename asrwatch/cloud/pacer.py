"""Keep what many threads do together within so many times a second."""

import threading
import time
from collections.abc import Callable

__all__ = ["Pacer"]


class Pacer:
    """Hands out starting times that are evenly spaced; a thread that comes early sleeps until its own.

    Args:
        per_second: how many starts in a second, over all threads.
        clock: monotonic seconds.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._gap = 1 / per_second
        self._clock = clock
        self._sleep = sleep
        self._next = clock()
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when it is this caller's turn."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            self._sleep(turn - now)

    def pause(self, seconds: float) -> None:
        """Wait, without taking a turn."""
        self._sleep(seconds)
