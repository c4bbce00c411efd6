"""What money is promised: paid once, held at once, reconciled, and never beyond the budget, by the cloud's own bill."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import Keep
from e2e_helpers import Installed
from wait_helpers import wait_for
from wav_helpers import write_wav

from asrwatch.sandbox import Fault, Knobs, Route, Sandbox, Scripted, Wire

pytestmark = pytest.mark.soak

WORKERS = 8
LONG = {"longest": "2s"}
"""With this, a recording of three seconds counts as long."""
ALL = {"lost_in_a_row": 10_000}
"""Every answer may be lost: what is measured here is what becomes of each."""
Rounds = Callable[[int, int], int]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A cloud that answers at once; its bill is the judge."""
    knobs = Knobs(rate_limits=False, queue_time=timedelta(0), work_time=timedelta(0))
    with Sandbox(recogniser=Scripted(), knobs=knobs) as running:
        yield running


@pytest.fixture
def installed(tmp_path: Path, sandbox: Sandbox) -> Iterator[Installed]:
    """The program, with a key that the sandbox accepts."""
    world = Installed(root=tmp_path, url=sandbox.url, key=sandbox.key, more={"workers": WORKERS})
    yield world
    world.kill_all()


BILLED = 3
"""Seconds that this cloud bills for whatever it is sent; so long are the recordings, too."""
PRICE = 0.00022
"""Of a second, in the region of these tests."""


def _fill(world: Installed, number: int, *, seconds: float = BILLED) -> None:
    for one in range(number):
        write_wav(world.inbox / f"r{one:03}.wav", seconds=seconds, number=one + 1)


def _paid_requests(sandbox: Sandbox) -> int:
    paths = {Route.CHAT, Route.GENERATION, Route.TRANSCRIPTION}
    return sum(request.route in paths for request in sandbox.requests)


@pytest.mark.timeout(300)
def test_the_same_content_is_billed_once(
    tmp_path: Path, installed: Installed, sandbox: Sandbox, promise: Keep
) -> None:
    """Ten deliveries of one content, by every way a file comes back: one line on the bill."""
    other = tmp_path / "other"
    other.mkdir()
    keys = {"settle": "100ms", "scan_every": "1s"}
    boxes = [{"path": str(installed.inbox), **keys}, {"path": str(other), "name": "other", **keys}]
    installed.more = {**installed.more, "inboxes": boxes}
    inbox, talk = installed.inbox, installed.inbox / "talk.wav"

    def moved() -> None:
        (inbox / "a.wav").rename(inbox / "moved.wav")

    def touched() -> None:
        os.utime(talk)

    def rewritten() -> None:
        content = talk.read_bytes()
        talk.unlink()
        talk.write_bytes(content)

    def inode_reused() -> None:
        content = (inbox / "b.wav").read_bytes()
        (inbox / "b.wav").unlink()
        (inbox / "c.wav").write_bytes(content)

    def forgotten() -> None:
        assert installed.call("forget", str(talk)).returncode == 0
        talk.unlink()
        shutil.copy(other / "there.wav", inbox / "again.wav")

    ways: tuple[Callable[[], object], ...] = (
        lambda: write_wav(talk),
        lambda: shutil.copy(talk, inbox / "a.wav"),
        lambda: shutil.copy2(talk, inbox / "b.wav"),
        moved,
        touched,
        rewritten,
        lambda: shutil.copy(talk, other / "there.wav"),
        lambda: os.link(other / "there.wav", other / "linked.wav"),
        inode_reused,
        forgotten,
    )
    for way in ways:
        way()
        done = installed.call("once")
        assert done.returncode in {0, 1}, done.stderr
    delivered = installed.status()["counts"]["delivered"]
    promise(
        "P10 the same content",
        promised="10 ways to deliver it, billed once",
        measured=f"{len(ways)} ways, {delivered} delivered, billed {len(sandbox.bill.paid)} times",
    )
    assert len(sandbox.bill.paid) == 1
    assert delivered >= 5


def _wait_until_staged(world: Installed, number: int) -> None:
    wait_for(lambda: world.status()["counts"]["staged"] == number, patience=240)


CODES = (
    ("InvalidApiKey", 401),
    ("Arrearage", 400),
    ("Arrearage", 403),
    ("Model.AccessDenied", 403),
    ("AllocationQuota.FreeTierOnly", 403),
    ("PostpaidBillOverdue", 429),
)


@pytest.mark.timeout(900)
def test_nothing_is_paid_where_nothing_would_get_through(
    tmp_path: Path, sandbox: Sandbox, rounds: Rounds, promise: Keep
) -> None:
    """Whatever the account's trouble, at most one request a slot goes out, then none; nothing is failed [A03]."""
    number = rounds(500, 60)
    worst = 0
    codes = CODES[: rounds(len(CODES), 2)]
    for round_, (code, status) in enumerate(codes):
        world = Installed(
            root=tmp_path / str(round_), url=sandbox.url, key=sandbox.key, more={"workers": WORKERS}
        )
        _fill(world, number)
        sandbox.fault(
            Fault(what=Wire.REFUSE, route=Route.CHAT, code=code, status=status, times=None)
        )
        before = _paid_requests(sandbox)
        daemon = world.start()
        try:
            _wait_until_staged(world, number)
            held = world.status()
            first = _paid_requests(sandbox) - before
            time.sleep(3)
            assert _paid_requests(sandbox) - before == first, "nothing more is asked"
            worst = max(worst, first)
            assert held["counts"]["failed"] == held["counts"]["parked"] == 0
            assert len(held["holds"]) == 1
            alarms = [line for line in world.lines() if line["event"] == "engine-held"]
            assert [line["level"] for line in alarms] == ["error"]
            assert world.stop(daemon) == 0
            daemon = world.start()
            time.sleep(2)
            assert _paid_requests(sandbox) - before == first, "a restart forgets no hold"
        finally:
            world.kill_all()
        sandbox.faults.clear()
    promise(
        "P11 a bad key, arrears, a forbidden model",
        promised=f"500 waiting: at most {WORKERS} requests, then 0, also after a restart; 0 failed",
        measured=f"{number} waiting, {len(codes)} codes: at most {worst}, then 0; 0 failed",
    )
    assert worst <= WORKERS


@pytest.mark.timeout(900)
def test_lost_submissions_are_found_again(
    installed: Installed, sandbox: Sandbox, rounds: Rounds, promise: Keep
) -> None:
    """Tasks that were accepted and never answered are all found in the list: none is submitted twice [A02]."""
    number = rounds(100, 20)
    installed.engines = {"qwen3-asr-flash": LONG, "qwen3-asr-flash-filetrans": ALL}
    fault = Fault(what=Wire.HANG_UP, route=Route.TRANSCRIPTION, times=number, after_work=True)
    sandbox.fault(fault)
    _fill(installed, number)
    done = installed.call("once", patience=800)
    assert done.returncode == 0, done.stderr
    found = installed.status()["ever"]
    promise(
        "P12 lost answers, tasks",
        promised="100 lost: 100 reconciled, 0 resubmitted",
        measured=f"{number} lost: {found['answered']} reconciled, {len(sandbox.bill.lines) - number} "
        "resubmitted",
    )
    assert len(sandbox.bill.lines) == number
    assert (found["asked"], found["answered"], found["unknown"]) == (number, number, 0)
    assert not sandbox.bill.paid_twice


@pytest.mark.timeout(900)
@pytest.mark.parametrize("unknown", ["park", "ask_again"])
def test_lost_sync_answers_are_parked_or_asked_again(
    installed: Installed, sandbox: Sandbox, rounds: Rounds, promise: Keep, unknown: str
) -> None:
    """With `park` none is asked twice and the cost is told; with `ask_again` each once more, and told as well [A02]."""
    number = rounds(100, 20)
    installed.inbox_keys = {"unknown": unknown}
    installed.engines = {"qwen3-asr-flash": ALL}
    sandbox.fault(Fault(what=Wire.HANG_UP, route=Route.CHAT, times=number, after_work=True))
    _fill(installed, number)
    done = installed.call("once", patience=800)
    told = installed.status()
    ever, asked = told["ever"], _paid_requests(sandbox)
    parks = unknown == "park"
    promise(
        f"P12 lost answers, sync, {unknown}",
        promised="100 lost: "
        + ("100 parked with their cost, 0 resubmitted" if parks else "each asked at most 3 times"),
        measured=f"{number} lost: {told['counts']['parked']} parked, {asked - number} resubmitted, "
        f"{ever['unknown']} unknown and {ever['perhaps_twice']} perhaps twice in the ledger, at most "
        f"{ever['money']:.5f} {told['currency']}",
    )
    assert ever["money"] == pytest.approx(asked * BILLED * PRICE)
    if parks:
        assert done.returncode == 1
        assert (asked, told["counts"]["parked"], ever["unknown"]) == (number, number, number)
        assert all(doubt["cost"] == pytest.approx(BILLED * PRICE) for doubt in told["doubts"])
    else:
        assert done.returncode == 0, done.stderr
        assert told["counts"]["delivered"] == number
        assert ever["perhaps_twice"] == asked - number
        assert max(sandbox.bill.times_paid(line.sha256) for line in sandbox.bill.paid) <= 3


PLACES = ("saving:asking", "answer-got", "answer-kept", "saved:asking", "saving:transcribed")


@pytest.mark.timeout(900)
def test_the_budget_holds_across_kills(
    installed: Installed, sandbox: Sandbox, rounds: Rounds, promise: Keep
) -> None:
    """Killed wherever money moves, again and again: the bill stays within the budget and one file for each slot."""
    limit = rounds(180, 60)
    installed.more = {**installed.more, "budget": {"day": {"audio": f"{limit}s"}}}
    number = limit * 2 // BILLED
    _fill(installed, number)
    kills = 0
    for place in PLACES * rounds(4, 1):
        died = installed.call("once", ASRWATCH_CRASH=f"{place}@{2 + kills % 3}")
        kills += died.returncode == -9
    last = installed.call("once")
    assert last.returncode == 1
    assert "budget" in last.stderr
    spent = sandbox.bill.seconds
    status = installed.status()
    promise(
        "P13 the budget",
        promised=f"the bill is at most the limit and {WORKERS} times the longest file, across kills",
        measured=f"{kills} kills, limit {limit} s: {spent} s billed (bound {limit + WORKERS * BILLED} s)",
    )
    assert spent <= limit + WORKERS * BILLED
    assert not [one for one in status["failed"] if "budget" in one["reason"]["code"]]
    assert timedelta(seconds=status["today"]["audio"]) >= timedelta(seconds=spent), "none is missed"
    installed.more = {**installed.more, "budget": {}}
    # whichever was under way at three of these deaths was parked, or failed as one that kills
    for which in ("--parked", "--failed"):
        assert installed.call("retry", which).returncode in {0, 1}
    assert installed.call("once", patience=300).returncode == 0
    assert installed.status()["counts"]["delivered"] == number


@pytest.mark.timeout(300)
def test_a_rotated_key_loses_no_task(
    tmp_path: Path, installed: Installed, sandbox: Sandbox, promise: Keep
) -> None:
    """Ten tasks under way when the key is replaced: followed with the new one to their ends, paid once [A12]."""
    account = sandbox.knobs.keys[sandbox.key]
    file = tmp_path / "key"
    file.write_text(sandbox.key)
    file.chmod(0o600)
    installed.more = {
        **installed.more,
        "cloud": {"base_url": sandbox.url, "api_key_file": str(file)},
    }
    installed.engines = {"qwen3-asr-flash": LONG}
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(hours=1))
    _fill(installed, 10)
    daemon = installed.start()
    wait_for(lambda: len(sandbox.bill.paid) == 10)
    sandbox.knobs = replace(
        sandbox.knobs, keys={"sk-rotated-0123456789": account}, queue_time=timedelta(0)
    )
    file.write_text("sk-rotated-0123456789")
    wait_for(lambda: installed.status()["counts"]["delivered"] == 10, patience=200)
    assert installed.stop(daemon) == 0
    promise(
        "A12 a key rotated while ten tasks run",
        promised="10 delivered, each paid once",
        measured=f"10 delivered, {len(sandbox.bill.paid)} paid",
    )
    assert len(sandbox.bill.paid) == 10
