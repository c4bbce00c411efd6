"""Money: answers paid for, the ledger of asks, and the holds that refusals put on engines."""

import zlib
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from asrwatch.crash import crash_point
from asrwatch.errors import EngineTrouble
from asrwatch.journey.recording import Answer, Recording, State
from asrwatch.journey.store.database import Database
from asrwatch.journey.store.prepared import Prepared
from asrwatch.journey.store.rows import answer_of
from asrwatch.journey.store.tables import answers, asks, holds, recordings

__all__ = ["EVERY_ENGINE", "Bought", "Hold", "Ledger", "Money"]

EVERY_ENGINE = "*"
"""The scope of a hold that a bad key or an empty account puts on all engines."""

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
    ),
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
    """One paid request of the ledger and what became of it."""

    ask_id: str
    engine: str
    model: str
    path: bytes
    asked_at: datetime
    audio: timedelta | None
    outcome: str
    outcome_at: datetime | None
    billed: timedelta | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """What was asked of the cloud in a span of time: how many requests by outcome, and time billed.

    `asked` counts those that left; `unsent` those that never reached the cloud.
    `unknown` counts requests whose fate is not known yet; `perhaps_twice` those asked again although
    the first request may have been paid.
    """

    asked: int
    answered: int
    billed: timedelta
    unknown: int
    perhaps_twice: int
    unsent: int = 0


class Money(Database):
    """What was asked and paid, and which engines wait."""

    def answer_for(self, purchase: str) -> Answer | None:
        """The newest answer paid for this purchase, by any recording, ever."""
        with self.transaction():
            if _HAS_ANSWER.run(self._connection, {"wanted": purchase}).fetchone() is None:
                return None
            row = self._connection.execute(_NEWEST_ANSWER, {"wanted": purchase}).first()
        return answer_of(row) if row else None

    def being_bought(self, purchase: str) -> bool:
        """Whether a request for the same purchase is under way or its fate unknown."""
        with self.transaction():
            found = _BEING_BOUGHT.run(self._connection, {"wanted": purchase}).fetchone()
        return found is not None

    def ledger(self, *, since: datetime | None = None) -> Ledger:
        """What was asked since a date, or ever."""
        condition = asks.c.asked_at >= since if since else asks.c.id > 0
        with self.transaction():
            rows = self._connection.execute(
                select(asks.c.outcome, func.count(), func.sum(asks.c.billed))
                .where(condition)
                .group_by(asks.c.outcome)
            ).all()
        number = Counter({outcome: count for outcome, count, _ in rows})
        billed = sum(((span or timedelta()) for _, _, span in rows), timedelta())
        return Ledger(
            asked=number.total() - number["unsent"],
            answered=number["answered"],
            billed=billed,
            unknown=number["lost"],
            perhaps_twice=number["again"],
            unsent=number["unsent"],
        )

    def still_to_come(self) -> tuple[timedelta | None, ...]:
        """The lengths of all recordings whose requests are under way or accepted: None where unknown."""
        with self.transaction():
            rows = self._connection.execute(_STILL_TO_COME).scalars().all()
        return tuple(rows)

    def bought_for(self, recording_id: int) -> tuple[Bought, ...]:
        """The paid requests made for a recording, oldest first."""
        with self.transaction():
            rows = self._connection.execute(
                select(asks).where(asks.c.recording == recording_id).order_by(asks.c.id)
            ).all()
        return tuple(
            Bought(
                ask_id=row.ask_id,
                engine=row.engine,
                model=row.model,
                path=row.path,
                asked_at=row.asked_at,
                audio=row.audio,
                outcome=row.outcome,
                outcome_at=row.outcome_at,
                billed=row.billed,
            )
            for row in rows
        )

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
        announced = after.state is State.ASKING and before.state is not State.ASKING
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
