"""Every write fails once, with every error a disk knows: nothing paid is lost, nothing is paid twice unasked."""

import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from conftest import Keep
from storage_helpers import a_world, call_failing, has_failed, needs_strace
from wav_helpers import write_wav

from asrwatch.journey.backups import BackupRules, Backups
from asrwatch.journey.recording import State
from asrwatch.journey.store import Store, backup
from asrwatch.sandbox import Sandbox

pytestmark = pytest.mark.soak

WRITES = {
    "pwrite64": 40,
    "fdatasync": 12,
    "fsync": 8,
    "ftruncate": 2,
    "fallocate": 1,
    "rename": 3,
    "write": 4,
    "linkat": 2,
}
"""Calls by which the state and the transcripts reach the disk, and how many of each a run is made to fail at."""
FULL = ("ENOSPC", "EDQUOT")
FAILING = ("EIO", "EROFS", "EACCES")


def lost_and_paid_twice(root: Path, sandbox: Sandbox, call: str, number: int, error: str) -> str:
    """One run in which the n-th such call fails, and one in which nothing does: what went wrong, if anything."""
    world = a_world(root, sandbox)
    write_wav(world.inbox / "talk.wav", number=len(sandbox.requests) + 1)
    before = len(sandbox.bill.paid)
    call_failing(world, f"{call}:error={error}:when={number}", calls=call)
    again = world.call("once")
    if again.returncode != 0:
        return f"{call}@{number} {error}: {again.stderr[-300:]}"
    if (world.inbox / "talk.txt").read_text() != "Hello world.\n":
        return f"{call}@{number} {error}: the transcript is not whole"
    with Store(root / "state") as store:
        told = store.ledger().perhaps_twice
        if [one.state for one in store.in_state(*State)] != [State.DELIVERED]:
            return f"{call}@{number} {error}: not delivered"
    extra = len(sandbox.bill.paid) - before - 1
    return f"{call}@{number} {error}: paid {extra} times more, {told} told" if extra > told else ""


@needs_strace
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("errors", [FULL, FAILING], ids=["full", "failing"])
def test_every_write_that_fails_loses_nothing(
    tmp_path: Path,
    sandbox: Sandbox,
    promise: Keep,
    rounds: Callable[[int, int], int],
    errors: tuple[str, ...],
) -> None:
    """The k-th write, sync or rename fails: the next run delivers, what is paid again is told. [S03] [S12] [S14]."""
    sites = [(call, n) for call, most in WRITES.items() for n in range(1, most + 1)]
    cases = [(call, n, error) for (call, n), error in product(sites, errors)]
    some = cases[:: max(1, len(cases) // rounds(len(cases), 11))]
    wrong = [
        told
        for number, (call, n, error) in enumerate(some)
        if (told := lost_and_paid_twice(tmp_path / str(number), sandbox, call, n, error))
    ]
    hit = {
        (call, n)
        for number, (call, n, _) in enumerate(some)
        if has_failed(a_world(tmp_path / str(number), sandbox))
    }
    name = "P19 disk full at the k-th write" if errors is FULL else "P20 the k-th write fails"
    promise(
        f"{name} ({', '.join(errors)})",
        promised="0 paid results lost, 0 paid twice untold, at >= 30 write sites",
        measured=f"{len(wrong)} wrong of {len(some)} cases; a call was there to fail at {len(hit)} sites",
    )
    assert len(hit) >= min(30, len(some) * 2 // 3), hit
    assert not wrong, "\n".join(wrong)


@pytest.mark.timeout(300)
def test_a_backup_can_be_restored(tmp_path: Path, sandbox: Sandbox, promise: Keep) -> None:
    """A backup of a used state, put in its place: everything is there, and nothing is paid again. [P27]."""
    world = a_world(tmp_path, sandbox)
    for number in range(10):
        write_wav(world.inbox / f"{number}.wav", number=number + 1)
    assert world.call("once").returncode == 0
    state = tmp_path / "state"
    with Store(state) as store:
        finish = Backups(store, BackupRules(every=timedelta(days=1), keep=1)).begin(
            datetime.now(tz=UTC), busy=False
        )
        assert finish is not None
        assert finish() is None
    paid = len(sandbox.bill.paid)
    (taken,) = backup.kept(state)
    for name in ("asrwatch.db", "asrwatch.db-wal", "asrwatch.db-shm"):
        (state / name).unlink(missing_ok=True)
    shutil.copy(taken, state / "asrwatch.db")
    assert world.call("once").returncode == 0
    connection = sqlite3.connect(f"{(state / 'asrwatch.db').as_uri()}?mode=ro", uri=True)
    (whole,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    with Store(state) as store:
        delivered = store.count_by_state()[State.DELIVERED]
    again = len(sandbox.bill.paid) - paid
    promise(
        "P27 verified backup, restored",
        promised="restore 1/1, integrity ok, 0 paid again",
        measured=f"restore {int(delivered == 10)}/1, integrity {whole}, {again} paid again",
    )
    assert (delivered, whole, again) == (10, "ok", 0)
