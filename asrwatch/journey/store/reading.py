"""The database through a connection that only reads, for threads beside the one that writes.

A reader takes no lock that a writer waits for, and never checkpoints (reliability.md finding 14 is about two
connections that write). Its transactions are to be short: while one is open, the log cannot begin anew.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from asrwatch.journey.store.database import StoreTrouble
from asrwatch.journey.store.listing import Listing
from asrwatch.journey.store.recordings import Store
from asrwatch.values import printable

__all__ = ["SEARCH_DAMAGED", "Reader", "Readers"]

SEARCH_DAMAGED = "search-damaged"
"""The code of what is raised where the index of the search contradicts itself: a reader cannot mend it."""


class Reader(Listing, Store):
    """Everything that can be asked of the store; whatever writes raises StoreTrouble.

    One thread at a time uses it; it need not be the one that made it.

    Args:
        state_dir: in use by this process, whose writing connection has made the database.
    """

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.is_lost = False
        self._in_transaction = False
        self._told: list[dict[str, Any]] = []
        database = state_dir / "asrwatch.db"
        self._engine = create_engine(
            "sqlite+pysqlite://", creator=lambda: _connect(database), poolclass=NullPool
        )
        try:
            self._connection = self._engine.connect()
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise _trouble(error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside sees the database as it was at one moment.

        Raises:
            StoreTrouble: it cannot be read now, or something was to be written.
        """
        if self._in_transaction:
            yield
            return
        self._in_transaction = True
        try:
            with self._connection.begin():
                self._connection.exec_driver_sql("BEGIN")
                yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise _trouble(error) from error
        finally:
            self._in_transaction = False

    def _mend_search(self) -> None:
        raise StoreTrouble(
            "The index of the search is damaged.",
            code=SEARCH_DAMAGED,
            advice="Whoever writes the database builds it anew as soon as it is asked.",
        )

    def close(self) -> None:
        """Close the connection; the database and its log stay as they are."""
        with suppress(SQLAlchemyError, sqlite3.Error):
            self._connection.close()
            self._engine.dispose()


class Readers:
    """As many readers as are needed at once, kept for the next who asks."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._idle: LifoQueue[Reader] = LifoQueue()

    @contextmanager
    def one(self) -> Iterator[Reader]:
        """A reader, for this thread, until the block ends.

        Raises:
            StoreTrouble: the database cannot be read now.
        """
        try:
            reader = self._idle.get_nowait()
        except Empty:
            reader = Reader(self._state_dir)
        with ExitStack() as on_trouble:
            on_trouble.callback(reader.close)
            yield reader
            on_trouble.pop_all()
        self._idle.put(reader)

    def close(self) -> None:
        """Close those that nobody uses."""
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()


def _connect(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{database.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        timeout=1.0,
        check_same_thread=False,  # one thread at a time: `Readers` hands it from one to the next
    )
    for pragma in ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _trouble(error: Exception) -> StoreTrouble:
    reason = printable(str(getattr(error, "orig", None) or error))
    return StoreTrouble(
        f"The database cannot be read now: {reason}.",
        code="database",
        advice="Look into the log; work goes on by itself once the disk is well.",
    )
