"""Databases that are gone, damaged or old, and the backups that stand in for them."""

import gc
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from e2e_helpers import Installed
from journey_helpers import a_recording
from wait_helpers import wait_for
from wav_helpers import write_wav

from asrwatch.errors import NeedsPerson, TemporaryError
from asrwatch.journey.backups import BackupRules, Backups
from asrwatch.journey.recording import State
from asrwatch.journey.store import Store, backup
from asrwatch.sandbox import Knobs, Sandbox, Scripted


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A cloud whose bill is the judge."""
    with Sandbox(recogniser=Scripted(), knobs=Knobs(rate_limits=False)) as running:
        yield running


def used(folder: Path, now: datetime) -> Path:
    """A state folder with something in it, closed in order."""
    with Store(folder) as store:
        for number in range(50):
            store.add(a_recording(State.SETTLED, now, path=b"/in/%d.wav" % number))
    return folder


def without(name: str) -> Callable[[Path], None]:
    """Delete a file of the state."""
    return lambda folder: (folder / name).unlink()


def truncate(folder: Path) -> None:
    """Half of the database is gone."""
    database = folder / "asrwatch.db"
    with database.open("r+b") as stream:
        stream.truncate(database.stat().st_size // 2)


def empty(folder: Path) -> None:
    """All of it is."""
    (folder / "asrwatch.db").write_bytes(b"")


def flip(folder: Path) -> None:
    """The page with the recordings' root is another one's."""
    database = folder / "asrwatch.db"
    content = bytearray(database.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096] ^= 0xFF
    database.write_bytes(content)


@pytest.mark.parametrize(
    "spoil", [without("asrwatch.db"), empty, truncate, flip], ids=["gone", "empty", "half", "bits"]
)
def test_a_spoilt_database_is_not_begun_anew(
    tmp_path: Path, now: datetime, spoil: Callable[[Path], None]
) -> None:
    """Gone, empty, truncated, bits flipped: nothing starts, and the steps to mend it are told. [S07]."""
    folder = used(tmp_path / "state", now)
    spoil(folder)
    with pytest.raises(NeedsPerson) as refused:
        Store(folder)
    assert "backup/" in refused.value.advice


def test_a_log_that_is_gone_is_missed(tmp_path: Path, now: datetime) -> None:
    """After a crash what was saved last is in the -wal file: without it nothing starts. [S07]."""
    folder = used(tmp_path / "state", now)
    with Store(folder) as store:
        store.add(a_recording(State.SETTLED, now, path=b"/in/last.wav"))
        shutil.copytree(folder, tmp_path / "crashed")
    (tmp_path / "crashed" / "asrwatch.db-wal").unlink()
    with pytest.raises(NeedsPerson, match="wal is gone"):
        Store(tmp_path / "crashed")


class Interrupted(Store):
    """A store whose process is told to end in the middle of opening it, or of closing it."""

    at = "before its mark"

    def _look_at_mark(self) -> None:
        if self.at == "before its mark":
            raise SystemExit
        super()._look_at_mark()

    def _mark(self, *, is_open: bool) -> None:
        if self.at == "closing" and not is_open:
            raise SystemExit
        super()._mark(is_open=is_open)
        if self.at == "at its mark":
            raise SystemExit


@pytest.mark.parametrize("at", ["before its mark", "at its mark", "closing"])
def test_an_end_in_the_middle_of_opening_or_closing_is_none(
    tmp_path: Path, now: datetime, at: str
) -> None:
    """A signal that comes while the database is opened, or closed, is no reason why the next start misses its log.

    The process ends in order, so SQLite removes the log that a crash had left, and nothing was lost [S07].
    """
    folder = used(tmp_path / "state", now)
    with Store(folder) as store:
        store.add(a_recording(State.SETTLED, now, path=b"/in/last.wav"))
        shutil.copytree(folder, tmp_path / "crashed")
    interrupted = type("Here", (Interrupted,), {"at": at})
    with pytest.raises(SystemExit), interrupted(tmp_path / "crashed"):
        pass
    gc.collect()
    assert not (tmp_path / "crashed" / "asrwatch.db-wal").exists()
    shutil.copytree(tmp_path / "crashed", tmp_path / "next")  # its lock ends with its process
    with Store(tmp_path / "next") as store:
        assert store.latest_at(b"/in/last.wav") is not None


def test_a_mark_that_cannot_be_written_is_none(tmp_path: Path, now: datetime) -> None:
    """The mark of an orderly end fails to be written: the next start does not miss a log that was removed. [S12]."""
    folder = used(tmp_path / "state", now)
    with Store(folder):
        (folder / ".asrwatch.mark").mkdir()
    assert not (folder / "asrwatch.mark").exists()
    Store(folder).close()


def test_a_backup_is_whole_and_verified(store: Store, now: datetime) -> None:
    """A backup is one file with everything in it; of those before, the newest stay. [P27]."""
    store.add(a_recording(State.SETTLED, now))
    backups = Backups(store, BackupRules(every=timedelta(days=1), keep=2))
    for day in range(4):
        at = now + timedelta(days=day)
        finish = backups.begin(at, busy=False)
        assert finish is not None
        assert backups.begin(at, busy=False) is None, "one at a time"
        backups.ended(finish(), at)
        assert backups.begin(at + timedelta(hours=23), busy=False) is None
    kept = backup.kept(store.state_dir)
    assert len(kept) == 2
    connection = sqlite3.connect(f"{kept[0].as_uri()}?mode=ro", uri=True)
    assert connection.execute("SELECT count(*) FROM recordings").fetchone() == (1,)
    connection.close()
    assert kept[0].stat().st_mode & 0o777 == 0o600
    assert backups.trouble is None


def test_a_backup_waits_for_a_quiet_moment_but_not_for_ever(store: Store, now: datetime) -> None:
    """While requests are under way it waits two hours, then it is taken all the same."""
    backups = Backups(store, BackupRules(every=timedelta(days=1), keep=2))
    assert backups.begin(now, busy=True) is None
    assert backups.begin(now + timedelta(hours=3), busy=True) is not None
    assert Backups(store, None).begin(now, busy=False) is None


def test_a_damaged_copy_is_never_kept(store: Store, now: datetime) -> None:
    """What fails the check replaces no backup, is told, and is tried again in an hour."""
    backups = Backups(store, BackupRules(every=timedelta(days=1), keep=1))
    finish = backups.begin(now, busy=False)
    assert finish is not None
    backups.ended(finish(), now)
    (good,) = backup.kept(store.state_dir)
    draft = store.copy()
    content = bytearray(draft.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096] ^= 0xFF
    draft.write_bytes(content)
    with pytest.raises(TemporaryError) as failed:
        backup.put_in_place(draft, now=now + timedelta(days=1), keep=1)
    backups.ended(failed.value, now)
    assert backup.kept(store.state_dir) == [good]
    assert backups.trouble is failed.value
    assert backups.begin(now + timedelta(minutes=59), busy=False) is None
    assert backups.begin(now + timedelta(minutes=61), busy=False) is not None


@pytest.mark.parametrize(
    "to_the_end",
    [False, pytest.param(True, marks=(pytest.mark.soak, pytest.mark.timeout(300)))],
)
def test_a_restored_backup_pays_nothing_twice_unasked(
    tmp_path: Path, sandbox: Sandbox, *, to_the_end: bool
) -> None:
    """What it holds is delivered from it; what was asked after it waits for a person. [S07] [P27]."""
    world = Installed(root=tmp_path, url=sandbox.url, key=sandbox.key, more={"reserve": "1MB"})
    state = tmp_path / "state"
    write_wav(world.inbox / "before.wav")
    assert world.call("once").returncode == 0
    with Store(state) as store:
        backups = Backups(store, BackupRules(every=timedelta(days=1), keep=3))
        finish = backups.begin(datetime.now(tz=UTC), busy=False)
        assert finish is not None
        assert finish() is None
    write_wav(world.inbox / "after.wav", number=2)
    assert world.call("once").returncode == 0
    assert len(sandbox.bill.paid) == 2

    # As the README says.
    for name in ("asrwatch.db", "asrwatch.db-wal", "asrwatch.db-shm"):
        (state / name).unlink(missing_ok=True)
    shutil.copy(backup.kept(state)[0], state / "asrwatch.db")
    (world.inbox / "before.txt").unlink()
    done = world.call("once")
    assert "restored from a backup" in done.stderr
    assert len(sandbox.bill.paid) == 2, "nothing was paid a second time"
    if not to_the_end:
        return
    assert world.call("retry", str(world.inbox / "before.wav")).returncode == 0
    write_wav(world.inbox / "new.wav", number=3)
    world.call("once")
    assert (world.inbox / "new.txt").exists(), "new files go on as ever"
    assert (world.inbox / "before.txt").exists(), "from the stored answer"
    assert len(sandbox.bill.paid) == 3
    assert world.call("retry", str(world.inbox / "after.wav")).returncode == 0
    assert world.call("once").returncode == 0
    assert len(sandbox.bill.paid) == 4, "a person asked for it"
    assert not sandbox.bill.attempts[4:]


def test_a_running_daemon_takes_backups(tmp_path: Path, sandbox: Sandbox) -> None:
    """The first is taken at once, and status tells of it. [P27]."""
    world = Installed(root=tmp_path, url=sandbox.url, key=sandbox.key)
    try:
        process = world.start()
        wait_for(lambda: "backup-taken" in [line["event"] for line in world.lines()])
        assert world.status()["backup_at"] is not None
        assert len(backup.kept(tmp_path / "state")) == 1
        assert world.stop(process) == 0
    finally:
        world.kill_all()
