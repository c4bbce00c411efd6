"""Notes that lie in folders beside transcripts: where each is, what is to stand in it, what is known to stand there."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Row, delete, func, insert, or_, select, update

from asrwatch.journey.recording import State
from asrwatch.journey.store.database import Database
from asrwatch.journey.store.tables import notes, recordings

__all__ = ["Note", "Notes", "sha256_of"]


def sha256_of(content: str) -> str:
    """Of a note's content as it is written."""
    return hashlib.sha256(content.encode("utf-8", "backslashreplace")).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """A note about a recording.

    `content` is what is to stand in it, None: it is to be removed. `sha256` is of what is known to stand there, empty
    until that is known, `device` of the folder it lies in. `wanted` is the hash of the content wanted last.
    """

    recording: int
    inbox: str
    path: bytes
    content: str | None
    wanted: str
    sha256: str = ""
    device: int = 0
    waits: bool = False

    @property
    def is_due(self) -> bool:
        """Whether something is to be done in the folder."""
        return self.content is None or self.sha256 != self.wanted


class Notes(Database):
    """The notes. They outlive their recordings until they are removed."""

    @cached_property
    def note_news(self) -> set[int]:
        """Recordings that were changed, so that their notes may say what is not true any more."""
        return set()

    def notes_in_question(self, *, limit: int) -> frozenset[int]:
        """At a start: recordings that have a note, and the newest of those that should have one."""
        written = select(notes.c.recording)
        without = (
            select(recordings.c.id)
            .where(
                recordings.c.state.in_((State.FAILED.value, State.PARKED.value)),
                recordings.c.part_of.is_(None),
                recordings.c.id.not_in(written),
            )
            .order_by(recordings.c.id.desc())
            .limit(limit)
        )
        with self.transaction():
            found = self._connection.execute(written).scalars().all()
            return frozenset((*found, *self._connection.execute(without).scalars()))

    def note_of(self, recording_id: int) -> Note | None:
        """The note about a recording."""
        with self.transaction():
            row = self._connection.execute(
                select(notes).where(notes.c.recording == recording_id)
            ).first()
        return _note_of(row) if row else None

    def keep_note(self, note: Note) -> None:
        """Save what is known and wanted of a note."""
        values = {name: getattr(note, name) for name in _COLUMNS}
        with self.transaction():
            self._connection.execute(delete(notes).where(notes.c.recording == note.recording))
            self._connection.execute(insert(notes).values(values))

    def drop_note(self, recording_id: int) -> None:
        """There is no note about this recording any more."""
        with self.transaction():
            self._connection.execute(delete(notes).where(notes.c.recording == recording_id))

    def note_is_over(self, recording_id: int) -> None:
        """Nothing is to be said about this recording any more; its note, if there is one, is to be removed."""
        with self.transaction():
            self._connection.execute(
                update(notes).where(notes.c.recording == recording_id).values(content=None)
            )
        self.note_news.add(recording_id)

    def notes_due(self, *, limit: int, without: Collection[str] = ()) -> tuple[Note, ...]:
        """Notes that are to be written or removed, of all inboxes but these."""
        due = or_(notes.c.content.is_(None), notes.c.sha256 != notes.c.wanted)
        return self._notes(due, notes.c.inbox.not_in(without), limit=limit)

    def notes_written(self, inbox: str, *, limit: int) -> tuple[Note, ...]:
        """Notes that lie there as they should."""
        there = notes.c.content.is_not(None) & (notes.c.sha256 == notes.c.wanted)
        return self._notes(there, notes.c.inbox == inbox, limit=limit)

    def owner_of_note(self, path: bytes) -> int | None:
        """The recording that the note at a path is about."""
        with self.transaction():
            return self._connection.execute(
                select(notes.c.recording).where(notes.c.path == path)
            ).scalar()

    def count_waiting_notes(self, inbox: str) -> int:
        """How many notes are about recordings that go on by themselves."""
        with self.transaction():
            return int(
                self._connection.execute(
                    select(func.count())
                    .select_from(notes)
                    .where(notes.c.inbox == inbox, notes.c.waits == 1)
                ).scalar_one()
            )

    def _notes(self, *conditions: object, limit: int) -> tuple[Note, ...]:
        chosen = select(notes).order_by(notes.c.recording.desc()).limit(limit)
        with self.transaction():
            rows: Sequence[Row[tuple[object, ...]]] = self._connection.execute(
                chosen.where(*conditions)  # type: ignore[arg-type] # conditions of SQLAlchemy's own kinds
            ).all()
        return tuple(_note_of(row) for row in rows)


_COLUMNS = ("recording", "inbox", "path", "content", "wanted", "sha256", "device", "waits")


def _note_of(row: object) -> Note:
    return Note(**{name: getattr(row, name) for name in _COLUMNS})
