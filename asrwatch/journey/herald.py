"""Decides who is told what, and writes it into the outbox, in the transaction of what it tells of.

Runs in the daemon's main thread. It sends nothing: `letters` hands out what is due, `answered` hears what became
of it. What happens often is collected: after a message, everything of its kind within the notifier's `group` becomes
one message. Whoever cannot be reached is asked again and again later, with one message at a time.
"""

import base64
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from datetime import time as time_of_day

from asrwatch import logs
from asrwatch.clock import Step as ClockStep
from asrwatch.clock import is_set
from asrwatch.crash import crash_point
from asrwatch.errors import AsrwatchError, EngineTrouble, TemporaryError
from asrwatch.journey.book import Book
from asrwatch.journey.recording import SUPERSEDED, Recording, State
from asrwatch.journey.room import Shortage
from asrwatch.journey.store import Hold, Letter
from asrwatch.news import About, Day, News, Standstill
from asrwatch.notifiers import Gone, NotifierOptions, Occasion, Refused
from asrwatch.values import printable

__all__ = ["Herald", "Wish", "together"]

log = logs.get("notify")

LISTED = 100
"""How many recordings one message names; it counts all of them."""
MOST_WAITING = 1000
"""After so many messages that wait for one notifier, whatever comes is collected into the last ones."""
MOST_DEAD = 200
DEAD_KEPT = timedelta(days=30)
LEAST_ATTEMPTS = 5
"""So often a message is tried at least, however old it is: a clock that was wrong must not throw it away."""
HELD_BACK = 3
"""After so many failures of one message, others go first: perhaps the receiver stumbles over this one."""
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=30)
LASTING = timedelta(minutes=10)
"""Trouble that may pass by itself (a throttled engine, a server that is down) is told after this long."""
MOST_TEXT = 64 * 1024
"""Characters of a transcript that go along; beyond as many, those of others in the same message do not."""

_AT_ONCE = frozenset(
    {
        EngineTrouble.KEY,
        EngineTrouble.MONEY,
        EngineTrouble.FORBIDDEN,
        EngineTrouble.UNANSWERED,
        EngineTrouble.BUDGET,
    }
)
_OCCASIONS = {
    State.DELIVERED: Occasion.DELIVERED,
    State.FAILED: Occasion.FAILED,
    State.PARKED: Occasion.PARKED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What one inbox wants one notifier (`key`, for people `label`) to be told, and how."""

    inbox: str
    key: str
    label: str
    options: NotifierOptions


class Herald:
    """See the module. Every method is called from the main thread, inside a transaction.

    Args:
        book: whose store it writes to.
        wishes: of all inboxes.
        currency: of what was spent.
        chance: for jitter, from 0 up to 1.
    """

    def __init__(
        self,
        book: Book,
        wishes: Iterable[Wish],
        *,
        currency: str,
        chance: Callable[[], float],
    ) -> None:
        self._store = book.store
        self._log = book.log_saved
        self._currency = currency
        self._chance = chance
        self.most_waiting = MOST_WAITING
        self.most_dead = MOST_DEAD
        self._wishes: dict[str, list[Wish]] = {}
        for wish in wishes:
            self._wishes.setdefault(wish.key, []).append(wish)
        self._alarms = book.memory()
        self._inboxes = book.memory()
        if self._wishes:
            self._alarms.update(self._store.alarms())
            self._alarms.keep()

    @property
    def labels(self) -> Mapping[str, str]:
        """What people call the notifiers, by key."""
        return {key: wishes[0].label for key, wishes in self._wishes.items()}

    def inboxes_of(self, key: str) -> tuple[str, ...]:
        """The inboxes that tell a notifier something."""
        return tuple(wish.inbox for wish in self._wishes.get(key, ()))

    def _digested(self, key: str) -> tuple[str, ...]:
        return tuple(wish.inbox for wish in self._wishes[key] if Occasion.DIGEST in wish.options.on)

    # What happens.

    def changed(self, before: Recording | None, after: Recording) -> None:
        """A recording has become something else."""
        occasion = _OCCASIONS.get(after.state)
        if (
            after.part_of is not None
            or occasion is None
            or (before is not None and before.state is after.state)
        ):
            return
        failure = after.failure
        if failure is not None and failure.code == SUPERSEDED:
            return  # nobody needs to do anything: what the file holds now is a recording of its own
        for wish in self._wanting(occasion):
            if wish.inbox == after.inbox:
                about = self._about(after, text=wish.options.text)
                news = News(
                    kind=occasion.value,
                    at=after.changed_at,
                    recordings=(about,),
                    reasons={failure.code: 1} if failure else {},
                    inboxes={after.inbox: 1},
                )
                self._tell(wish, occasion, news, after.changed_at)

    def inbox_seen(self, inbox: str, trouble: Standstill | None) -> None:
        """What is the matter with an inbox as a whole, as of now."""
        if self._wishes and (trouble is not None or inbox in self._inboxes):
            self._inboxes[inbox] = trouble

    def inbox_known(self, inbox: str) -> None:
        """It was looked at whole: what an earlier run said of it is over, unless it was said again."""
        if self._wishes:
            self._inboxes.setdefault(inbox, None)

    def look(self, now: datetime, *, holds: Iterable[Hold], shortages: Iterable[Shortage]) -> None:
        """Tell what began and what ended since the last look, and the day's digest when it is time."""
        if not self._wishes or not is_set(now):
            return
        current = dict(_standing(holds, shortages, now))
        for inbox, trouble in self._inboxes.items():
            if trouble is not None:
                current[f"inbox:{inbox}"] = trouble
        for subject, standstill in current.items():
            known = self._alarms.get(subject)
            if known is None or known.code != standstill.code:
                self._alarm(subject, standstill, now)
        for subject, standstill in list(self._alarms.items()):
            if subject not in current and self._is_known(standstill):
                self._all_clear(subject, standstill, now)
        for wish in self._wanting(Occasion.DIGEST):
            self._digest(wish, now)

    def _is_known(self, standstill: Standstill) -> bool:
        """Whether it was looked at since the start: what was the matter before may be the matter still."""
        return standstill.what != "inbox" or standstill.which in self._inboxes

    def _alarm(self, subject: str, standstill: Standstill, now: datetime) -> None:
        self._store.keep_alarm(subject, standstill)
        self._alarms[subject] = standstill
        self._spread(Occasion.HELD, standstill, now)

    def _all_clear(self, subject: str, standstill: Standstill, now: datetime) -> None:
        self._store.keep_alarm(subject, None)
        del self._alarms[subject]
        self._spread(Occasion.HEALED, standstill, now)

    def _spread(self, occasion: Occasion, standstill: Standstill, now: datetime) -> None:
        """Once to each notifier, however many inboxes want it."""
        news = News(
            kind=occasion.value,
            at=now,
            standstills=(standstill,),
            reasons={standstill.code: 1},
        )
        told = set()
        for wish in self._wanting(occasion):
            concerned = standstill.what != "inbox" or standstill.which == wish.inbox
            if concerned and wish.key not in told:
                told.add(wish.key)
                self._tell(wish, occasion, news, now)

    def _wanting(self, occasion: Occasion) -> Iterator[Wish]:
        for wishes in self._wishes.values():
            for wish in wishes:
                if occasion in wish.options.on:
                    yield wish

    def _about(self, recording: Recording, *, text: bool) -> About:
        path, exact = _shown(recording.path)
        reading, failure = recording.reading, recording.failure
        told = _text_of(recording) if text else None
        return About(
            id=recording.id,
            inbox=recording.inbox,
            path=path,
            path_base64=exact,
            state=recording.state.value,
            at=recording.changed_at,
            code=failure.code if failure else None,
            message=logs.masked(failure.message) if failure else None,
            advice=logs.masked(failure.advice) if failure else None,
            duration=reading.facts.duration if reading else None,
            engine=reading.plan.engine if reading else None,
            model=reading.plan.model if reading else None,
            outputs=tuple(_shown(output.path)[0] for output in recording.outputs),
            text=told[:MOST_TEXT] if told is not None else None,
            text_is_cut=told is not None and len(told) > MOST_TEXT,
        )

    # Into the outbox.

    def _tell(self, wish: Wish, occasion: Occasion, news: News, now: datetime) -> None:
        """At once, or together with what else happens before the window closes."""
        store, key, kind = self._store, wish.key, occasion.value
        group = timedelta(0) if occasion in wish.options.each else wish.options.group
        if store.receiver(key).gone is not None:
            self._post(key, news, now, due=now, dead="gone")
            return
        until = store.window(key, kind) if group else None
        if until is not None and until > now + group * 2:
            until = None  # of a clock that was wrong, or of a longer `group`
        open_ = store.unsent(key, kind, after=now) if until is not None else None
        if open_ is None and store.waiting(key) >= self.most_waiting:
            open_ = store.unsent(key, kind)
        if open_ is not None:
            store.rewrite(open_.id, together(open_.news, news))
            crash_point("message-extended")
            return
        due = max(until, now) if until is not None else now
        self._post(key, news, now, due=due)
        if group:
            store.keep_window(key, kind, due + group)

    def _post(
        self, key: str, news: News, now: datetime, *, due: datetime, dead: str | None = None
    ) -> None:
        letter = Letter(
            id=0,
            message=f"msg_{secrets.token_hex(16)}",
            notifier=key,
            kind=news.kind,
            since=now,
            due=due,
            attempts=0,
            news=news,
            dead=dead,
        )
        self._store.post(letter)
        if dead:
            self._store.clear_dead(key, most=self.most_dead, before=now - DEAD_KEPT)
        crash_point("message-kept")

    def _digest(self, wish: Wish, now: datetime) -> None:
        """Once for each local day, whatever the clock does: what happened since the last one."""
        receiver = self._store.receiver(wish.key)
        due = _last(wish.options.digest_time, now)
        today = now.astimezone().date()
        told = receiver.digest_of
        if told is None or told > today + timedelta(days=1):
            # the first look, or a clock that was years ahead: the next one is tomorrow's, or today's later
            begun = replace(receiver, digest_of=due.date(), digest_until=now)
            self._store.keep_receiver(begun)
            return
        if due.date() <= told:
            return
        begin = receiver.digest_until
        if begin is None or begin >= due:
            begin = due - timedelta(days=1)
        self._store.keep_receiver(replace(receiver, digest_of=due.date(), digest_until=due))
        news = self._day(wish, begin, due, now)
        if news is not None:
            self._post(
                wish.key, news, now, due=now, dead="gone" if receiver.gone is not None else None
            )

    def _day(self, wish: Wish, begin: datetime, end: datetime, now: datetime) -> News | None:
        """None where nothing happened in it."""
        inboxes = self._digested(wish.key)
        did = self._store.day_figures(inboxes, begin, end)
        if not (did.delivered or did.failed or did.parked or did.requests):
            return None
        waiting = self._store.for_a_person(inboxes, limit=LISTED)
        return News(
            kind=Occasion.DIGEST.value,
            at=now,
            count=1,
            recordings=tuple(self._about(each, text=False) for each in waiting),
            standstills=tuple(self._alarms.values()),
            day=Day(
                begin=begin,
                end=end,
                delivered=did.delivered,
                failed=did.failed,
                parked=did.parked,
                audio=did.audio,
                requests=did.requests,
                billed=did.billed,
                money=did.money,
                currency=self._currency,
                waiting_failed=did.waiting_failed,
                waiting_parked=did.waiting_parked,
            ),
        )

    # Out of the outbox.

    def opens(self, now: datetime, *, busy: Iterable[str]) -> datetime | None:
        """When there is something to send, or a digest to be made."""
        if not self._wishes or not is_set(now):
            return None
        dates = [
            _last(wish.options.digest_time, now) + timedelta(days=1)
            for wish in self._wanting(Occasion.DIGEST)
        ]
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
        label = self.labels.get(letter.notifier, letter.notifier)
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
        self._store.clear_dead(letter.notifier, most=self.most_dead, before=now - DEAD_KEPT)

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


def _text_of(recording: Recording) -> str | None:
    """What was said, a sentence a line; None where nothing was delivered."""
    delivery = recording.delivery
    if delivery is None or delivery.said is None:
        return None
    return "\n".join(sentence.text for sentence in delivery.said)


def _standing(
    holds: Iterable[Hold], shortages: Iterable[Shortage], now: datetime
) -> Iterator[tuple[str, Standstill]]:
    """What keeps recordings waiting and somebody should know of, by subject."""
    for hold in holds:
        if hold.trouble in _AT_ONCE or now - hold.since >= LASTING:
            yield (
                f"engine:{hold.scope}",
                Standstill(
                    what="engine",
                    which=hold.scope,
                    since=hold.since,
                    until=hold.until,
                    code=hold.code,
                    message=logs.masked(hold.message),
                    advice=logs.masked(hold.advice),
                ),
            )
    for shortage in shortages:
        which, _ = _shown(shortage.folder)
        yield (
            f"disk:{which}",
            Standstill(
                what="disk",
                which=which,
                since=now,
                code=shortage.code,
                message=shortage.message,
                advice=shortage.advice,
            ),
        )


def together(news: News, more: News) -> News:
    """One message that tells both; it names only the first of many."""
    room = max(0, LISTED - len(news.recordings))
    named = more.recordings[:room]
    if sum(len(each.text or "") for each in news.recordings) >= MOST_TEXT:
        named = tuple(replace(each, text=None, text_is_cut=each.text is not None) for each in named)
    stood = max(0, LISTED - len(news.standstills))
    return replace(
        news,
        count=news.count + more.count,
        recordings=(*news.recordings, *named),
        standstills=(*news.standstills, *more.standstills[:stood]),
        reasons=_sum(news.reasons, more.reasons),
        inboxes=_sum(news.inboxes, more.inboxes),
    )


def _sum(some: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return {name: some.get(name, 0) + more.get(name, 0) for name in (*some, *more)}


def _last(at: time_of_day, now: datetime) -> datetime:
    """The last moment at which a local time of day was reached."""
    local = now.astimezone()
    day: date = local.date()
    moment = datetime.combine(day, at).astimezone()
    if moment > local:
        moment = datetime.combine(day - timedelta(days=1), at).astimezone()
    return moment


def _shown(path: bytes) -> tuple[str, str | None]:
    """A path as text, exactly; with its bytes beside it where there is no exact text."""
    try:
        return path.decode("utf-8"), None
    except UnicodeDecodeError:
        return printable(os.fsencode(path)), base64.b64encode(path).decode()
