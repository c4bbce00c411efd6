"""The clock is set, stands still, or was never set: nothing is lost, bought twice, hurried or kept waiting."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import Keep
from fake_engine import FakeOptions, fake_cloud
from journey_helpers import FAILURE, STAGING, a_recording
from test_daemon import Scripted, Tasks, World, heard
from wait_helpers import wait_for
from wav_helpers import write_wav

from asrwatch.clock import EARLIEST, Clock, Offset, Steady, Step, is_set
from asrwatch.daemon import House
from asrwatch.engines import Ask, Heard, Pending
from asrwatch.errors import TemporaryError
from asrwatch.inbox.looks import Look, Signature
from asrwatch.inbox.settle import Settler
from asrwatch.journey import timeshift
from asrwatch.journey.evidence import Trouble
from asrwatch.journey.recording import State
from asrwatch.journey.store import Store

HOUR, YEARS = timedelta(hours=1), timedelta(days=3653)
STEPS = [HOUR, -HOUR, YEARS, -YEARS]
NAMES = ["an hour on", "an hour back", "ten years on", "ten years back"]


@dataclass
class Hands:
    """A wall clock with hands to be turned, over a machine that may sleep; seconds go by as they do."""

    wrong: timedelta = timedelta(0)
    slept: timedelta = timedelta(0)
    boot: str = "this boot"

    def clock(self) -> Clock:
        """To be read by the daemon."""
        return Clock(
            now=lambda: datetime.now(tz=UTC) + self.wrong + self.slept,
            monotonic=time.monotonic,
            boottime=lambda: time.monotonic() + self.slept.total_seconds(),
            boot_id=lambda: self.boot,
        )


class Timed(World):
    """A world whose daemons read a clock of the test's."""

    hands: Hands

    def house(self, store: Store) -> House:
        """The same house, with that clock."""
        return replace(super().house(store), clock=self.hands.clock())


@pytest.fixture
def hands() -> Hands:
    """Right, to begin with."""
    return Hands()


@pytest.fixture
def world(tmp_path: Path, hands: Hands) -> Timed:
    """An empty world."""
    (tmp_path / "inbox").mkdir()
    made = Timed(root=tmp_path, engine=Scripted(FakeOptions(), fake_cloud()))
    made.hands = hands
    return made


def stepped(by: timedelta, was: datetime) -> Step:
    """The clock was set."""
    return Step(by=by, was=was, slept=timedelta(0))


def test_a_clock_that_goes_on_is_no_news(now: datetime) -> None:
    """Time that passes is nothing; a clock that is set, and a machine that sleeps, are each noticed once [T01]."""
    hands = {"wall": now, "boot": 100.0, "awake": 100.0}

    def at(name: str) -> float:
        told = hands[name]
        assert isinstance(told, float)
        return told

    clock = Clock(
        now=lambda: hands["wall"],  # type: ignore[arg-type, return-value]
        boottime=lambda: at("boot"),
        monotonic=lambda: at("awake"),
        boot_id=lambda: "b",
    )
    steady = Steady(clock)
    hands.update(wall=now + HOUR, boot=3700.0, awake=3700.0)
    assert steady.look() is None
    hands["wall"] = now + 3 * HOUR
    assert steady.look() == Step(by=2 * HOUR, was=now + HOUR, slept=timedelta(0))
    assert steady.look() is None
    hands.update(wall=now + 11 * HOUR, boot=3700.0 + 8 * 3600)
    assert steady.look() == Step(by=timedelta(0), was=now + 11 * HOUR, slept=8 * HOUR)
    assert steady.look() is None


def test_a_step_while_nobody_ran_is_noticed_in_the_same_boot(now: datetime) -> None:
    """What the last run kept of the clock tells of a step until the machine is started anew [T01]."""
    clock = Clock(
        now=lambda: now, boottime=lambda: 50.0, monotonic=lambda: 50.0, boot_id=lambda: "b"
    )
    booted = now - timedelta(seconds=50)
    assert Steady(clock, Offset(boot_id="b", booted=booted)).look() is None
    found = Steady(clock, Offset(boot_id="b", booted=booted + YEARS)).look()
    assert found is not None
    assert (found.by, found.was) == (-YEARS, now + YEARS)
    assert Steady(clock, Offset(boot_id="another", booted=booted + YEARS)).look() is None


@pytest.mark.parametrize("by", STEPS, ids=NAMES)
def test_waits_stay_as_long_as_they_were(now: datetime, by: timedelta) -> None:
    """Due dates, patience, a task's age and a URL's life move with the clock; a second step back undoes it [T01]."""
    task = a_recording(State.SUBMITTED, now - HOUR)
    waiting = replace(
        task,
        due=now + timedelta(minutes=5),
        trouble=Trouble(since=now - HOUR, count=2, last=FAILURE),
        staging=replace(STAGING, url_expires=now + timedelta(hours=47)),
    )
    after = timeshift.moved(waiting, stepped(by, now))
    assert after.trouble is not None
    assert after.task is not None
    assert after.staging is not None
    assert after.staging.url_expires is not None
    then = now + by
    assert (after.due - then, then - after.trouble.since, then - after.task.submitted_at) == (
        timedelta(minutes=5),
        HOUR,
        HOUR,
    )
    assert after.staging.url_expires - then == timedelta(hours=47)
    assert timeshift.moved(after, stepped(-by, then)) == waiting


def test_dates_of_another_clock_stay(now: datetime) -> None:
    """What was written by the right clock does not follow one that comes from 1970 to be right again [T01]."""
    waiting = replace(a_recording(State.SETTLED, now), due=now + timedelta(minutes=5))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert timeshift.moved(waiting, stepped(now - epoch, epoch)) == waiting


def test_a_date_ten_years_ahead_is_pulled_in(now: datetime) -> None:
    """A due date that only a wrong clock can have set is waited for by nobody once the clock is right [T01]."""
    absurd = replace(a_recording(State.SETTLED, now), due=now + YEARS)
    assert timeshift.moved(absurd, stepped(timedelta(seconds=2), now)).due == now + timedelta(
        seconds=2
    )
    assert timeshift.pulled_in(absurd, now).due == now


def test_a_task_of_the_future_ages(now: datetime) -> None:
    """A task accepted under a clock years ahead counts as accepted now; an ask keeps the date that is doubted [T01]."""
    absurd = a_recording(State.SUBMITTED, now + YEARS)
    task = timeshift.pulled_in(absurd, now).task
    assert task is not None
    assert task.submitted_at == now
    asking = a_recording(State.ASKING, now + YEARS)
    assert timeshift.pulled_in(asking, now).asking == asking.asking


def test_sleep_strains_nobodys_patience(now: datetime) -> None:
    """A machine that slept for a week did not try for a week [T01]."""
    week = timedelta(days=7)
    tired = replace(
        a_recording(State.SETTLED, now), trouble=Trouble(since=now, count=1, last=FAILURE)
    )
    after = timeshift.moved(tired, Step(by=timedelta(0), was=now + week, slept=week))
    assert after.trouble is not None
    assert after.trouble.since == now + week
    assert after.due == tired.due


@pytest.mark.parametrize("mtime", [0, 2**31 - 1, 4_102_444_800], ids=["1970", "2038", "2100"])
def test_a_files_own_date_never_matters(mtime: int) -> None:
    """A file from 1970, 2038 or 2100 settles after its quiet time like any other, by the monotonic clock [T02]."""
    settler = Settler(settle=timedelta(seconds=5))
    look = Look(b"/inbox/talk.wav", Signature(1, 2, 3, 8, mtime * 10**9, 0), 1)
    assert [settler.look(look, moment) for moment in (0.0, 4.9, 5.0)] == [False, False, True]


@pytest.mark.parametrize(
    ("before", "after"),
    [(timedelta(0), YEARS), (YEARS, timedelta(0))],
    ids=["ten years on", "ten years back"],
)
def test_a_recording_that_waits_goes_on_when_it_would_have(
    world: Timed, hands: Hands, before: timedelta, after: timedelta
) -> None:
    """The clock is set while a recording waits for its next try: it neither waits for ten years nor fails [T01]."""
    healed = threading.Event()
    hands.wrong = before

    def respond(_: Ask) -> Heard:
        if healed.is_set():
            return heard("hello")
        raise TemporaryError("Not now.", code="not-now", retry_after=timedelta(seconds=4))

    world.engine.respond = respond
    write_wav(world.inbox / "talk.wav")
    with world.running():
        wait_for(lambda: any(change.after.trouble for change in world.changes))
        asked = len(world.engine.asked)
        hands.wrong = after
        healed.set()
        wait_for((world.inbox / "talk.txt").exists, patience=60)
    assert len(world.engine.asked) == asked + 1
    assert [one.state for one in world.recordings()] == [State.DELIVERED]


def test_no_task_is_given_up_or_hurried(tmp_path: Path) -> None:
    """While the clock jumps about, a task is asked about no more than once a second and followed to its end [T01]."""
    hands = Hands()
    (tmp_path / "inbox").mkdir()
    engine = Tasks(FakeOptions(), fake_cloud())
    engine.respond = lambda ask: Pending(ticket=f"ticket-{ask.id}", wait=timedelta(0))
    world = Timed(root=tmp_path, engine=engine)
    world.hands = hands
    questions: list[float] = []
    check = engine.check

    def counted(tickets: list[str]) -> object:
        questions.append(time.monotonic())
        return check(tickets)

    engine.check = counted  # type: ignore[assignment, method-assign]
    write_wav(world.inbox / "talk.wav")
    with world.running():
        wait_for(lambda: len(questions) == 1)
        for by in (YEARS, -HOUR, timedelta(0), HOUR):
            hands.wrong = by
            time.sleep(1.2)
        engine.finished = True
        wait_for((world.inbox / "talk.txt").exists, patience=60)
    gaps = [later - earlier for earlier, later in pairwise(questions)]
    assert min(gaps, default=9) > 1
    assert len(engine.asked) == 1


def test_before_the_clock_is_set_nothing_is_asked(world: Timed, hands: Hands) -> None:
    """Booted in 1970 it reads and waits, says why, and asks as soon as the clock is set, without a restart [T01]."""
    right = datetime.now(tz=UTC)
    hands.wrong = datetime(1970, 1, 1, tzinfo=UTC) - right
    write_wav(world.inbox / "talk.wav")
    with world.running() as daemon:
        wait_for(lambda: world.became(State.STAGED) or bool(world.changes))
        time.sleep(1)
        assert world.engine.asked == []
        assert [hold.code for hold in daemon.keeper.holds(daemon.clock.now())] == ["clock-not-set"]
        hands.wrong = timedelta(0)
        wait_for((world.inbox / "talk.txt").exists, patience=60)
    assert len(world.engine.asked) == 1


def test_this_asrwatch_runs_now() -> None:
    """The date before which no clock is believed lies in the past, or nothing would ever be asked."""
    assert is_set(datetime.now(tz=UTC))
    assert not is_set(EARLIEST - timedelta(seconds=1))


def test_what_the_clock_of_2036_made_wait_goes_on(world: Timed, hands: Hands) -> None:
    """Stopped and started again in 2026, with another boot between, nothing waits for 2036 [T01]."""
    hands.wrong = YEARS

    def respond(_: Ask) -> Heard:
        if hands.wrong:
            raise TemporaryError("Not now.", code="not-now", retry_after=HOUR)
        return heard("hello")

    world.engine.respond = respond
    write_wav(world.inbox / "talk.wav")
    with world.running():
        wait_for(lambda: len(world.engine.asked) == 1)
        time.sleep(0.3)
    hands.wrong, hands.boot = timedelta(0), "the next boot"
    with world.running():
        wait_for((world.inbox / "talk.txt").exists, patience=60)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_clock_steps(tmp_path: Path, rounds: Callable[[int, int], int], promise: Keep) -> None:
    """Files arrive while the clock jumps about and the machine sleeps: all delivered, each paid once, none early."""
    jumps = [HOUR, timedelta(0), -HOUR, YEARS, timedelta(0), -YEARS / 20, timedelta(0)]
    number = rounds(40, 3)
    lost = twice = 0
    fastest = 9.0
    for turn in range(number):
        hands = Hands()
        root = tmp_path / str(turn)
        (root / "inbox").mkdir(parents=True)
        engine = Tasks(FakeOptions(), fake_cloud())
        engine.finished = True
        engine.respond = lambda ask: Pending(ticket=f"ticket-{ask.id}", wait=timedelta(seconds=1))
        world = Timed(root=root, engine=engine)
        world.hands = hands
        asked_about: dict[str, float] = {}
        check = engine.check

        def timed(tickets: list[str], check: object = check, seen: object = asked_about) -> object:
            assert callable(check)
            assert isinstance(seen, dict)
            nonlocal fastest
            for ticket in tickets:
                now = time.monotonic()
                fastest = min(fastest, now - seen.get(ticket, now - 9))
                seen[ticket] = now
            return check(tickets)

        engine.check = timed  # type: ignore[assignment, method-assign]
        with world.running():
            for place, jump in enumerate(jumps):
                write_wav(world.inbox / f"{place}.wav", number=place)
                time.sleep(0.3)
                hands.wrong = jump
                hands.slept += timedelta(hours=8)
            with suppress(AssertionError):
                wait_for(
                    lambda world=world: len(list(world.inbox.glob("*.txt"))) == len(jumps),  # type: ignore[misc]
                    patience=60,
                )
        lost += len(jumps) - len(list(world.inbox.glob("*.txt")))
        twice += len(engine.asked) - len({one.id for one in engine.asked})
        twice += max(0, len(engine.asked) - len(jumps))
    promise(
        "P23 clock steps, suspend",
        promised="0 lost, 0 double, no task asked about > 1/s",
        measured=f"{number * len(jumps)} files under {number * len(jumps)} steps: {lost} lost, {twice} double, "
        f"questions >= {fastest:.1f} s apart",
    )
    assert (lost, twice) == (0, 0)
    assert fastest > 1
