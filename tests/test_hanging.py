"""A thread that hangs is noticed, named, and the reason for a new start, unless the others can go on without it."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest
from conftest import Keep
from desk_helpers import daemon_for
from e2e_helpers import Installed
from journey_helpers import a_recording
from wait_helpers import PATIENCE, wait_for

from asrwatch.clock import Clock
from asrwatch.daemon import Daemon
from asrwatch.daemon.mail import StepDone
from asrwatch.errors import EngineError, EngineTrouble, TemporaryError
from asrwatch.heartbeats import CALLED_OFF, Heartbeats, allow, beat, idle, vital
from asrwatch.journey.evidence import Asking
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.request import WHO
from asrwatch.journey.store import Store
from asrwatch.supervision import Supervision
from asrwatch.systemd import Notifier

HOUR = timedelta(hours=1)
SOON = timedelta(milliseconds=300)
WATCHDOG = timedelta(seconds=1)


class Hands:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Read it."""
        return self.now


def test_deadlines_are_each_threads_own() -> None:
    """Nobody is late who beats, who said that it takes longer, or who waits for work; who does none of it is."""
    hands = Hands()
    hearts = Heartbeats(hands)
    with hearts.pulse("working", usual=timedelta(seconds=10), vital=True, key="inbox"):
        hands.now = 9
        beat()
        hands.now = 18
        assert hearts.late() == ()
        with allow(timedelta(minutes=10)):
            hands.now = 600
            assert hearts.late() == ()
        with idle():
            hands.now = 60_000
            assert hearts.late() == ()
        hands.now += 11
        (late,) = hearts.late()
    assert (late.doing, late.vital, late.key) == ("working", True, "inbox")
    assert late.since == timedelta(seconds=11)
    assert hearts.late() == ()


def test_where_nobody_counts_nothing_happens() -> None:
    """The same code runs in commands without a daemon."""
    beat()
    with allow(SOON), idle():
        beat()


def test_a_request_is_vital_and_the_opening_of_its_file_is_not() -> None:
    """A share that does not answer is no reason to start the daemon anew; a request that never ends is one [K06]."""
    now = [0.0]
    hearts = Heartbeats(lambda: now[0])
    with hearts.pulse("asking about talk.wav", usual=timedelta(seconds=1), vital=False):
        now[0] = 2.0
        assert not hearts.late()[0].vital
        with vital():
            assert hearts.late()[0].vital
        assert not hearts.late()[0].vital


def test_who_comes_first_decides_whether_a_request_leaves() -> None:
    """What was called off never begins what is vital; what has begun it cannot be called off any more [K06]."""
    hearts, key = Heartbeats(), object()
    with hearts.pulse("asking", usual=SOON, vital=False, key=key) as mine:
        assert not hearts.call_off(object())
        assert hearts.call_off(key)
        assert not hearts.call_off(key)
        with pytest.raises(TemporaryError) as raised, vital():
            pytest.fail("it was called off")
        assert raised.value.code == CALLED_OFF
        assert not mine.goes_on()
    with hearts.pulse("asking", usual=SOON, vital=False, key=key) as mine:
        for _ in range(2):
            with vital():
                assert not hearts.call_off(key)
        assert not hearts.call_off(key), "what was asked for is out"
        assert mine.goes_on()


def test_a_share_that_hangs_holds_up_no_engine(store: Store, now: datetime) -> None:
    """A probe whose file does not answer is called off: another may follow, a copy is asked, nothing is sent twice."""
    hands, hangs, begun = Hands(), threading.Event(), threading.Event()
    daemon = Daemon(replace(daemon_for(store).house, clock=Clock(monotonic=hands)))
    held = EngineError("No.", code="c", trouble=EngineTrouble.FORBIDDEN)
    daemon.gate.refuse("some-engine", held, now=now - HOUR, asked_at=None, key_digest=None)
    staged = store.save(*_staged(store, now))
    assert staged.reading is not None
    asking = store.save(staged, staged.announce(Asking(asked_at=now, who=WHO), now=now))
    daemon.gate.take("some-engine", now)

    def ask() -> Recording:
        begun.set()
        hangs.wait(PATIENCE)
        with vital():
            return asking

    try:
        daemon.begin(ask, asking)
        assert begun.wait(PATIENCE)
        hands.now = 1000.0
        daemon.supervision.glance()
        assert not daemon.gate.is_open("some-engine", now + HOUR)
        daemon.workers.call_off()
        daemon.workers.call_off()
        told = daemon.mailbox.get(timeout=PATIENCE)
        assert isinstance(told, StepDone)
        assert isinstance(told.outcome, TemporaryError)
        assert daemon.left_behind, "an end does not wait for it"
        daemon.keeper.suffered(told.before, told.outcome, now=now)
    finally:
        hangs.set()
        daemon.workers.shut_down(wait=True)
    assert daemon.mailbox.empty(), "its end is told once"
    assert not daemon.workers.aside
    assert daemon.gate.is_open("some-engine", now + HOUR)
    assert not store.being_bought(staged.reading.purchase)
    assert (store.ledger().asked, store.ledger().unsent) == (0, 1)
    (back,) = store.in_state(State.STAGED)
    assert back.trouble is not None
    assert back.trouble.last.code == CALLED_OFF


def _staged(store: Store, now: datetime) -> tuple[Recording, Recording]:
    staged = a_recording(State.STAGED, now)
    found = Recording.found(
        inbox=staged.inbox, path=staged.path, fingerprint=staged.fingerprint, now=now
    )
    added = store.add(found)
    return added, replace(staged, id=added.id)


@pytest.fixture
def stuck() -> Iterator[Callable[..., None]]:
    """Starts a thread that hangs in a function by the name of `lost_in_here` until the test is over."""
    go_on = threading.Event()
    threads: list[threading.Thread] = []

    def lost_in_here(*, spins: bool) -> None:
        if spins:
            while not go_on.is_set():
                pass
        go_on.wait(PATIENCE)

    def start(hearts: Heartbeats, *, vital: bool, spins: bool = False) -> None:
        begun = threading.Event()

        def work() -> None:
            with hearts.pulse("reading talk.wav", usual=SOON, vital=vital):
                begun.set()
                lost_in_here(spins=spins)

        threads.append(threading.Thread(target=work, name="worker 1"))
        threads[-1].start()
        assert begun.wait(PATIENCE)

    yield start
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(PATIENCE)
        yield receiver


def _pings_until_silence(manager: socket.socket) -> float:
    """When the last ping came; silence is as long as systemd waits."""
    last = time.monotonic()
    manager.settimeout(WATCHDOG.total_seconds())
    while True:
        try:
            assert manager.recv(100) == b"WATCHDOG=1"
        except TimeoutError:
            return last
        last = time.monotonic()


def test_a_stuck_request_ends_the_pings(
    stuck: Callable[..., None],
    manager: socket.socket,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Beyond its deadline the supervisor gets no more pings; the log names the thread and the place [K06]."""
    dumped: list[int] = []
    hearts = Heartbeats()
    supervision = Supervision(
        hearts,
        Notifier(str(tmp_path / "notify"), watchdog=WATCHDOG),
        dump=lambda: dumped.append(1),
    )
    supervision.start()
    assert manager.recv(100) == b"WATCHDOG=1"
    stuck(hearts, vital=True)
    _pings_until_silence(manager)
    supervision.stop()
    said = capsys.readouterr().err
    assert dumped == [1]
    assert "thread-stuck" in said
    assert "worker 1" in said
    assert "reading talk.wav" in said
    assert "lost_in_here" in said


def test_a_share_that_hangs_is_told_and_others_go_on(
    stuck: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """A thread that waits for a file is reported once and ends no ping; one that burns time instead does [K06]."""
    hearts = Heartbeats()
    supervision = Supervision(hearts, Notifier(), dump=lambda: None)
    stuck(hearts, vital=False)
    wait_for(lambda: bool(hearts.late()))
    assert supervision.glance()
    assert supervision.glance()
    assert [late.thread for late in supervision.late] == ["worker 1"]
    assert capsys.readouterr().err.count("thread-stuck") == 1
    stuck(hearts, vital=False, spins=True)
    wait_for(lambda: not supervision.glance())


def _wait_until_idle(pid: int) -> None:
    """Until a process hangs in its waits: stacks of threads at work are read at the risk of a second signal."""
    watched = psutil.Process(pid)
    seen = [0.0]

    def quiet() -> bool:
        times = watched.cpu_times()
        seen.append(times.user + times.system)
        return len(seen) > 10 and seen[-1] == seen[-10]

    wait_for(quiet)


def test_the_watchdogs_signal_leaves_the_stacks(tmp_path: Path) -> None:
    """SIGABRT, as systemd sends it, writes every thread's stack, the function it hangs in included [K06]."""
    world = Installed(root=tmp_path, url="http://127.0.0.1:9")
    process = world.start()
    _wait_until_idle(process.pid)
    process.send_signal(signal.SIGABRT)
    assert process.wait(PATIENCE) == -signal.SIGABRT
    told = world.log.read_text()
    assert "Fatal Python error: Aborted" in told
    assert "daemon.py" in told
    assert "lookout.py" in told
    assert '"watchdog": "none' in told


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_hangs_are_noticed_in_time(
    stuck: Callable[..., None],
    manager: socket.socket,
    tmp_path: Path,
    rounds: Callable[[int, int], int],
    promise: Keep,
) -> None:
    """After its deadline a stuck thread gets at most one more glance: systemd restarts within its WatchdogSec."""
    slowest = 0.0
    number = rounds(20, 3)
    for _ in range(number):
        hearts = Heartbeats()
        supervision = Supervision(
            hearts, Notifier(str(tmp_path / "notify"), watchdog=WATCHDOG), dump=lambda: None
        )
        supervision.start()
        stuck(hearts, vital=True)
        deadline = time.monotonic() + SOON.total_seconds()
        slowest = max(slowest, _pings_until_silence(manager) - deadline)
        supervision.stop()
    promise(
        "P22 a stuck thread",
        promised="no ping after its deadline, stacks named",
        measured=f"{number} hangs: last ping {slowest:+.2f} s after the deadline (WatchdogSec {WATCHDOG.seconds} s)",
    )
    assert slowest < WATCHDOG.total_seconds()
