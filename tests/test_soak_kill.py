"""Killed with -9 at every named place and at random moments: nothing lost, half-written, or paid twice unbounded."""

import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from conftest import Keep
from crash_helpers import SYNC, TASK, Reader, Tally, Trial, chance_of_this_run, cloud
from crash_ways import AT_LEAST, ELSEWHERE, ONCE, WAYS, kill_and_judge, once, trial_on

from asrwatch.crash import PLACES


def test_every_place_is_on_a_way() -> None:
    """The harness kills at every place that has a name."""
    covered = frozenset[str]().union(*(way.places for way in WAYS)) | ELSEWHERE
    assert covered == set(PLACES)


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder on another file system than the temporary one."""
    shared = Path("/dev/shm")  # noqa: S108 - tmpfs on every Linux
    if not shared.is_dir() or shared.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
        pytest.skip("needs a second file system: /dev/shm is none, or the only one")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("group", ["sync", "tasks", "other ways"])
def test_killed_at_every_place(
    tmp_path: Path,
    elsewhere: Path,
    group: str,
    rounds: Callable[[int, int], int],
    promise: Keep,
) -> None:
    """Killed with -9 at every named place: nothing is lost, half-written, or paid twice outside the bound [K01]."""
    files, times = rounds(25, 3), rounds(4, 1)
    chance = chance_of_this_run()
    tally = Tally()
    ways = [way for way in WAYS if way.name == group] or WAYS[2:]
    for number, way in enumerate(ways):
        for place in sorted(way.places):
            for turn in range(times):
                most = 1 if place in ONCE or way.dies is not once else AT_LEAST.get(place, files)
                hit = 1 if turn == 0 and times > 1 else chance.randint(1, most)
                root = tmp_path / f"{number}-{place.replace(':', '-')}-{turn}"
                goal = (elsewhere if way.elsewhere else tmp_path) / "done" / root.name
                with cloud() as sandbox:
                    trial = trial_on(way, root, sandbox, files=files, goal=goal)
                    with Reader(trial.world.inbox) as reader:
                        tally.count(partial(kill_and_judge, way, trial, place, hit, goal))
                tally.take(trial, reader)
    places = frozenset[str]().union(*(way.places for way in ways))
    tally.tell(
        promise, f"P1 killed at each of {len(places)} places, {group}", files=tally.kills * files
    )
    assert not tally.faults, "\n".join(tally.faults)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_killed_at_random(tmp_path: Path, rounds: Callable[[int, int], int], promise: Keep) -> None:
    """Killed at any moment under load, again and again: nothing lost, half-written, paid twice unbounded [K01]."""
    kills = rounds(1000, 60)
    chance = chance_of_this_run()
    tally = Tally(kills=kills - 1)
    slow = {name: timedelta(milliseconds=30) for name in ("latency", "queue_time", "work_time")}
    with cloud(**slow) as sandbox:
        trial = Trial.at(tmp_path, sandbox)
        with Reader(trial.world.inbox) as reader:
            for number in range(kills):
                trial.give(SYNC, number=chance.randint(0, 3))
                trial.give(TASK, number=chance.randint(0, 2))
                process = trial.world.launch()
                time.sleep(chance.uniform(0, 1.5))
                process.kill()
                assert process.wait(60) == -signal.SIGKILL
                if number % 10 == 0:
                    trial.explain()
            trial.world.call("once", patience=300)
            # at work in three deaths in a row, a recording is held to be their cause (P14): a person has to say
            quarantined = trial.world.status()["counts"]["failed"]
            trial.world.call("retry", "--failed")
            trial.world.call("once", patience=300)
        tally.count(lambda: trial.judge(deaths=kills, parked=True))
        tally.take(trial, reader)
    tally.tell(promise, "P2 killed at random under load", files=len(trial.given))
    promise(
        "P2 quarantined as the cause of random kills",
        promised="named, and finished after a retry",
        measured=f"{quarantined} of {len(trial.given)}",
    )
    assert not tally.faults, "\n".join(tally.faults)
