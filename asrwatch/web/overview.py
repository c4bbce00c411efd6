"""The first page: the inboxes, what waits, what is held, what it costs, what came last."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from asrwatch.desk.reports import InboxHealth
from asrwatch.journey.recording import State
from asrwatch.journey.store import Reader, Wanted
from asrwatch.web.rendering import Rendering
from asrwatch.web.sight import Sight

__all__ = ["InboxSeen", "routes"]

LATEST = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class InboxSeen:
    """An inbox with what the database knows of it: how many recordings in each state, and who waits longest."""

    health: InboxHealth
    counts: Mapping[State, int]
    oldest: int | None
    oldest_at: datetime | None

    @property
    def waits_for(self) -> timedelta | None:
        """For how long the oldest file has waited that is not settled yet."""
        return self.health.settling_for


def routes(sight: Sight, rendering: Rendering) -> list[BaseRoute]:
    """What is served."""

    def show(request: Request) -> Response:
        return rendering.page(request, "overview.html", **seen(sight))

    return [Route("/", show, methods=["GET"])]


def seen(sight: Sight) -> dict[str, Any]:
    """Everything the first page shows."""
    health = sight.health()
    with sight.readers.one() as reader, reader.transaction():
        counts = reader.counts()
        longest = reader.waiting_longest()
        latest = reader.page(Wanted(), most=LATEST).lines
    total: Counter[State] = Counter()
    for each in counts.values():
        total.update(each)
    inboxes = [
        InboxSeen(
            health=inbox,
            counts=counts.get(inbox.name, {}),
            oldest=longest[inbox.name][0] if inbox.name in longest else None,
            oldest_at=longest[inbox.name][1] if inbox.name in longest else None,
        )
        for inbox in health.inboxes
    ]
    return {"health": health, "inboxes": inboxes, "total": total, "latest": latest}


def counted(reader: Reader) -> Counter[State]:
    """How many recordings there are in each state."""
    total: Counter[State] = Counter()
    for each in reader.counts().values():
        total.update(each)
    return total
