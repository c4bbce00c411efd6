"""Fills the search with what was said in recordings that were delivered before there was one.

In small portions, when the daemon has nothing else to do: 200,000 transcripts take minutes, and no start waits.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from asrwatch.engines import Engine
from asrwatch.errors import AsrwatchError
from asrwatch.journey.hearing import transcript_of
from asrwatch.journey.store import Store
from asrwatch.journey.transcript import Sentence

__all__ = ["REST", "Filler"]

SPEND = timedelta(milliseconds=40)
REST = timedelta(milliseconds=60)
"""Between two portions, so that whoever posts a message is heard, and the other threads have a core."""


class Filler:
    """Used in the thread that writes the store.

    Args:
        store: whose search has gaps.
        engines: who can read answers, by name.
    """

    def __init__(self, store: Store, engines: Mapping[str, Engine[Any]]) -> None:
        self._store = store
        self._engines = engines
        self._next = 0.0

    @property
    def has_work(self) -> bool:
        """Whether the search may have gaps."""
        return self._store.has_gaps

    def is_due(self, clock: float) -> bool:
        """Whether it is time for the next portion, by monotonic seconds; asked once, it is begun."""
        if not self.has_work or clock < self._next:
            return False
        self._next = clock + (SPEND + REST).total_seconds()
        return True

    def fill(self, spend: timedelta = SPEND) -> None:
        """Fill in a portion."""
        self._store.fill(self._read, spend=spend)

    def _read(self, number: int) -> tuple[Sentence, ...] | None:
        recording = self._store.get(number)
        if recording is None or recording.answer is None or recording.reading is None:
            return None
        engine = self._engines.get(recording.reading.plan.engine)
        try:
            return transcript_of(recording.answer, engine).spoken if engine else None
        except AsrwatchError:  # an answer of a kind that this version does not read
            return None
