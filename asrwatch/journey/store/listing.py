"""Lists of recordings for people: pages that stay quick however many there are, and counts.

A page begins after a recording's number instead of at a position, so that the thousandth costs what the first
costs. The index on inbox and state ends with the number, as every index of SQLite does: what is wanted of each
inbox and state comes out of it newest first, and the few newest of all are taken.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nlargest
from itertools import pairwise
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Integer, bindparam, func, select, text, type_coerce

from asrwatch.journey.evidence import Failure, Fingerprint, Output, Trouble
from asrwatch.journey.recording import State
from asrwatch.journey.store import tables
from asrwatch.journey.store.database import Database

__all__ = ["Day", "Listed", "Listing", "Page", "Place", "Wanted"]

_table = tables.recordings
_failure = TypeAdapter(Failure)
_trouble = TypeAdapter(Trouble)

_NEWEST = 2**62
_FEW = 5_000
"""So many rows are looked through one by one rather than all paths."""
_SOME = 3_000
"""So many of those that are named right are asked for their inbox and state one by one."""
_INBOXES = text(
    "WITH RECURSIVE named(inbox) AS (SELECT min(inbox) FROM recordings WHERE part_of IS NULL UNION ALL"
    " SELECT (SELECT min(inbox) FROM recordings WHERE part_of IS NULL AND inbox > named.inbox) FROM named"
    " WHERE named.inbox IS NOT NULL) SELECT inbox FROM named WHERE inbox IS NOT NULL"
)
_IN_PLACE = text(
    "SELECT id FROM recordings INDEXED BY recordings_by_place"
    " WHERE part_of IS NULL AND inbox = :inbox AND state = :state AND id < :before ORDER BY id DESC LIMIT :most"
)
_NAMED_IN_PLACE = text(
    "SELECT id FROM recordings INDEXED BY recordings_by_place"
    " WHERE part_of IS NULL AND inbox = :inbox AND state = :state AND id < :before"
    " AND CAST(path AS TEXT) LIKE :like ESCAPE '\\' ORDER BY id DESC LIMIT :most"
)
_FILTER = (
    " AND (:inbox = '' OR inbox = :inbox)"
    " AND (:states IS NULL OR state IN (SELECT value FROM json_each(:states)))"
)
_NAMED_LATELY = (
    "SELECT id FROM recordings NOT INDEXED WHERE id < :before AND id > :after AND part_of IS NULL"  # noqa: S608 - a constant
    f" AND CAST(path AS TEXT) LIKE :like ESCAPE '\\' {_FILTER} ORDER BY id DESC LIMIT :most"
)
_NAMED = (
    "SELECT id FROM recordings INDEXED BY recordings_by_path"
    " WHERE part_of IS NULL AND CAST(path AS TEXT) LIKE :like ESCAPE '\\'"
)
_ALL_IN_PLACE = (
    "SELECT id FROM recordings INDEXED BY recordings_by_place"
    " WHERE part_of IS NULL AND inbox = :inbox AND state = :state"
)
_CHOSEN = (
    "SELECT id FROM recordings WHERE id IN (SELECT value FROM json_each(:ids))"  # noqa: S608 - same
    f" {_FILTER} ORDER BY id DESC"
)
_COUNTS = text(
    "SELECT inbox, state, count(*) FROM recordings INDEXED BY recordings_by_place WHERE part_of IS NULL"
    " GROUP BY inbox, state"
)
_WAITING = "part_of IS NULL AND state NOT IN ('delivered', 'failed', 'parked')"
# two indexes look alike to SQLite, which takes the one that was made last, and that order is of no database's choosing
_WAITING_LONGEST = text(
    f"WITH RECURSIVE named(inbox) AS (SELECT min(inbox) FROM recordings INDEXED BY recordings_waiting WHERE {_WAITING}"  # noqa: S608 - a constant
    f" UNION ALL SELECT (SELECT min(inbox) FROM recordings INDEXED BY recordings_waiting"
    f" WHERE inbox > named.inbox AND {_WAITING}) FROM named WHERE named.inbox IS NOT NULL)"
    f" SELECT inbox, (SELECT id FROM recordings INDEXED BY recordings_waiting"
    f" WHERE inbox = named.inbox AND {_WAITING} ORDER BY found_at LIMIT 1),"
    f" (SELECT min(found_at) FROM recordings INDEXED BY recordings_waiting"
    f" WHERE inbox = named.inbox AND {_WAITING}) FROM named WHERE inbox IS NOT NULL"
)
_COUNTED = text(
    "SELECT count(*) FROM (SELECT 1 FROM recordings INDEXED BY recordings_by_place"
    " WHERE part_of IS NULL AND inbox = :inbox AND state = :state LIMIT :most)"
)
_WAIT = type_coerce(_table.c.delivered_at, Integer) - type_coerce(_table.c.found_at, Integer)
_DELIVERED = select(
    func.count().label("number"),
    func.sum(type_coerce(_table.c.audio, Integer)).label("audio"),
    func.avg(_WAIT).label("waited"),
    func.max(_WAIT).label("longest"),
).where(
    _table.c.delivered_at >= bindparam("begin"),
    _table.c.delivered_at < bindparam("until"),
    _table.c.part_of.is_(None),
)
_LINES = (
    _table.c.id,
    _table.c.inbox,
    _table.c.path,
    _table.c.state,
    _table.c.found_at,
    _table.c.changed_at,
    _table.c.due,
    _table.c.audio,
    _table.c.engine,
    _table.c.attempts,
    _table.c.failure,
    _table.c.trouble,
)


_PLACE = (
    _table.c.inbox,
    _table.c.path,
    _table.c.device,
    _table.c.inode,
    _table.c.size,
    _table.c.mtime_ns,
    _table.c.original,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which recordings are meant: all, or those in these states, of one inbox, with this in their path."""

    states: Sequence[State] = ()
    inbox: str = ""
    named: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A recording as a list shows it; what was answered is not read for it."""

    id: int
    inbox: str
    path: bytes
    state: State
    found_at: datetime
    changed_at: datetime
    due: datetime
    attempts: int
    audio: timedelta | None = None
    engine: str | None = None
    failure: Failure | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The newest of what is wanted before a number; `older` is where the next page begins, None at the end."""

    lines: tuple[Listed, ...]
    older: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a recording's file lies, what it is, and what was written for it; `original` is where it was moved."""

    inbox: str
    path: bytes
    fingerprint: Fingerprint
    original: bytes | None
    container: str | None
    codec: str | None
    outputs: tuple[Output, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """What was delivered from `begin` on, until the next day: how many, how much audio, how long they waited.

    Waiting counts from when a recording was found until its transcript was in its place.
    """

    begin: datetime
    delivered: int = 0
    audio: timedelta = timedelta(0)
    waited: timedelta | None = None
    longest: timedelta | None = None


class Listing(Database):
    """Questions that lists ask; mixed into a `Store`."""

    def page(self, wanted: Wanted, *, before: int | None = None, most: int = 50) -> Page:
        """Recordings, newest first.

        Args:
            wanted: which of them.
            before: only those with a smaller number; None for the newest.
            most: how many.
        """
        start = _NEWEST if before is None else before
        with self.transaction():
            ids = self._ids(wanted, start, most + 1)
            lines = self._lines(ids[:most])
        return Page(lines=lines, older=ids[most - 1] if len(ids) > most else None)

    def lines(self, ids: Collection[int]) -> tuple[Listed, ...]:
        """These recordings, newest first; those that are gone are left out."""
        with self.transaction():
            return self._lines(sorted(ids, reverse=True))

    def place(self, recording_id: int) -> Place | None:
        """Where a recording's files lie; its answer is not read for it."""
        facts = func.json_extract(_table.c.reading, "$.facts.container", "$.facts.codec")
        with self.transaction():
            row = self._connection.execute(
                select(*_PLACE, facts.label("facts")).where(_table.c.id == recording_id)
            ).first()
            if row is None:
                return None
            written = self._connection.execute(
                select(tables.outputs)
                .where(tables.outputs.c.recording == recording_id)
                .order_by(tables.outputs.c.position)
            ).all()
        container, codec = json.loads(row.facts) if row.facts else (None, None)
        return Place(
            inbox=row.inbox,
            path=row.path,
            fingerprint=Fingerprint(
                device=row.device, inode=row.inode, size=row.size, mtime_ns=row.mtime_ns
            ),
            original=row.original,
            container=container,
            codec=codec,
            outputs=tuple(
                Output(format=each.format, path=each.path, sha256=each.sha256) for each in written
            ),
        )

    def newest_at(self, path: bytes) -> int | None:
        """The number of the newest recording at a path."""
        newest = select(func.max(_table.c.id)).where(
            _table.c.path == path, _table.c.part_of.is_(None)
        )
        with self.transaction():
            return self._connection.execute(newest).scalar_one_or_none()

    def days(self, begins: Sequence[datetime]) -> tuple[Day, ...]:
        """What was delivered between each of these moments and the next; one day fewer than moments."""
        found = []
        with self.transaction():
            for begin, end in pairwise(begins):
                row = self._connection.execute(_DELIVERED, {"begin": begin, "until": end}).one()
                found.append(
                    Day(
                        begin=begin,
                        delivered=row.number,
                        audio=timedelta(milliseconds=row.audio or 0),
                        waited=_span(row.waited),
                        longest=_span(row.longest),
                    )
                )
        return tuple(found)

    def counts(self) -> Mapping[str, Mapping[State, int]]:
        """How many recordings each inbox has in each state; inboxes and states without any are left out."""
        counted: dict[str, dict[State, int]] = {}
        with self.transaction():
            for inbox, state, number in self._connection.execute(_COUNTS):
                counted.setdefault(inbox, {})[State(state)] = number
        return counted

    def waiting_longest(self) -> Mapping[str, tuple[int, datetime]]:
        """By inbox, the recording that was found longest ago and is neither done nor with a person, and when."""
        with self.transaction():
            rows = self._connection.execute(_WAITING_LONGEST).all()
        found = {inbox: (number, tables.moment(at)) for inbox, number, at in rows}
        return {inbox: (number, at) for inbox, (number, at) in found.items() if at is not None}

    def _ids(self, wanted: Wanted, before: int, most: int) -> list[int]:
        if not wanted.named:
            if not wanted.states and not wanted.inbox:
                newest = (
                    select(_table.c.id)
                    .where(_table.c.id < before, _table.c.part_of.is_(None))
                    .order_by(_table.c.id.desc())
                )
                return list(self._connection.execute(newest.limit(most)).scalars())
            return self._in_places(_IN_PLACE, wanted, {"before": before, "most": most})
        like = f"%{_escaped(wanted.named)}%"
        if self._number_in(wanted) <= _FEW:
            values = {"before": before, "most": most, "like": like}
            return self._in_places(_NAMED_IN_PLACE, wanted, values)
        return self._searched(wanted, before, most, like)

    def _in_places(self, statement: Any, wanted: Wanted, values: Mapping[str, Any]) -> list[int]:
        found: list[int] = []
        for place in self._places(wanted):
            found += self._connection.execute(statement, {**values, **place}).scalars()
        return sorted(found, reverse=True)[: values["most"]]

    def _places(self, wanted: Wanted) -> list[dict[str, str]]:
        """Every inbox and state that is wanted, as the statements call them."""
        inboxes = [wanted.inbox] if wanted.inbox else self._connection.execute(_INBOXES).scalars()
        return [
            {"inbox": inbox, "state": state.value}
            for inbox in inboxes
            for state in wanted.states or State
        ]

    def _number_in(self, wanted: Wanted) -> int:
        """How many rows a search would look through, counted no further than matters."""
        if not wanted.states and not wanted.inbox:
            return _FEW + 1
        return sum(
            self._connection.execute(_COUNTED, {**place, "most": _FEW + 1}).scalar_one()
            for place in self._places(wanted)
        )

    def _searched(self, wanted: Wanted, before: int, most: int, like: str) -> list[int]:
        """The newest rows first: what is found often fills a page there. Else every path is looked at, in the index."""
        states = json.dumps([state.value for state in wanted.states]) if wanted.states else None
        values = {"like": like, "inbox": wanted.inbox, "states": states, "before": before}
        (newest,) = self._column("SELECT coalesce(max(id), 0) FROM recordings", {})
        after = min(before, newest + 1) - _FEW
        lately = self._column(_NAMED_LATELY, {**values, "after": after, "most": most})
        if len(lately) >= most or after <= 0:
            return lately
        named = [number for number in self._column(_NAMED, values) if number < before]
        if not wanted.states and not wanted.inbox:
            return nlargest(most, named)
        if len(named) <= _SOME:
            return self._column(_CHOSEN, {**values, "ids": json.dumps(named)})[:most]
        chosen: set[int] = set()
        for place in self._places(wanted):
            chosen.update(self._column(_ALL_IN_PLACE, place))
        return nlargest(most, chosen.intersection(named))

    def _column(self, sql: str, values: Mapping[str, Any]) -> list[int]:
        """The driver's own cursor: SQLAlchemy takes longer over 100,000 numbers than SQLite."""
        driver: Any = self._connection.connection.driver_connection
        return [number for (number,) in driver.execute(sql, values)]

    def _lines(self, ids: Sequence[int]) -> tuple[Listed, ...]:
        rows = self._connection.execute(
            select(*_LINES).where(_table.c.id.in_(list(ids))).order_by(_table.c.id.desc())
        )
        return tuple(_listed(row) for row in rows)


def _span(microseconds: float | None) -> timedelta | None:
    return None if microseconds is None else timedelta(microseconds=max(microseconds, 0))


def _escaped(searched: str) -> str:
    return searched.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _listed(row: Any) -> Listed:
    return Listed(
        id=row.id,
        inbox=row.inbox,
        path=row.path,
        state=State(row.state),
        found_at=row.found_at,
        changed_at=row.changed_at,
        due=row.due,
        attempts=row.attempts,
        audio=row.audio,
        engine=row.engine,
        failure=_failure.validate_json(row.failure) if row.failure else None,
        trouble=_trouble.validate_json(row.trouble) if row.trouble else None,
    )
