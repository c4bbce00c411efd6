"""State of the previous version, with work in flight: opened, brought up to date, finished, and not paid for again."""

import re
import shutil
import sqlite3
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from conftest import Keep
from crash_helpers import SYNC, TASK, Tally, Trial, cloud
from journey_helpers import a_recording

from asrwatch.journey.recording import State
from asrwatch.journey.store import Store

PREVIOUS = "44cc3b07c1fc5a175d48075db1a142386cc74d53"
"""The last commit of the version before this one, which wrote schema 1."""
GOLDEN = Path(__file__).parent / "databases" / "schema-1.sql"
ON_THE_WAY = (
    State.SETTLED,
    State.STAGED,
    State.ASKING,
    State.SUBMITTED,
    State.TRANSCRIBED,
    State.DELIVERED,
)
PLACES = (
    *(f"{when}:{state.value}" for when in ("saving", "saved") for state in ON_THE_WAY),
    *("published", "before-request", "after-request", "rendered", "written", "finished"),
)
"""Where the previous version is killed."""


def _as_schema_1(state: Path) -> None:
    """Turn a database back into what the previous version would have written: its tables, columns and version."""
    new = state / "asrwatch.db"
    old = state / "old.db"
    schema = re.sub(r"(?m)^INSERT INTO .*\n", "", GOLDEN.read_text())
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.executescript(schema)
        connection.execute("ATTACH ? AS new", (str(new),))
        tables = connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'")
        for (table,) in tables.fetchall():
            columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))
            connection.execute(f"INSERT INTO {table} SELECT {columns} FROM new.{table}")  # noqa: S608 - our own names
        (version,) = connection.execute("PRAGMA main.user_version").fetchone()
        assert version == 1
    for path in state.glob("asrwatch.db*"):
        path.unlink()
    old.rename(new)


def test_every_state_of_the_previous_version_is_taken_over(tmp_path: Path, now: datetime) -> None:
    """Recordings in every state come out of a database of schema 1 as they went in, with answers and stories [S10]."""
    folder = tmp_path / "state"
    with Store(folder) as store:
        for number, state in enumerate(set(State) - {State.CUT}, start=1):
            path, sha256 = b"/in/%d.wav" % number, f"{number:02}" * 32
            made = a_recording(state, now, path=path, sha256=sha256, ticket=f"task-{number}")
            added = store.add(a_recording(State.SETTLED, now, path=path))
            store.save(added, replace(made, id=added.id), note=f"was {state}")
        kept = store.in_state(*State)
        stories = [store.story(recording.id) for recording in kept]
    _as_schema_1(folder)
    with Store(folder) as store:
        assert {recording.state for recording in kept} == set(State) - {State.CUT}
        assert store.in_state(*State) == kept
        assert [store.story(recording.id) for recording in kept] == stories


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The previous version, out of the repository's history."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("needs git, to get the previous version")
    archive = subprocess.run(
        [git, "archive", PREVIOUS, "asrwatch"],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        check=False,
    )
    if archive.returncode != 0:
        pytest.skip(f"needs the history, to get the previous version: {archive.stderr.decode()}")
    folder = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_work_in_flight_of_the_previous_version(
    tmp_path: Path, previous: Path, rounds: Callable[[int, int], int], promise: Keep
) -> None:
    """The previous version dies anywhere, this one goes on with what is left: nothing lost or bought again [S10]."""
    files = rounds(25, 2)
    tally = Tally()
    for place in PLACES:
        with cloud() as sandbox:
            trial = Trial.at(tmp_path / place.replace(":", "-"), sandbox)
            trial.other_version = True
            trial.give(SYNC, number=files)
            trial.give(TASK, number=files)
            tally.count(partial(_upgraded, trial, place, previous))
        tally.take(trial)
    tally.tell(promise, "P29 upgraded with work in flight", files=2 * files * len(PLACES))
    assert not tally.faults, "\n".join(tally.faults)


def _upgraded(trial: Trial, place: str, previous: Path) -> int:
    path = str(previous)
    done = trial.world.call("once", **trial.deadly(place), PYTHONPATH=path)
    assert done.returncode == -9, f"{place}: {done.returncode} {done.stderr}"
    assert _schema(trial) == 1
    trial.explain()
    trial.finish()
    return trial.judge(deaths=1)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_previous_version_leaves_a_newer_state_alone(
    tmp_path: Path, previous: Path, promise: Keep
) -> None:
    """Downgraded, the previous version refuses the newer state and says so; upgraded again, work goes on [S10]."""
    with cloud() as sandbox:
        trial = Trial.at(tmp_path, sandbox)
        trial.give(SYNC, number=2)
        trial.give(TASK, number=2)
        trial.die("saved:submitted")
        schema, billed = _schema(trial), len(sandbox.bill)
        refused = trial.world.call("once", PYTHONPATH=str(previous))
        assert refused.returncode == 1
        assert "was written by a newer asrwatch" in refused.stderr
        assert (_schema(trial), len(sandbox.bill)) == (schema, billed)
        trial.finish()
        twice = trial.judge(deaths=1)
    promise(
        "P29 downgraded with work in flight",
        promised="refused in words; 0 lost, 0 billed again",
        measured=f"refused; 4 files finished after the upgrade, {twice} billed again",
    )
    assert twice == 0


def _schema(trial: Trial) -> int:
    # only read: whoever closes it otherwise takes its log away, as if it had been lost
    database = f"file:{trial.world.root / 'state' / 'asrwatch.db'}?mode=ro"
    with closing(sqlite3.connect(database, uri=True)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
