"""Recordings and their stories, saved as they move: the store that everybody else looks into."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import bindparam, delete, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from asrwatch.errors import OurBug
from asrwatch.journey.evidence import Fingerprint
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import tables
from asrwatch.journey.store.cuts import Cuts
from asrwatch.journey.store.due import Due
from asrwatch.journey.store.figures import Figures
from asrwatch.journey.store.lately import Lately
from asrwatch.journey.store.loading import is_below
from asrwatch.journey.store.lookups import Lookups
from asrwatch.journey.store.money import Money
from asrwatch.journey.store.notes import Notes
from asrwatch.journey.store.outbox import Outbox
from asrwatch.journey.store.prepared import Prepared
from asrwatch.journey.store.rows import COLUMNS, row_of
from asrwatch.journey.store.said import Said
from asrwatch.journey.store.times import Times
from asrwatch.journey.store.tries import Tries

__all__ = ["Event", "Store"]

_table, _outputs, _events, _forgotten = (
    tables.recordings,
    tables.outputs,
    tables.events,
    tables.forgotten,
)

_NOTED = frozenset({State.FAILED, State.PARKED})
"""Recordings in these states have notes in their folders."""

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
_LAST_NOTE = Prepared(
    select(_events.c.note)
    .where(_events.c.recording == bindparam("of"))
    .order_by(_events.c.id.desc())
    .limit(1)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One line of a recording's story."""

    at: datetime
    before: State | None
    after: State
    note: str


class Store(Money, Tries, Times, Figures, Said, Lately, Notes, Outbox, Due, Lookups, Cuts):
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

    def forgotten(self, path: bytes) -> tuple[bytes, ...]:
        """What was forgotten at a path, or below it where it is a folder."""
        column = _forgotten.c.path
        condition = or_(column == path, is_below(column, path))
        with self.transaction():
            return tuple(
                self._connection.execute(select(column).where(condition).order_by(column)).scalars()
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
