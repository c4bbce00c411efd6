"""When a backup of the state is due, and how the last one went."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from asrwatch import logs
from asrwatch.errors import AsrwatchError
from asrwatch.journey.store import Store, backup

__all__ = ["BackupRules", "Backups"]

log = logs.get("backup")

AGAIN = timedelta(hours=1)
"""After one that failed."""
BUSY = timedelta(hours=2)
"""So long a due backup waits for a moment without a request under way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupRules:
    """How often, and how many are kept."""

    every: timedelta
    keep: int


class Backups:
    """Used in the daemon's main thread; only `finish` runs in a worker.

    Args:
        store: whose database.
        rules: None: there are none.
        beat: called while a copy is made.
    """

    def __init__(
        self,
        store: Store,
        rules: BackupRules | None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._rules = rules
        self._beat = beat
        self._next: datetime | None = None
        self._begun = False
        self.trouble: AsrwatchError | None = None

    @property
    def newest(self) -> datetime | None:
        """When the newest backup was taken."""
        found = backup.kept(self._store.state_dir)
        return backup.taken_at(found[0]) if found else None

    def begin(self, now: datetime, *, busy: bool) -> Callable[[], AsrwatchError | None] | None:
        """Copy the database if a backup is due; what a worker does then is to verify and keep it."""
        if self._rules is None or self._begun:
            return None
        if self._next is None:
            newest = self.newest
            self._next = min(newest, now) + self._rules.every if newest else now
        if now < self._next or (busy and now < self._next + BUSY):
            return None
        try:
            draft = self._store.copy(self._beat)
        except AsrwatchError as error:
            self.ended(error, now)
            return None
        self._begun = True
        keep = self._rules.keep
        return lambda: _finish(draft, now, keep)

    def ended(self, error: AsrwatchError | None, now: datetime) -> None:
        """A backup ended; a failure is loud and harmless."""
        if self._rules is None:
            return
        self._begun = False
        self.trouble = error
        self._next = now + (AGAIN if error else self._rules.every)
        if error is None:
            log.info("backup-taken", kept=len(backup.kept(self._store.state_dir)))
        else:
            log.error("backup-failed", code=error.code, error=error.message, advice=error.advice)


def _finish(draft: Path, now: datetime, keep: int) -> AsrwatchError | None:
    try:
        backup.put_in_place(draft, now=now, keep=keep)
    except AsrwatchError as error:
        return error
    return None
