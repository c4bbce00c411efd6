"""Every thread's heartbeat: what it is doing, since when, and until when it must have moved.

A thread opens a `Pulse` for what it does; code below it, which knows how long a thing may take, moves the
deadline with `beat` and `allow` without knowing who is counting. Where nobody counts, both do nothing.
Deadlines are monotonic, so a clock that is set, or a machine that sleeps, makes nobody late.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from asrwatch.errors import TemporaryError

__all__ = [
    "CALLED_OFF",
    "Heartbeats",
    "Late",
    "Pulse",
    "allow",
    "beat",
    "called_off",
    "idle",
    "vital",
]

CALLED_OFF = "called-off"

_here = threading.local()


@dataclass(frozen=True, kw_only=True, slots=True)
class Late:
    """A thread that is beyond its deadline.

    `since` is for how long it has not moved; `key` tells who it is about; `computing` says that it burns
    time instead of waiting for something; `vital` that the daemon cannot do its work without it.
    """

    thread: str
    ident: int
    doing: str
    since: timedelta
    allowed: timedelta
    vital: bool
    computing: bool
    key: object


class Pulse:
    """One thread at one thing; used by that thread, read by any.

    Args:
        doing: in words.
        usual: how long it takes at most from one beat to the next.
        vital: whether the daemon is to be started anew if it never moves again.
        key: tells who it is about.
    """

    def __init__(
        self,
        doing: str,
        *,
        usual: timedelta,
        vital: bool,
        key: object,
        clock: Callable[[], float],
    ) -> None:
        thread = threading.current_thread()
        self.doing = doing
        self._thread = thread
        self._usual = usual.total_seconds()
        self._vital = vital
        self._key = key
        self._clock = clock
        self._allowed: float | None = self._usual
        self._decided = (
            threading.Lock()
        )  # whoever takes it first, for good: the thread, or who calls it off
        self._mine = False
        self._moved = clock()
        self._seen: tuple[float, float] | None = None

    def beat(self) -> None:
        """It moves: from now on it has its usual time again."""
        self._set(self._usual)

    def become(self, *, vital: bool) -> bool:
        """Whether the daemon is to be started anew if it never moves again; what it was before.

        Raises:
            TemporaryError: it was called off, and may not begin what is vital.
        """
        if vital and not self.goes_on():
            raise called_off()
        before, self._vital = self._vital, vital
        return before

    def goes_on(self) -> bool:
        """Whether it was not called off; from here on it cannot be."""
        self._mine = self._mine or self._decided.acquire(blocking=False)
        return self._mine

    def call_off(self) -> bool:
        """Keep it from ever beginning what is vital; False where it has begun, or was called off before."""
        return self._decided.acquire(blocking=False)

    def is_about(self, key: object) -> bool:
        """Whether this very thing is what it is at."""
        return self._key is key

    def _set(self, allowed: float | None) -> None:
        # In this order, and read in the other: never an old moment with a new allowance.
        self._moved = self._clock()
        self._allowed = allowed
        self._seen = None

    def late(self) -> Late | None:
        """How it is late, if it is."""
        allowed, moved = self._allowed, self._moved
        now = self._clock()
        if allowed is None or now - moved <= allowed:
            return None
        before, self._seen = self._seen, (now, _worked(self._thread))
        return Late(
            thread=self._thread.name,
            ident=self._thread.ident or 0,
            doing=self.doing,
            since=timedelta(seconds=now - moved),
            allowed=timedelta(seconds=allowed),
            vital=self._vital,
            computing=before is not None and _computes(before, self._seen),
            key=self._key,
        )


class Heartbeats:
    """All pulses of a process.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pulses: dict[int, Pulse] = {}
        self._lock = threading.Lock()

    @contextmanager
    def pulse(
        self, doing: str, *, usual: timedelta, vital: bool, key: object = None
    ) -> Iterator[Pulse]:
        """Count this thread while the block lasts."""
        before: Pulse | None = getattr(_here, "pulse", None)
        mine = Pulse(doing, usual=usual, vital=vital, key=key, clock=self._clock)
        with self._lock:
            self._pulses[id(mine)] = mine
        _here.pulse = mine
        try:
            yield mine
        finally:
            _here.pulse = before
            with self._lock:
                self._pulses.pop(id(mine), None)

    def call_off(self, key: object) -> bool:
        """Whether whoever is at this key is kept, from now on, from beginning what is vital; True only once."""
        with self._lock:
            pulses = tuple(pulse for pulse in self._pulses.values() if pulse.is_about(key))
        return any(pulse.call_off() for pulse in pulses)

    def late(self) -> tuple[Late, ...]:
        """Every thread that is beyond its deadline."""
        with self._lock:
            pulses = tuple(self._pulses.values())
        return tuple(late for pulse in pulses if (late := pulse.late()) is not None)


def called_off() -> TemporaryError:
    """What becomes of a step that did not move for so long that nobody waits for it."""
    return TemporaryError(
        "Its file did not answer for so long that its request was called off; nothing was sent.",
        code=CALLED_OFF,
        advice="Look after the share or disk it lies on; asrwatch tries again by itself.",
    )


def beat() -> None:
    """This thread moves."""
    pulse: Pulse | None = getattr(_here, "pulse", None)
    if pulse is not None:
        pulse.beat()


@contextmanager
def allow(span: timedelta) -> Iterator[None]:
    """What is in the block may take this long without a beat; it has a deadline of its own, or should."""
    yield from _with(span.total_seconds())


@contextmanager
def idle() -> Iterator[None]:
    """What is in the block waits for work, for as long as there is none."""
    yield from _with(None)


@contextmanager
def vital() -> Iterator[None]:
    """The daemon is to be started anew if what is in the block never ends: money is under way in it."""
    pulse: Pulse | None = getattr(_here, "pulse", None)
    if pulse is None:
        yield
        return
    before = pulse.become(vital=True)
    try:
        yield
    finally:
        pulse.become(vital=before)


def _with(allowed: float | None) -> Iterator[None]:
    pulse: Pulse | None = getattr(_here, "pulse", None)
    if pulse is None:
        yield
        return
    pulse._set(allowed)  # noqa: SLF001 - the same module
    try:
        yield
    finally:
        pulse.beat()


_BUSY = 0.05
"""Of the time between two glances: a thread that waits for a share or a lock computes nothing at all."""


def _computes(before: tuple[float, float], seen: tuple[float, float]) -> bool:
    return seen[1] - before[1] > _BUSY * (seen[0] - before[0])


def _worked(thread: threading.Thread) -> float:
    """Seconds of processor time a thread has used; 0 where that cannot be told."""
    try:
        told = Path(f"/proc/self/task/{thread.native_id}/stat").read_bytes()
    except OSError:
        return 0.0
    # proc(5): the name in brackets may hold any bytes; utime and stime are the 12th and 13th after it
    ticks = told.rpartition(b")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
