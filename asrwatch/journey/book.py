"""Saves what becomes of recordings; what is said about it is said once it is committed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from asrwatch import logs
from asrwatch.crash import crash_point
from asrwatch.journey.budget import Fuse
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.remembered import Remembered
from asrwatch.journey.store import Store
from asrwatch.journey.suspects import Suspects
from asrwatch.values import printable

__all__ = ["Book", "Change"]

log = logs.get("journey")


class _Memory(Protocol):
    """Something that is remembered beside the database, and goes back with a commit that failed."""

    def keep(self) -> None: ...

    def go_back(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A recording has become something else: for the log, progress bars and notifiers."""

    before: Recording | None
    after: Recording
    note: str


class Book:
    """The store, and all that must happen beside each change: suspicions, the fuse, the log, the news."""

    def __init__(self, store: Store, fuse: Fuse) -> None:
        self.store = store
        self.fuse = fuse
        self._memories: list[_Memory] = []
        self.suspects = Suspects(self.memory)
        self.in_trouble: Remembered[int, str] = self.memory()
        self._follow: Callable[[Recording, Recording], None] | None = None
        self._news: list[Change] = []
        self._to_log: list[Callable[[], None]] = []
        self.tell: Callable[[Recording | None, Recording], None] = lambda _, __: None

    def memory(self) -> Remembered[Any, Any]:
        """A mapping that is kept when a transaction is committed, and goes back when it is not."""
        made: Remembered[Any, Any] = Remembered()
        self.remembers(made)
        return made

    def remembers(self, memory: _Memory) -> None:
        """From now on, this is kept or goes back with the transaction."""
        self._memories.append(memory)

    def follow(self, told: Callable[[Recording, Recording], None]) -> None:
        """After every save, inside its transaction, tell what became of what."""
        self._follow = told

    def add(self, recording: Recording, *, note: str) -> Recording:
        """A recording that nobody knew."""
        added = self.store.add(recording, note=note)
        if added.part_of is None:
            self.tell(None, added)
        self._news.append(Change(before=None, after=added, note=note))
        return added

    def save(
        self, before: Recording, after: Recording, *, note: str = "", outcome: str = ""
    ) -> None:
        """Save what has become of a recording; `outcome` is what the ledger learns from it."""
        if note and self._repeats(before, after, note):
            note = ""
        self.store.save(before, after, note=note, outcome=outcome)
        if after.part_of is None:
            self.tell(before, after)
        if self.suspects.is_past(after):
            self.suspects.acquit(after.id)
            self.store.end_try(after.id)
        if outcome:
            self.fuse.ended(before.asking, after.answer.billed if after.answer else None)
        if before.trouble is not None or after.trouble is not None:
            self._tell_trouble(before, after)
        crash_point(f"saving:{after.state.value}")
        if after.state is not before.state or note:
            self._news.append(Change(before=before, after=after, note=note))
        if self._follow is not None:
            self._follow(before, after)

    def _repeats(self, before: Recording, after: Recording, note: str) -> bool:
        """Whether its story says the same of it already: what is tried every minute must not fill books."""
        stays = (before.state, before.attempts) == (after.state, after.attempts)
        return stays and after.reading is before.reading and self.store.last_note(after.id) == note

    def _tell_trouble(self, before: Recording, after: Recording) -> None:
        """One warning when a kind of trouble begins, and a line when the last recording has left it behind."""
        code = self.in_trouble.get(after.id)
        if code and (after.trouble is None or after.trouble.last.code != code):
            del self.in_trouble[after.id]
            if code not in self.in_trouble.values():
                self.log_saved(log.info, "trouble-over", code=code)
        if after.trouble is None or after.trouble == before.trouble:
            return
        last = after.trouble.last
        if last.code not in self.in_trouble.values():
            self.log_saved(
                log.warning,
                "trouble",
                code=last.code,
                error=last.message,
                advice=last.advice,
                first=printable(after.path),
            )
        self.in_trouble[after.id] = last.code

    def log_saved(self, write: Callable[..., Any], event: str, **values: Any) -> None:
        """Log it once it is saved: what was not saved did not happen, and is said when it does."""
        self._to_log.append(partial(write, event, **values))

    def take_news(self) -> list[Change]:
        """After the commit: log what changed, and hand it over for whoever listens."""
        news, self._news = self._news, []
        for memory in self._memories:
            memory.keep()
        to_log, self._to_log = self._to_log, []
        for write in to_log:
            write()
        for change in news:
            crash_point(f"saved:{change.after.state.value}")
            self._log(change)
        return news

    def discard_news(self) -> None:
        """After a commit that failed: nothing of it happened, and nothing of it is remembered."""
        self.fuse.read_again()
        self._news.clear()
        self._to_log.clear()
        for memory in self._memories:
            memory.go_back()

    @staticmethod
    def _log(change: Change) -> None:
        after = change.after
        calm = log.info if after.part_of is None else log.debug
        write = log.error if after.state in {State.FAILED, State.PARKED} else calm
        failure = after.failure
        planned = after.state is State.SETTLED and after.reading is not None
        write(
            "planned" if planned else after.state.value,
            recording=after.id,
            inbox=after.inbox,
            file=printable(after.path),
            **({"part_of": after.part_of} if after.part_of is not None else {}),
            **({"piece": after.piece.number} if after.piece else {}),
            **({"note": printable(change.note)} if change.note else {}),
            **({"code": failure.code, "advice": failure.advice} if failure else {}),
        )
