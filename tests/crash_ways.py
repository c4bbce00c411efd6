"""The ways of recordings, and on each the places where a daemon is killed."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from crash_helpers import SYNC, TASK, Trial

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
        "answer-got",
        "answer-kept",
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


def once(trial: Trial, place: str, hit: int) -> int:
    """One death, on the first way."""
    trial.die(place, hit=hit)
    return 1


@dataclass(frozen=True, kw_only=True)
class Way:
    """A kind of recording's way, and the places on it where its daemon is killed.

    `dies` lets processes die, the last of them at a place, and says how many; `keys` are the inbox's;
    `originals` are kept, moved (to another file system with `elsewhere`) or gone.
    """

    name: str
    places: frozenset[str]
    seconds: float = SYNC
    keys: dict[str, object] = field(default_factory=dict)
    dies: Callable[[Trial, str, int], int] = once
    parked: bool = False
    failed: bool = False
    originals: str = "kept"
    elsewhere: bool = False


def _after_a_lost_answer(trial: Trial, place: str, hit: int) -> int:
    trial.die("answer-got", hit=len(trial.given))
    trial.die(place, hit=hit)
    return 2


def _by_a_person(trial: Trial, place: str, hit: int) -> int:
    """`retry` and `forget` of what is parked, without a daemon: the command itself dies."""
    del hit
    trial.die("answer-got", hit=len(trial.given))
    trial.finish(code=1)
    paths = [str(given.path) for given in trial.given]
    trial.die(place, {"retrying": "retry", "forgetting": "forget"}[place], *paths)
    assert trial.world.call("retry", *paths).returncode == 0
    return 1


def _by_a_person_of_the_daemon(trial: Trial, place: str, hit: int) -> int:
    """The same through the control socket of a daemon, which dies."""
    del hit
    trial.die("answer-got", hit=len(trial.given))
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
        originals="moved",
    ),
    Way(
        name="moved to another file system",
        places=frozenset({"original-copied", "original-deleted", "draft-written", "finished"}),
        elsewhere=True,
        originals="moved",
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
