"""Recordings and their stories: saved as they move, found when something is to be done."""

import json
import os
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from asrwatch.audio.cutting import Stretch
from asrwatch.errors import OurBug
from asrwatch.journey.recording import (
    SUPERSEDED,
    UNFINISHED,
    VANISHED,
    Fingerprint,
    Output,
    Recording,
    State,
)
from asrwatch.journey.store import tables
from asrwatch.journey.store.database import damaged
from asrwatch.journey.store.figures import Figures
from asrwatch.journey.store.lately import Lately
from asrwatch.journey.store.money import EVERY_ENGINE, Money
from asrwatch.journey.store.notes import Notes
from asrwatch.journey.store.outbox import Outbox
from asrwatch.journey.store.prepared import Prepared
from asrwatch.journey.store.rows import COLUMNS, recording_of, row_of
from asrwatch.journey.store.said import Said
from asrwatch.journey.store.times import Times
from asrwatch.journey.store.tries import Tries
from asrwatch.values import printable

__all__ = ["STEPS_LEFT", "Event", "Store"]

_WITH_OUTPUTS = (State.TRANSCRIBED, State.DELIVERED, State.FAILED)
STEPS_LEFT = (State.TRANSCRIBED, State.ASKING, State.STAGED, State.SETTLED)
"""The states whose next step is a worker's, those nearest their end first."""

_NOTED = frozenset({State.FAILED, State.PARKED})
"""Recordings in these states have notes in their folders."""

_table, _outputs, _events, _forgotten = (
    tables.recordings,
    tables.outputs,
    tables.events,
    tables.forgotten,
)

# Statements are built once: building one takes longer than running it.
_WITH_ANSWER = select(
    _table,
    tables.answers.c.raw,
    tables.answers.c.received_at,
    tables.answers.c.billed,
    tables.answers.c.ticket.label("answered_ticket"),
).select_from(_table.outerjoin(tables.answers, _table.c.answer == tables.answers.c.id))
_NEWEST_FIRST = _table.c.id.desc()
_BY_ID = _WITH_ANSWER.where(_table.c.id == bindparam("wanted"))
_WHOLE = _table.c.part_of.is_(None)
_COUNT_BY_STATE = text(  # of other indexes SQLite would read every row, to look whether it is a piece
    "SELECT state, count(*) FROM recordings INDEXED BY recordings_by_place WHERE part_of IS NULL GROUP BY state"
)
"""What people dropped, and no piece of it: all that is ever listed or counted for them."""
_BY_PATH = _WITH_ANSWER.where(_table.c.path == bindparam("wanted"), _WHOLE).order_by(_NEWEST_FIRST)
_NEWEST_AT = _BY_PATH.limit(1)
_OUTSTANDING = _WITH_ANSWER.where(_table.c.state == State.SUBMITTED).order_by(
    _table.c.due, _table.c.id
)


def _listed(name: str) -> Any:
    """The values of a JSON list bound to `name`: unlike an expanded IN, compiled only once."""
    return select(func.json_each(bindparam(name)).table_valued("value").c.value)


# Passed over while their engines or inboxes wait: those whose next step is a request, or an upload for one. One
# state at a time, so that the index on states and dates answers in order, however many recordings there are.
_FOR_A_WORKER = and_(
    _table.c.state == bindparam("state"),
    _table.c.id.not_in(_listed("under_way")),
    _table.c.inbox.not_in(_listed("barred")),
    or_(
        and_(_table.c.state != State.STAGED.value, _table.c.state != State.SETTLED.value),
        _table.c.engine.is_(None),
        and_(
            _table.c.engine.not_in(_listed("waiting")),
            _table.c.inbox.not_in(_listed("waiting_inboxes")),
        ),
    ),
)
_DUE = (
    _WITH_ANSWER.where(_FOR_A_WORKER, _table.c.due <= bindparam("now"))
    .order_by(_table.c.due)  # and no more, or everything due would be sorted for the first few
    .limit(bindparam("most"))
)
_DUE_OF = _DUE.where(_table.c.id.in_(_listed("only")))
_DUE_IN = _DUE.where(
    _table.c.inbox == bindparam("inbox"), _table.c.part_of.is_not(None) == bindparam("pieces")
)
_SHORTEST_STAGED = (
    _WITH_ANSWER.where(
        _table.c.state == State.STAGED.value,
        _table.c.due <= bindparam("now"),
        _table.c.engine.in_(_listed("engines")),
        _table.c.inbox.in_(_listed("inboxes")),
    )
    .order_by(_table.c.audio.is_(None), _table.c.audio, _table.c.id)
    .limit(1)
)
_NEXT_DUE = Prepared(select(_table.c.due).where(_FOR_A_WORKER).order_by(_table.c.due).limit(1))
_NEXT_POLL = Prepared(select(func.min(_table.c.due)).where(_table.c.state == State.SUBMITTED.value))
_OUTPUTS_OF = (
    select(_outputs.c.format, _outputs.c.path, _outputs.c.sha256)
    .where(_outputs.c.recording == bindparam("of"))
    .order_by(_outputs.c.position)
)
_OWNERS = select(_outputs.c.recording).where(
    _outputs.c.path.in_(bindparam("wanted", expanding=True))
)
_DISOWN = delete(_outputs).where(_outputs.c.recording == bindparam("of"))
_OWNING = upsert(_outputs)
_OWN = Prepared(
    _OWNING.on_conflict_do_update(
        index_elements=["path"],
        set_={
            name: _OWNING.excluded[name] for name in ("recording", "position", "format", "sha256")
        },
    ),
    ("path", "recording", "position", "format", "sha256"),
)
_ADD = Prepared(insert(_table), COLUMNS)
_ADD_EVENT = Prepared(insert(_events), ("recording", "at", "from_state", "to_state", "note"))
_HERE = update(_table).where(
    _table.c.id == bindparam("saved_id"), _table.c.state == bindparam("state_before")
)
_SAVE = Prepared(_HERE, COLUMNS)
_SAVE_WITH_ANSWER = Prepared(_HERE, (*COLUMNS, "answer"))
_RESTORED = Prepared(select(func.max(tables.restored.c.at)))
_PARKED_WITH = Prepared(
    select(_table.c.id)
    .where(_table.c.purchase == bindparam("wanted"), _table.c.state == State.PARKED.value)
    .order_by(_NEWEST_FIRST)
    .limit(1)
)
_LAST_NOTE = Prepared(
    select(_events.c.note)
    .where(_events.c.recording == bindparam("of"))
    .order_by(_events.c.id.desc())
    .limit(1)
)
_AT = Prepared(select(_table.c.id).where(_table.c.path == bindparam("wanted"), _WHOLE).limit(1))
_ANY_PIECE = Prepared(
    select(_table.c.id)
    .where(
        _table.c.part_of.is_not(None),
        or_(*(_table.c.state == state.value for state in STEPS_LEFT)),
    )
    .limit(1)
)
_PIECES = _WITH_ANSWER.where(_table.c.part_of == bindparam("of")).order_by(_table.c.id)
_PIECES_LEFT = Prepared(
    select(_table.c.id)
    .where(_table.c.part_of == bindparam("of"), _table.c.state != State.DELIVERED.value)
    .limit(1)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One line of a recording's story."""

    at: datetime
    before: State | None
    after: State
    note: str


class Store(Money, Tries, Times, Figures, Said, Lately, Notes, Outbox):
    """The state of everything. See `Database` for its arguments and for who may open it."""

    _restored: tuple[datetime | None] | None = None

    def add(self, recording: Recording, *, note: str = "") -> Recording:
        """Save a new recording; returns it with its id."""
        with self.transaction():
            added = _ADD.run(self._connection, row_of(recording))
            identified = replace(recording, id=added.lastrowid or 0)
            self._tell(identified, None, note)
        return identified

    def save(
        self, before: Recording, after: Recording, *, note: str = "", outcome: str = ""
    ) -> Recording:
        """Replace a recording by what it has become.

        Args:
            before: the value the move started from; its row must still be in that state.
            after: the value to save.
            note: for the recording's story; a change of state is told even without one.
            outcome: what became of the paid request that ends with this move, for the ledger.

        Raises:
            OurBug: the row is no longer in `before`'s state.
        """
        with self.transaction():
            if replace(after, outputs=before.outputs) != before:
                self._save_row(before, after)
            if after.inbox != before.inbox:
                self.said_moves(after.id, before.inbox, into=after.inbox)
            if after.outputs != before.outputs:
                self._own(before, after)
            if after.delivery is not None and after.delivery.said is not None:
                self.keep_said(after.id, after.delivery.said)
            self._keep_ledger(before, after, outcome)
            self._count_wait(before, after)
            if note or after.state is not before.state:
                self._tell(after, before.state, note)
            if (
                before.trouble
                or after.trouble
                or not _NOTED.isdisjoint({before.state, after.state})
            ):
                self.note_news.add(after.id)
        return after

    def _save_row(self, before: Recording, after: Recording) -> None:
        where = {"saved_id": after.id, "state_before": before.state.value}
        values = {**row_of(after), **where}
        if after.answer is before.answer:
            done = _SAVE.run(self._connection, values)
        else:
            values["answer"] = self._answer_id(after)
            done = _SAVE_WITH_ANSWER.run(self._connection, values)
        if done.rowcount != 1:
            msg = f"recording {after.id} was not {before.state} any more"
            raise OurBug(msg)

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
        inside = _is_below(_table.c.path, folder)
        return self._many(_WITH_ANSWER.where(inside, _WHOLE).order_by(_NEWEST_FIRST).limit(limit))

    def count_below(self, folder: bytes) -> int:
        """How many recordings there are below a folder."""
        counted = select(func.count()).select_from(_table)
        with self.transaction():
            return int(
                self._connection.execute(
                    counted.where(_is_below(_table.c.path, folder), _WHOLE)
                ).scalar_one()
            )

    def in_state(
        self, *states: State, limit: int | None = None, pieces: bool = False
    ) -> tuple[Recording, ...]:
        """Recordings in any of these states, newest first; pieces of them, too, only if that is said."""
        chosen = _WITH_ANSWER.where(_table.c.state.in_(states))
        chosen = chosen if pieces else chosen.where(_WHOLE)
        return self._many(chosen.order_by(_NEWEST_FIRST).limit(limit))

    def for_a_person(self, inboxes: Collection[str], *, limit: int) -> tuple[Recording, ...]:
        """What waits for a person in these inboxes, what is parked first, then the newest."""
        chosen = _WITH_ANSWER.where(
            _table.c.state.in_((State.PARKED, State.FAILED)),
            _table.c.inbox.in_(inboxes),
            _WHOLE,
        )
        parked_first = (_table.c.state != State.PARKED.value, _NEWEST_FIRST)
        return self._many(chosen.order_by(*parked_first).limit(limit))

    def known(self, inbox: str) -> Iterator[tuple[bytes, Fingerprint]]:
        """Path and newest fingerprint of everything seen already in an inbox.

        Without those of superseded recordings, as what their files hold now was perhaps not taken up yet, and of
        vanished ones, as their files may have come back while nobody looked; and without those that asrwatch moved or
        deleted once they were delivered, of which there may be millions.
        """
        newest = (
            select(func.max(_table.c.id))
            .where(_table.c.inbox == inbox, _WHOLE)
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

    def perhaps_asked_before(self, recording: Recording) -> bool:
        """Whether its file is older than a restored backup that lacks asks, and nobody has decided about it since.

        Its ask may be one of those that the backup does not know.
        """
        since = self._restored_at()
        if since is None:
            return False
        written = datetime.fromtimestamp(recording.fingerprint.mtime_ns / 1e9, tz=UTC)
        if since <= written <= recording.found_at:
            return False
        # a person decides about a recording, not about its pieces
        story = self.story(recording.part_of or recording.id)
        return not any(each.after is State.FAILED and each.at >= since for each in story)

    def _restored_at(self) -> datetime | None:
        if self._restored is None:
            with self.transaction():
                (at,) = _RESTORED.run(self._connection, {}).fetchone()
            self._restored = (tables.moment(at),)
        return self._restored[0]

    def parked_with(self, purchase: str) -> Recording | None:
        """The newest parked recording of the same purchase."""
        with self.transaction():
            found = _PARKED_WITH.run(self._connection, {"wanted": purchase}).fetchone()
            return self.get(found[0]) if found else None

    def outstanding(self) -> tuple[Recording, ...]:
        """Every task the cloud is working on, oldest poll date first."""
        return self._many(_OUTSTANDING)

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

    def count_by_state(self) -> Mapping[State, int]:
        """How many recordings are in each state; every state is named."""
        with self.transaction():
            rows = self._connection.execute(_COUNT_BY_STATE).all()
        counted = Counter({State(state): number for state, number in rows})
        return {state: counted[state] for state in State}

    def oldest_waiting(self) -> Recording | None:
        """The recording found longest ago that is neither delivered nor with a person."""
        waiting = _WITH_ANSWER.where(_table.c.state.in_(UNFINISHED), _WHOLE)
        found = self._many(waiting.order_by(_table.c.found_at, _table.c.id).limit(1))
        return found[0] if found else None

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
        resting = _WITH_ANSWER.where(_table.c.original == path).order_by(_NEWEST_FIRST)
        found = self._many(resting.limit(1))
        return found[0] if found else None

    def forgotten(self, path: bytes) -> tuple[bytes, ...]:
        """What was forgotten at a path, or below it where it is a folder."""
        column = _forgotten.c.path
        condition = or_(column == path, _is_below(column, path))
        with self.transaction():
            return tuple(
                self._connection.execute(select(column).where(condition).order_by(column)).scalars()
            )

    def forgotten_as(self, path: bytes) -> Fingerprint | None:
        """How the file looked that was forgotten at a path; None if none was."""
        wanted = select(_forgotten).where(_forgotten.c.path == path)
        with self.transaction():
            row = self._connection.execute(wanted).one_or_none()
        if row is None:
            return None
        return Fingerprint(device=row.device, inode=row.inode, size=row.size, mtime_ns=row.mtime_ns)

    def story(self, recording_id: int) -> tuple[Event, ...]:
        """Everything that happened to a recording, oldest first."""
        with self.transaction():
            self._flush()
            rows = self._connection.execute(
                select(_events).where(_events.c.recording == recording_id).order_by(_events.c.id)
            ).all()
        return tuple(
            Event(
                at=row.at,
                before=State(row.from_state) if row.from_state else None,
                after=State(row.to_state),
                note=row.note,
            )
            for row in rows
        )

    def last_note(self, recording_id: int) -> str:
        """What was noted last in a recording's story."""
        for told in reversed(self._told):
            if told["recording"] == recording_id:
                return str(told["note"])
        with self.transaction():
            row = _LAST_NOTE.run(self._connection, {"of": recording_id}).fetchone()
        return row[0] if row else ""

    def pieces_of(self, recording_id: int) -> tuple[Recording, ...]:
        """The pieces of a recording that was cut, in the order in which they were."""
        return self._many(_PIECES, {"of": recording_id})

    def in_flight(self, recording_id: int) -> bool:
        """Whether something was, or may have been, paid for a piece of a recording that is not in the books yet."""
        out = (State.ASKING, State.SUBMITTED, State.TRANSCRIBED)
        return any(piece.state in out for piece in self.pieces_of(recording_id))

    def remember_cut(self, purchase: str, places: Sequence[Stretch]) -> None:
        """Where a recording was cut: the same content is never cut elsewhere by the same rules, and paid again."""
        written = json.dumps(
            [[place.begin, place.end, place.overlap, place.channel] for place in places]
        )
        with self.transaction():
            self._connection.execute(
                upsert(tables.cuts)
                .values(purchase=purchase, places=written)
                .on_conflict_do_update(index_elements=["purchase"], set_={"places": written})
            )

    def cut_of(self, purchase: str) -> tuple[Stretch, ...]:
        """Where the content of this purchase was cut before; nothing if it never was."""
        wanted = select(tables.cuts.c.places).where(tables.cuts.c.purchase == purchase)
        with self.transaction():
            places = self._connection.execute(wanted).scalar()
        return tuple(
            Stretch(begin=begin, end=end, overlap=overlap, channel=channel[0] if channel else None)
            for begin, end, overlap, *channel in json.loads(places or "[]")
        )

    def has_pieces(self) -> bool:
        """Whether any piece has a worker's step before it."""
        with self.transaction():
            return _ANY_PIECE.run(self._connection, {}).fetchone() is not None

    def pieces_left(self, recording_id: int) -> bool:
        """Whether a recording has pieces that are not heard yet."""
        with self.transaction():
            return _PIECES_LEFT.run(self._connection, {"of": recording_id}).fetchone() is not None

    def drop(self, recording: Recording) -> None:
        """Take a recording out again that turned out to be another one, and its story and pieces with it."""
        with self.transaction():
            if recording.part_of is None:
                for piece in self.pieces_of(recording.id):
                    self.drop(piece)
            self._flush()
            for table in (_events, _outputs):
                self._connection.execute(delete(table).where(table.c.recording == recording.id))
            self.end_try(recording.id)
            self.drop_said(recording.id)
            self.note_is_over(recording.id)
            self._connection.execute(delete(_table).where(_table.c.id == recording.id))

    def forget(self, recording: Recording, *, now: datetime) -> None:
        """Drop a recording's row and story; the file is left alone until it changes.

        The ledger and the answer paid for stay.
        """
        mark = {
            "path": recording.path,
            "device": recording.fingerprint.device,
            "inode": recording.fingerprint.inode,
            "size": recording.fingerprint.size,
            "mtime_ns": recording.fingerprint.mtime_ns,
            "at": now,
        }
        with self.transaction():
            self.drop(recording)
            self._connection.execute(
                upsert(_forgotten)
                .values(**mark)
                .on_conflict_do_update(index_elements=["path"], set_=mark)
            )

    def remember(self, path: bytes) -> bool:
        """Undo `forget` for a path; answers whether it had been forgotten."""
        with self.transaction():
            done = self._connection.execute(delete(_forgotten).where(_forgotten.c.path == path))
        return done.rowcount > 0

    # Rows and values.

    def _many(self, query: Any, chosen: Mapping[str, Any] | None = None) -> tuple[Recording, ...]:
        with self.transaction():
            rows = self._connection.execute(query, chosen or {}).all()
            try:
                return tuple(
                    recording_of(row, self._outputs_of(row.id, State(row.state))) for row in rows
                )
            except (zlib.error, ValueError) as error:
                raise damaged(
                    printable(os.fsencode(self.state_dir / "asrwatch.db")),
                    f"a row holds what cannot be ({type(error).__name__})",
                ) from error

    def _outputs_of(self, recording_id: int, state: State) -> tuple[Output, ...]:
        if state not in _WITH_OUTPUTS:
            return ()
        rows = self._connection.execute(_OUTPUTS_OF, {"of": recording_id}).all()
        return tuple(Output(format=row.format, path=row.path, sha256=row.sha256) for row in rows)

    def _own(self, before: Recording, after: Recording) -> None:
        if not {output.path for output in before.outputs} <= {out.path for out in after.outputs}:
            self._connection.execute(_DISOWN, {"of": after.id})
        values = [
            {
                "path": output.path,
                "recording": after.id,
                "position": position,
                "format": output.format,
                "sha256": output.sha256,
            }
            for position, output in enumerate(after.outputs)
        ]
        if values:
            _OWN.run_many(self._connection, values)

    def _tell(self, recording: Recording, before: State | None, note: str) -> None:
        told = {
            "recording": recording.id,
            "at": recording.changed_at,
            "from_state": before.value if before else None,
            "to_state": recording.state.value,
            "note": note,
        }
        self._told.append(told)

    def _flush(self) -> None:
        """What happened in a transaction is told in one statement, at its end."""
        told, self._told = self._told, []
        if told:
            _ADD_EVENT.run_many(self._connection, told)


def _is_below(path: ColumnElement[bytes], folder: bytes) -> ColumnElement[bool]:
    """A range of the index on paths: everything from the slash on, up to what would follow it."""
    prefix = folder.rstrip(b"/") + b"/"
    return and_(path >= prefix, path < prefix[:-1] + b"0")
