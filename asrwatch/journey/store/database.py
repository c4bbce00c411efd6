"""One SQLite file: its lock, its connection, its transactions.

One connection, used by one thread (the daemon's main thread, or a command that holds the lock): SQLite before
3.51.3 can corrupt a WAL database that two connections write (reliability.md finding 14). WAL with
`synchronous=FULL`, since NORMAL loses acknowledged commits on power loss (finding 9).
"""

import errno
import fcntl
import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, create_engine, func, insert, select
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from asrwatch.crash import crash_point
from asrwatch.errors import (
    AsrwatchError,
    NeedsPerson,
    OurBug,
    OutOfOrder,
    StartupError,
    TemporaryError,
)
from asrwatch.files.room import Reserve, try_to_write
from asrwatch.journey.store import backup, mark, migrations, tables
from asrwatch.values import printable

__all__ = ["RESERVE", "Database", "StoreTrouble", "damaged"]


class StoreTrouble(TemporaryError):
    """The database cannot be written or read now (full, locked, failing disk): nothing may go on before it can."""


_OUR_FAULT = (
    IntegrityError,
    DataError,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    OverflowError,
)
"""No disk heals these: trying again would fail for ever."""
_UNSYNCED = frozenset({"SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC"})
"""After one of these nobody knows what is on the disk, and a second fsync may lie that all is well."""
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_FAILING = ("SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")
_LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED")
_OUT_OF_ORDER = frozenset({errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO})


MARK_EVERY = 10.0
"""Seconds after which the mark learns of new asks: so long before a crash they may be unknown to it."""
_OPENING = (SQLAlchemyError, sqlite3.Error, OSError)

RESERVE = "reserve"
"""The file in the state folder that holds room for paid results."""


class Database:
    """The file in `state_dir`. Open it once per machine: a second opener is refused.

    Args:
        state_dir: holds the database and its lock; created with mode 0700 if missing.

    Raises:
        StartupError: another asrwatch uses this folder, or the database cannot be used.
        OutOfOrder: it cannot be used now: read-only, full, a failing disk.
        NeedsPerson: it is damaged, or of a newer asrwatch.
    """

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._lock = _take_lock(state_dir)
        crash_point("locked")
        self._in_transaction = False
        self.is_lost = False
        self._told: list[dict[str, Any]] = []
        try:
            mark.check_files(state_dir)
            # Armed before anything is opened: what ends this process in order, and be it a signal in the middle of the
            # next lines, closes the connection, and with that goes the log that the mark says is there.
            self._unmark = weakref.finalize(self, mark.close, state_dir)
            try:
                self._open()
            except _OPENING:
                # Without the room that the reserve holds, what it is held for cannot even be looked up.
                if not Reserve(state_dir / RESERVE, 1).give_up():
                    raise
                self._open()
        except StartupError:
            os.close(self._lock)
            raise
        except _OPENING as error:
            os.close(self._lock)
            raise _cannot_open(error, state_dir) from error

    def _open(self) -> None:
        database = self.state_dir / "asrwatch.db"
        self._engine = create_engine(
            "sqlite+pysqlite://",
            creator=lambda: _connect(database),
            poolclass=NullPool,
        )
        self._connection = self._engine.connect()
        _prepare(self._connection, database)
        self._look_at_mark()
        crash_point("store-opened")

    def _look_at_mark(self) -> None:
        """A database that knows fewer asks than were made is an older one, put in its place: that is kept in mind."""
        known, now = self._asks(), datetime.now(tz=UTC)
        seen = mark.read(self.state_dir)
        if seen is not None and seen.asks > known:
            with _immediately(self._connection):
                self._connection.execute(
                    insert(tables.restored).values(at=now, missing=seen.asks - known)
                )
        self._mark(is_open=True)

    def _asks(self) -> int:
        with _immediately(self._connection):
            return int(
                self._connection.execute(
                    select(func.coalesce(func.max(tables.asks.c.id), 0))
                ).scalar_one()
            )

    def _mark(self, *, is_open: bool) -> None:
        self._marked = (self._asks(), time.monotonic())
        mark.write(self.state_dir, mark.Mark(is_open=is_open, asks=self._marked[0], at=time.time()))

    def remark(self) -> None:
        """Write outside the database how many asks it knows, if there are more than when that was last done."""
        if time.monotonic() - self._marked[1] < MARK_EVERY:
            return
        with suppress(SQLAlchemyError, sqlite3.Error):  # whoever writes next will hear of it
            if self._asks() > self._marked[0]:
                self._mark(is_open=True)
            else:
                self._marked = (self._marked[0], time.monotonic())

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
        if not self.is_lost:  # to close is to write: not where nothing may be written any more
            if self._lock >= 0:
                with suppress(SQLAlchemyError, sqlite3.Error):
                    self._mark(is_open=False)
                mark.close(self.state_dir)  # also where nobody could count
            self._connection.close()
            self._engine.dispose()
        self._unmark.detach()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is committed and synced together, or not at all.

        Raises:
            OurBug: the schema refused it; nothing of it was saved.
            StoreTrouble: nothing of it was saved; it may be tried again.
            OutOfOrder: perhaps nothing of it was saved, perhaps all: whoever starts next reads which.
            NeedsPerson: the database is damaged.
        """
        if self._in_transaction:
            yield
            return
        self._in_transaction = True
        try:
            with _immediately(self._connection):
                yield
                self._flush()
                crash_point("committing")
            crash_point("committed")
        except _OUR_FAULT as error:
            raise OurBug(f"the database refused what it was given: {_reason(error)}") from error
        except (SQLAlchemyError, sqlite3.Error) as error:
            self.is_lost = not isinstance(
                trouble := _trouble_of(error, self.state_dir), StoreTrouble
            )
            raise trouble from error
        finally:
            self._in_transaction = False
            self._told.clear()

    def trouble_of(self, error: sqlite3.Error) -> AsrwatchError:
        """What an error of another connection to the same database means here."""
        return _trouble_of(error, self.state_dir)

    def copy(self, beat: Callable[[], None] = lambda: None) -> Path:
        """Copy the database for a backup, outside any transaction; `backup.put_in_place` makes it one.

        Raises:
            TemporaryError: it cannot be done now.
        """
        driver = self._connection.connection.driver_connection
        self._connection.rollback()
        return backup.copy(driver, self.state_dir, beat)  # type: ignore[arg-type] # SQLAlchemy does not know which driver

    def _flush(self) -> None:
        """Write what was kept for the end of the transaction."""


def _make_durably(state_dir: Path) -> None:
    """A folder whose name were lost in a power cut would take along what was committed in it."""
    missing = [folder for folder in (state_dir, *state_dir.parents) if not folder.exists()]
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for made in missing:
        # some file systems cannot sync a folder, and some folders may not be read: then it is theirs to keep
        with suppress(OSError):
            above = os.open(made.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(above)
            finally:
                os.close(above)


def _take_lock(state_dir: Path) -> int:
    """Lock the folder with flock, which a killed process gives up by itself."""
    try:
        _make_durably(state_dir)
        lock = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        kind = OutOfOrder if error.errno in _OUT_OF_ORDER else StartupError
        raise kind(
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
    connection = sqlite3.connect(database, isolation_level=None, timeout=1.0)
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


@contextmanager
def _immediately(connection: Connection) -> Iterator[None]:
    """A transaction that holds the write lock from its beginning.

    Begun by hand: an event listener for it would cost every statement more than running it does.
    """
    with connection.begin():
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield


def _prepare(connection: Connection, database: Path) -> None:
    """Make the tables of a new database, or bring an older one up to date."""
    database.chmod(0o600)
    newest = migrations.FIRST + len(migrations.MIGRATIONS)
    with _immediately(connection):
        version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        if version > newest:
            raise NeedsPerson(
                f"The database {printable(os.fsencode(database))} was written by a newer asrwatch "
                f"(schema {version}, this one knows {newest}).",
                code="newer-database",
                advice="Install that version again, or restore the backup made before the upgrade.",
            )
        if version == 0:
            if connection.exec_driver_sql("SELECT 1 FROM sqlite_schema").first() is not None:
                raise NeedsPerson(
                    f"{printable(os.fsencode(database))} is a database, but not asrwatch's.",
                    code="foreign-database",
                    advice="Move it away, or set state_dir to a folder of asrwatch's own.",
                )
            tables.create(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {newest}")
            version = newest
            crash_point("creating")
    migrations.run(connection, version)


def _trouble_of(error: Exception, state_dir: Path) -> AsrwatchError:
    """What an error of SQLite means here. Its names, not its words, tell (sqlite.org/rescode.html)."""
    name = str(getattr(getattr(error, "orig", None) or error, "sqlite_errorname", ""))
    reason, database = _reason(error), printable(os.fsencode(state_dir / "asrwatch.db"))
    failed = name.startswith(_FAILING)
    if name in _UNSYNCED or _is_read_only(state_dir) or (failed and _refuses_writes(state_dir)):
        return OutOfOrder(
            f"{database} cannot be written for certain: {reason}.",
            code="state-unsafe",
            advice="Look at the disk. asrwatch ends here, as what is on it is not known any more, and reads it "
            "again when it is started.",
        )
    if name.startswith(_DAMAGED):
        return damaged(database, reason)
    if name.startswith(_LOCKED):
        return StoreTrouble(
            f"Another program has locked {database}: {reason}.",
            code="database-locked",
            advice="Nothing is asked for meanwhile; work goes on by itself when it is unlocked.",
        )
    return StoreTrouble(
        f"{database} cannot be used now: {reason}.",
        code="state-full" if name == "SQLITE_FULL" else "database",
        advice="Make room or mend the disk; work goes on by itself.",
    )


def _cannot_open(error: Exception, state_dir: Path) -> StartupError:
    """Why the database cannot be opened, and whether a person must see to it."""
    match _trouble_of(error, state_dir):
        case StoreTrouble(code="database-locked") as locked:
            return StartupError(locked.message, code=locked.code, advice=locked.advice)
        case StartupError() as already:
            return already
        case trouble:
            return OutOfOrder(
                trouble.message,
                code=trouble.code,
                advice="Check that the folder is writable and the disk has room, then start asrwatch again.",
            )


def damaged(database: str, reason: str) -> NeedsPerson:
    """The error for a database that holds what cannot be."""
    return NeedsPerson(
        f"The database {database} is damaged: {reason}.",
        code="damaged-database",
        advice="Stop asrwatch, move asrwatch.db with its -wal and -shm files away (keep them), and put the newest "
        'file of backup/ in its place as asrwatch.db; README, "Restoring a backup". Without any, recordings are '
        "found anew, and what was paid before would be paid again.",
    )


def _is_read_only(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _refuses_writes(folder: Path) -> bool:
    """Whether the kernel has given the file system up, which shows in nothing but a write that is refused."""
    try:
        try_to_write(os.fsencode(folder))
    except AsrwatchError as error:
        return error.code == "read-only"
    return False


def _reason(error: Exception) -> str:
    original = getattr(error, "orig", None)
    return printable(str(original or error))
