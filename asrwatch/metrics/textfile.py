"""Writes the figures into a file every so often, for a node exporter's textfile collector."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from asrwatch import logs
from asrwatch.config import Settings
from asrwatch.control import Counter
from asrwatch.crew import begun, no_threads
from asrwatch.daemon import Daemon
from asrwatch.desk.questions import AskHealth, Question
from asrwatch.desk.reports import Report
from asrwatch.desk.reports.status import Health
from asrwatch.errors import AsrwatchError
from asrwatch.files import write_atomically
from asrwatch.heartbeats import Heartbeats, idle
from asrwatch.journey.store import Readers
from asrwatch.metrics.measured import Measured, measure

__all__ = ["TextFile", "metrics_file"]

log = logs.get("metrics")

_TURN: Final = timedelta(seconds=60)
_END: Final = 3.0
_SHARE: Final = 0.01
"""Of a processor's time at most: a very large database is looked at less often than was asked for."""


def metrics_file(
    settings: Settings, daemon: Daemon, answer: Callable[[Question], Report]
) -> AbstractContextManager[object]:
    """Writes the file while the block lasts; nothing where the configuration names none."""
    path = settings.metrics.textfile
    if path is None:
        return nullcontext()
    ending = threading.Event()
    counter = Counter(daemon, answer, ending)

    def measured() -> Measured:
        health = counter.ask(AskHealth())
        assert isinstance(health, Health)  # noqa: S101 - what the question is answered with
        # A connection of its own each time: between two, nothing of the database is held open.
        with closing(Readers(settings.state_dir)) as readers, readers.one() as reader:
            return measure(reader, health, settings)

    return TextFile(
        path,
        every=settings.metrics.every,
        measure=measured,
        hearts=daemon.hearts,
        ending=ending,
    )


class TextFile:
    """A thread that writes, while the `with` block lasts; at its end the file says that asrwatch is not up.

    Trouble with the disk or the daemon is told once, in the log, and the file is written when it is over.

    Args:
        path: of the file; its name must end in `.prom`.
        every: the time between two.
        measure: takes the figures, in the thread.
        hearts: where its heartbeat is counted.
        ending: set at the end of the block, for whoever measures.
    """

    def __init__(
        self,
        path: Path,
        *,
        every: timedelta,
        measure: Callable[[], Measured],
        hearts: Heartbeats,
        ending: threading.Event,
    ) -> None:
        self._path = os.fsencode(path)
        self._every = every
        self._measure = measure
        self._hearts = hearts
        self._ending = ending
        self._told: str | None = None
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def __enter__(self) -> Self:
        if not begun(self._thread):
            self._tell(no_threads())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(_END)

    def _run(self) -> None:
        from asrwatch.metrics.exposition import exposition, gone  # noqa: PLC0415 - for those who want figures

        with self._hearts.pulse("writing the metrics file", usual=_TURN, vital=False):
            while not self._ending.is_set():
                begun = time.thread_time()
                self._write(lambda: exposition(self._measure(), process=False))
                dear = (time.thread_time() - begun) / _SHARE
                with idle():
                    self._ending.wait(max(self._every.total_seconds(), dear))
            self._write(gone)

    def _write(self, content: Callable[[], bytes]) -> None:
        try:
            write_atomically(self._path, content())
            self._told = None
        except AsrwatchError as error:
            self._tell(error)

    def _tell(self, error: AsrwatchError) -> None:
        if self._told != error.code:
            self._told = error.code
            log.error("metrics-file", error=error.message, code=error.code, advice=error.advice)
