"""Killed with -9 at every named place and at random moments: nothing lost, half-written, or paid twice unbounded."""

import os
import random
import secrets
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import Keep
from crash_helpers import SYNC, TASK, WORKERS, Reader, Trial, cloud

from asrwatch.crash import PLACES
from asrwatch.journey.recording import State
from asrwatch.journey.store import Store

EVERY_WAY = frozenset(
    {
        "locked",
        "creating",
        "store-opened",
        "tidied",
        "asks-marked",
        "opened-up",
        "lookouts-started",
        "ready",
        "scanned",
        "settled-told",
        "committing",
        "committed",
        "handed-out",
        "step-done",
        "stopping",
        "wound-up",
        "stopped",
        "saved:settled",
        "read",
        "planned",
        "saving:staged",
        "saved:staged",
        "saving:asking",
        "saved:asking",
        "before-request",
        "request-begun",
        "request-sent",
        "answer-begun",
        "answer-half-read",
        "answer-read",
        "after-request",
        "answer-added",
        "saving:transcribed",
        "saved:transcribed",
        "rendered",
        "draft-opened",
        "draft-written",
        "draft-synced",
        "linked",
        "named",
        "folder-synced",
        "output-placed",
        "written",
        "finished",
        "saving:delivered",
        "saved:delivered",
    }
)
TASKS_ONLY = frozenset(
    {
        "saving:settled",
        "policy-got",
        "upload-begun",
        "upload-half-sent",
        "upload-sent",
        "published",
        "saving:submitted",
        "saved:submitted",
        "polling",
        "queried",
        "result-fetched",
        "told",
    }
)
ONCE = frozenset(
    {
        "locked",
        "creating",
        "store-opened",
        "tidied",
        "asks-marked",
        "opened-up",
        "lookouts-started",
        "ready",
        "scanned",
        "stopping",
        "wound-up",
        "stopped",
        "polling",
        "listed",
        "handed-out",
    }
)
"""Places that a process may pass once only, however many recordings there are."""
AT_LEAST = {"committing": 6, "committed": 6}
"""Transactions there are in any case, whatever the number of recordings."""
ELSEWHERE = frozenset({"migrating", "migrated"})
"""Killed there by tests/test_migrations.py and tests/test_upgrade.py."""


def _once(trial: Trial, place: str, hit: int) -> int:
    trial.die(place, hit=hit)
    return 1


@dataclass(frozen=True, kw_only=True)
class Way:
    """A kind of recording's way, and the places on it where its daemon is killed.

    `dies` lets a process die at a place; `keys` are the inbox's.
    """

    name: str
    places: frozenset[str]
    seconds: float = SYNC
    keys: dict[str, object] = field(default_factory=dict)
    dies: Callable[[Trial, str, int], int] = _once
    parked: bool = False
    failed: bool = False
    originals: str = "kept"


def _after_a_lost_answer(trial: Trial, place: str, hit: int) -> int:
    trial.die("after-request", hit=len(trial.given))
    trial.die(place, hit=hit)
    return 2


def _by_a_person(trial: Trial, place: str, hit: int) -> int:
    """`retry` and `forget` of what is parked, without a daemon: the command itself dies."""
    del hit
    trial.die("after-request", hit=len(trial.given))
    trial.finish(code=1)
    paths = [str(given.path) for given in trial.given]
    trial.die(place, {"retrying": "retry", "forgetting": "forget"}[place], *paths)
    assert trial.world.call("retry", *paths).returncode == 0
    return 1


def _by_a_person_of_the_daemon(trial: Trial, place: str, hit: int) -> int:
    """The same through the control socket of a daemon, which dies."""
    del hit
    trial.die("after-request", hit=len(trial.given))
    paths = [str(given.path) for given in trial.given]
    daemon = trial.world.start(ASRWATCH_CRASH=place)
    word = "forget" if place == "forgetting" else "retry"
    done = trial.world.call(word, *paths)
    assert daemon.wait(60) == -signal.SIGKILL, done.stderr
    trial.world.call("retry", *paths)
    return 2


WAYS = (
    Way(name="sync", places=EVERY_WAY),
    Way(name="tasks", places=EVERY_WAY | TASKS_ONLY, seconds=TASK),
    Way(
        name="tasks whose answer was lost",
        places=frozenset(
            {"asks-marked", "reconciling", "listed", "reconciled", "saving:submitted"}
        ),
        seconds=TASK,
        dies=_after_a_lost_answer,
    ),
    Way(
        name="sync answers that were lost",
        places=frozenset({"asks-marked", "reconciling", "saving:staged", "before-request"}),
        dies=_after_a_lost_answer,
    ),
    Way(
        name="parked",
        places=frozenset({"saving:parked", "saved:parked"}),
        keys={"unknown": "park"},
        dies=_after_a_lost_answer,
        parked=True,
    ),
    Way(name="failed", places=frozenset({"saving:failed", "saved:failed"}), failed=True),
    Way(
        name="moved",
        places=frozenset({"original-moved", "linked", "named", "folder-synced", "finished"}),
        keys={"after": {"move": "done"}},
        originals="gone",
    ),
    Way(
        name="moved to another file system",
        places=frozenset({"original-copied", "original-deleted", "draft-written", "finished"}),
        keys={"after": {"move": "elsewhere"}},
        originals="gone",
    ),
    Way(
        name="deleted",
        places=frozenset({"original-deleted", "finished", "saving:delivered"}),
        keys={"after": "delete"},
        originals="gone",
    ),
    Way(
        name="treated by a command",
        places=frozenset({"retrying", "forgetting"}),
        keys={"unknown": "park"},
        dies=_by_a_person,
    ),
    Way(
        name="treated by the daemon",
        places=frozenset({"retrying", "forgetting", "control-answered"}),
        keys={"unknown": "park"},
        dies=_by_a_person_of_the_daemon,
    ),
)


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
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name.replace(" ", "-"))
def test_killed_at_every_place(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    way: Way,
    rounds: Callable[[int, int], int],
    promise: Keep,
) -> None:
    """Killed with -9 at every named place: nothing is lost, half-written, or paid twice outside the bound [K01]."""
    files, times = rounds(25, 3), rounds(4, 1)
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - shown with a failure, to repeat it
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    away = way.name == "moved to another file system"
    goal = request.getfixturevalue("elsewhere") if away else tmp_path / "done"
    kills = twice = reads = explained = 0
    unexplained: list[str] = []
    for place in sorted(way.places):
        for turn in range(times):
            most = 1 if place in ONCE or way.dies is not _once else AT_LEAST.get(place, files)
            hit = 1 if turn == 0 and times > 1 else chance.randint(1, most)
            root = tmp_path / f"{place.replace(':', '-')}-{turn}"
            keys = dict(way.keys)
            if "after" in keys and keys["after"] != "delete":
                keys["after"] = {"move": str(goal / root.name)}
            with cloud() as sandbox:
                trial = Trial.at(root, sandbox, **keys)
                trial.give(way.seconds, number=files)
                if way.failed:
                    for given in trial.given:
                        given.path.write_bytes(b"RIFF no sound at all" + given.sha256.encode())
                with Reader(trial.world.inbox) as reader:
                    kills += way.dies(trial, place, hit)
                    trial.explain()
                    if way.failed:
                        trial.finish(code=1)
                        _judge_failed(trial)
                    else:
                        trial.finish(code=1 if way.parked else 0)
                        twice += trial.judge(
                            deaths=2 if way.dies is not _once else 1,
                            parked=way.parked,
                            originals=way.originals,
                        )
                if "after" in keys and keys["after"] != "delete":
                    _judge_moved(trial, goal / root.name)
                assert reader.broken == []
                reads += reader.reads
                explained += trial.explained
                unexplained += trial.unexplained
    promise(
        f"P1 killed at each of {len(way.places)} places: {way.name}",
        promised=f"0 lost, 0 half-written; paid twice at most {WORKERS} a kill, all in the ledger",
        measured=f"{kills} kills x {files} files: 0 lost, 0 half-written, {twice} paid twice",
    )
    promise(
        f"P4 read all the time: {way.name}",
        promised="each transcript is absent or complete",
        measured=f"{reads} reads: 0 incomplete",
    )
    promise(
        f"P32 explained after each kill: {way.name}",
        promised="100 %",
        measured=f"{explained} of {explained + len(unexplained)}",
    )
    assert unexplained == []


def _judge_failed(trial: Trial) -> None:
    """What is no recording failed, cost nothing, and says why."""
    with Store(trial.world.root / "state") as store:
        states = {store.all_at(os.fsencode(given.path))[0].state for given in trial.given}
    assert states == {State.FAILED}
    assert len(trial.sandbox.bill) == 0
    trial.explain()


def _judge_moved(trial: Trial, goal: Path) -> None:
    """Every original is where it was to go, once and whole."""
    assert {path.name for path in goal.iterdir()} == {given.path.name for given in trial.given}
    for given in trial.given:
        assert not given.path.exists()


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_killed_at_random(tmp_path: Path, rounds: Callable[[int, int], int], promise: Keep) -> None:
    """Killed at any moment under load, again and again: nothing lost, half-written, paid twice unbounded."""
    kills = rounds(1000, 60)
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - shown with a failure, to repeat it
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    with cloud(
        latency=timedelta(milliseconds=30), queue_time=timedelta(milliseconds=200)
    ) as sandbox:
        trial = Trial.at(tmp_path, sandbox)
        with Reader(trial.world.inbox) as reader:
            for number in range(kills):
                trial.give(SYNC, number=chance.randint(0, 3))
                trial.give(TASK, number=chance.randint(0, 2))
                process = trial.world.start()
                time.sleep(chance.uniform(0, 0.7))
                process.kill()
                assert process.wait(60) == -signal.SIGKILL
                if number % 10 == 0:
                    trial.explain()
            done = trial.world.call("once", patience=300)
            assert done.returncode in {0, 1}, done.stderr
        twice = trial.judge(deaths=kills, parked=True)
        parked = trial.world.status()["counts"]["parked"]
    promise(
        "P2 killed at random under load",
        promised=f"0 lost; paid twice at most {WORKERS} a kill, all in the ledger",
        measured=f"{kills} kills, {len(trial.given)} files: 0 lost, {twice} paid twice, {parked} parked",
    )
    promise(
        "P4 read all the time: random kills",
        promised="each transcript is absent or complete",
        measured=f"{reader.reads} reads: {len(reader.broken)} incomplete",
    )
    promise(
        "P32 explained after random kills",
        promised="100 %",
        measured=f"{trial.explained} of {trial.explained + len(trial.unexplained)}",
    )
    assert reader.broken == []
    assert trial.unexplained == []
