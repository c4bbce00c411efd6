"""What was spent and transcribed, day by day: sums of the database, and a chart drawn here, without a script."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from asrwatch.journey.budget import day_of, month_of
from asrwatch.journey.store import Day, Ledger
from asrwatch.web.sight import Sight

__all__ = ["Bar", "Chart", "Spending", "chart_of", "days", "spending"]

DAYS: Final = 30
_HEIGHT: Final = 100.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Spending:
    """The ledger of today and of this month."""

    today: Ledger
    month: Ledger


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """A day in a chart: from `x` on, `height` high, both in parts of the drawing."""

    day: date
    x: float
    height: float
    told: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """Bars, how wide each is, and what the tallest stands for."""

    bars: tuple[Bar, ...]
    width: float
    most: str


def spending(sight: Sight) -> Spending:
    """What was spent, at most half a minute ago."""

    def find() -> Spending:
        now = sight.clock()
        with sight.readers.one() as reader, reader.transaction():
            return Spending(
                today=reader.ledger(since=day_of(now)[0]),
                month=reader.ledger(since=month_of(now)[0]),
            )

    return sight.remembering.recall("spending", 30.0, find)


def days(sight: Sight) -> tuple[Day, ...]:
    """The last days, oldest first, at most a minute ago."""
    return sight.remembering.recall("days", 60.0, lambda: _days(sight))


def _days(sight: Sight) -> tuple[Day, ...]:
    """Days that are over change only when something is delivered again: those are summed up once an hour."""
    begins = _begins(sight.clock())
    today = begins[-2]
    old = sight.remembering.recall(
        f"days before {today}", 3600.0, lambda: _summed(sight, begins[:-1])
    )
    return (*old, *_summed(sight, begins[-2:]))


def _summed(sight: Sight, begins: Sequence[datetime]) -> tuple[Day, ...]:
    with sight.readers.one() as reader:
        return reader.days(begins)


def _begins(now: datetime) -> list[datetime]:
    """The first moments of the last local days, and of tomorrow."""
    begin, end = day_of(now)
    begins = [end, begin]
    for _ in range(DAYS - 1):
        begins.append(day_of(begins[-1] - timedelta(hours=1))[0])
    return begins[::-1]


def chart_of(measured: Sequence[tuple[date, float, str]], *, most: str) -> Chart:
    """Bars of these days, the tallest as tall as the drawing.

    Args:
        measured: of each day its date, its height in whatever unit, and what is told of it.
        most: what the tallest stands for.
    """
    tallest = max((height for _, height, _ in measured), default=0.0)
    step = 100.0 / max(len(measured), 1)
    return Chart(
        bars=tuple(
            Bar(
                day=day,
                x=round(number * step, 3),
                height=round(_HEIGHT * height / tallest, 2) if tallest else 0.0,
                told=told,
            )
            for number, (day, height, told) in enumerate(measured)
        ),
        width=round(step * 0.72, 3),
        most=most,
    )
