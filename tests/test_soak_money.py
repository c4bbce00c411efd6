"""What money is promised: paid once, held at once, reconciled, and never beyond the budget, by the cloud's own bill."""

import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import Keep
from e2e_helpers import Installed
from wait_helpers import wait_for
from wav_helpers import write_wav

from asrwatch.sandbox import Fault, Route, Sandbox, Wire

pytestmark = pytest.mark.soak

WORKERS = 8
LONG = {"longest": "2s"}
"""With this, a recording of three seconds counts as long."""
ALL = {"lost_in_a_row": 10_000}
"""Every answer may be lost: what is measured here is what becomes of each."""
Rounds = Callable[[int, int], int]


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
    """Ten ways in which one content comes to inboxes: one line on the bill, and of each it is known what it became.

    Eight lie at a path of their own and are delivered, each beside itself, from the one stored answer. A file that
    was touched, or written anew with what it had, is the recording it was: it has its transcript, and nothing is
    done. None is refused: the file with two names belongs to the owner of its inbox. What a person had forgotten is
    no recording any more, so at the end seven are on the books.
    """
    other = tmp_path / "other"
    other.mkdir()
    keys = {"settle": "100ms", "scan_every": "1s"}
    boxes = [{"path": str(installed.inbox), **keys}, {"path": str(other), "name": "other", **keys}]
    installed.more = {**installed.more, "inboxes": boxes}
    inbox, talk = installed.inbox, installed.inbox / "talk.wav"

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

    delivered, same = "delivered", "the same recording"
    ways: tuple[tuple[Path, str, Callable[[], object]], ...] = (
        (talk, delivered, lambda: write_wav(talk)),
        (inbox / "a.wav", delivered, lambda: shutil.copy(talk, inbox / "a.wav")),
        (inbox / "b.wav", delivered, lambda: shutil.copy2(talk, inbox / "b.wav")),
        (inbox / "moved.wav", delivered, lambda: (inbox / "a.wav").rename(inbox / "moved.wav")),
        (talk, same, lambda: os.utime(talk)),
        (talk, same, rewritten),
        (other / "there.wav", delivered, lambda: shutil.copy(talk, other / "there.wav")),
        (
            other / "linked.wav",
            delivered,
            lambda: os.link(other / "there.wav", other / "linked.wav"),
        ),
        (inbox / "c.wav", delivered, inode_reused),
        (inbox / "again.wav", delivered, forgotten),
    )
    for number, (file, becomes, way) in enumerate(ways, start=1):
        known = _story_of(installed, file)
        way()
        done = installed.call("once")
        assert done.returncode == 0, (number, done.stdout, done.stderr)
        story = _story_of(installed, file)
        assert story is not None, number
        assert story["state"] == "delivered", number
        assert len(sandbox.bill.paid) == 1, number
        assert file.with_suffix(".txt").read_text() == talk.with_suffix(".txt").read_text()
        assert (known is None) == (becomes is delivered), number
        if known is not None:
            assert story["id"] == known["id"], number
            assert "same content" in json.dumps(story), number
        elif number > 1:
            assert "transcribed before" in json.dumps(story), number
    counts = installed.status()["counts"]
    promise(
        "P10 the same content",
        promised="10 ways to deliver it, billed once",
        measured=f"{len(ways)} ways: 8 delivered, 2 the same recording; billed {len(sandbox.bill.paid)} time",
    )
    assert counts["delivered"] == 7
    assert sum(counts.values()) == 7


def _story_of(installed: Installed, file: Path) -> Any:
    """What is known of a file; None where nothing is."""
    told = installed.call("explain", str(file), "--json")
    return json.loads(told.stdout)["story"]


def _wait_until_staged(world: Installed, number: int) -> None:
    wait_for(lambda: world.status()["counts"]["staged"] == number, patience=240)


REFUSALS: tuple[tuple[str, int, str | None], ...] = (
    ("InvalidApiKey", 401, None),
    ("insufficient_quota", 429, "Free allocated quota exceeded."),
    ("Arrearage", 400, None),
    ("Arrearage", 403, None),
    ("Model.AccessDenied", 403, None),
    ("AllocationQuota.FreeTierOnly", 403, None),
    ("PostpaidBillOverdue", 429, None),
)
"""Code, status and, where one code has two meanings (contract section 7), the message."""


def _probes(world: Installed) -> int:
    """How often a hold ended and one request tried the engine: never before its date, and each told once."""
    told = [line for line in world.lines() if line["event"] == "engine-held"]
    assert [line["level"] for line in told] == ["error", *["warning"] * (len(told) - 1)]
    for before, after in itertools.pairwise(told):
        tried = datetime.fromisoformat(after["timestamp"])
        assert tried >= datetime.fromisoformat(before["until"])
    return len(told) - 1


def _only_probes(world: Installed, sandbox: Sandbox, *, besides: int) -> bool:
    return _paid_requests(sandbox) == besides + _probes(world)


@pytest.mark.timeout(900)
def test_nothing_is_paid_where_nothing_would_get_through(
    tmp_path: Path, sandbox: Sandbox, rounds: Rounds, promise: Keep
) -> None:
    """Whatever the account's trouble, at most one request a slot goes out, then single probes; nothing fails [A03]."""
    number = rounds(500, 60)
    worst = 0
    codes = REFUSALS[: rounds(len(REFUSALS), 2)]
    for round_, (code, status, message) in enumerate(codes):
        world = Installed(
            root=tmp_path / str(round_), url=sandbox.url, key=sandbox.key, more={"workers": WORKERS}
        )
        _fill(world, number)
        sandbox.fault(
            Fault(
                what=Wire.REFUSE,
                route=Route.CHAT,
                code=code,
                status=status,
                message=message,
                times=None,
            )
        )
        before = _paid_requests(sandbox)
        daemon = world.start()
        try:
            _wait_until_staged(world, number)
            held = world.status()
            first = _paid_requests(sandbox) - before - _probes(world)
            worst = max(worst, first)
            assert held["counts"]["failed"] == held["counts"]["parked"] == 0
            assert len(held["holds"]) == 1
            only_probes = partial(_only_probes, world, sandbox, besides=before + first)
            time.sleep(3)
            wait_for(only_probes)  # and the line of one that is just out
            assert world.stop(daemon) == 0
            daemon = world.start()
            time.sleep(2)
            wait_for(only_probes)  # a restart forgets no hold
        finally:
            world.kill_all()
        sandbox.faults.clear()
    promise(
        "P11 a bad key, arrears, no quota, a forbidden model",
        promised=f"500 waiting: at most {WORKERS} requests, then only probes, also after a restart; 0 failed",
        measured=f"{number} waiting, {len(codes)} refusals: at most {worst}, then only probes; 0 failed",
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
