"""Tells systemd that the daemon lives, as long as every thread that matters is inside its deadline.

A thread that is stuck is named in the log, with what it does and where; once the daemon cannot work without
it, every thread's stack is written to stderr and the pings end, so that systemd starts the daemon anew. A
thread that waits for a share which does not answer is no reason for that: the other inboxes go on.
"""

import faulthandler
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from asrwatch import logs
from asrwatch.heartbeats import Heartbeats, Late
from asrwatch.systemd import Notifier
from asrwatch.values import format_duration

__all__ = ["Supervision"]

log = logs.get("supervision")

LONGEST_GLANCE = timedelta(seconds=5)
_STDERR = 2


class Supervision:
    """A thread of its own that looks at all the others.

    Args:
        hearts: of every other thread.
        notifier: gets the pings.
        dump: writes down where every thread is.
    """

    def __init__(
        self,
        hearts: Heartbeats,
        notifier: Notifier,
        *,
        dump: Callable[[], None] | None = None,
    ) -> None:
        self._hearts = hearts
        self._notifier = notifier
        self._dump = dump or _dump
        self._stopping = threading.Event()
        self._late: tuple[Late, ...] = ()
        self._told: dict[tuple[int, str], Late] = {}
        self._given_up = False
        self._thread = threading.Thread(target=self._run, name="supervision", daemon=True)

    @property
    def late(self) -> tuple[Late, ...]:
        """Who was beyond its deadline at the last glance."""
        return self._late

    @property
    def has_died(self) -> bool:
        """Whether nobody looks any more, though nobody ended it."""
        begun = self._thread.ident is not None
        return begun and not self._thread.is_alive() and not self._stopping.is_set()

    def start(self) -> None:
        """Begin to look, and to ping."""
        self._thread.start()

    def stop(self) -> None:
        """End; nobody pings any more."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(1)

    def glance(self) -> bool:
        """Look once, say what is new; answers whether the daemon can do its work."""
        late = self._hearts.late()
        self._late = late
        now = {(each.ident, each.doing): each for each in late}
        for who in self._told.keys() - now.keys():
            gone = self._told.pop(who)
            log.info("thread-moves-again", thread=gone.thread, doing=gone.doing)
        for who in now.keys() - self._told.keys():
            self._told[who] = now[who]
            _tell(now[who])
        given_up = any(each.vital or each.computing for each in late)
        if given_up and not self._given_up:
            log.critical(
                "hanging",
                threads=[each.thread for each in late],
                advice="systemd starts asrwatch anew."
                if self._notifier.watchdog_interval()
                else "Nobody watches over this process: start it anew by hand, and report the stacks below.",
            )
            self._dump()
        self._given_up = given_up
        return not given_up

    def _run(self) -> None:
        interval = self._notifier.watchdog_interval()
        glance = min(LONGEST_GLANCE, interval / 2) if interval else LONGEST_GLANCE
        while True:
            if self.glance():
                self._notifier.alive()
            if self._stopping.wait(glance.total_seconds()):
                return


def _tell(late: Late) -> None:
    frame = sys._current_frames().get(late.ident)  # noqa: SLF001 - the documented way to look into a thread
    where = traceback.extract_stack(frame)[-3:] if frame else []
    log.error(
        "thread-stuck",
        thread=late.thread,
        doing=late.doing,
        since=format_duration(late.since),
        allowed=format_duration(late.allowed),
        at=[f"{each.filename}:{each.lineno} {each.name}" for each in reversed(where)],
    )


def _dump() -> None:
    """As systemd's SIGABRT does, for those who have no systemd; needs no lock that a stuck thread may hold."""
    with suppress(OSError, ValueError, RuntimeError):
        faulthandler.dump_traceback(file=_STDERR, all_threads=True)
