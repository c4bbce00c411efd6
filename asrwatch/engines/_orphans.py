"""Find the task of a request whose answer was lost, by proof: the source URL in its result."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import unquote, urlsplit

from asrwatch.cloud import loose, results
from asrwatch.cloud.desk import Visit
from asrwatch.cloud.tasks import Listed
from asrwatch.engines import Found, StillOut
from asrwatch.engines._lookout import ENDED, Lookout
from asrwatch.errors import RecordingError, TemporaryError, TicketLost

__all__ = ["Orphanage", "Span", "span_of"]

_SKEW = timedelta(minutes=5)
"""How far off the cloud's clock may be that its answers tell, and a date of creation from it."""

_WINDOW = timedelta(minutes=20)
"""No submission takes nearly as long: what was created later comes of another request."""

_MOST = 10_000
"""How many tasks' sources are remembered; forgetting one costs two free requests."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """When, by the cloud's clock, a task was created if it may be ours; at any time before where `start` is None."""

    start: datetime | None
    end: datetime

    def holds(self, listed: Listed) -> bool:
        """Whether a task may be ours by its date."""
        if listed.created is None:
            return True
        return (self.start is None or self.start <= listed.created) and listed.created <= self.end


def span_of(since: datetime, *, sure: bool, ahead: timedelta | None, seen: datetime) -> Span:
    """When a task was created that comes of a request announced then. Pure.

    To look at too much costs free questions, at too little a second payment: where the clocks differ, both are
    believed, and where nobody knows what the date is worth, every task is looked at.

    Args:
        since: when the request was announced, by this machine's clock.
        sure: whether that clock is the one that goes now.
        ahead: how far the cloud's clock is ahead of this machine's; None if it does not tell.
        seen: when the request was first looked for; no task from long after that is its.
    """
    shift = ahead or timedelta(0)
    if not sure or ahead is None:
        return Span(start=None, end=max(since, since + shift, seen, seen + shift) + _WINDOW)
    return Span(start=min(since, since + shift) - _SKEW, end=max(since, since + shift) + _WINDOW)


class Orphanage:
    """Looks through the cloud's tasks, and remembers what it learned about strangers' ones.

    Args:
        lookout: lists them.
        now: this machine's clock, aware.
    """

    def __init__(self, lookout: Lookout, now: Callable[[], datetime]) -> None:
        self._lookout = lookout
        self._now = now
        self._sources: dict[str, str] = {}
        self._seen: dict[str, datetime] = {}

    def look_for(
        self,
        visit: Visit,
        ask_id: str,
        *,
        url: str | None,
        since: datetime,
        sure: bool,
        known: frozenset[str],
    ) -> Found | StillOut | None:
        """The task that carries the ask id; `StillOut` while one that may be it is under way.

        Args:
            visit: to ask with.
            ask_id: part of the source URL.
            url: the source URL as it was sent; a cloud may tell it without its query.
            since: when the request was announced.
            sure: whether that was read from the clock as it goes now.
            known: tickets that are somebody else's.

        Raises:
            TemporaryError: the cloud could not be asked.
            EngineError: the key is at fault.
        """
        waiting: StillOut | None = None
        for listed in self._candidates(visit, ask_id, since=since, sure=sure):
            if listed.ticket in known:
                continue
            if listed.status not in ENDED:
                waiting = StillOut(status=listed.status)
            elif listed.status == "SUCCEEDED":  # the others cost nothing and prove nothing
                source = self._source(visit, listed)
                if source is None:
                    waiting = StillOut(status="a task's result cannot be fetched just now")
                elif ask_id in source or (url is not None and _same_file(source, url)):
                    return Found(ticket=listed.ticket)
        return waiting

    def _candidates(
        self, visit: Visit, ask_id: str, *, since: datetime, sure: bool
    ) -> Iterator[Listed]:
        """The tasks of about that time, whatever this machine's clock says."""
        if len(self._seen) >= _MOST:
            self._seen.clear()
        seen = self._seen.setdefault(ask_id, self._now())
        span: Span | None = None
        for page in self._lookout.everything(visit):
            if span is None:
                ahead = page.made - self._now() if page.made else None
                span = span_of(since, sure=sure, ahead=ahead, seen=seen)
            yield from filter(span.holds, page.listed)

    def _source(self, visit: Visit, listed: Listed) -> str | None:
        """The URL a finished task was made from, empty where it has none; None: not known yet."""
        if (remembered := self._sources.get(listed.ticket)) is not None:
            return remembered
        try:
            poll = visit.query(listed.ticket).poll
        except (RecordingError, TicketLost):
            return None
        source = poll.source_url
        if not source and poll.result_url:
            try:
                source = results.source_url(loose.parse(visit.result(poll.result_url)))
            except TemporaryError:
                return None
        if len(self._sources) >= _MOST:
            self._sources.clear()
        return self._sources.setdefault(listed.ticket, source or "")


def _same_file(source: str, url: str) -> bool:
    """The same http(s) address but for the query and the form of its escapes."""
    here, there = urlsplit(source), urlsplit(url)
    same_host = here.netloc.lower() == there.netloc.lower()
    return (
        here.scheme in {"http", "https"} and same_host and unquote(here.path) == unquote(there.path)
    )
