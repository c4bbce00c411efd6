"""Sums for dashboards, kept so that a look at them costs the same however many recordings there are."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Integer, Row, bindparam, func, select, type_coerce
from sqlalchemy.dialects.sqlite import insert as upsert

from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store.database import Database
from asrwatch.journey.store.prepared import Prepared
from asrwatch.journey.store.tables import asks, events, recordings, waits

__all__ = ["STEPS", "Figures", "Requests", "Tasks", "Waits", "waited"]

STEPS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
)
"""The histogram's buckets: a wait belongs to the first that is not shorter, or to none of them."""

BEYOND: Final = timedelta(milliseconds=-1)
"""The bucket of waits that are longer than the longest."""

_FRESH: Final = timedelta(hours=1)
"""A file's own date counts as the moment it was closed if it is this close to the moment it was found: copies that
keep dates bring old ones."""

_WAS_DELIVERED = Prepared(
    select(events.c.id)
    .where(events.c.recording == bindparam("of"), events.c.to_state == State.DELIVERED.value)
    .limit(1)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Requests:
    """Paid requests of one engine that came to one end: how many, what they were billed and cost, bytes of audio.

    `cost` is in the currency of the region's price list; requests whose answer does not say what was billed have none.
    """

    engine: str
    outcome: str
    number: int
    billed: timedelta
    cost: Decimal
    sent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Tasks:
    """Tasks the cloud works on: how many of one engine, and since when the oldest."""

    engine: str
    number: int
    oldest: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Waits:
    """How long an inbox's recordings took from closed to delivered: by bucket of `STEPS` (or `BEYOND`), and in all."""

    numbers: Mapping[timedelta, int]
    total: timedelta


class Figures(Database):
    """What dashboards show; mixed into a `Store`."""

    def requests(self) -> tuple[Requests, ...]:
        """The ledger's sums, by engine and outcome; out of one index, no row is read."""
        billed = type_coerce(asks.c.billed, Integer)
        price = func.coalesce(type_coerce(asks.c.price, Integer), 0)
        with self.transaction():
            rows = self._connection.execute(
                select(
                    asks.c.engine,
                    asks.c.outcome,
                    func.count(),
                    func.coalesce(func.sum(billed), 0),
                    func.coalesce(func.sum(billed * price), 0),
                    func.coalesce(func.sum(asks.c.sent), 0),
                )
                .with_hint(asks, "INDEXED BY asks_by_engine", "sqlite")
                .group_by(asks.c.engine, asks.c.outcome)
            ).all()
        return tuple(_requests(row) for row in rows)

    def tasks(self) -> tuple[Tasks, ...]:
        """What the cloud works on, by engine."""
        with self.transaction():
            rows = self._connection.execute(
                select(recordings.c.engine, func.count(), func.min(recordings.c.submitted_at))
                .where(recordings.c.state == State.SUBMITTED.value)
                .group_by(recordings.c.engine)
            ).all()
        return tuple(Tasks(engine=row[0], number=row[1], oldest=row[2]) for row in rows)

    def waits(self) -> Mapping[str, Waits]:
        """How long recordings took, by inbox; kept for ever, also of recordings that were forgotten since."""
        with self.transaction():
            rows = self._connection.execute(select(waits)).all()
        numbers: dict[str, dict[timedelta, int]] = {}
        totals: dict[str, timedelta] = {}
        for row in rows:
            numbers.setdefault(row.inbox, {})[row.at_most] = row.number
            totals[row.inbox] = totals.get(row.inbox, timedelta()) + row.total
        return {
            inbox: Waits(numbers=found, total=totals[inbox]) for inbox, found in numbers.items()
        }

    def _count_wait(self, before: Recording, after: Recording) -> None:
        """Count a delivery, the first of its recording: one that is delivered again waited for a person."""
        if after.state is not State.DELIVERED or before.state is State.DELIVERED:
            return
        if after.part_of is not None:  # a piece: people wait for the whole
            return
        if _WAS_DELIVERED.run(self._connection, {"of": after.id}).fetchone() is not None:
            return
        wait = waited(after)
        values = {"inbox": after.inbox, "at_most": bucket_of(wait), "number": 1, "total": wait}
        adding = upsert(waits).values(**values)
        self._connection.execute(
            adding.on_conflict_do_update(
                index_elements=["inbox", "at_most"],
                set_={
                    "number": waits.c.number + 1,
                    "total": waits.c.total + adding.excluded.total,
                },
            )
        )


def waited(recording: Recording) -> timedelta:
    """How long a recording took from the moment its file was closed, as far as that is known, to its transcript."""
    written = datetime.fromtimestamp(recording.fingerprint.mtime_ns / 1e9, tz=UTC)
    fresh = recording.found_at - _FRESH <= written <= recording.found_at
    closed = written if fresh else recording.found_at
    delivered = recording.delivery.delivered_at if recording.delivery else recording.changed_at
    return max(delivered - closed, timedelta())


def bucket_of(wait: timedelta) -> timedelta:
    """The bucket a wait belongs to."""
    place = bisect_left(STEPS, wait)
    return STEPS[place] if place < len(STEPS) else BEYOND


def _requests(row: Row[Any]) -> Requests:
    engine, outcome, number, billed, cost, sent = tuple(row)
    return Requests(
        engine=engine,
        outcome=outcome,
        number=number,
        billed=timedelta(milliseconds=billed),
        cost=Decimal(cost).scaleb(-12),  # thousandths of a second times billionths of a unit
        sent=sent,
    )
