"""Hands out messages that are due, and hears what became of them: told, later again, or never.

Whoever cannot be reached is asked again less and less often, with one message at a time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from asrwatch import logs
from asrwatch.clock import Step as ClockStep
from asrwatch.clock import is_set
from asrwatch.crash import crash_point
from asrwatch.errors import AsrwatchError, TemporaryError
from asrwatch.journey.book import Book
from asrwatch.journey.letterbox import Letterbox, Wish
from asrwatch.journey.store import Letter
from asrwatch.notifiers import Gone, Refused

__all__ = ["LEAST_ATTEMPTS", "Postman"]

log = logs.get("notify")

LEAST_ATTEMPTS = 5
"""So often a message is tried at least, however old it is: a clock that was wrong must not throw it away."""
HELD_BACK = 3
"""After so many failures of one message, others go first: perhaps the receiver stumbles over this one."""
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=30)


class Postman:
    """See the module.

    Args:
        book: whose store holds the outbox.
        letterbox: knows how much of what nobody took is kept.
        wishes: by notifier.
        chance: for jitter, from 0 up to 1.
    """

    def __init__(
        self,
        book: Book,
        letterbox: Letterbox,
        wishes: Mapping[str, Sequence[Wish]],
        chance: Callable[[], float],
    ) -> None:
        self._store = book.store
        self._log = book.log_saved
        self._letterbox = letterbox
        self._wishes = wishes
        self._chance = chance

    def opens(self, *, busy: Iterable[str]) -> datetime | None:
        """When the next message is to be sent."""
        dates = []
        for key in self._wishes.keys() - set(busy):
            due = self._store.next_letter_due(key)
            if due is not None:
                until = self._store.receiver(key).until
                dates.append(max(due, until) if until else due)
        return min(dates, default=None)

    def letters(self, now: datetime, *, busy: Iterable[str]) -> list[Letter]:
        """For each notifier that can be tried the next message; that it is tried is written down first."""
        if not is_set(now):
            return []
        chosen = []
        for key in self._wishes.keys() - set(busy):
            letter = self._store.next_letter(key, now)
            if letter is None:
                continue
            until = self._store.receiver(key).until
            if until is None or until <= now:
                self._store.count_attempt(letter.id)
                chosen.append(replace(letter, attempts=letter.attempts + 1))
        return chosen

    def answered(self, letter: Letter, error: AsrwatchError | None, *, now: datetime) -> None:
        """What became of a message that was handed out."""
        receiver = self._store.receiver(letter.notifier)
        label = self._label(letter.notifier)
        if error is None:
            self._store.burn(letter.id)
            crash_point("message-burnt")
            if receiver.failures:
                self._log(log.info, "notifier-reached-again", notifier=label)
            well = replace(
                receiver, failures=0, until=None, told_at=now, code=None, error=None, advice=None
            )
            self._store.keep_receiver(well)
            return
        failures = receiver.failures + 1
        wait = self._wait(failures, error)
        message, advice = logs.masked(error.message), logs.masked(error.advice)
        if failures == 1 or receiver.code != error.code:
            self._log(
                log.warning,
                "notifier-failed",
                notifier=label,
                code=error.code,
                error=message,
                advice=advice,
                next_at=(now + wait).isoformat(timespec="seconds"),
            )
        suffered = replace(
            receiver,
            failures=failures,
            until=now + wait,
            code=error.code,
            error=message,
            advice=advice,
            gone=now if isinstance(error, Gone) else receiver.gone,
        )
        self._store.keep_receiver(suffered)
        self._put_back(letter, error, label, now=now)

    def _put_back(self, letter: Letter, error: AsrwatchError, label: str, *, now: datetime) -> None:
        """Later again, or never."""
        wishes = self._wishes.get(letter.notifier, ())
        dead_after = max((each.options.dead_after for each in wishes), default=timedelta(0))
        if isinstance(error, Gone):
            self._store.bury("gone", notifier=letter.notifier)
        elif now - letter.since >= dead_after and letter.attempts >= LEAST_ATTEMPTS:
            self._store.bury(error.code, letter_id=letter.id)
        elif isinstance(error, Refused) or letter.attempts >= HELD_BACK:
            self._store.postpone_letter(letter.id, now + self._wait(letter.attempts, error))
            return
        else:
            return
        self._log(
            log.error,
            "message-given-up",
            notifier=label,
            message=letter.message,
            code=error.code,
            advice="`asrwatch notify` lists what was not told; `asrwatch notify --again` tries it again.",
        )
        self._letterbox.clear(letter.notifier, now)

    def _wait(self, failures: int, error: AsrwatchError) -> timedelta:
        """Doubling, bounded, with jitter; longer where the receiver asks for it."""
        doubled = timedelta(seconds=FIRST_WAIT.total_seconds() * 2.0 ** min(failures - 1, 12))
        wait = min(doubled, LONGEST_WAIT) * (0.75 + self._chance() / 2)
        asked = error.retry_after if isinstance(error, TemporaryError) else None
        return max(wait, asked or wait)

    def release(self, now: datetime) -> None:
        """What is being collected is told now: there is no later (`asrwatch once`)."""
        if self._wishes:
            self._store.release_letters(now)

    def clock_stepped(self, step: ClockStep) -> None:
        """The clock was set: no wait becomes longer or shorter by it."""
        if step.by and self._wishes:
            self._store.move_letters(step.by)

    def _label(self, key: str) -> str:
        return self._wishes[key][0].label if key in self._wishes else key
