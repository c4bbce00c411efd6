"""What is due: recordings that a worker could take a step with, tasks to ask about, and what is left to do."""

import json
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select

from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import tables
from asrwatch.journey.store.loading import WITH_ANSWER, Loading, listed
from asrwatch.journey.store.money import EVERY_ENGINE
from asrwatch.journey.store.prepared import Prepared

__all__ = ["STEPS_LEFT", "Due"]

_table = tables.recordings

STEPS_LEFT = (State.TRANSCRIBED, State.ASKING, State.STAGED, State.SETTLED)
"""The states whose next step is a worker's, those nearest their end first."""

_OUTSTANDING = WITH_ANSWER.where(_table.c.state == State.SUBMITTED).order_by(
    _table.c.due, _table.c.id
)

# Passed over while their engines or inboxes wait: those whose next step is a request, or an upload for one. One
# state at a time, so that the index on states and dates answers in order, however many recordings there are.
_FOR_A_WORKER = and_(
    _table.c.state == bindparam("state"),
    _table.c.id.not_in(listed("under_way")),
    _table.c.inbox.not_in(listed("barred")),
    or_(
        and_(_table.c.state != State.STAGED.value, _table.c.state != State.SETTLED.value),
        _table.c.engine.is_(None),
        and_(
            _table.c.engine.not_in(listed("waiting")),
            _table.c.inbox.not_in(listed("waiting_inboxes")),
        ),
    ),
)
_DUE = (
    WITH_ANSWER.where(_FOR_A_WORKER, _table.c.due <= bindparam("now"))
    .order_by(_table.c.due)  # and no more, or everything due would be sorted for the first few
    .limit(bindparam("most"))
)
_DUE_OF = _DUE.where(_table.c.id.in_(listed("only")))
_DUE_IN = _DUE.where(
    _table.c.inbox == bindparam("inbox"), _table.c.part_of.is_not(None) == bindparam("pieces")
)
_SHORTEST_STAGED = (
    WITH_ANSWER.where(
        _table.c.state == State.STAGED.value,
        _table.c.due <= bindparam("now"),
        _table.c.engine.in_(listed("engines")),
        _table.c.inbox.in_(listed("inboxes")),
    )
    .order_by(_table.c.audio.is_(None), _table.c.audio, _table.c.id)
    .limit(1)
)
_NEXT_DUE = Prepared(select(_table.c.due).where(_FOR_A_WORKER).order_by(_table.c.due).limit(1))
_NEXT_POLL = Prepared(select(func.min(_table.c.due)).where(_table.c.state == State.SUBMITTED.value))


class Due(Loading):
    """Part of the store; see the module."""

    def due(
        self,
        now: datetime,
        *,
        limit: int,
        states: Collection[State] = STEPS_LEFT,
        under_way: Collection[int] = (),
        waiting_engines: Collection[str] = (),
        waiting_inboxes: Collection[str] = (),
        inbox: str | None = None,
        pieces: bool = False,
        barred_inboxes: Collection[str] = (),
        only: Collection[int] | None = None,
    ) -> tuple[Recording, ...]:
        """Recordings that a worker could take a step with, those nearest their end first.

        Args:
            now: only what is due by then.
            limit: how many at most.
            states: only recordings in these.
            under_way: ids that are being worked on already.
            waiting_engines: engines that take no request now; their recordings are passed over where the
                next step would be a request or its upload.
            waiting_inboxes: the same for inboxes.
            inbox: only that one's; None: whichever.
            pieces: of an inbox, only pieces of recordings that were cut; or only recordings that were not.
            barred_inboxes: whose recordings are passed over.
            only: ids of those that are meant, of whichever inbox; None for all.
        """
        chosen = {
            "now": now,
            "only": json.dumps(list(only or ())),
            "inbox": inbox,
            "pieces": pieces,
            "under_way": json.dumps(list(under_way)),
            "waiting": json.dumps(list(waiting_engines)),
            "waiting_inboxes": json.dumps(list(waiting_inboxes)),
            "barred": json.dumps(list(barred_inboxes)),
        }
        query = _DUE if inbox is None else _DUE_IN
        query = query if only is None else _DUE_OF
        found: tuple[Recording, ...] = ()
        for state in STEPS_LEFT:
            if state in states and len(found) < limit:
                asked = {**chosen, "state": state.value, "most": limit - len(found)}
                found += self._many(query, asked)
        return found

    def shortest_staged(
        self, now: datetime, *, engines: Collection[str], inboxes: Collection[str]
    ) -> Recording | None:
        """The shortest of the recordings that one of these engines could be asked about now."""
        found = self._many(
            _SHORTEST_STAGED,
            {
                "now": now,
                "engines": json.dumps(list(engines)),
                "inboxes": json.dumps(list(inboxes)),
            },
        )
        return found[0] if found else None

    def next_due(
        self,
        *,
        states: Collection[State] = STEPS_LEFT,
        under_way: Collection[int] = (),
        waiting_engines: Collection[str] = (),
        waiting_inboxes: Collection[str] = (),
        barred_inboxes: Collection[str] = (),
    ) -> datetime | None:
        """The earliest date on which `due` would have something for a worker."""
        chosen = {
            "under_way": json.dumps(list(under_way)),
            "waiting": json.dumps(list(waiting_engines)),
            "waiting_inboxes": json.dumps(list(waiting_inboxes)),
            "barred": json.dumps(list(barred_inboxes)),
        }
        with self.transaction():
            found = [
                _NEXT_DUE.run(self._connection, {**chosen, "state": state.value}).fetchone()
                for state in states
            ]
        dates = [moment for row in found if row and (moment := tables.moment(row[0]))]
        return min(dates, default=None)

    def next_poll(self) -> datetime | None:
        """The earliest date on which a task is to be asked about."""
        with self.transaction():
            (earliest,) = _NEXT_POLL.run(self._connection, {}).fetchone()
        return tables.moment(earliest)

    def outstanding(self) -> tuple[Recording, ...]:
        """Every task the cloud is working on, oldest poll date first."""
        return self._many(_OUTSTANDING)

    def left_to_do(self, inboxes: Collection[str]) -> int:
        """How many recordings of these inboxes still have steps before them that need no person.

        Of one that was cut those of its pieces count that have; it has none itself until they are done.
        """
        return self._count(_table.c.inbox.in_(inboxes))

    def left_besides(self, inboxes: Collection[str], scopes: Collection[str]) -> int:
        """How many of those left to do wait for something else than the holds of these scopes."""
        waiting = _table.c.state.in_((State.SETTLED, State.STAGED)) & _table.c.engine.is_not(None)
        if EVERY_ENGINE in scopes:
            waiting = (
                waiting | (_table.c.state == State.ASKING) | (_table.c.state == State.SUBMITTED)
            )
        else:
            waiting = waiting & _table.c.engine.in_(scopes)
        return self._count(_table.c.inbox.in_(inboxes) & ~waiting)

    def _count(self, condition: ColumnElement[bool]) -> int:
        left = _table.c.state.in_((*STEPS_LEFT, State.SUBMITTED))
        with self.transaction():
            return int(
                self._connection.execute(
                    select(func.count()).select_from(_table).where(left, condition)
                ).scalar_one()
            )
