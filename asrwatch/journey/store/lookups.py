"""Recordings found by what they are: their number, path, state, ticket, purchase or output."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from sqlalchemy import bindparam, func, or_, select, text

from asrwatch.journey.evidence import Fingerprint
from asrwatch.journey.recording import SUPERSEDED, UNFINISHED, VANISHED, Recording, State
from asrwatch.journey.store import tables
from asrwatch.journey.store.loading import NEWEST_FIRST, WHOLE, WITH_ANSWER, Loading, is_below
from asrwatch.journey.store.prepared import Prepared

__all__ = ["Lookups"]

_table, _outputs, _forgotten = tables.recordings, tables.outputs, tables.forgotten

_BY_ID = WITH_ANSWER.where(_table.c.id == bindparam("wanted"))
_BY_PATH = WITH_ANSWER.where(_table.c.path == bindparam("wanted"), WHOLE).order_by(NEWEST_FIRST)
_NEWEST_AT = _BY_PATH.limit(1)
_OWNERS = select(_outputs.c.recording).where(
    _outputs.c.path.in_(bindparam("wanted", expanding=True))
)
_PARKED_WITH = Prepared(
    select(_table.c.id)
    .where(_table.c.purchase == bindparam("wanted"), _table.c.state == State.PARKED.value)
    .order_by(NEWEST_FIRST)
    .limit(1)
)
_AT = Prepared(select(_table.c.id).where(_table.c.path == bindparam("wanted"), WHOLE).limit(1))
_COUNT_BY_STATE = text(  # of other indexes SQLite would read every row, to look whether it is a piece
    "SELECT state, count(*) FROM recordings INDEXED BY recordings_by_place WHERE part_of IS NULL GROUP BY state"
)


class Lookups(Loading):
    """Part of the store; see the module."""

    def get(self, recording_id: int) -> Recording | None:
        """The recording with this id."""
        found = self._many(_BY_ID, {"wanted": recording_id})
        return found[0] if found else None

    def latest_at(self, path: bytes) -> Recording | None:
        """The newest recording known at a path."""
        with self.transaction():
            if _AT.run(self._connection, {"wanted": path}).fetchone() is None:
                return None
            return self._many(_NEWEST_AT, {"wanted": path})[0]

    def all_at(self, path: bytes) -> tuple[Recording, ...]:
        """Every recording ever known at a path, newest first."""
        return self._many(_BY_PATH, {"wanted": path})

    def below(self, folder: bytes, *, limit: int | None = None) -> tuple[Recording, ...]:
        """Every recording below a folder, or the first `limit` of them, newest first."""
        inside = is_below(_table.c.path, folder)
        return self._many(WITH_ANSWER.where(inside, WHOLE).order_by(NEWEST_FIRST).limit(limit))

    def count_below(self, folder: bytes) -> int:
        """How many recordings there are below a folder."""
        counted = select(func.count()).select_from(_table)
        with self.transaction():
            return int(
                self._connection.execute(
                    counted.where(is_below(_table.c.path, folder), WHOLE)
                ).scalar_one()
            )

    def in_state(
        self, *states: State, limit: int | None = None, pieces: bool = False
    ) -> tuple[Recording, ...]:
        """Recordings in any of these states, newest first; pieces of them, too, only if that is said."""
        chosen = WITH_ANSWER.where(_table.c.state.in_(states))
        chosen = chosen if pieces else chosen.where(WHOLE)
        return self._many(chosen.order_by(NEWEST_FIRST).limit(limit))

    def for_a_person(self, inboxes: Collection[str], *, limit: int) -> tuple[Recording, ...]:
        """What waits for a person in these inboxes, what is parked first, then the newest."""
        chosen = WITH_ANSWER.where(
            _table.c.state.in_((State.PARKED, State.FAILED)),
            _table.c.inbox.in_(inboxes),
            WHOLE,
        )
        parked_first = (_table.c.state != State.PARKED.value, NEWEST_FIRST)
        return self._many(chosen.order_by(*parked_first).limit(limit))

    def known(self, inbox: str) -> Iterator[tuple[bytes, Fingerprint]]:
        """Path and newest fingerprint of everything seen already in an inbox.

        Without those of superseded recordings, as what their files hold now was perhaps not taken up yet, and of
        vanished ones, as their files may have come back while nobody looked; and without those that asrwatch moved or
        deleted once they were delivered, of which there may be millions.
        """
        newest = (
            select(func.max(_table.c.id))
            .where(_table.c.inbox == inbox, WHOLE)
            .group_by(_table.c.path)
        )
        columns = (_table.c.path, _table.c.device, _table.c.inode, _table.c.size, _table.c.mtime_ns)
        with self.transaction():
            code = func.json_extract(_table.c.failure, "$.code")
            current = or_(_table.c.failure.is_(None), code.not_in({SUPERSEDED, VANISHED}))
            stays = or_(_table.c.state != State.DELIVERED, _table.c.original == _table.c.path)
            rows = self._connection.execute(
                select(*columns).where(_table.c.id.in_(newest), current, stays)
            ).all()
            left = self._connection.execute(
                select(
                    _forgotten.c.path,
                    _forgotten.c.device,
                    _forgotten.c.inode,
                    _forgotten.c.size,
                    _forgotten.c.mtime_ns,
                )
            ).all()
        for path, device, inode, size, mtime_ns in (*rows, *left):
            yield (
                path,
                Fingerprint(device=device, inode=inode, size=size, mtime_ns=mtime_ns),
            )

    def count_by_state(self) -> Mapping[State, int]:
        """How many recordings are in each state; every state is named."""
        with self.transaction():
            rows = self._connection.execute(_COUNT_BY_STATE).all()
        counted = Counter({State(state): number for state, number in rows})
        return {state: counted[state] for state in State}

    def oldest_waiting(self) -> Recording | None:
        """The recording found longest ago that is neither delivered nor with a person."""
        waiting = WITH_ANSWER.where(_table.c.state.in_(UNFINISHED), WHOLE)
        found = self._many(waiting.order_by(_table.c.found_at, _table.c.id).limit(1))
        return found[0] if found else None

    def parked_with(self, purchase: str) -> Recording | None:
        """The newest parked recording of the same purchase."""
        with self.transaction():
            found = _PARKED_WITH.run(self._connection, {"wanted": purchase}).fetchone()
            return self.get(found[0]) if found else None

    def known_tickets(self) -> frozenset[str]:
        """Tickets of tasks that belong to a recording or an answer."""
        with self.transaction():
            mine = self._connection.execute(
                select(_table.c.ticket).where(_table.c.ticket.is_not(None))
            ).scalars()
            answered = self._connection.execute(
                select(tables.answers.c.ticket).where(tables.answers.c.ticket.is_not(None))
            ).scalars()
            return frozenset((*mine, *answered))

    def owner_of_ticket(self, ticket: str) -> int | None:
        """The id of the recording that a task belongs to, if any does."""
        with self.transaction():
            return self._connection.execute(
                select(_table.c.id).where(_table.c.ticket == ticket)
            ).scalar()

    def owner_of(self, path: bytes) -> int | None:
        """The id of the recording that owns an output path, if any does."""
        return next(iter(self.owners_of([path])), None)

    def owners_of(self, paths: Sequence[bytes]) -> frozenset[int]:
        """The ids of the recordings that own any of these output paths."""
        with self.transaction():
            found = self._connection.execute(_OWNERS, {"wanted": list(paths)}).scalars()
            return frozenset(found)

    def resting_at(self, path: bytes) -> Recording | None:
        """The newest recording whose delivered original lies at a path now (`after: move`)."""
        resting = WITH_ANSWER.where(_table.c.original == path).order_by(NEWEST_FIRST)
        found = self._many(resting.limit(1))
        return found[0] if found else None
