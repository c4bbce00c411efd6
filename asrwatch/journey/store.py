"""The only SQL: recordings, their events, answers paid for, the ledger of asks, and holds.

One SQLite file, one connection, one thread (the daemon's main thread, or a command that holds the lock):
SQLite before 3.51.3 can corrupt a WAL database that two connections write (reliability.md finding 14).
WAL with `synchronous=FULL`, since NORMAL loses acknowledged commits on power loss (finding 9).
"""

import fcntl
import os
import sqlite3
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    create_engine,
    delete,
    event,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from asrwatch.errors import EngineTrouble, OurBug, StartupError, TemporaryError
from asrwatch.journey import tables
from asrwatch.journey.recording import (
    Answer,
    Asking,
    Delivery,
    Failure,
    Fingerprint,
    Output,
    Reading,
    Recording,
    Staging,
    State,
    Task,
    Trouble,
)
from asrwatch.values import printable

__all__ = ["EVERY_ENGINE", "Bought", "Event", "Hold", "Ledger", "Store", "StoreTrouble"]

EVERY_ENGINE = "*"
"""The scope of a hold that a bad key or an empty account puts on all engines."""

_reading = TypeAdapter(Reading)
_staging = TypeAdapter(Staging)
_asking = TypeAdapter(Asking)
_trouble = TypeAdapter(Trouble)
_failure = TypeAdapter(Failure)
_names = TypeAdapter(tuple[str, ...])

_UNDER_WAY = (State.ASKING, State.SUBMITTED)
_WITH_OUTPUTS = (State.TRANSCRIBED, State.DELIVERED, State.FAILED)
_STEPS_LEFT = (State.TRANSCRIBED, State.ASKING, State.STAGED, State.SETTLED)


class StoreTrouble(TemporaryError):
    """The database cannot be written or read now (full, locked, failing disk): nothing may go on before it can."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One line of a recording's story."""

    at: datetime
    before: State | None
    after: State
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """Why and until when an engine (or, with `EVERY_ENGINE`, all) is not asked; `count` grows with each time."""

    scope: str
    since: datetime
    until: datetime
    count: int
    trouble: EngineTrouble
    code: str
    message: str
    advice: str
    key_digest: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bought:
    """One paid request of the ledger and what became of it."""

    ask_id: str
    engine: str
    model: str
    path: bytes
    asked_at: datetime
    audio: timedelta | None
    outcome: str
    outcome_at: datetime | None
    billed: timedelta | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """What was asked of the cloud in a span of time: how many requests by outcome, and time billed.

    `unknown` counts requests whose fate is not known yet; `perhaps_twice` those asked again although
    the first request may have been paid.
    """

    asked: int
    answered: int
    billed: timedelta
    unknown: int
    perhaps_twice: int


class Store:
    """The state of everything, in `state_dir`. Open it once per machine: a second opener is refused.

    Args:
        state_dir: holds the database and its lock; created with mode 0700 if missing.

    Raises:
        StartupError: another asrwatch uses this folder, or the database cannot be used.
    """

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._lock = _take_lock(state_dir)
        self._in_transaction = False
        database = state_dir / "asrwatch.db"
        try:
            self._engine = create_engine(
                "sqlite+pysqlite://",
                creator=lambda: _connect(database),
                poolclass=NullPool,
            )
            event.listen(self._engine, "begin", _begin_immediate)
            self._connection = self._engine.connect()
            _prepare(self._connection, database)
        except StartupError:
            os.close(self._lock)
            raise
        except (SQLAlchemyError, OSError) as error:
            os.close(self._lock)
            raise StartupError(
                f"The database {printable(os.fsencode(database))} cannot be used: {_reason(error)}.",
                code="database",
                advice="Check that the folder is writable and the disk has room; if the file is damaged, "
                "move it away together with its -wal and -shm files: recordings are then found anew, and "
                "what was paid before would be paid again.",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database and give up the lock; closing twice is harmless."""
        self._connection.close()
        self._engine.dispose()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is committed and synced together, or not at all.

        Raises:
            StoreTrouble: nothing of it was saved (or, on a failing disk, perhaps all: read again).
        """
        if self._in_transaction:
            yield
            return
        self._in_transaction = True
        try:
            with self._connection.begin():
                yield
        except SQLAlchemyError as error:
            raise _trouble_of(error) from error
        finally:
            self._in_transaction = False

    # Recordings.

    def add(self, recording: Recording, *, note: str = "") -> Recording:
        """Save a new recording; returns it with its id."""
        with self.transaction():
            result = self._connection.execute(
                insert(tables.recordings).values(**self._row(recording))
            )
            identified = _with_id(recording, result.inserted_primary_key)
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
            answer_id = self._answer_id(after)
            table = tables.recordings
            done = self._connection.execute(
                update(table)
                .where(table.c.id == after.id, table.c.state == before.state.value)
                .values(**self._row(after), answer=answer_id)
            )
            if done.rowcount != 1:
                msg = f"recording {after.id} was not {before.state} any more"
                raise OurBug(msg)
            if after.outputs != before.outputs:
                self._own(after)
            self._keep_ledger(before, after, outcome)
            if note or after.state is not before.state:
                self._tell(after, before.state, note)
        return after

    def get(self, recording_id: int) -> Recording | None:
        """The recording with this id."""
        return self._one(tables.recordings.c.id == recording_id)

    def latest_at(self, path: bytes) -> Recording | None:
        """The newest recording known at a path."""
        return self._one(tables.recordings.c.path == path)

    def all_at(self, path: bytes) -> tuple[Recording, ...]:
        """Every recording ever known at a path, newest first."""
        return self._many(tables.recordings.c.path == path)

    def below(self, folder: bytes) -> tuple[Recording, ...]:
        """Every recording below a folder, newest first."""
        prefix = folder.rstrip(b"/") + b"/"
        path = tables.recordings.c.path
        return self._many(and_(path >= prefix, path < prefix[:-1] + b"0"))

    def in_state(self, *states: State, limit: int | None = None) -> tuple[Recording, ...]:
        """Recordings in any of these states, newest first."""
        return self._many(tables.recordings.c.state.in_(states), limit=limit)

    def known(self, inbox: str) -> Iterator[tuple[bytes, Fingerprint]]:
        """Path and newest fingerprint of everything seen already in an inbox."""
        table = tables.recordings
        newest = select(func.max(table.c.id)).where(table.c.inbox == inbox).group_by(table.c.path)
        columns = (table.c.path, table.c.device, table.c.inode, table.c.size, table.c.mtime_ns)
        with self._reading():
            rows = self._connection.execute(select(*columns).where(table.c.id.in_(newest))).all()
            left = self._connection.execute(
                select(
                    tables.forgotten.c.path,
                    tables.forgotten.c.device,
                    tables.forgotten.c.inode,
                    tables.forgotten.c.size,
                    tables.forgotten.c.mtime_ns,
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
        under_way: Collection[int] = (),
        waiting_engines: Collection[str] = (),
    ) -> tuple[Recording, ...]:
        """Recordings that a worker could take a step with, those nearest their end first.

        Args:
            now: only what is due by then.
            limit: how many at most.
            under_way: ids that are being worked on already.
            waiting_engines: engines that take no request now; their recordings are passed over where the
                next step would be a request or its upload.
        """
        table = tables.recordings
        chosen: list[ColumnElement[bool]] = [
            table.c.state.in_(_STEPS_LEFT),
            table.c.due <= now,
            table.c.id.not_in(under_way),
        ]
        if waiting_engines:
            chosen.append(_not_waiting(waiting_engines))
        order = case({state.value: n for n, state in enumerate(_STEPS_LEFT)}, value=table.c.state)
        return self._many(and_(*chosen), limit=limit, order=(order, table.c.due, table.c.id))

    def next_due(
        self, *, under_way: Collection[int] = (), waiting_engines: Collection[str] = ()
    ) -> datetime | None:
        """The earliest date on which `due` would have something for a worker."""
        table = tables.recordings
        chosen: list[ColumnElement[bool]] = [
            table.c.state.in_(_STEPS_LEFT),
            table.c.id.not_in(under_way),
        ]
        if waiting_engines:
            chosen.append(_not_waiting(waiting_engines))
        with self._reading():
            earliest: datetime | None = self._connection.execute(
                select(func.min(table.c.due)).where(*chosen)
            ).scalar()
        return earliest

    def next_poll(self) -> datetime | None:
        """The earliest date on which a task is to be asked about."""
        table = tables.recordings
        with self._reading():
            earliest: datetime | None = self._connection.execute(
                select(func.min(table.c.due)).where(table.c.state == State.SUBMITTED)
            ).scalar()
        return earliest

    def left_to_do(self, inboxes: Collection[str]) -> int:
        """How many recordings of these inboxes still have steps before them that need no person."""
        return self._count(tables.recordings.c.inbox.in_(inboxes))

    def left_besides(self, inboxes: Collection[str], scopes: Collection[str]) -> int:
        """How many of those left to do wait for something else than the holds of these scopes."""
        table = tables.recordings
        waiting = table.c.state.in_((State.SETTLED, State.STAGED)) & table.c.engine.is_not(None)
        if EVERY_ENGINE in scopes:
            waiting = waiting | (table.c.state == State.SUBMITTED)
        else:
            waiting = waiting & table.c.engine.in_(scopes)
        return self._count(table.c.inbox.in_(inboxes) & ~waiting)

    def _count(self, condition: ColumnElement[bool]) -> int:
        table = tables.recordings
        left = table.c.state.in_((*_STEPS_LEFT, State.SUBMITTED))
        with self._reading():
            return int(
                self._connection.execute(
                    select(func.count()).select_from(table).where(left, condition)
                ).scalar_one()
            )

    def outstanding(self) -> tuple[Recording, ...]:
        """Every task the cloud is working on, oldest poll date first."""
        table = tables.recordings
        return self._many(table.c.state == State.SUBMITTED, order=(table.c.due, table.c.id))

    def known_tickets(self) -> frozenset[str]:
        """Tickets of tasks that belong to a recording or an answer."""
        with self._reading():
            mine = self._connection.execute(
                select(tables.recordings.c.ticket).where(tables.recordings.c.ticket.is_not(None))
            ).scalars()
            answered = self._connection.execute(
                select(tables.answers.c.ticket).where(tables.answers.c.ticket.is_not(None))
            ).scalars()
            return frozenset((*mine, *answered))

    def count_by_state(self) -> Mapping[State, int]:
        """How many recordings are in each state; every state is named."""
        table = tables.recordings
        with self._reading():
            rows = self._connection.execute(
                select(table.c.state, func.count()).group_by(table.c.state)
            ).all()
        counted = Counter({State(state): number for state, number in rows})
        return {state: counted[state] for state in State}

    def oldest_waiting(self) -> Recording | None:
        """The recording found longest ago that is neither delivered nor with a person."""
        table = tables.recordings
        found = self._many(
            table.c.state.in_((*_STEPS_LEFT, State.SUBMITTED)),
            limit=1,
            order=(table.c.found_at, table.c.id),
        )
        return found[0] if found else None

    def owner_of(self, path: bytes) -> int | None:
        """The id of the recording that owns an output path, if any does."""
        with self._reading():
            owner: int | None = self._connection.execute(
                select(tables.outputs.c.recording).where(tables.outputs.c.path == path)
            ).scalar()
        return owner

    def resting_at(self, path: bytes) -> Recording | None:
        """The newest recording whose delivered original lies at a path now (`after: move`)."""
        return self._one(tables.recordings.c.original == path)

    def forgotten(self, path: bytes) -> tuple[bytes, ...]:
        """What was forgotten at a path, or below it where it is a folder."""
        prefix = path.rstrip(b"/") + b"/"
        column = tables.forgotten.c.path
        condition = or_(column == path, and_(column >= prefix, column < prefix[:-1] + b"0"))
        with self._reading():
            return tuple(
                self._connection.execute(select(column).where(condition).order_by(column)).scalars()
            )

    def story(self, recording_id: int) -> tuple[Event, ...]:
        """Everything that happened to a recording, oldest first."""
        table = tables.events
        with self._reading():
            rows = self._connection.execute(
                select(table).where(table.c.recording == recording_id).order_by(table.c.id)
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

    def drop(self, recording: Recording) -> None:
        """Take a recording out again that turned out to be another one, and its story with it."""
        with self.transaction():
            for table in (tables.events, tables.outputs):
                self._connection.execute(delete(table).where(table.c.recording == recording.id))
            self._connection.execute(
                delete(tables.recordings).where(tables.recordings.c.id == recording.id)
            )

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
                upsert(tables.forgotten)
                .values(**mark)
                .on_conflict_do_update(index_elements=["path"], set_=mark)
            )

    def remember(self, path: bytes) -> bool:
        """Undo `forget` for a path; answers whether it had been forgotten."""
        with self.transaction():
            done = self._connection.execute(
                delete(tables.forgotten).where(tables.forgotten.c.path == path)
            )
        return done.rowcount > 0

    # Money.

    def answer_for(self, purchase: str) -> Answer | None:
        """The newest answer paid for this purchase, by any recording, ever."""
        table = tables.answers
        with self._reading():
            row = self._connection.execute(
                select(table)
                .where(table.c.purchase == purchase)
                .order_by(table.c.id.desc())
                .limit(1)
            ).first()
        return _answer(row) if row else None

    def being_bought(self, purchase: str) -> bool:
        """Whether a request for the same purchase is under way or its fate unknown."""
        table = tables.recordings
        with self._reading():
            found = self._connection.execute(
                select(table.c.id)
                .where(table.c.purchase == purchase, table.c.state.in_(_UNDER_WAY))
                .limit(1)
            ).first()
        return found is not None

    def ledger(self, *, since: datetime | None = None) -> Ledger:
        """What was asked since a date, or ever."""
        table = tables.asks
        condition = table.c.asked_at >= since if since else table.c.id > 0
        with self._reading():
            rows = self._connection.execute(
                select(table.c.outcome, func.count(), func.sum(table.c.billed))
                .where(condition)
                .group_by(table.c.outcome)
            ).all()
        number = Counter({outcome: count for outcome, count, _ in rows})
        billed = sum(((span or timedelta()) for _, _, span in rows), timedelta())
        return Ledger(
            asked=number.total(),
            answered=number["answered"],
            billed=billed,
            unknown=number["lost"],
            perhaps_twice=number["again"],
        )

    def bought_for(self, recording_id: int) -> tuple[Bought, ...]:
        """The paid requests made for a recording, oldest first."""
        table = tables.asks
        with self._reading():
            rows = self._connection.execute(
                select(table).where(table.c.recording == recording_id).order_by(table.c.id)
            ).all()
        return tuple(
            Bought(
                ask_id=row.ask_id,
                engine=row.engine,
                model=row.model,
                path=row.path,
                asked_at=row.asked_at,
                audio=row.audio,
                outcome=row.outcome,
                outcome_at=row.outcome_at,
                billed=row.billed,
            )
            for row in rows
        )

    # Holds.

    def hold(self, hold: Hold) -> None:
        """Save a hold; a newer one on the same scope replaces it."""
        values = {
            "scope": hold.scope,
            "since": hold.since,
            "until": hold.until,
            "times": hold.count,
            "trouble": hold.trouble.value,
            "key_digest": hold.key_digest,
            "code": hold.code,
            "message": hold.message,
            "advice": hold.advice,
        }
        with self.transaction():
            self._connection.execute(
                upsert(tables.holds)
                .values(**values)
                .on_conflict_do_update(index_elements=["scope"], set_=values)
            )

    def release(self, scope: str) -> None:
        """End a hold."""
        with self.transaction():
            self._connection.execute(delete(tables.holds).where(tables.holds.c.scope == scope))

    def holds(self) -> tuple[Hold, ...]:
        """Every hold there is."""
        with self._reading():
            rows = self._connection.execute(select(tables.holds)).all()
        return tuple(
            Hold(
                scope=row.scope,
                since=row.since,
                until=row.until,
                count=row.times,
                trouble=EngineTrouble(row.trouble),
                code=row.code,
                message=row.message,
                advice=row.advice,
                key_digest=row.key_digest,
            )
            for row in rows
        )

    # Rows and values.

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """A read of its own, or part of the transaction under way."""
        with self.transaction():
            yield

    def _one(self, condition: ColumnElement[bool]) -> Recording | None:
        found = self._many(condition, limit=1)
        return found[0] if found else None

    def _many(
        self,
        condition: ColumnElement[bool],
        *,
        limit: int | None = None,
        order: tuple[Any, ...] = (),
    ) -> tuple[Recording, ...]:
        table = tables.recordings
        joined = table.outerjoin(tables.answers, table.c.answer == tables.answers.c.id)
        query = (
            select(
                table,
                tables.answers.c.raw,
                tables.answers.c.received_at,
                tables.answers.c.billed,
                tables.answers.c.ticket.label("answered_ticket"),
            )
            .select_from(joined)
            .where(condition)
            .order_by(*(order or (table.c.id.desc(),)))
            .limit(limit)
        )
        with self._reading():
            rows = self._connection.execute(query).all()
            return tuple(
                _recording(row, self._outputs_of(row.id, State(row.state))) for row in rows
            )

    def _outputs_of(self, recording_id: int, state: State) -> tuple[Output, ...]:
        if state not in _WITH_OUTPUTS:
            return ()
        table = tables.outputs
        rows = self._connection.execute(
            select(table.c.format, table.c.path, table.c.sha256)
            .where(table.c.recording == recording_id)
            .order_by(table.c.position)
        ).all()
        return tuple(Output(format=row.format, path=row.path, sha256=row.sha256) for row in rows)

    def _row(self, recording: Recording) -> dict[str, Any]:
        reading, staging, asking = recording.reading, recording.staging, recording.asking
        task, delivery = recording.task, recording.delivery
        return {
            "inbox": recording.inbox,
            "path": recording.path,
            "device": recording.fingerprint.device,
            "inode": recording.fingerprint.inode,
            "size": recording.fingerprint.size,
            "mtime_ns": recording.fingerprint.mtime_ns,
            "state": recording.state.value,
            "found_at": recording.found_at,
            "changed_at": recording.changed_at,
            "due": recording.due,
            "attempts": recording.attempts,
            "engines_refused": _names.dump_json(recording.engines_refused).decode(),
            "trouble": _json(_trouble, recording.trouble),
            "sha256": reading.sha256 if reading else None,
            "purchase": reading.purchase if reading else None,
            "engine": reading.plan.engine if reading else None,
            "reading": _json(_reading, reading),
            "ask_id": staging.ask_id if staging else None,
            "staging": _json(_staging, staging),
            "asked_at": asking.asked_at if asking else None,
            "asking": _json(_asking, asking),
            "ticket": task.ticket if task else None,
            "submitted_at": task.submitted_at if task else None,
            "delivered_at": delivery.delivered_at if delivery else None,
            "original": delivery.original if delivery else None,
            "failure": _json(_failure, recording.failure),
        }

    def _answer_id(self, recording: Recording) -> int | None:
        """The row of the recording's answer: the one stored for this purchase, or a new one."""
        answer, reading = recording.answer, recording.reading
        if answer is None or reading is None:
            return None
        table = tables.answers
        stored: int | None = self._connection.execute(
            select(table.c.id).where(
                table.c.purchase == reading.purchase, table.c.received_at == answer.received_at
            )
        ).scalar()
        if stored is not None:
            return stored
        result = self._connection.execute(
            insert(table).values(
                purchase=reading.purchase,
                raw=zlib.compress(answer.raw),
                received_at=answer.received_at,
                billed=answer.billed,
                ticket=answer.ticket,
            )
        )
        key = result.inserted_primary_key
        return int(key[0]) if key else None

    def _own(self, recording: Recording) -> None:
        table = tables.outputs
        self._connection.execute(delete(table).where(table.c.recording == recording.id))
        for position, output in enumerate(recording.outputs):
            values = {
                "path": output.path,
                "recording": recording.id,
                "position": position,
                "format": output.format,
                "sha256": output.sha256,
            }
            self._connection.execute(
                upsert(table)
                .values(**values)
                .on_conflict_do_update(index_elements=["path"], set_=values)
            )

    def _keep_ledger(self, before: Recording, after: Recording, outcome: str) -> None:
        """Write an ask when it is announced, and its outcome when it is known."""
        table = tables.asks
        announced = after.state is State.ASKING and before.state is not State.ASKING
        if announced and after.staging and after.asking and after.reading:
            self._connection.execute(
                insert(table).values(
                    ask_id=after.staging.ask_id,
                    recording=after.id,
                    purchase=after.reading.purchase,
                    engine=after.reading.plan.engine,
                    model=after.reading.plan.model,
                    path=after.path,
                    asked_at=after.asking.asked_at,
                    audio=after.reading.facts.duration,
                    outcome="open",
                )
            )
        elif outcome:
            latest = select(func.max(table.c.id)).where(table.c.recording == after.id)
            self._connection.execute(
                update(table)
                .where(table.c.id == latest.scalar_subquery())
                .values(
                    outcome=outcome,
                    outcome_at=after.changed_at,
                    billed=after.answer.billed if after.answer else None,
                )
            )

    def _tell(self, recording: Recording, before: State | None, note: str) -> None:
        self._connection.execute(
            insert(tables.events).values(
                recording=recording.id,
                at=recording.changed_at,
                from_state=before.value if before else None,
                to_state=recording.state.value,
                note=note,
            )
        )


def _not_waiting(waiting_engines: Collection[str]) -> ColumnElement[bool]:
    """Recordings whose next step is no request to one of these engines, nor an upload for one."""
    table = tables.recordings
    return or_(
        table.c.state.not_in((State.STAGED, State.SETTLED)),
        table.c.engine.is_(None),
        table.c.engine.not_in(waiting_engines),
    )


def _take_lock(state_dir: Path) -> int:
    """Lock the folder with flock, which a killed process gives up by itself."""
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartupError(
            f"The state folder {printable(os.fsencode(state_dir))} cannot be used: {error.strerror}.",
            code="state-dir",
            advice="Set state_dir to a folder this user may write, on a local disk.",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StartupError(
            f"Another asrwatch is using {printable(os.fsencode(state_dir))}.",
            code="locked",
            advice="Stop it first, or give this one another state_dir. "
            "`asrwatch status` talks to the one that is running.",
        ) from error
    return lock


def _connect(database: Path) -> Any:
    """A raw connection whose transactions SQLAlchemy begins, not the driver."""
    connection = sqlite3.connect(database, isolation_level=None, timeout=5.0)
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "trusted_schema=OFF",
        "cell_size_check=ON",
        "mmap_size=0",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare(connection: Connection, database: Path) -> None:
    (database.parent / database.name).chmod(0o600)
    with connection.begin():
        version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        if version > tables.SCHEMA_VERSION:
            raise StartupError(
                f"The database {printable(os.fsencode(database))} was written by a newer asrwatch "
                f"(schema {version}, this one knows {tables.SCHEMA_VERSION}).",
                code="newer-database",
                advice="Install that version again, or restore the backup made before the upgrade.",
            )
        if version < tables.SCHEMA_VERSION:
            tables.migrate(connection, version)


def _trouble_of(error: SQLAlchemyError) -> StoreTrouble:
    return StoreTrouble(
        f"The database cannot be used now: {_reason(error)}.",
        code="database",
        advice="Make room or mend the disk; work goes on by itself.",
    )


def _reason(error: Exception) -> str:
    original = getattr(error, "orig", None)
    return printable(str(original or error))


def _json(adapter: TypeAdapter[Any], value: object | None) -> str | None:
    return None if value is None else adapter.dump_json(value).decode()


def _value(adapter: TypeAdapter[Any], stored: str | None) -> Any:
    return None if stored is None else adapter.validate_json(stored)


def _with_id(recording: Recording, key: Any) -> Recording:
    return replace(recording, id=int(key[0]))


def _answer(row: Row[Any]) -> Answer:
    return Answer(
        raw=zlib.decompress(row.raw),
        received_at=row.received_at,
        billed=row.billed,
        ticket=row.ticket,
    )


def _recording(row: Row[Any], written: tuple[Output, ...]) -> Recording:
    delivery = None
    if row.state == State.DELIVERED:
        delivery = Delivery(delivered_at=row.delivered_at, outputs=written, original=row.original)
    return Recording(
        id=row.id,
        inbox=row.inbox,
        path=row.path,
        fingerprint=Fingerprint(
            device=row.device, inode=row.inode, size=row.size, mtime_ns=row.mtime_ns
        ),
        state=State(row.state),
        found_at=row.found_at,
        changed_at=row.changed_at,
        due=row.due,
        attempts=row.attempts,
        engines_refused=_names.validate_json(row.engines_refused),
        trouble=_value(_trouble, row.trouble),
        reading=_value(_reading, row.reading),
        staging=_value(_staging, row.staging),
        asking=_value(_asking, row.asking),
        task=Task(ticket=row.ticket, submitted_at=row.submitted_at) if row.ticket else None,
        answer=_answer_of(row),
        outputs=written,
        delivery=delivery,
        failure=_value(_failure, row.failure),
    )


def _answer_of(row: Row[Any]) -> Answer | None:
    if row.raw is None:
        return None
    return Answer(
        raw=zlib.decompress(row.raw),
        received_at=row.received_at,
        billed=row.billed,
        ticket=row.answered_ticket,
    )
