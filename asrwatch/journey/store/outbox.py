"""What is to be told to somebody, kept until it was told: messages, whom they go to, and what was said of late."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Integer,
    Row,
    and_,
    delete,
    func,
    insert,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from asrwatch.journey.recording import DONE, State
from asrwatch.journey.store.database import Database
from asrwatch.journey.store.money import FREE
from asrwatch.journey.store.tables import (
    alarms,
    asks,
    events,
    outbox,
    receivers,
    recordings,
    windows,
)
from asrwatch.news import (
    News,
    Standstill,
    news_from_json,
    news_to_json,
    standstill_from_json,
    standstill_to_json,
)

__all__ = ["DayFigures", "Letter", "Outbox", "Receiver"]

_WAITING = outbox.c.dead.is_(None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A message to one notifier: `message` is its id, the same however often it is sent.

    `since` is when the first of what it tells of happened; `due` when it is to be sent, `attempts` how often that was
    tried. `dead` says why it is not tried any more.
    """

    id: int
    message: str
    notifier: str
    kind: str
    since: datetime
    due: datetime
    attempts: int
    news: News
    dead: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Receiver:
    """How a notifier does: failures in a row, not to be tried before `until`, what it last failed with.

    `gone` is when it said that it wants no more. `digest_of` is the local day whose digest it got last, `digest_until`
    what that told up to.
    """

    key: str
    failures: int = 0
    until: datetime | None = None
    told_at: datetime | None = None
    code: str | None = None
    error: str | None = None
    advice: str | None = None
    gone: datetime | None = None
    digest_of: date | None = None
    digest_until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DayFigures:
    """What some inboxes did in a span of time."""

    delivered: int
    failed: int
    parked: int
    audio: timedelta
    requests: int
    billed: timedelta
    money: Decimal
    waiting_failed: int
    waiting_parked: int


class Outbox(Database):
    """See the module."""

    def post(self, letter: Letter) -> None:
        """Keep a new message; its own id does not count."""
        with self.transaction():
            self._connection.execute(
                insert(outbox).values(
                    message=letter.message,
                    notifier=letter.notifier,
                    kind=letter.kind,
                    since=letter.since,
                    due=letter.due,
                    attempts=letter.attempts,
                    news=news_to_json(letter.news),
                    dead=letter.dead,
                )
            )

    def rewrite(self, letter_id: int, news: News) -> None:
        """Tell more in a message that was never sent."""
        with self.transaction():
            self._connection.execute(
                update(outbox).where(outbox.c.id == letter_id).values(news=news_to_json(news))
            )

    def unsent(self, notifier: str, kind: str, *, after: datetime | None = None) -> Letter | None:
        """The newest message of a kind that nobody tried to send yet, with `after`: one that is due later than that."""
        chosen = and_(
            outbox.c.notifier == notifier, outbox.c.kind == kind, outbox.c.attempts == 0, _WAITING
        )
        if after is not None:
            chosen &= outbox.c.due > after
        newest = select(func.max(outbox.c.id)).where(chosen).scalar_subquery()
        found = self._letters(select(outbox).where(outbox.c.id == newest))
        return found[0] if found else None

    def waiting(self, notifier: str) -> int:
        """How many messages wait for a notifier."""
        with self.transaction():
            return int(
                self._connection.execute(
                    select(func.count()).where(outbox.c.notifier == notifier, _WAITING)
                ).scalar_one()
            )

    def next_letter(self, notifier: str, now: datetime) -> Letter | None:
        """The message that has been due for longest: one that was put back lets others go first."""
        chosen = and_(outbox.c.notifier == notifier, _WAITING, outbox.c.due <= now)
        in_turn = (outbox.c.due, outbox.c.id)
        found = self._letters(select(outbox).where(chosen).order_by(*in_turn).limit(1))
        return found[0] if found else None

    def next_letter_due(self, notifier: str) -> datetime | None:
        """When the next message is due."""
        with self.transaction():
            return self._connection.execute(
                select(outbox.c.due)
                .where(outbox.c.notifier == notifier, _WAITING)
                .order_by(outbox.c.due)
                .limit(1)
            ).scalar()

    def count_attempt(self, letter_id: int) -> None:
        """It is about to be sent; from here on what it says stays as it is."""
        with self.transaction():
            self._connection.execute(
                update(outbox)
                .where(outbox.c.id == letter_id)
                .values(attempts=outbox.c.attempts + 1)
            )

    def postpone_letter(self, letter_id: int, due: datetime) -> None:
        """Others go first until then."""
        with self.transaction():
            self._connection.execute(update(outbox).where(outbox.c.id == letter_id).values(due=due))

    def burn(self, letter_id: int) -> None:
        """It was told."""
        with self.transaction():
            self._connection.execute(delete(outbox).where(outbox.c.id == letter_id))

    def bury(self, why: str, *, letter_id: int | None = None, notifier: str | None = None) -> None:
        """Try a message no more, or all of a notifier's; they stay where people see them."""
        chosen = outbox.c.id == letter_id if notifier is None else outbox.c.notifier == notifier
        with self.transaction():
            self._connection.execute(update(outbox).where(chosen, _WAITING).values(dead=why))

    def clear_dead(self, notifier: str, *, most: int, before: datetime) -> None:
        """Keep only the newest dead messages of a notifier, and none older than a date."""
        mine = and_(outbox.c.notifier == notifier, outbox.c.dead.is_not(None))
        kept = select(outbox.c.id).where(mine).order_by(outbox.c.id.desc()).limit(most)
        with self.transaction():
            self._connection.execute(
                delete(outbox).where(mine, outbox.c.id.not_in(kept) | (outbox.c.since < before))
            )

    def dead_letters(self, *, limit: int) -> tuple[Letter, ...]:
        """The newest messages that are not tried any more."""
        chosen = select(outbox).where(outbox.c.dead.is_not(None))
        return self._letters(chosen.order_by(outbox.c.id.desc()).limit(limit))

    def letters_about(self, recording_id: int) -> tuple[Letter, ...]:
        """Messages still here that tell of a recording, oldest first."""
        told = func.json_each(outbox.c.news, "$.recordings").table_valued("value")
        about = (
            select(1)
            .select_from(told)
            .where(func.json_extract(told.c.value, "$.id") == recording_id)
        )
        return self._letters(select(outbox).where(about.exists()).order_by(outbox.c.id))

    def count_letters(self) -> Mapping[str, tuple[int, int]]:
        """By notifier, how many messages wait and how many are dead."""
        with self.transaction():
            rows = self._connection.execute(
                select(outbox.c.notifier, func.count(), func.count(outbox.c.dead)).group_by(
                    outbox.c.notifier
                )
            ).all()
        return {notifier: (number - dead, dead) for notifier, number, dead in rows}

    def raise_dead(self, now: datetime) -> int:
        """Try everything again, now, and as it was; answers how many messages that are."""
        with self.transaction():
            dead = outbox.c.dead.is_not(None)
            done = self._connection.execute(
                update(outbox).where(dead).values(dead=None, attempts=1, due=now, since=now)
            )
            self._connection.execute(update(receivers).values(gone=None, failures=0, until=None))
        return int(done.rowcount)

    def drop_dead(self) -> int:
        """Throw away what is not tried any more; answers how many messages that are."""
        with self.transaction():
            done = self._connection.execute(delete(outbox).where(outbox.c.dead.is_not(None)))
        return int(done.rowcount)

    def release_letters(self, now: datetime) -> None:
        """What is being collected is due now."""
        with self.transaction():
            self._connection.execute(
                update(outbox)
                .where(outbox.c.attempts == 0, _WAITING, outbox.c.due > now)
                .values(due=now)
            )

    def move_letters(self, by: timedelta) -> None:
        """The clock was set: every wait stays as long as it was."""
        micros = by // timedelta(microseconds=1)
        columns: Sequence[tuple[Any, Any]] = (
            (outbox, outbox.c.due),
            (outbox, outbox.c.since),
            (receivers, receivers.c.until),
            (windows, windows.c.until),
        )
        with self.transaction():
            for table, column in columns:
                moved = type_coerce(column, Integer) + micros
                self._connection.execute(
                    update(table).where(column.is_not(None)).values({column.name: moved})
                )

    # Whom they go to.

    def receiver(self, key: str) -> Receiver:
        """How a notifier does; a new one does well."""
        with self.transaction():
            row = self._connection.execute(select(receivers).where(receivers.c.key == key)).first()
        return _receiver(row) if row else Receiver(key=key)

    def receivers(self) -> tuple[Receiver, ...]:
        """Every notifier there is something to say of."""
        with self.transaction():
            rows = self._connection.execute(select(receivers).order_by(receivers.c.key)).all()
        return tuple(map(_receiver, rows))

    def keep_receiver(self, receiver: Receiver) -> None:
        """Save how a notifier does."""
        values = {
            name: getattr(receiver, name) for name in Receiver.__slots__ if name != "digest_of"
        }
        values["digest_of"] = receiver.digest_of.isoformat() if receiver.digest_of else None
        with self.transaction():
            self._connection.execute(
                upsert(receivers)
                .values(**values)
                .on_conflict_do_update(index_elements=["key"], set_=values)
            )

    # What was said of late, and what is the matter.

    def window(self, notifier: str, kind: str) -> datetime | None:
        """Until when what happens is collected."""
        with self.transaction():
            return self._connection.execute(
                select(windows.c.until).where(
                    windows.c.notifier == notifier, windows.c.kind == kind
                )
            ).scalar()

    def keep_window(self, notifier: str, kind: str, until: datetime) -> None:
        """From now until then, what happens is collected."""
        values = {"notifier": notifier, "kind": kind, "until": until}
        with self.transaction():
            self._connection.execute(
                upsert(windows)
                .values(**values)
                .on_conflict_do_update(index_elements=["notifier", "kind"], set_=values)
            )

    def alarms(self) -> Mapping[str, Standstill]:
        """By subject, what was told to be the matter and is not told to be over."""
        with self.transaction():
            rows = self._connection.execute(select(alarms)).all()
        found = {}
        for row in rows:
            with suppress(ValueError):  # of another version: it is told anew where it is still so
                found[row.subject] = standstill_from_json(row.standstill)
        return found

    def keep_alarm(self, subject: str, standstill: Standstill | None) -> None:
        """Something is the matter, or (None) is not any more."""
        with self.transaction():
            self._connection.execute(delete(alarms).where(alarms.c.subject == subject))
            if standstill is not None:
                kept = standstill_to_json(standstill)
                self._connection.execute(insert(alarms).values(subject=subject, standstill=kept))

    def day_figures(self, inboxes: Collection[str], begin: datetime, end: datetime) -> DayFigures:
        """What these inboxes did from `begin` up to `end`."""
        inside = and_(events.c.at >= begin, events.c.at < end)
        mine = and_(recordings.c.inbox.in_(inboxes), recordings.c.part_of.is_(None))
        moved = and_(
            inside, mine, events.c.to_state.in_(DONE), events.c.from_state != events.c.to_state
        )
        became = (
            select(events.c.recording, events.c.to_state, recordings.c.audio)
            .distinct()
            .join(recordings, recordings.c.id == events.c.recording)
            .where(moved)
        )
        span = type_coerce(func.coalesce(asks.c.billed, asks.c.expected, asks.c.audio, 0), Integer)
        paid = and_(asks.c.asked_at >= begin, asks.c.asked_at < end, asks.c.inbox.in_(inboxes))
        with self.transaction():
            self._flush()
            rows = self._connection.execute(became).all()
            asked, billed = self._connection.execute(
                select(func.count(), func.sum(asks.c.billed)).where(
                    paid, asks.c.outcome != "unsent"
                )
            ).one()
            money = self._connection.execute(
                select(func.sum(span * func.coalesce(type_coerce(asks.c.price, Integer), 0))).where(
                    paid, asks.c.outcome.not_in(FREE)
                )
            ).scalar()
            rested = self._connection.execute(
                select(recordings.c.state, func.count())
                .where(mine, recordings.c.state.in_((State.FAILED, State.PARKED)))
                .group_by(recordings.c.state)
            ).all()
        waiting: dict[str, int] = {row[0]: row[1] for row in rested}
        number = {state: sum(row.to_state == state for row in rows) for state in DONE}
        heard = (row.audio for row in rows if row.to_state == State.DELIVERED and row.audio)
        return DayFigures(
            delivered=number[State.DELIVERED],
            failed=number[State.FAILED],
            parked=number[State.PARKED],
            audio=sum(heard, timedelta()),
            requests=asked,
            billed=billed or timedelta(),
            money=Decimal(money or 0).scaleb(-12),
            waiting_failed=waiting.get(State.FAILED.value, 0),
            waiting_parked=waiting.get(State.PARKED.value, 0),
        )

    def _letters(self, query: Any) -> tuple[Letter, ...]:
        with self.transaction():
            rows = self._connection.execute(query).all()
        return tuple(
            Letter(
                id=row.id,
                message=row.message,
                notifier=row.notifier,
                kind=row.kind,
                since=row.since,
                due=row.due,
                attempts=row.attempts,
                news=_news_of(row),
                dead=row.dead,
            )
            for row in rows
        )


def _news_of(row: Row[Any]) -> News:
    """What another version kept and this one cannot read is told without its details: it must stop nothing."""
    try:
        return news_from_json(row.news)
    except ValueError:
        return News(kind=row.kind, at=row.since)


def _receiver(row: Row[Any]) -> Receiver:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    day = values.pop("digest_of")
    return Receiver(**values, digest_of=date.fromisoformat(day) if day else None)
