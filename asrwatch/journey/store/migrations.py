"""Leads a database of an older asrwatch to the schema of this one, step by step.

How one changes the schema:

1. Change `tables.py`: a new database is made from it as it stands there.
2. Append one function to `MIGRATIONS` here, which does the same to a database that has rows. Its number is its place
   in the tuple; numbers that have landed on main are never changed, and no two steps swap places.

       def _asks_have_a_price(connection: Connection) -> None:
           connection.exec_driver_sql("ALTER TABLE asks ADD COLUMN price INTEGER")

   A column that is added must allow NULL or have a constant default. A table that is new is written out as SQL (what
   `tables.py` says will change again, this step must not). For a CHECK that changes: `rebuild`.
3. `tests/test_migrations.py` compares: migrated and new databases must look the same.

Every step is one transaction, its number stamped with it: killed half-way, nothing of it happened.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta

from pydantic import TypeAdapter
from sqlalchemy import Connection

from asrwatch.crash import crash_point
from asrwatch.errors import OurBug

__all__ = ["FIRST", "MIGRATIONS", "Step", "rebuild", "run"]

Step = Callable[[Connection], None]

_span = TypeAdapter(timedelta)

FIRST = 1
"""The schema of the first asrwatch: what `MIGRATIONS` starts from."""


def _asks_tell_what_they_cost(connection: Connection) -> None:
    """The ledger's rows hold price and evidence; a recording's row tells its length."""
    for column in (
        "inbox TEXT",
        "sha256 TEXT",
        "size INTEGER",
        "url TEXT",
        "who TEXT",
        "uptime INTEGER",
        "expected INTEGER",
        "price INTEGER",
    ):
        connection.exec_driver_sql(f"ALTER TABLE asks ADD COLUMN {column}")
    rebuild(connection, "asks", lambda sql: sql.replace("'again'", "'again', 'bill_unknown'"))
    connection.exec_driver_sql("CREATE INDEX asks_by_date ON asks (asked_at)")
    connection.exec_driver_sql("ALTER TABLE recordings ADD COLUMN audio INTEGER")
    unfinished = connection.exec_driver_sql(
        "SELECT id, json_extract(reading, '$.facts.duration') FROM recordings"
        " WHERE reading NOT NULL AND state IN ('settled', 'staged', 'asking')"
    ).all()
    for number, duration in unfinished:
        if duration is not None:
            audio = _span.validate_python(duration) // timedelta(milliseconds=1)
            connection.exec_driver_sql(
                "UPDATE recordings SET audio = :audio WHERE id = :id",
                {"audio": audio, "id": number},
            )


def _asks_still_out_are_found_fast(connection: Connection) -> None:
    connection.exec_driver_sql(
        "CREATE INDEX asks_still_out ON asks (outcome) WHERE outcome IN ('open', 'accepted')"
    )


def _inboxes_take_turns(connection: Connection) -> None:
    """What is due in one inbox is found without looking through the others."""
    connection.exec_driver_sql("CREATE INDEX recordings_by_inbox ON recordings (state, inbox, due)")


def _tries_and_the_clock(connection: Connection) -> None:
    """Steps are counted before they begin; when the machine was started is kept, as the clock has it."""
    connection.exec_driver_sql(
        "CREATE TABLE tries (recording INTEGER NOT NULL PRIMARY KEY, step TEXT, died_in TEXT,"
        " deaths INTEGER NOT NULL) STRICT"
    )
    connection.exec_driver_sql(
        "CREATE TABLE clock (id INTEGER NOT NULL PRIMARY KEY, boot_id TEXT NOT NULL,"
        " booted INTEGER NOT NULL) STRICT"
    )


def _waiting_is_told_by_an_index(connection: Connection) -> None:
    """Rows whose engines or inboxes wait are passed over without being read."""
    for name, columns in (
        ("recordings_by_due", "state, due, engine, inbox"),
        ("recordings_by_inbox", "state, inbox, due, engine"),
    ):
        connection.exec_driver_sql(f"DROP INDEX {name}")
        connection.exec_driver_sql(f"CREATE INDEX {name} ON recordings ({columns})")


def _restorations_are_known(connection: Connection) -> None:
    connection.exec_driver_sql(
        "CREATE TABLE restored (id INTEGER NOT NULL PRIMARY KEY, at INTEGER NOT NULL,"
        " missing INTEGER NOT NULL) STRICT"
    )


def _numbers_are_never_given_twice(connection: Connection) -> None:
    """The ledger names recordings by number, also those that are gone: no other one may get such a number."""
    rebuild(
        connection,
        "recordings",
        lambda sql: sql.replace("PRIMARY KEY (id),", "").replace(
            "id INTEGER NOT NULL,", "id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,", 1
        ),
    )
    _keep_numbers(connection, 0)


def _keep_numbers(connection: Connection, last: int) -> None:
    """The next recording gets a number that was never given: not `last`, nor one that the ledger names."""
    connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = 'recordings'")
    connection.exec_driver_sql(
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'recordings', max(:last,"
        " (SELECT coalesce(max(id), 0) FROM recordings), (SELECT coalesce(max(recording), 0) FROM asks))",
        {"last": last},
    )


def _sums_are_cheap(connection: Connection) -> None:
    """Dashboards ask for sums all day: out of an index, and of how long recordings took, kept as they come."""
    connection.exec_driver_sql("ALTER TABLE asks ADD COLUMN sent INTEGER")
    connection.exec_driver_sql("UPDATE asks SET sent = size")
    connection.exec_driver_sql("DROP INDEX asks_by_date")
    connection.exec_driver_sql(
        "CREATE INDEX asks_by_date ON asks (asked_at, engine, outcome, billed, expected, audio, price, sent)"
    )
    connection.exec_driver_sql(
        "CREATE TABLE waits (inbox TEXT NOT NULL, at_most INTEGER NOT NULL, number INTEGER NOT NULL,"
        " total INTEGER NOT NULL, PRIMARY KEY (inbox, at_most)) STRICT"
    )
    steps = (5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
    bucket = " ".join(f"WHEN wait <= {step * 1000} THEN {step * 1000}" for step in steps)
    connection.exec_driver_sql(
        f"INSERT INTO waits SELECT inbox, CASE {bucket} ELSE -1 END AS at_most, count(*), sum(wait)"  # noqa: S608 - numbers
        " FROM (SELECT inbox, max(delivered_at - CASE WHEN mtime_ns / 1000 BETWEEN found_at - 3600000000"
        " AND found_at THEN mtime_ns / 1000 ELSE found_at END, 0) / 1000 AS wait FROM recordings"
        " WHERE state = 'delivered') GROUP BY inbox, at_most"
    )


def _what_was_said_is_found(connection: Connection) -> None:
    """Transcripts can be searched; those that are there already are filled in by and by, once asrwatch runs."""
    connection.exec_driver_sql(
        "CREATE TABLE said (recording INTEGER NOT NULL PRIMARY KEY REFERENCES recordings (id),"
        " said BLOB NOT NULL) STRICT"
    )
    connection.exec_driver_sql(
        "CREATE TABLE filling (id INTEGER NOT NULL PRIMARY KEY, below INTEGER NOT NULL) STRICT"
    )
    connection.exec_driver_sql(
        "INSERT INTO filling (id, below) SELECT 1, coalesce(max(id), 0) FROM recordings"
    )
    connection.exec_driver_sql(
        "CREATE VIRTUAL TABLE words"
        " USING fts5(said, content='', tokenize='unicode61 remove_diacritics 2')"
    )


def _lists_are_quick(connection: Connection) -> None:
    """What people look at comes out of indexes: pages of lists, sums of days, who waits longest."""
    delivered = "delivered_at IS NOT NULL"
    waiting = "state NOT IN ('delivered', 'failed', 'parked')"
    for index in (
        "recordings_by_place ON recordings (inbox, state)",
        f"recordings_by_delivery ON recordings (delivered_at, found_at, audio) WHERE {delivered}",
        f"recordings_waiting ON recordings (inbox, found_at) WHERE {waiting}",
    ):
        connection.exec_driver_sql(f"CREATE INDEX {index}")


def _messages_are_kept_until_they_are_told(connection: Connection) -> None:
    for table in (
        """outbox (
            id INTEGER NOT NULL PRIMARY KEY, message TEXT NOT NULL, notifier TEXT NOT NULL, kind TEXT NOT NULL,
            since INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL, news TEXT NOT NULL, dead TEXT)""",
        """receivers (
            key TEXT NOT NULL PRIMARY KEY, failures INTEGER NOT NULL, until INTEGER, told_at INTEGER, code TEXT,
            error TEXT, advice TEXT, gone INTEGER, digest_of TEXT, digest_until INTEGER)""",
        """windows (
            notifier TEXT NOT NULL, kind TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (notifier, kind))""",
        "alarms (subject TEXT NOT NULL PRIMARY KEY, standstill TEXT NOT NULL)",
    ):
        connection.exec_driver_sql(f"CREATE TABLE {table} STRICT")
    connection.exec_driver_sql("CREATE INDEX outbox_by_due ON outbox (notifier, dead, due)")


def _recordings_are_cut(connection: Connection) -> None:
    """Pieces of a recording are rows of their own; the recording itself is `cut` until all of them were heard."""
    last = connection.exec_driver_sql(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'recordings'"
    ).scalar_one()
    rebuild(
        connection,
        "recordings",
        lambda sql: (
            sql.replace("audio INTEGER", "audio INTEGER, part_of INTEGER")
            .replace("state IN ('settled', ", "state IN ('settled', 'cut', ")
            .replace("state NOT IN ('staged', ", "state NOT IN ('cut', 'staged', ")
            .replace(
                "REFERENCES answers (id)",
                "REFERENCES answers (id), FOREIGN KEY(part_of) REFERENCES recordings (id)",
            )
        ),
    )
    _keep_numbers(connection, last)
    for index in ("recordings_by_path", "recordings_by_place"):
        connection.exec_driver_sql(f"DROP INDEX {index}")
    connection.exec_driver_sql("CREATE INDEX recordings_by_path ON recordings (path, part_of)")
    connection.exec_driver_sql(
        "CREATE INDEX recordings_by_place ON recordings (inbox, state) WHERE part_of IS NULL"
    )
    connection.exec_driver_sql(
        "CREATE INDEX pieces_of ON recordings (part_of, state) WHERE part_of IS NOT NULL"
    )
    connection.exec_driver_sql(
        "CREATE TABLE cuts (purchase TEXT NOT NULL PRIMARY KEY, places TEXT NOT NULL) STRICT"
    )
    for column in ("part_of INTEGER", "piece INTEGER"):
        connection.exec_driver_sql(f"ALTER TABLE asks ADD COLUMN {column}")


def _sums_come_grouped(connection: Connection) -> None:
    connection.exec_driver_sql(
        "CREATE INDEX asks_by_engine ON asks (engine, outcome, billed, price, sent)"
    )


def _engines_are_asked_for_by_name(connection: Connection) -> None:
    """And what is summed up for people leaves pieces out."""
    connection.exec_driver_sql("ALTER TABLE recordings ADD COLUMN engine_wanted TEXT")
    whole = "part_of IS NULL AND "
    for name, columns, condition in (
        ("recordings_by_delivery", "delivered_at, found_at, audio", "delivered_at IS NOT NULL"),
        ("recordings_waiting", "inbox, found_at", "state NOT IN ('delivered', 'failed', 'parked')"),
    ):
        connection.exec_driver_sql(f"DROP INDEX {name}")
        connection.exec_driver_sql(
            f"CREATE INDEX {name} ON recordings ({columns}) WHERE {whole}{condition}"
        )


def _notes_lie_in_folders(connection: Connection) -> None:
    """What was written beside recordings that failed is known."""
    connection.exec_driver_sql(
        "CREATE TABLE notes (recording INTEGER NOT NULL PRIMARY KEY, inbox TEXT NOT NULL, path BLOB NOT NULL,"
        " content TEXT, wanted TEXT NOT NULL, sha256 TEXT NOT NULL, device INTEGER NOT NULL,"
        " waits INTEGER NOT NULL) STRICT"
    )
    connection.exec_driver_sql("CREATE INDEX notes_by_path ON notes (path)")


def _searches_know_inboxes(connection: Connection) -> None:
    """The index tells inboxes apart: it is filled in anew, from what was said."""
    connection.exec_driver_sql("DROP TABLE words")
    connection.exec_driver_sql(
        "CREATE VIRTUAL TABLE words"
        " USING fts5(said, inbox, content='', tokenize='unicode61 remove_diacritics 2')"
    )
    connection.exec_driver_sql(
        "UPDATE filling SET below = (SELECT coalesce(max(id), 0) FROM recordings)"
    )
    connection.exec_driver_sql(
        "CREATE INDEX recordings_by_finding ON recordings (found_at) WHERE part_of IS NULL"
    )


def _asks_of_pieces_are_found_fast(connection: Connection) -> None:
    connection.exec_driver_sql(
        "CREATE INDEX asks_of_pieces ON asks (part_of) WHERE part_of IS NOT NULL"
    )


def _where_a_search_begins_is_in_an_index(connection: Connection) -> None:
    """Of an index with a condition SQLite would read every row, to look at what the condition is about."""
    connection.exec_driver_sql("DROP INDEX recordings_by_finding")
    connection.exec_driver_sql("CREATE INDEX recordings_by_finding ON recordings (found_at)")


MIGRATIONS: tuple[Step, ...] = (
    _asks_tell_what_they_cost,
    _inboxes_take_turns,
    _tries_and_the_clock,
    _asks_still_out_are_found_fast,
    _waiting_is_told_by_an_index,
    _restorations_are_known,
    _numbers_are_never_given_twice,
    _sums_are_cheap,
    _what_was_said_is_found,
    _lists_are_quick,
    _messages_are_kept_until_they_are_told,
    _recordings_are_cut,
    _sums_come_grouped,
    _engines_are_asked_for_by_name,
    _notes_lie_in_folders,
    _searches_know_inboxes,
    _asks_of_pieces_are_found_fast,
    _where_a_search_begins_is_in_an_index,
)
"""From schema 1 on: the first of them makes schema 2, and so forth."""


def run(connection: Connection, version: int, steps: Sequence[Step] = MIGRATIONS) -> None:
    """Take the steps that a database of schema `version` lacks.

    Args:
        connection: with no transaction under way.
        version: of the database, from 1.
        steps: all that there are.
    """
    # References are checked at the end of each step instead: a table that is rebuilt is gone for a moment.
    connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.rollback()
    try:
        for number, step in enumerate(steps, start=FIRST + 1):
            if number > version:
                _take(connection, number, step)
    finally:
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")
        connection.rollback()


def _take(connection: Connection, number: int, step: Step) -> None:
    with connection.begin():
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        step(connection)
        if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
            msg = f"migration {number} left rows that refer to nothing"
            raise OurBug(msg)
        connection.exec_driver_sql(f"PRAGMA user_version = {number}")
        crash_point("migrating")
    crash_point("migrated")


def rebuild(connection: Connection, table: str, change: Callable[[str], str]) -> None:
    """Make a table anew under another CREATE statement, with its rows and indexes: SQLite alters no constraints.

    Args:
        connection: inside a migration.
        table: its name.
        change: from the CREATE TABLE statement as it is to what it is to be.
    """
    named = {"name": table}
    before = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = :name", named
    ).scalar_one()
    indexes = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = :name AND sql NOT NULL",
        named,
    ).scalars()
    kept = tuple(indexes)
    after = change(before)
    if after == before:
        msg = f"a migration meant to change {table} and did not"
        raise OurBug(msg)
    _, _, body = after.partition("(")
    columns = ", ".join(
        f'"{row.name}"' for row in connection.exec_driver_sql(f'PRAGMA table_info("{table}")')
    )
    connection.exec_driver_sql(f'CREATE TABLE "rebuilt {table}" ({body}')
    connection.exec_driver_sql(
        f'INSERT INTO "rebuilt {table}" ({columns}) SELECT {columns} FROM "{table}"'  # noqa: S608 - names are ours
    )
    connection.exec_driver_sql(f'DROP TABLE "{table}"')
    connection.exec_driver_sql(f'ALTER TABLE "rebuilt {table}" RENAME TO "{table}"')
    for index in kept:
        connection.exec_driver_sql(index)
