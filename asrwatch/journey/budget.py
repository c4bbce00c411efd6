"""The budget fuse: how much may be asked of the cloud in a day and in a month, and until when nothing is.

Counted from what is announced, not from what is answered, so that requests whose answer is lost count as well.
The request that reaches a limit is still made; the next one waits for the next day or month, local time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from asrwatch.errors import EngineTrouble
from asrwatch.journey.evidence import Asking
from asrwatch.journey.store import EVERY_ENGINE, Hold, Store
from asrwatch.values import format_hours, format_money

__all__ = ["Allowance", "Budget", "Fuse", "Period", "day_of", "month_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """How much may be asked for in a span of time; None: as much as there is."""

    audio: timedelta | None = None
    money: Decimal | None = None

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to watch over."""
        return self.audio is not None or self.money is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What may be asked for in a day and in a month, by all inboxes together."""

    day: Allowance = Allowance()
    month: Allowance = Allowance()


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """A day or month under way: its limits, and what was asked for in it (at most)."""

    name: str
    begin: datetime
    end: datetime
    allowed: Allowance
    audio: timedelta
    money: Decimal

    @property
    def is_spent(self) -> bool:
        """Whether a limit is reached."""
        audio, money = self.allowed.audio, self.allowed.money
        return (audio is not None and self.audio >= audio) or (
            money is not None and self.money >= money
        )


def day_of(now: datetime) -> tuple[datetime, datetime]:
    """The local day that is under way: its first moment and the next day's."""
    local = _midnight(now)
    return local.astimezone(), (local + timedelta(days=1)).astimezone()


def month_of(now: datetime) -> tuple[datetime, datetime]:
    """The local month that is under way: its first moment and the next month's."""
    first = _midnight(now).replace(day=1)
    return first.astimezone(), (first + timedelta(days=32)).replace(day=1).astimezone()


class Fuse:
    """Counts what is asked for, and says when that is enough.

    Sums are read from the ledger once and kept up to date upwards; only where a limit seems to be reached are
    they read again, since requests that turned out not to be billed are taken out there.

    Args:
        budget: the limits.
        store: holds the ledger.
        currency: of all prices.
    """

    def __init__(self, budget: Budget, store: Store, *, currency: str) -> None:
        self._budget = budget
        self._store = store
        self._currency = currency
        self._periods: dict[str, Period] = {}
        self._stale = False

    def periods(self, now: datetime) -> tuple[Period, ...]:
        """The day and the month under way, as far as they have limits."""
        return tuple(self._under_way(now))

    def blown(self, now: datetime) -> Hold | None:
        """Why and until when nothing may be asked; None: a request may be made."""
        spent = [period for period in self._under_way(now) if period.is_spent]
        if spent and self._stale:
            self.read_again()
            spent = [period for period in self._under_way(now) if period.is_spent]
        if not spent:
            return None
        return self._hold(max(spent, key=lambda period: period.end), now)

    def announced(self, asking: Asking) -> None:
        """A request is about to be made."""
        self._add(asking.expected or timedelta(0), asking.price)

    def ended(self, asking: Asking | None, billed: timedelta | None) -> None:
        """What became of a request is known."""
        self._stale = True
        expected = asking.expected if asking else None
        if asking is not None and billed is not None and expected is not None:
            self._add(max(billed - expected, timedelta(0)), asking.price)

    def read_again(self) -> None:
        """Forget every sum: the ledger knows."""
        self._periods.clear()
        self._stale = False

    def _under_way(self, now: datetime) -> Iterator[Period]:
        for name, allowed, span_of in (
            ("day", self._budget.day, day_of),
            ("month", self._budget.month, month_of),
        ):
            if not allowed.is_limited:
                continue
            begin, end = span_of(now)
            period = self._periods.get(name)
            if period is None or period.begin != begin:
                ledger = self._store.ledger(since=begin, until=end)
                period = Period(
                    name=name,
                    begin=begin,
                    end=end,
                    allowed=allowed,
                    audio=ledger.audio,
                    money=ledger.money,
                )
                self._periods[name] = period
            yield period

    def _add(self, audio: timedelta, price: Decimal | None) -> None:
        money = (price or Decimal(0)) * Decimal(str(audio.total_seconds()))
        for name, period in self._periods.items():
            self._periods[name] = replace(
                period, audio=period.audio + audio, money=period.money + money
            )

    def _hold(self, period: Period, now: datetime) -> Hold:
        allowed = period.allowed
        told = []
        if allowed.audio is not None:
            told.append(f"{format_hours(period.audio)} of {format_hours(allowed.audio)} of audio")
        if allowed.money is not None:
            limit = format_money(allowed.money, self._currency)
            told.append(f"{format_money(period.money, self._currency)} of {limit}")
        local = period.end.strftime("%Y-%m-%d %H:%M")
        return Hold(
            scope=EVERY_ENGINE,
            since=now,
            until=period.end,
            count=1,
            trouble=EngineTrouble.BUDGET,
            code=f"budget-{period.name}",
            message=f"The budget of this {period.name} is spent: {', '.join(told)}.",
            advice=f"Nothing was lost: asking goes on by itself at {local}, or as soon as asrwatch is started "
            f"with a larger budget.{period.name}.",
        )


def _midnight(now: datetime) -> datetime:
    """The last local midnight, naive, so that counting in days stays right when clocks change."""
    return now.astimezone().replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
