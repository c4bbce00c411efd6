"""Disks that are full, locked or failing: nothing is asked without room, nothing that is paid for is lost."""

import sqlite3
import time
from pathlib import Path

import pytest
from e2e_helpers import Installed
from storage_helpers import a_world, call_failing, fill, needs_root, needs_strace, small_disk
from wait_helpers import wait_for
from wav_helpers import write_wav

from asrwatch.journey.recording import State
from asrwatch.journey.store import Store
from asrwatch.sandbox import Knobs, Sandbox, Scripted

LONG = (pytest.mark.soak, pytest.mark.timeout(300))
"""For what takes its time: the same sentence with one case more."""


def events(world: Installed) -> list[str]:
    """The names of what was logged."""
    return [line["event"] for line in world.lines()]


@needs_root
@pytest.mark.parametrize(
    "where", ["state", pytest.param("out", marks=LONG), pytest.param("inbox", marks=LONG)]
)
def test_a_full_disk_holds_recordings_until_there_is_room(
    tmp_path: Path, sandbox: Sandbox, where: str
) -> None:
    """Nothing is sent without room for its result; status says where; it goes on without a restart. [S03]."""
    with small_disk(tmp_path / where):
        world = a_world(tmp_path, sandbox)
        if where == "out":
            world.inbox_keys = {"output": str(tmp_path / "out")}
        try:
            write_wav(world.inbox / "talk.wav")
            filler = fill(tmp_path / where, leave=1_000_000)
            world.start()
            wait_for(lambda: "no-room" in events(world))
            status = world.status()
            assert [each["code"] for each in status["shortages"]] == ["no-room"]
            assert str(tmp_path / where) in status["shortages"][0]["message"]
            told = world.call("explain", str(world.inbox / "talk.wav"))
            if where != "state":
                wait_for(lambda: "planned" in events(world) or "staged" in events(world))
                told = world.call("explain", str(world.inbox / "talk.wav"))
            assert "must be before anything is asked for" in told.stdout
            assert not sandbox.bill.attempts
            filler.unlink()
            out = tmp_path / "out" if where == "out" else world.inbox
            wait_for((out / "talk.txt").exists)
            assert events(world).count("no-room") == 1
            assert len(sandbox.bill.paid) == 1
        finally:
            world.kill_all()


@needs_root
def test_no_more_files_fit(tmp_path: Path, sandbox: Sandbox) -> None:
    """A disk without inodes holds recordings as one without bytes does. [S14]."""
    with small_disk(tmp_path / "out", "size=8m,nr_inodes=12"):
        world = a_world(tmp_path, sandbox)
        world.inbox_keys = {"output": str(tmp_path / "out")}
        try:
            write_wav(world.inbox / "talk.wav")
            world.start()
            wait_for(lambda: "no-room" in events(world))
            assert world.status()["shortages"][0]["code"] == "no-files-left"
            assert not sandbox.bill.attempts
        finally:
            world.kill_all()


@needs_root
@pytest.mark.parametrize("killed", [pytest.param(False, marks=LONG), True])
def test_a_paid_answer_takes_the_room_of_the_reserve(tmp_path: Path, *, killed: bool) -> None:
    """The disk fills while a request is out: its answer is stored all the same, nothing more is asked. [S04]."""
    fillers: list[Path] = []

    def say(_: object) -> str:
        if not fillers:
            fillers.append(fill(tmp_path / "state"))
        return "Paid for."

    with (
        Sandbox(recogniser=Scripted(say), knobs=Knobs(rate_limits=False)) as sandbox,
        small_disk(tmp_path / "state"),
    ):
        world = a_world(tmp_path, sandbox, workers=1)
        try:
            write_wav(world.inbox / "talk.wav")
            process = world.start()
            wait_for(lambda: "transcribed" in events(world))
            assert "reserve-given-up" in events(world)
            write_wav(world.inbox / "more.wav", number=2)
            if killed:
                process.kill()
                process.wait()
            else:
                wait_for(lambda: "no-room" in events(world))
            assert len(sandbox.bill.paid) == 1
            fillers[0].unlink()
            if killed:
                process = world.start()
            assert world.text_of("talk") == "Paid for.\n"
            assert world.text_of("more") == "Paid for.\n"
            assert len(sandbox.bill.paid) == 2
            assert not sandbox.bill.paid_twice
            wait_for((tmp_path / "state" / "reserve").exists)
            assert world.stop(process) == 0
        finally:
            world.kill_all()


def test_a_locked_database_asks_for_nothing_and_heals(tmp_path: Path, sandbox: Sandbox) -> None:
    """Another program locks the database: loud, nothing is sent, and work goes on when it lets go. [S02]."""
    world = a_world(tmp_path, sandbox)
    try:
        process = world.start()
        other = sqlite3.connect(tmp_path / "state" / "asrwatch.db", isolation_level=None, timeout=9)
        other.execute("BEGIN EXCLUSIVE")
        write_wav(world.inbox / "talk.wav")
        wait_for(lambda: "database-trouble" in events(world))
        told = world.call("status")
        assert told.returncode == 1
        assert "has locked" in told.stderr
        assert not sandbox.bill.attempts
        other.execute("ROLLBACK")
        other.close()
        assert world.text_of("talk") == "Hello world.\n"
        assert events(world).count("database-trouble") == 1
        assert len(sandbox.bill.paid) == 1
        assert world.stop(process) == 0
    finally:
        world.kill_all()


@needs_strace
@pytest.mark.parametrize("numbers", [(3,), pytest.param((3, 5), marks=LONG)], ids=["one", "two"])
def test_a_failed_sync_is_never_tried_again(
    tmp_path: Path, sandbox: Sandbox, numbers: tuple[int, ...]
) -> None:
    """After an error of fsync nothing more is written: exit 75, and the next start reads what is true. [S06] [S12]."""
    world = a_world(tmp_path, sandbox)
    write_wav(world.inbox / "talk.wav")
    wal = tmp_path / "state" / "asrwatch.db-wal"
    for number in numbers:
        done = call_failing(
            world, f"fdatasync:error=EIO:when={number}", calls="fdatasync", path=wal
        )
        assert done.returncode == 75, done.stderr
        assert "Look at the disk" in done.stderr
    assert len(sandbox.bill.paid) <= 1
    again = world.call("once")
    assert again.returncode == 0, again.stderr
    assert world.text_of("talk") == "Hello world.\n"
    with Store(tmp_path / "state") as store:
        (done_with,) = store.in_state(*State)
        assert len(sandbox.bill.paid) - 1 <= store.ledger().perhaps_twice
        assert done_with.state is State.DELIVERED


@needs_root
def test_a_read_only_state_folder_is_told_at_the_start(tmp_path: Path, sandbox: Sandbox) -> None:
    """Where nothing can be written nothing begins: exit 75 and what to do. [S05]."""
    with small_disk(tmp_path / "state", "size=8m,ro"):
        world = a_world(tmp_path, sandbox)
        write_wav(world.inbox / "talk.wav")
        done = world.call("once")
        assert done.returncode == 75, done.stderr
        assert "Read-only file system" in done.stderr
        assert not sandbox.bill.attempts


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_an_end_does_not_wait_for_a_disk(tmp_path: Path, sandbox: Sandbox) -> None:
    """SIGTERM while the database is locked: it ends, and nothing was asked for. [S02]."""
    world = a_world(tmp_path, sandbox)
    try:
        process = world.start()
        other = sqlite3.connect(tmp_path / "state" / "asrwatch.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        write_wav(world.inbox / "talk.wav")
        wait_for(lambda: "database-trouble" in events(world))
        begun = time.monotonic()
        process.terminate()
        process.wait(45)
        assert time.monotonic() - begun < 40
        other.close()
        assert not sandbox.bill.attempts
    finally:
        world.kill_all()


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_database_locked_for_a_minute(tmp_path: Path, sandbox: Sandbox) -> None:
    """Locked for 60 s while files arrive: one line of alarm, no request, and afterwards everything once. [S02]."""
    world = a_world(tmp_path, sandbox)
    try:
        process = world.start()
        other = sqlite3.connect(tmp_path / "state" / "asrwatch.db", isolation_level=None, timeout=9)
        other.execute("BEGIN EXCLUSIVE")
        for number in range(3):
            write_wav(world.inbox / f"{number}.wav", number=number + 1)
            time.sleep(20)
            assert process.poll() is None
            assert not sandbox.bill.attempts
        other.execute("ROLLBACK")
        other.close()
        for number in range(3):
            assert world.text_of(str(number)) == "Hello world.\n"
        assert events(world).count("database-trouble") == 1
        assert events(world).count("database-trouble-over") == 1
        assert len(sandbox.bill.paid) == 3
        assert world.stop(process) == 0
    finally:
        world.kill_all()


def test_once_does_not_wait_for_room(tmp_path: Path, sandbox: Sandbox) -> None:
    """`once` on a disk without room ends with 1, says what waits and why, and has asked for nothing. [S03]."""
    world = a_world(tmp_path, sandbox, reserve="900TB")
    write_wav(world.inbox / "talk.wav")
    done = world.call("once")
    assert done.returncode == 1, done.stderr
    assert "talk.wav" in done.stderr
    assert "must be before anything is asked for" in done.stderr
    assert "Make room there" in done.stderr
    assert not sandbox.bill.attempts
