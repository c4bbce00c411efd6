"""Serves the page from a thread of the daemon's, whatever happens to it: the recordings matter more.

This module is light: Starlette, uvicorn and the pages are imported by that thread.
"""

import threading
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from asrwatch import logs
from asrwatch.config import Settings
from asrwatch.control import Counter
from asrwatch.crew import begun, no_threads
from asrwatch.daemon import Daemon
from asrwatch.desk import Desk
from asrwatch.desk.reports.lines import Reason
from asrwatch.desk.scene import PageSeen
from asrwatch.errors import AsrwatchError
from asrwatch.heartbeats import idle
from asrwatch.web.bell import Bell

if TYPE_CHECKING:
    from asrwatch.web.running import Running

__all__ = ["PageServer"]

log = logs.get("web")

AGAIN: Final = timedelta(seconds=15)
"""So long after a port was in use, or the page died, it is tried again."""
_TURN: Final = timedelta(seconds=60)
_END: Final = 3.0


class PageServer:
    """The page, while the `with` block lasts; nothing where the configuration says `web: off`.

    Args:
        settings: say where it is served, and what the inboxes are.
        daemon: that the pages are about.
        desk: answers in the daemon's thread; it is told where the page is, or why it is not.
        bell: rung by the daemon at every change.
    """

    def __init__(self, settings: Settings, daemon: Daemon, desk: Desk, bell: Bell) -> None:
        self._settings = settings
        self._daemon = daemon
        self._desk = desk
        self._bell = bell
        self._ending = threading.Event()
        self._counter = Counter(daemon, desk.answer, self._ending)
        self._running: Running | None = None
        self._lock = threading.Lock()
        self._told: str | None = None
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)

    def __enter__(self) -> Self:
        if self._settings.web is not None and not begun(self._thread):
            self._tell(no_threads())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ending.set()
        with self._lock:
            if self._running is not None:
                self._running.stop()
        if self._thread.ident is not None:
            self._thread.join(_END)

    def _serve(self) -> None:
        """Once more after every end that nobody asked for."""
        with self._daemon.hearts.pulse("the status page", usual=_TURN, vital=False):
            while not self._ending.is_set():
                self._guarded(self._once)
                with idle():
                    self._ending.wait(AGAIN.total_seconds())

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except AsrwatchError as error:
            self._tell(error)
        except Exception as error:
            # The page, however broken, is no reason to end the daemon.
            log.exception("page-died")
            self._desk.tell_of_page(
                PageSeen(
                    trouble=Reason(
                        code="page-died",
                        message=f"The status page ran into an error of its own ({type(error).__name__}).",
                        advice="It is served again by itself; please report the log.",
                    )
                )
            )

    def _once(self) -> None:
        from asrwatch.web.running import Running  # noqa: PLC0415 - what it brings is for those who want a page

        assert self._settings.web is not None  # noqa: S101 - no thread was begun without
        running = Running(self._settings, self._daemon, self._counter, self._bell)
        with self._lock:
            if self._ending.is_set():
                return
            self._running = running
        try:
            running.run(serving=self._serving)
        finally:
            with self._lock:
                self._running = None

    def _serving(self, url: str) -> None:
        self._told = None
        self._desk.tell_of_page(PageSeen(url=url))
        log.info("page", url=url)

    def _tell(self, error: AsrwatchError) -> None:
        """One line when the page cannot be served, not one for each time it is tried."""
        self._desk.tell_of_page(PageSeen(trouble=Reason.of(error)))
        if self._told != error.code:
            self._told = error.code
            told: dict[str, Any] = {"code": error.code, "error": error.message}
            log.error("page-unavailable", **told, advice=error.advice)
