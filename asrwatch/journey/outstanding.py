"""Hears what the cloud says of the tasks that are out."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol, assert_never

from asrwatch import logs
from asrwatch.engines import Heard, StillOut
from asrwatch.errors import AsrwatchError, EngineError, TemporaryError, TicketLost
from asrwatch.journey import trouble
from asrwatch.journey.book import Book
from asrwatch.journey.poller import LATE_AFTER, OVERDUE_AFTER, TaskNews, next_wait
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.remembered import Remembered
from asrwatch.values import format_duration, printable

__all__ = ["Outstanding", "ticket_of"]

log = logs.get("journey")

UNKNOWN_TIMES = 3
FORGOTTEN_AFTER = timedelta(hours=24)
"""A younger task is believed to be forgotten only after it was unknown three times in a row: a wrong key or a
list that lags would otherwise park everything there is."""
OVERDUE_AGAIN = timedelta(hours=1)


class Suffered(Protocol):
    """What happens to a recording that suffers an error (`Keeper.suffered`)."""

    def __call__(self, before: Recording, error: AsrwatchError, *, now: datetime) -> None: ...


class Outstanding:
    """See the module. Every method is called inside a transaction."""

    def __init__(self, book: Book, suffered: Suffered) -> None:
        self._book = book
        self._suffered = suffered
        self.unknown: Remembered[int, int] = book.memory()
        self._overdue: Remembered[int, datetime] = book.memory()
        self._barred: Remembered[str, None] = book.memory()

    def came_back(self, recording: Recording) -> None:
        """Its task is out no longer."""
        self._overdue.pop(recording.id, None)

    def clock_stepped(self) -> None:
        """When something was said last tells nothing any more."""
        self._overdue.clear()

    def news(self, told: TaskNews, *, now: datetime) -> None:
        """The cloud said something about a task, or the way to it is barred."""
        cleared = self._book.suspects.survived(told.recording)
        self._book.store.end_try(told.recording.id, cleared=cleared)
        current = self._book.store.get(told.recording.id)
        if (
            current is None
            or current.state is not State.SUBMITTED
            or ticket_of(current) != ticket_of(told.recording)
        ):
            return
        age = now - current.task.submitted_at if current.task else timedelta(0)
        match told.news:
            case Heard(answer=answer):
                self._book.save(current, current.hear(answer, now=now), outcome="answered")
                self._overdue.pop(current.id, None)
            case StillOut(status=status, trouble=barrier):
                self.unknown.pop(current.id, None)
                if barrier is not None:
                    current = self._kept_away(current, barrier, now)
                self._still_out(current, status, age, now)
            case EngineError() | TemporaryError() if not told.final:
                if told.news.code not in self._barred:
                    self._book.log_saved(
                        log.warning, "polling-barred", code=told.news.code, error=str(told.news)
                    )
                    self._barred[told.news.code] = None
                self._still_out(current, told.news.code, max(age, timedelta(minutes=2)), now)
            case TicketLost() if (
                age < FORGOTTEN_AFTER and self._seen_unknown(current) < UNKNOWN_TIMES
            ):
                self._still_out(current, "UNKNOWN", timedelta(0), now)
            case AsrwatchError():
                self._suffered(current, told.news, now=now)
            case _:
                assert_never(told.news)
        if told.final:
            self._barred.clear()

    def _seen_unknown(self, current: Recording) -> int:
        """How often in a row the cloud said that it does not know this task."""
        self.unknown[current.id] = self.unknown.get(current.id, 0) + 1
        return self.unknown[current.id]

    def _kept_away(self, current: Recording, error: AsrwatchError, now: datetime) -> Recording:
        """The task is done and paid for, and its answer cannot be had now: told once, and kept in sight."""
        met = trouble.met_again(current, error, now=now)
        if current.trouble is None or current.trouble.last.code != error.code:
            # a share of the network that is away comes back; another host stays one until a person acts
            tell = log.error if error.code == "foreign-host" else log.warning
            tell(
                "result-kept-away",
                ticket=ticket_of(current),
                file=printable(current.path),
                code=error.code,
                error=error.message,
                advice=error.advice,
            )
        return current.postpone(met, due=current.due)

    def _still_out(self, current: Recording, status: str, age: timedelta, now: datetime) -> None:
        self._book.save(current, replace(current, due=now + next_wait(age)))
        said = self._overdue.get(current.id)
        if LATE_AFTER < age <= OVERDUE_AFTER and said is None:
            self._overdue[current.id] = now
            log.warning(
                "task-late",
                ticket=ticket_of(current),
                file=printable(current.path),
                status=status,
                age=format_duration(age),
            )
        if age > OVERDUE_AFTER and (said is None or now - said >= OVERDUE_AGAIN):
            self._overdue[current.id] = now
            self._book.log_saved(
                log.error,
                "task-overdue",
                ticket=ticket_of(current),
                file=printable(current.path),
                status=status,
                age=format_duration(age),
                advice="The cloud forgets a task 24 hours after it has finished.",
            )

    def postpone_polls(self, ids: frozenset[int], *, now: datetime) -> None:
        """A round of polling broke off: whatever it did not answer is asked about later."""
        for recording in self._book.store.outstanding():
            if recording.id in ids and recording.due <= now:
                self._book.save(
                    recording, replace(recording, due=now + next_wait(timedelta(hours=1)))
                )


def ticket_of(recording: Recording) -> str:
    """The number the cloud gave its task; empty where there is none."""
    return recording.task.ticket if recording.task else ""
