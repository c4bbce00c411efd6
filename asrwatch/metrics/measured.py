"""Takes every figure at one moment, from the daemon's health and a database that is only read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from asrwatch.bootstrap import budget_of
from asrwatch.cloud.regions import currency_of
from asrwatch.config import Settings
from asrwatch.desk.reports.status import Health
from asrwatch.journey.budget import Allowance, day_of, month_of
from asrwatch.journey.recording import State
from asrwatch.journey.store import Reader
from asrwatch.journey.store.figures import Requests, Tasks, Waits

__all__ = ["Measured", "Spending", "measure"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Spending:
    """What was spent at most in the day or month under way, and what is allowed (None: as much as there is)."""

    period: str
    audio: timedelta
    money: Decimal
    allowed: Allowance


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """All there is to export. `waiting_since` is when the inbox's oldest recording that is not done was found."""

    at: datetime
    health: Health
    currency: str
    counts: Mapping[str, Mapping[State, int]]
    waiting_since: Mapping[str, datetime]
    requests: tuple[Requests, ...]
    tasks: tuple[Tasks, ...]
    waits: Mapping[str, Waits]
    spending: tuple[Spending, ...]


def measure(reader: Reader, health: Health, settings: Settings) -> Measured:
    """Take the figures.

    Raises:
        StoreTrouble: the database cannot be read now.
    """
    budget, now = budget_of(settings), health.at
    with reader.transaction():
        return Measured(
            at=now,
            health=health,
            currency=currency_of(settings.cloud.region),
            counts=reader.counts(),
            waiting_since={inbox: since for inbox, (_, since) in reader.waiting_longest().items()},
            requests=reader.requests(),
            tasks=reader.tasks(),
            waits=reader.waits(),
            spending=(
                _spending(reader, "day", day_of, now, budget.day),
                _spending(reader, "month", month_of, now, budget.month),
            ),
        )


def _spending(
    reader: Reader,
    period: str,
    span_of: Callable[[datetime], tuple[datetime, datetime]],
    now: datetime,
    allowed: Allowance,
) -> Spending:
    begin, end = span_of(now)
    ledger = reader.ledger(since=begin, until=end)
    return Spending(period=period, audio=ledger.audio, money=ledger.money, allowed=allowed)
