"""Every way to be told to end, or to look again: in time, in order, with nothing unknown left behind."""

import os
import random
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import start_helpers
from conftest import Keep
from e2e_helpers import Installed
from wait_helpers import PATIENCE, wait_for
from wav_helpers import write_wav

from asrwatch.journey.recording import State
from asrwatch.journey.store import Store
from asrwatch.sandbox import Fault, Knobs, Route, Sandbox, Wire

IDLE = 5.0
"""Seconds within which an end without a request under way is promised."""


@pytest.fixture
def world(tmp_path: Path, sandbox: Sandbox) -> Iterator[Installed]:
    """The installed program; what is longer than two seconds goes to the task model."""
    made = Installed(
        root=tmp_path,
        url=sandbox.url,
        key=sandbox.key,
        engines={"qwen3-asr-flash": {"longest": "2s"}},
    )
    yield made
    made.kill_all()


def unknown(world: Installed) -> int:
    """How many requests the books cannot account for."""
    with Store(world.root / "state") as store:
        return store.ledger().unknown + len(store.in_state(State.ASKING))


def said(world: Installed, event: str) -> Callable[[], bool]:
    """Whether the log has it."""
    return lambda: f'"{event}"'.encode() in world.log.read_bytes()


def told_to_end(world: Installed, process: "subprocess.Popen[bytes]") -> float:
    """How long it took to end, with 0, after SIGTERM."""
    begun = time.monotonic()
    assert world.stop(process) == 0
    return time.monotonic() - begun


def test_an_idle_daemon_ends_at_once(world: Installed) -> None:
    """SIGTERM while nothing is under way: exit 0 within five seconds [K02]."""
    assert told_to_end(world, world.start()) < IDLE


def test_a_request_under_way_is_waited_for(world: Installed, sandbox: Sandbox) -> None:
    """SIGTERM with a paid request out: its answer is waited for and saved, exit 0, nothing is unknown [K02]."""
    sandbox.knobs = Knobs(rate_limits=False, latency=timedelta(seconds=3))
    write_wav(world.inbox / "talk.wav")
    process = world.start()
    wait_for(lambda: len(sandbox.bill.paid) == 1)
    took = told_to_end(world, process)
    assert 1 < took < 3 + IDLE
    assert unknown(world) == 0
    with Store(world.root / "state") as store:
        assert [one.state for one in store.in_state(*State)] == [State.TRANSCRIBED]
    assert world.call("once").returncode == 0
    assert len(sandbox.bill.paid) == 1


def test_the_second_signal_hurries(world: Installed, sandbox: Sandbox) -> None:
    """A second SIGTERM waits for nothing, exit 0; the request that was out is unknown, and written down [K02]."""
    sandbox.knobs = Knobs(rate_limits=False, latency=timedelta(seconds=20))
    write_wav(world.inbox / "talk.wav")
    process = world.start()
    wait_for(lambda: len(sandbox.bill.paid) == 1)
    process.send_signal(signal.SIGTERM)
    wait_for(said(world, "stopping"))
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert time.monotonic() - begun < IDLE
    with Store(world.root / "state") as store:
        assert [one.state for one in store.in_state(*State)] == [State.ASKING]
    sandbox.knobs = Knobs(rate_limits=False)
    assert world.call("once").returncode == 0
    with Store(world.root / "state") as store:
        assert store.ledger().perhaps_twice == 1


def test_an_upload_is_broken_off(world: Installed, sandbox: Sandbox) -> None:
    """SIGTERM during a long upload, which is free: it is not waited for; the next start uploads anew [K02]."""
    sandbox.fault(
        Fault(what=Wire.SLOW, route=Route.OSS_UPLOAD, times=1, span=timedelta(seconds=25))
    )
    write_wav(world.inbox / "talk.wav", seconds=3)
    process = world.start()
    wait_for(lambda: any(one.route is Route.OSS_UPLOAD for one in sandbox.requests))
    assert told_to_end(world, process) < IDLE
    assert unknown(world) == 0
    assert world.call("once").returncode == 0
    assert world.text_of("talk") == "Hello world.\n"
    assert len(sandbox.bill.paid) == 1


def test_a_poll_is_broken_off(world: Installed, sandbox: Sandbox) -> None:
    """SIGTERM while the cloud is asked about a task: it is not waited for, and the task is followed later [K02]."""
    sandbox.fault(Fault(what=Wire.SLOW, route=Route.TASK, times=1, span=timedelta(seconds=25)))
    write_wav(world.inbox / "talk.wav", seconds=3)
    process = world.start()
    wait_for(lambda: any(one.route is Route.TASK for one in sandbox.requests))
    assert told_to_end(world, process) < IDLE
    assert unknown(world) == 0
    assert world.call("once").returncode == 0
    assert len(sandbox.bill.paid) == 1


def test_a_settling_file_and_a_waiting_one_hold_nothing_up(
    world: Installed, sandbox: Sandbox
) -> None:
    """SIGTERM while a file settles for long, and while a recording waits for its next try: at once [K02]."""
    sandbox.knobs = Knobs(rate_limits=False, sync_failures={"*": "InternalError"})
    world.inbox_keys = {"settle": "1h"}
    write_wav(world.inbox / "talk.wav")
    process = world.start()
    assert told_to_end(world, process) < IDLE
    world.inbox_keys = {}
    process = world.start()
    wait_for(lambda: said(world, "trouble")() or said(world, "engine-held")())
    assert told_to_end(world, process) < IDLE
    assert unknown(world) == 0


def test_sighup_looks_at_everything_again(world: Installed) -> None:
    """SIGHUP ends nothing: every inbox is looked at anew, and the log says so [K02]."""
    world.inbox_keys = {"watch": "poll", "scan_every": "1h"}
    process = world.start()
    time.sleep(0.5)  # past the first pass
    write_wav(world.inbox / "talk.wav")
    process.send_signal(signal.SIGHUP)
    assert world.text_of("talk") == "Hello world.\n"
    assert said(world, "looking-around")()
    assert process.poll() is None
    assert world.stop(process) == 0


def _ends_with_its_terminal(world: Installed) -> int:
    master, slave = os.openpty()
    with os.fdopen(slave, "wb") as terminal:
        process = start_helpers.start(
            "run",
            "-c",
            str(world.config()),
            env=world.environment(),
            cwd=world.root,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        )
    seen = b""
    while b"started" not in seen:
        assert select.select([master], [], [], PATIENCE)[0]
        seen += os.read(master, 65_536)
    os.close(master)
    process.send_signal(signal.SIGHUP)
    return process.wait(PATIENCE)


def test_a_closed_terminal_ends_it(world: Installed) -> None:
    """Started by hand, it ends in order when its terminal is closed, and goes on spending for nobody [K02]."""
    assert _ends_with_its_terminal(world) == 0


def test_a_closed_log_pipe_stops_no_work(world: Installed) -> None:
    """Whoever read the log went away (SIGPIPE): recordings are transcribed all the same, and the end is 0 [R02]."""
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "wb") as pipe:
        process = start_helpers.start(
            "run",
            "-c",
            str(world.config()),
            env=world.environment(),
            cwd=world.root,
            stdout=pipe,
            stderr=pipe,
        )
    assert os.read(ours, 1)
    os.close(ours)
    write_wav(world.inbox / "talk.wav")
    assert world.text_of("talk") == "Hello world.\n"
    assert world.stop(process) == 0


def test_a_full_disk_of_the_log_stops_no_work(world: Installed) -> None:
    """Where the log's disk is full, every line is lost and no recording; the end is 0 [R02]."""
    with Path("/dev/full").open("wb") as full:
        process = start_helpers.start(
            "run",
            "-c",
            str(world.config()),
            env=world.environment(),
            cwd=world.root,
            stdout=full,
            stderr=full,
        )
    write_wav(world.inbox / "talk.wav")
    assert world.text_of("talk") == "Hello world.\n"
    assert world.stop(process) == 0


def _second_daemon(world: Installed) -> float:
    """How long a second daemon takes to say that there is a first."""
    begun = time.monotonic()
    second = world.call("run")
    assert second.returncode == 1
    assert "Another asrwatch is using" in second.stderr
    return time.monotonic() - begun


def test_the_second_daemon_says_who_is_there(world: Installed, sandbox: Sandbox) -> None:
    """Two daemons on one state: the second ends and says why; the lock of one that was killed is none."""
    first = world.start()
    assert _second_daemon(world) < PATIENCE
    first.kill()
    first.wait(PATIENCE)
    write_wav(world.inbox / "talk.wav")
    assert world.call("once").returncode == 0
    assert len(sandbox.bill.paid) == 1


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_second_daemons_end_in_time(
    world: Installed, rounds: Callable[[int, int], int], promise: Keep
) -> None:
    """However often a second daemon is started beside the first, it ends within two seconds."""
    first = world.start()
    took = [_second_daemon(world) for _ in range(rounds(50, 5))]
    assert world.stop(first) == 0
    promise(
        "P31 two daemons on one state",
        promised="second ends in 2 s, saying why",
        measured=f"{len(took)} tries, slowest {max(took):.2f} s (one host: SQLite only)",
    )
    assert max(took) < 2


def test_systemd_is_asked_for_more_time(world: Installed, sandbox: Sandbox, tmp_path: Path) -> None:
    """While an end waits for a request, systemd hears that it takes longer than the unit allows."""
    sandbox.knobs = Knobs(rate_limits=False, latency=timedelta(seconds=2))
    write_wav(world.inbox / "talk.wav")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        process = world.start(NOTIFY_SOCKET=str(tmp_path / "notify"))
        wait_for(lambda: len(sandbox.bill.paid) == 1)
        assert world.stop(process) == 0
        manager.settimeout(0)
        heard = []
        while select.select([manager], [], [], 0)[0]:
            heard.append(manager.recv(1_000))
    assert heard[0] == b"READY=1"
    assert b"EXTEND_TIMEOUT_USEC=30000000" in heard[heard.index(b"STOPPING=1") :]


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_stopped_at_any_moment(
    world: Installed, sandbox: Sandbox, rounds: Callable[[int, int], int], promise: Keep
) -> None:
    """SIGTERM at random moments of busy starts: exit 0 every time, in time, nothing unknown, nothing paid twice."""
    chance = random.Random(23)  # noqa: S311 - moments, not secrets
    slow = timedelta(milliseconds=300)
    sandbox.knobs = Knobs(
        rate_limits=False, latency=slow, queue_time=timedelta(0), work_time=timedelta(0)
    )
    number = rounds(500, 25)
    codes, slowest, lost = [], 0.0, 0
    for turn in range(number):
        for copy in range(3):
            write_wav(
                world.inbox / f"{turn}-{copy}.wav",
                seconds=3 if copy == 2 else 1,
                number=3 * turn + copy,
            )
        with world.log.open("ab") as log:
            process = start_helpers.start(
                "run",
                "-c",
                str(world.config()),
                env=world.environment(),
                cwd=world.root,
                stdout=log,
                stderr=log,
            )
        # past the first milliseconds, in which a true start would still load Python
        time.sleep(0.05 + chance.random() * 1.5)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        codes.append(process.wait(PATIENCE))
        slowest = max(slowest, time.monotonic() - begun)
        lost += unknown(world)
    assert world.call("once", patience=600).returncode == 0
    twice = len(sandbox.bill.paid) - 3 * number
    promise(
        "P21 stopped at any moment",
        promised="exit 0, <= 5 s idle, 0 unknown",
        measured=f"{number} stops: {codes.count(0)} with 0, slowest {slowest:.1f} s, {lost} unknown, {twice} twice",
    )
    assert codes == [0] * number
    assert (lost, twice) == (0, 0)
    assert slowest < slow.total_seconds() + IDLE
