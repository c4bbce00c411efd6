"""Money: answers paid for, the ledger of asks, and the holds that refusals put on engines."""

import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Integer,
    Row,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from asrwatch.crash import crash_point
from asrwatch.errors import EngineTrouble
from asrwatch.journey.evidence import Answer
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store.database import Database
from asrwatch.journey.store.prepared import Prepared
from asrwatch.journey.store.rows import answer_of
from asrwatch.journey.store.tables import answers, asks, holds, recordings

__all__ = ["EVERY_ENGINE", "FREE", "Bought", "Hold", "Ledger", "Money"]

EVERY_ENGINE = "*"
"""The scope of a hold that a bad key or an empty account puts on all engines."""

FREE = frozenset({"refused", "unsent", "not_accepted"})
"""Outcomes of requests that are certainly not billed (refusals with the cloud's own code; contract section 7)."""

# Statements are built once: building one takes longer than running it.
_NEWEST_ANSWER = (
    select(answers)
    .where(answers.c.purchase == bindparam("wanted"))
    .order_by(answers.c.id.desc())
    .limit(1)
)
_HAS_ANSWER = Prepared(
    select(answers.c.id).where(answers.c.purchase == bindparam("wanted")).limit(1)
)
_RETIRED = "retired:"
_RETIRE_ANSWER = (
    update(answers)
    .where(answers.c.id == bindparam("number"), ~answers.c.purchase.startswith(_RETIRED))
    .values(purchase=_RETIRED + answers.c.purchase)
)
_BEING_BOUGHT = Prepared(
    select(recordings.c.id)
    .where(
        recordings.c.purchase == bindparam("wanted"),
        or_(recordings.c.state == State.ASKING.value, recordings.c.state == State.SUBMITTED.value),
    )
    .limit(1)
)
_ADD_ANSWER = Prepared(insert(answers), ("purchase", "raw", "received_at", "billed", "ticket"))
_ADD_ASK = Prepared(
    insert(asks),
    (
        "ask_id",
        "recording",
        "purchase",
        "engine",
        "model",
        "path",
        "asked_at",
        "audio",
        "outcome",
        "inbox",
        "sha256",
        "size",
        "url",
        "who",
        "uptime",
        "expected",
        "price",
        "sent",
        "part_of",
        "piece",
    ),
)
_LOST = ("lost", "again", "not_accepted", "bill_unknown")
_HEARD = (
    select(asks.c.engine, func.max(asks.c.id).label("last"))
    .where(asks.c.outcome.in_(("accepted", "answered", "refused")))
    .group_by(asks.c.engine)
    .subquery()
)
_LOST_IN_A_ROW = (
    select(asks.c.engine, func.count())
    .outerjoin(_HEARD, _HEARD.c.engine == asks.c.engine)
    .where(asks.c.outcome.in_(_LOST), asks.c.id > func.coalesce(_HEARD.c.last, 0))
    .group_by(asks.c.engine)
)
_STILL_TO_COME = select(asks.c.audio).where(asks.c.outcome.in_(("open", "accepted")))
_LATEST_ASK = select(func.max(asks.c.id)).where(asks.c.recording == bindparam("of"))
_END_ASK = Prepared(
    update(asks)
    .where(asks.c.id == _LATEST_ASK.scalar_subquery())
    .values(
        outcome=bindparam("became"),
        outcome_at=bindparam("then"),
        billed=bindparam("time_billed"),
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """Why and until when an engine (or, with `EVERY_ENGINE`, all) is not asked; `count` grows with each time."""

    scope: str
    since: datetime
    until: datetime
    count: int
    trouble: EngineTrouble
    code: str
    message: str
    advice: str
    key_digest: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bought:
    """One paid request of the ledger, what was known before it was made, and what became of it.

    `who` is the process that made it, `uptime` the machine's own clock beside `asked_at`; None in rows of a
    version that did not write them. `piece` is the number of the piece that it was for.
    """

    ask_id: str
    engine: str
    model: str
    path: bytes
    asked_at: datetime
    audio: timedelta | None
    outcome: str
    outcome_at: datetime | None
    billed: timedelta | None
    expected: timedelta | None = None
    price: Decimal | None = None
    inbox: str | None = None
    sha256: str | None = None
    size: int | None = None
    url: str | None = None
    who: str | None = None
    uptime: timedelta | None = None
    piece: int | None = None

    @property
    def cost(self) -> Decimal | None:
        """What it cost or, while nobody knows, what it may cost; None where its price is not known."""
        span = self.billed if self.billed is not None else self.expected
        if self.price is None or span is None or self.outcome in FREE:
            return None
        return self.price * Decimal(str(span.total_seconds()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """What was asked of the cloud in a span of time: how many requests by outcome, and what they cost.

    `asked` counts those that left; `unsent` those that never reached the cloud; `refused` those that were
    certainly not accepted. `bill_unknown` were answered with an error of the cloud's own, `unknown` not at all
    (or not yet found out); `perhaps_twice` were asked again although the first request may have been paid.
    `billed` is what answers say was billed; `audio` and `money` are what was spent at most: what was billed, and
    for every request that is not certainly free what it should be billed.
    """

    asked: int
    answered: int
    billed: timedelta
    unknown: int
    perhaps_twice: int
    unsent: int = 0
    refused: int = 0
    bill_unknown: int = 0
    audio: timedelta = timedelta(0)
    money: Decimal = Decimal(0)


class Money(Database):
    """What was asked and paid, and which engines wait."""

    def answer_for(self, purchase: str) -> Answer | None:
        """The newest answer paid for this purchase, by any recording, ever."""
        with self.transaction():
            if _HAS_ANSWER.run(self._connection, {"wanted": purchase}).fetchone() is None:
                return None
            row = self._connection.execute(_NEWEST_ANSWER, {"wanted": purchase}).first()
        return answer_of(row) if row else None

    def retire(self, recording: Recording) -> None:
        """Never deliver a recording's answer again, as it holds no usable transcript; it is kept as evidence."""
        if recording.answer is not None:
            with self.transaction():
                self._connection.execute(_RETIRE_ANSWER, {"number": recording.answer.id})

    def retired(self, purchase: str) -> tuple[Answer, ...]:
        """The answers paid for this purchase that are of no use, newest first."""
        hidden = answers.c.purchase == _RETIRED + purchase
        with self.transaction():
            rows = self._connection.execute(
                select(answers).where(hidden).order_by(answers.c.id.desc())
            ).all()
        return tuple(answer_of(row) for row in rows)

    def being_bought(self, purchase: str) -> bool:
        """Whether a request for the same purchase is under way or its fate unknown."""
        with self.transaction():
            found = _BEING_BOUGHT.run(self._connection, {"wanted": purchase}).fetchone()
        return found is not None

    def ledger(self, *, since: datetime | None = None, until: datetime | None = None) -> Ledger:
        """What was asked from a date (or ever) up to another, that one left out."""
        condition = asks.c.asked_at >= since if since else asks.c.id > 0
        if until is not None:
            condition &= asks.c.asked_at < until
        span = type_coerce(func.coalesce(asks.c.billed, asks.c.expected, asks.c.audio, 0), Integer)
        with self.transaction():
            rows = self._connection.execute(
                select(
                    asks.c.outcome,
                    func.count(),
                    func.sum(asks.c.billed),
                    func.sum(span),
                    func.sum(span * func.coalesce(type_coerce(asks.c.price, Integer), 0)),
                )
                .where(condition)
                .group_by(asks.c.outcome)
            ).all()
        number = Counter({outcome: count for outcome, count, *_ in rows})
        paid = [row for row in rows if row[0] not in FREE]
        return Ledger(
            asked=number.total() - number["unsent"],
            answered=number["answered"],
            billed=sum(((row[2] or timedelta()) for row in rows), timedelta()),
            unknown=number["lost"],
            perhaps_twice=number["again"],
            unsent=number["unsent"],
            refused=number["refused"] + number["not_accepted"],
            bill_unknown=number["bill_unknown"],
            audio=timedelta(milliseconds=sum(row[3] for row in paid)),
            # thousandths of a second times billionths of a unit
            money=Decimal(sum(row[4] for row in paid)).scaleb(-12),
        )

    def doubts(self, *, limit: int) -> tuple[Bought, ...]:
        """The newest requests of which nobody knows whether they were paid, for a look at the cloud's own bill."""
        unclear = asks.c.outcome.in_(("lost", "again", "bill_unknown"))
        with self.transaction():
            rows = self._connection.execute(
                select(asks).where(unclear).order_by(asks.c.id.desc()).limit(limit)
            ).all()
        return tuple(_bought(row) for row in rows)

    def still_to_come(self) -> tuple[timedelta | None, ...]:
        """The lengths of all recordings whose requests are under way or accepted: None where unknown."""
        with self.transaction():
            rows = self._connection.execute(_STILL_TO_COME).scalars().all()
        return tuple(rows)

    def lost_in_a_row(self) -> Mapping[str, int]:
        """By engine, how many of its newest paid requests brought no answer, one after the other."""
        with self.transaction():
            rows = self._connection.execute(_LOST_IN_A_ROW).all()
        return {engine: number for engine, number in rows}  # noqa: C416 - rows are no pairs to a type checker

    def bought_for(self, recording_id: int) -> tuple[Bought, ...]:
        """The paid requests made for a recording and for pieces of it, oldest first."""
        of_it = or_(asks.c.recording == recording_id, asks.c.part_of == recording_id)
        with self.transaction():
            rows = self._connection.execute(select(asks).where(of_it).order_by(asks.c.id)).all()
        return tuple(_bought(row) for row in rows)

    def hold(self, hold: Hold) -> None:
        """Save a hold; a newer one on the same scope replaces it."""
        values = {
            "scope": hold.scope,
            "since": hold.since,
            "until": hold.until,
            "times": hold.count,
            "trouble": hold.trouble.value,
            "key_digest": hold.key_digest,
            "code": hold.code,
            "message": hold.message,
            "advice": hold.advice,
        }
        with self.transaction():
            self._connection.execute(
                upsert(holds)
                .values(**values)
                .on_conflict_do_update(index_elements=["scope"], set_=values)
            )

    def release(self, scope: str) -> None:
        """End a hold."""
        with self.transaction():
            self._connection.execute(delete(holds).where(holds.c.scope == scope))

    def holds(self) -> tuple[Hold, ...]:
        """Every hold there is."""
        with self.transaction():
            rows = self._connection.execute(select(holds)).all()
        return tuple(
            Hold(
                scope=row.scope,
                since=row.since,
                until=row.until,
                count=row.times,
                trouble=EngineTrouble(row.trouble),
                code=row.code,
                message=row.message,
                advice=row.advice,
                key_digest=row.key_digest,
            )
            for row in rows
        )

    def _answer_id(self, recording: Recording) -> int | None:
        """The row of the recording's answer: the one stored for this purchase, or a new one."""
        answer, reading = recording.answer, recording.reading
        if answer is None or reading is None:
            return None
        if answer.id:
            return answer.id
        added = _ADD_ANSWER.run(
            self._connection,
            {
                "purchase": reading.purchase,
                "raw": zlib.compress(answer.raw),
                "received_at": answer.received_at,
                "billed": answer.billed,
                "ticket": answer.ticket,
            },
        )
        crash_point("answer-added")
        return added.lastrowid

    def _keep_ledger(self, before: Recording, after: Recording, outcome: str) -> None:
        """Write an ask when it is announced, and its outcome when it is known."""
        announced = after.state is State.ASKING and before.state not in {State.ASKING, State.PARKED}
        if announced and after.staging and after.asking and after.reading:
            _ADD_ASK.run(
                self._connection,
                {
                    "ask_id": after.staging.ask_id,
                    "recording": after.id,
                    "purchase": after.reading.purchase,
                    "engine": after.reading.plan.engine,
                    "model": after.reading.plan.model,
                    "path": after.path,
                    "asked_at": after.asking.asked_at,
                    "audio": after.reading.facts.duration,
                    "outcome": "open",
                    "inbox": after.inbox,
                    "sha256": after.reading.sha256,
                    "size": after.fingerprint.size,
                    "url": after.staging.url,
                    "who": after.asking.who,
                    "uptime": after.asking.uptime,
                    "expected": after.asking.expected,
                    "price": after.asking.price,
                    "sent": after.staging.prepared.size
                    if after.staging.prepared
                    else after.fingerprint.size,
                    "part_of": after.part_of,
                    "piece": after.piece.number if after.piece else None,
                },
            )
        elif outcome:
            _END_ASK.run(
                self._connection,
                {
                    "of": after.id,
                    "became": outcome,
                    "then": after.changed_at,
                    "time_billed": after.answer.billed if after.answer else None,
                },
            )


def _bought(row: Row[Any]) -> Bought:
    return Bought(
        ask_id=row.ask_id,
        engine=row.engine,
        model=row.model,
        path=row.path,
        asked_at=row.asked_at,
        audio=row.audio,
        outcome=row.outcome,
        outcome_at=row.outcome_at,
        billed=row.billed,
        expected=row.expected,
        price=row.price,
        inbox=row.inbox,
        sha256=row.sha256,
        size=row.size,
        url=row.url,
        who=row.who,
        uptime=row.uptime,
        piece=row.piece,
    )
