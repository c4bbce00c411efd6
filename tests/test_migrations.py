"""Databases of older versions: brought up to date in whole steps, or refused."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from journey_helpers import a_recording
from sqlalchemy import Connection

from asrwatch.errors import NeedsPerson, OurBug
from asrwatch.journey.recording import State
from asrwatch.journey.store import Store, migrations

FIRST_SCHEMA = Path(__file__).parent / "databases" / "schema-1.sql"
"""A database as the first asrwatch made it, with one delivered and one asked recording."""
NEWEST = migrations.FIRST + len(migrations.MIGRATIONS)


def first_database(folder: Path) -> Path:
    """A state folder with a database of schema 1."""
    folder.mkdir(mode=0o700)
    connection = sqlite3.connect(folder / "asrwatch.db", isolation_level=None)
    connection.executescript(FIRST_SCHEMA.read_text(encoding="utf-8"))
    connection.close()
    return folder


def raw(folder: Path) -> sqlite3.Connection:
    """The database, past the store."""
    return sqlite3.connect(folder / "asrwatch.db", isolation_level=None)


def schema_of(folder: Path) -> dict[str, object]:
    """What a database looks like: the columns of each table, their rules, and the indexes."""
    connection = raw(folder)
    tables = [
        name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='table'")
    ]
    looks: dict[str, object] = {}
    for name in tables:
        looks[name] = {
            tuple(row[1:]) for row in connection.execute(f'PRAGMA table_xinfo("{name}")')
        }
        (sql,) = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE name = ? AND type = 'table'", (name,)
        ).fetchone()
        looks[f"rules of {name}"] = sorted(
            " ".join(line.strip().rstrip(",").split())
            for line in sql.splitlines()
            if line.strip().startswith("CHECK")
        )
        looks[f"references of {name}"] = {
            tuple(row[2:]) for row in connection.execute(f'PRAGMA foreign_key_list("{name}")')
        }
    looks["indexes"] = {
        " ".join(sql.split())
        for (sql,) in connection.execute(
            "SELECT sql FROM sqlite_schema WHERE type='index' AND sql NOT NULL"
        )
    }
    connection.close()
    return looks


def version_of(folder: Path) -> int:
    """The stamp in the database."""
    connection = raw(folder)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(version)


def test_the_first_asrwatch_database_opens_with_everything_in_it(tmp_path: Path) -> None:
    """A database made before this version keeps its recordings, answers, ledger and stories."""
    with Store(first_database(tmp_path / "state")) as store:
        (done,) = store.in_state(State.DELIVERED)
        assert done.path == b"/in/talk.wav"
        assert done.answer is not None
        assert done.answer.raw == b'{"text": "hi"}'
        assert [output.path for output in done.outputs] == [b"/in/talk.wav.txt"]
        (asking,) = store.in_state(State.ASKING)
        assert asking.path == b"/in/call.wav"
        assert [event.after for event in store.story(done.id)][-1] is State.DELIVERED
        ledger = store.ledger()
        assert (ledger.asked, ledger.answered) == (2, 1)


def test_a_migrated_database_looks_like_a_new_one(tmp_path: Path) -> None:
    """The steps lead to the very columns, rules and indexes that a new database gets."""
    old = first_database(tmp_path / "old")
    Store(old).close()
    Store(tmp_path / "new").close()
    assert schema_of(old) == schema_of(tmp_path / "new")
    assert version_of(old) == version_of(tmp_path / "new") == NEWEST


def test_numbers_of_what_is_gone_stay_theirs(tmp_path: Path, now: datetime) -> None:
    """An older database may name recordings in its ledger that are gone: nobody gets their numbers any more."""
    folder = first_database(tmp_path / "state")
    connection = raw(folder)
    connection.execute("UPDATE asks SET recording = 41 WHERE id = 2")
    connection.close()
    with Store(folder) as store:
        assert store.add(a_recording(State.SETTLED, now)).id == 42


def _adds_a_column(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE asks ADD COLUMN colour INTEGER")


def _allows_another_outcome(connection: Connection) -> None:
    migrations.rebuild(
        connection, "asks", lambda sql: sql.replace("'again'", "'again', 'forgiven'")
    )


def _breaks_off(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE asks ADD COLUMN price_before INTEGER")
    raise OurBug("half-way")


def _orphans(connection: Connection) -> None:
    connection.exec_driver_sql("DELETE FROM answers")


def migrate(folder: Path, *steps: Callable[[Connection], None]) -> None:
    """Take steps of our own on a database."""
    with Store(folder) as store:
        migrations.run(store._connection, NEWEST, (*migrations.MIGRATIONS, *steps))


def test_a_step_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """A step and its number are one transaction: the next start finds the database as it was. [S10]."""
    folder = first_database(tmp_path / "state")
    Store(folder).close()
    before, stamp = schema_of(folder), version_of(folder)
    with pytest.raises(OurBug, match="half-way"):
        migrate(folder, _breaks_off)
    assert schema_of(folder) == before
    assert version_of(folder) == stamp


def test_a_step_must_not_orphan_rows(tmp_path: Path) -> None:
    """A step after which a row refers to nothing is our bug, and is undone."""
    folder = first_database(tmp_path / "state")
    with pytest.raises(OurBug, match="refer to nothing"):
        migrate(folder, _orphans)
    with Store(folder) as store:
        assert store.in_state(State.DELIVERED)[0].answer is not None


def test_steps_before_the_one_that_failed_stay(tmp_path: Path) -> None:
    """Each step stands alone: what was done is not done again."""
    folder = first_database(tmp_path / "state")
    with pytest.raises(OurBug, match="half-way"):
        migrate(folder, _adds_a_column, _breaks_off)
    assert version_of(folder) == NEWEST + 1


def test_a_rebuilt_table_keeps_rows_and_indexes(tmp_path: Path) -> None:
    """Another CHECK for a table that others refer to: nothing else about it changes."""
    folder = first_database(tmp_path / "state")
    Store(folder).close()
    connection = raw(folder)
    before = connection.execute("SELECT * FROM asks ORDER BY id").fetchall()
    connection.close()
    indexes = schema_of(folder)["indexes"]
    migrate(folder, _allows_another_outcome)
    assert schema_of(folder)["indexes"] == indexes
    connection = raw(folder)
    assert connection.execute("SELECT * FROM asks ORDER BY id").fetchall() == before
    connection.execute("UPDATE asks SET outcome = 'forgiven'")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("UPDATE asks SET outcome = 'nonsense'")
    connection.close()


def test_a_start_killed_inside_a_step_begins_it_again(tmp_path: Path) -> None:
    """Killed between the work of a step and its commit: nothing of it happened, and a start completes it. [S10]."""
    folder = first_database(tmp_path / "state")
    code = (
        "import sys; from pathlib import Path\n"
        "from asrwatch.journey.store import Store, migrations\n"
        "step = lambda c: c.exec_driver_sql('ALTER TABLE asks ADD COLUMN extra INTEGER')\n"
        "steps = (*migrations.MIGRATIONS, step)\n"
        "migrations.run(Store(Path(sys.argv[1]))._connection, len(steps), steps)\n"
        "print('lived')\n"
    )

    def start(**environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, str(folder)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    Store(folder).close()
    before = schema_of(folder)
    assert start(ASRWATCH_CRASH="migrating").returncode == -9
    assert schema_of(folder) == before
    assert start().stdout == "lived\n"
    assert schema_of(folder) != before


def test_a_newer_database_is_refused_and_untouched(tmp_path: Path) -> None:
    """A database of a later asrwatch is left as it is, for a person to decide. [S10]."""
    folder = tmp_path / "state"
    Store(folder).close()
    connection = raw(folder)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = (folder / "asrwatch.db").read_bytes()
    with pytest.raises(NeedsPerson, match="newer asrwatch") as refused:
        Store(folder)
    assert "restore the backup" in refused.value.advice
    assert (folder / "asrwatch.db").read_bytes() == before


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    """A database that is not ours is not written to."""
    connection = sqlite3.connect(tmp_path / "asrwatch.db")
    connection.execute("CREATE TABLE music (title)")
    connection.close()
    with pytest.raises(NeedsPerson, match="not asrwatch's"):
        Store(tmp_path)


def test_a_new_database_has_the_newest_schema(tmp_path: Path, now: datetime) -> None:
    """A new database takes no steps, and works."""
    with Store(tmp_path / "state") as store:
        assert store.add(a_recording(State.SETTLED, now)).id == 1
    assert version_of(tmp_path / "state") == NEWEST
