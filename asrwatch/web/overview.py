"""The first page: the inboxes, what waits, what is held, what it costs, what came last."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from asrwatch.cloud.regions import currency_of
from asrwatch.desk.reports.status import InboxHealth
from asrwatch.journey.recording import State
from asrwatch.journey.store import Day, Wanted
from asrwatch.values import format_duration
from asrwatch.web.rendering import Rendering
from asrwatch.web.sight import Sight
from asrwatch.web.spending import Chart, chart_of, days, spending

__all__ = ["InboxSeen", "counts_of", "now", "routes"]

LATEST = 12
COUNTING = 0.02
"""Of a processor's time, at most: of 200,000 recordings the counts are up to two seconds old, of few never."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InboxSeen:
    """An inbox with what the database knows of it: which recording waits longest."""

    health: InboxHealth
    oldest: int | None
    oldest_at: datetime | None


def routes(sight: Sight, rendering: Rendering) -> list[BaseRoute]:
    """What is served."""

    def show(request: Request) -> Response:
        with sight.readers.one() as reader:
            latest = reader.page(Wanted(), most=LATEST).lines
        measured = days(sight)
        return rendering.page(
            request,
            "overview.html",
            **now(sight),
            latest=latest,
            days=measured,
            audio=_audio(measured),
            waiting=_waiting(measured),
        )

    return [Route("/", show, methods=["GET"])]


def now(sight: Sight) -> dict[str, Any]:
    """What is shown of this moment, and kept up to date while somebody looks."""
    health = sight.health()
    counts = counts_of(sight)
    with sight.readers.one() as reader:
        longest = reader.waiting_longest()
    total: Counter[State] = Counter()
    for each in counts.values():
        total.update(each)
    inboxes = [
        InboxSeen(
            health=inbox,
            oldest=longest[inbox.name][0] if inbox.name in longest else None,
            oldest_at=longest[inbox.name][1] if inbox.name in longest else None,
        )
        for inbox in health.inboxes
    ]
    return {
        "health": health,
        "inboxes": inboxes,
        "total": total,
        "spending": spending(sight),
        "currency": currency_of(sight.settings.cloud.region),
    }


def counts_of(sight: Sight) -> Mapping[str, Mapping[State, int]]:
    """How many recordings each inbox has in each state, a moment ago."""

    def find() -> Mapping[str, Mapping[State, int]]:
        with sight.readers.one() as reader:
            return reader.counts()

    return sight.remembering.recall_within("counts", COUNTING, find)


def _audio(measured: Sequence[Day]) -> Chart:
    minutes = [day.audio / timedelta(minutes=1) for day in measured]
    return chart_of(
        [
            (day.begin.date(), height, f"{height:.1f} min")
            for day, height in zip(measured, minutes, strict=True)
        ],
        most=f"{max(minutes):.1f} min",
    )


def _waiting(measured: Sequence[Day]) -> Chart:
    waited = [day.waited or timedelta(0) for day in measured]
    return chart_of(
        [
            (day.begin.date(), span.total_seconds(), format_duration(span))
            for day, span in zip(measured, waited, strict=True)
        ],
        most=format_duration(max(waited)),
    )
