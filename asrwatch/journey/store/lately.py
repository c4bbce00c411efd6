"""What happened to recordings lately: the newest event of each."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import bindparam, func, or_, select

from asrwatch.journey.evidence import Failure
from asrwatch.journey.recording import State
from asrwatch.journey.store.database import Database
from asrwatch.journey.store.tables import events, recordings

__all__ = ["Happened", "Lately"]

_AT_ONCE = 1000
_MOST_LOOKED_AT = 200_000
"""Events: for an inbox in which nothing happened for long."""

_failure = TypeAdapter(Failure)

# One page of events, newest first; the index is the table's own key.
_PAGE = (
    select(
        events.c.id,
        events.c.at,
        events.c.to_state,
        events.c.note,
        recordings.c.id.label("recording"),
        recordings.c.inbox,
        recordings.c.path,
        recordings.c.state,
        recordings.c.failure,
    )
    .join(recordings, recordings.c.id == events.c.recording)
    .where(events.c.id < bindparam("before"), events.c.id > bindparam("after"))
    .where(recordings.c.part_of.is_(None))
    .where(
        or_(
            bindparam("inbox", type_=recordings.c.inbox.type).is_(None),
            recordings.c.inbox == bindparam("inbox"),
        )
    )
    .order_by(events.c.id.desc())
    .limit(_AT_ONCE)
)
_NEWEST = select(func.max(events.c.id))
_BEGIN = 2**62


@dataclass(frozen=True, kw_only=True, slots=True)
class Happened:
    """What happened to a recording last; `failure` where that is how things stand with it."""

    event: int
    at: datetime
    recording: int
    inbox: str
    path: bytes
    state: State
    note: str
    failure: Failure | None


class Lately(Database):
    """What happened lately."""

    def newest_event(self) -> int:
        """The number of the newest event; 0 where there is none."""
        with self.transaction():
            self._flush()
            return int(self._connection.execute(_NEWEST).scalar_one() or 0)

    def lately(
        self,
        *,
        limit: int,
        inbox: str | None = None,
        since: datetime | None = None,
        after: int | None = None,
    ) -> tuple[Happened, ...]:
        """The recordings to which something happened last, newest first, each once.

        Args:
            limit: how many.
            inbox: only this one's.
            since: only what happened from then on; aware.
            after: only what happened after the event of this number.
        """
        found: dict[int, Happened] = {}
        chosen: dict[str, Any] = {"inbox": inbox, "after": after or 0, "before": _BEGIN}
        with self.transaction():
            self._flush()
            for _ in range(_MOST_LOOKED_AT // _AT_ONCE):
                rows = self._connection.execute(_PAGE, chosen).all()
                for row in rows:
                    if since is not None and row.at < since:
                        return tuple(found.values())
                    if row.recording not in found:
                        found[row.recording] = _happened(row)
                    if len(found) == limit:
                        return tuple(found.values())
                if len(rows) < _AT_ONCE:
                    break
                chosen["before"] = rows[-1].id
        return tuple(found.values())


def _happened(row: Any) -> Happened:
    # the event names the state it led to; what failed then may be on its way again by now
    failed = row.failure is not None and row.to_state == row.state
    return Happened(
        event=row.id,
        at=row.at,
        recording=row.recording,
        inbox=row.inbox,
        path=row.path,
        state=State(row.to_state),
        note=row.note,
        failure=_failure.validate_json(row.failure) if failed else None,
    )
