"""Find the task of a request whose answer was lost, by proof: the source URL in its result."""

from datetime import datetime, timedelta
from urllib.parse import unquote, urlsplit

from asrwatch.cloud import loose, results
from asrwatch.cloud.desk import Visit
from asrwatch.cloud.tasks import Listed
from asrwatch.engines import Found, StillOut
from asrwatch.engines._lookout import ENDED, Lookout
from asrwatch.errors import RecordingError, TemporaryError, TicketLost

__all__ = ["Orphanage"]

_SKEW = timedelta(minutes=5)
"""How far the cloud's clock and ours may differ."""

_WINDOW = timedelta(minutes=20)
"""No submission takes nearly as long: what was created later comes of another request."""

_MOST = 10_000
"""How many tasks' sources are remembered; forgetting one costs two free requests."""


class Orphanage:
    """Looks through the cloud's tasks, and remembers what it learned about strangers' ones."""

    def __init__(self, lookout: Lookout) -> None:
        self._lookout = lookout
        self._sources: dict[str, str] = {}

    def look_for(
        self,
        visit: Visit,
        ask_id: str,
        *,
        url: str | None,
        since: datetime,
        known: frozenset[str],
    ) -> Found | StillOut | None:
        """The task that carries the ask id; `StillOut` while one that may be it is under way.

        Args:
            visit: to ask with.
            ask_id: part of the source URL.
            url: the source URL as it was sent; a cloud may tell it without its query.
            since: when the request was announced.
            known: tickets that are somebody else's.

        Raises:
            TemporaryError: the cloud could not be asked.
            EngineError: the key is at fault.
        """
        waiting: StillOut | None = None
        for listed in self._lookout.everything(visit):
            if listed.ticket in known or not _at_the_time(listed, since):
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


def _at_the_time(listed: Listed, since: datetime) -> bool:
    """Whether a task may come of a request announced then, clocks that differ allowed for."""
    return listed.created is None or since - _SKEW <= listed.created <= since + _WINDOW


def _same_file(source: str, url: str) -> bool:
    """The same http(s) address but for the query and the form of its escapes."""
    here, there = urlsplit(source), urlsplit(url)
    same_host = here.netloc.lower() == there.netloc.lower()
    return (
        here.scheme in {"http", "https"} and same_host and unquote(here.path) == unquote(there.path)
    )
