"""The ways of recordings, and on each the places where a daemon is killed."""

import os
import signal
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crash_helpers import SYNC, TASK, WORKERS, Disk, Trial, is_whole
from wait_helpers import wait_for

from asrwatch.inbox.signs import NOTE_ENDING
from asrwatch.journey.recording import State
from asrwatch.journey.store import Store
from asrwatch.sandbox import Sandbox

EVERY_WAY = frozenset(
    {
        "locked",
        "creating",
        "store-opened",
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
ELSEWHERE = frozenset(
    {
        "migrating",
        "migrated",
        "message-kept",
        "message-extended",
        "message-going",
        "message-answered",
        "message-burnt",
        "telling-again",
    }
)
"""Killed there by tests/test_migrations.py, tests/test_upgrade.py and tests/test_telling.py."""


def once(trial: Trial, place: str, hit: int) -> int:
    """One death, on the first way."""
    trial.die(place, hit=hit)
    return 1


@dataclass(frozen=True, kw_only=True)
class Way:
    """A kind of recording's way, and the places on it where its daemon is killed.

    `dies` lets processes die, the last of them at a place, and says how many; `keys` are the inbox's;
    `originals` are kept, moved (to another file system with `elsewhere`) or gone. It is for `most` recordings; those
    that are `re_encoded` come as telephones make them, `calls` with a speaker on each of two channels.
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
    most: int = 25
    re_encoded: bool = False
    cut: bool = False
    calls: bool = False


def _after_a_lost_answer(trial: Trial, place: str, hit: int) -> int:
    trial.die("answer-got", hit=len(trial.given))
    trial.die(place, hit=hit)
    return 2


def _after_a_draft(trial: Trial, place: str, hit: int) -> int:
    trial.die("draft-written")
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
    daemon = trial.world.start(**trial.deadly(place))
    wait_for(lambda: b'"event": "parked"' in trial.world.log.read_bytes())
    word = "forget" if place == "forgetting" else "retry"
    done = trial.world.call(word, *paths)
    assert daemon.wait(60) == -signal.SIGKILL, done.stderr
    trial.died()
    if (
        trial.world.call("once").returncode != 0
    ):  # it was not treated, or was asked about again when it died
        assert trial.world.call("retry", *paths).returncode == 0
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
    Way(
        name="drafts that were left",
        places=frozenset({"tidied", "draft-opened"}),
        dies=_after_a_draft,
    ),
    Way(
        name="re-encoded",
        places=frozenset({"prepared", "saving:staged", "finished"}),
        re_encoded=True,
    ),
    Way(
        name="cut",
        places=frozenset(
            {
                "cut",
                "saving:cut",
                "saved:cut",
                "cut-up",
                "joined",
                "answer-got",
                "answer-kept",
            }
        ),
        seconds=TASK,
        keys={"cut": True},
        cut=True,
    ),
    Way(
        name="cut for tasks",
        places=frozenset({"piece-published", "request-sent", "told"}),
        seconds=TASK,
        keys={"cut": True, "engine": {"use": "qwen3-asr-flash-filetrans", "longest": "2s"}},
        cut=True,
    ),
    Way(
        name="cut by channel",
        places=frozenset({"cut", "cut-up", "answer-got", "joined"}),
        keys={"cut": True, "channels": "split", "speakers": ["agent", "customer"]},
        cut=True,
        calls=True,
    ),
    Way(
        name="failed",
        places=frozenset({"saving:failed", "saved:failed", "note-placed"}),
        failed=True,
    ),
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
        most=1,
        dies=_by_a_person,
    ),
    Way(
        name="treated by the daemon",
        places=frozenset({"retrying", "forgetting", "control-answered"}),
        keys={"unknown": "park"},
        most=1,
        dies=_by_a_person_of_the_daemon,
    ),
)


def trial_on(
    way: Way, root: Path, sandbox: Sandbox, *, files: int, goal: Path, disk: Disk | None = None
) -> Trial:
    """An inbox with recordings that go this way; those that are moved go to `goal`."""
    keys: dict[str, Any] = dict(way.keys)
    if way.originals == "moved":
        keys["after"] = {"move": str(goal)}
    trial = Trial.at(root, sandbox, disk=disk, **keys)
    trial.give(way.seconds, number=min(files, way.most))
    for given in trial.given:
        if way.failed:
            given.path.write_bytes(b"RIFF no sound at all" + given.sha256.encode())
        if way.re_encoded:
            given.path.write_bytes(_telephone(given.sha256))
        if way.calls:
            given.path.write_bytes(_call(given.sha256))
    return trial


def _call(content: str) -> bytes:
    """A WAV with two channels, 16 kHz: after one second of the first there is one of the second."""
    first = struct.unpack("<32h", bytes.fromhex(content) * 2)
    one = [first[number % 32] // 2 for number in range(16_000)]
    rest, gap = [0] * 16_000, [0] * 32_000
    left, right = [*one, *gap, *rest], [*rest, *gap, *reversed(one)]
    sound = struct.pack(
        f"<{2 * len(left)}h", *(each for both in zip(left, right, strict=True) for each in both)
    )
    layout = struct.pack("<HHIIHH", 1, 2, 16_000, 64_000, 4, 16)
    chunks = b"fmt " + struct.pack("<I", len(layout)) + layout
    chunks += b"data" + struct.pack("<I", len(sound)) + sound
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def _telephone(content: str) -> bytes:
    """A second of mu-law in a WAV, which no engine takes as it is."""
    sound = (content.encode() * 200)[:8000]
    layout = struct.pack("<HHIIHH", 7, 1, 8000, 8000, 1, 8)
    chunks = b"fmt " + struct.pack("<I", len(layout)) + layout
    chunks += b"data" + struct.pack("<I", len(sound)) + sound
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def kill_and_judge(way: Way, trial: Trial, place: str, hit: int, goal: Path) -> int:
    """Die, go on, be judged; how many recordings were paid twice."""
    try:
        deaths = way.dies(trial, place, hit)
        trial.explain()
        trial.finish(code=1 if way.parked or way.failed else 0)
        twice = 0
        if way.failed:
            _judge_failed(trial)
        elif way.re_encoded:
            twice = _judge_re_encoded(trial)
        elif way.cut:
            twice = _judge_cut(
                trial,
                deaths=deaths,
                tasks="engine" in way.keys,
                told=".json" if way.calls else ".txt",
            )
            if way.calls:
                _judge_calls(trial)
        else:
            twice = trial.judge(deaths=deaths, parked=way.parked, originals=way.originals)
        if way.originals == "moved":
            _judge_moved(trial, goal)
    except AssertionError as error:
        error.args = (f"{way.name}, {place}@{hit}: {error}",)
        raise
    return twice


def _judge_failed(trial: Trial) -> None:
    """What is no recording failed, cost nothing, and says why."""
    with Store(trial.world.root / "state") as store:
        states = {store.all_at(os.fsencode(given.path))[0].state for given in trial.given}
    assert states == {State.FAILED}
    assert len(trial.sandbox.bill) == 0
    for given in trial.given:
        note = given.path.with_name(given.path.name + NOTE_ENDING)
        assert is_whole(note.name, note.read_bytes())
    trial.explain()


def _judge_re_encoded(trial: Trial) -> int:
    """What was sent is another file than what was given: each is delivered, and its copy is gone."""
    for given in trial.given:
        text = given.path.with_suffix(".txt").read_bytes()
        assert is_whole(given.path.with_suffix(".txt").name, text)
    assert not list((trial.world.root / "state" / "spool").iterdir())
    trial.explain()
    twice = len(trial.sandbox.bill.paid) - len(trial.given)
    assert 0 <= twice <= WORKERS
    return twice


def _judge_cut(trial: Trial, *, deaths: int, tasks: bool, told: str) -> int:
    """Each is delivered, each of its pieces was paid, none twice but by a death; no copy and no piece is left."""
    paid = Counter(line.sha256 for line in trial.sandbox.bill.paid)
    assert len(paid) == 2 * len(trial.given)
    twice = paid.total() - len(paid)
    assert twice <= (0 if tasks else deaths * WORKERS)
    with Store(trial.world.root / "state") as store:
        for given in trial.given:
            (recording,) = store.all_at(os.fsencode(given.path))
            assert recording.state is State.DELIVERED
            assert not store.pieces_of(recording.id)
            bought = store.bought_for(recording.id)
            assert sum(each.outcome == "answered" for each in bought) == 2
            text = given.path.with_suffix(told)
            assert is_whole(text.name, text.read_bytes())
        ledger = store.ledger()
    assert twice <= ledger.perhaps_twice + ledger.unknown
    assert not list((trial.world.root / "state" / "spool").iterdir())
    trial.explain()
    return twice


def _judge_calls(trial: Trial) -> None:
    """Both speakers have their say, once."""
    for given in trial.given:
        said = given.path.with_suffix(".txt").read_text()
        assert (said.count("agent:\n"), said.count("customer:\n")) == (1, 1)
        assert said.index("agent:") < said.index("customer:")


def _judge_moved(trial: Trial, goal: Path) -> None:
    """Every original is where it was to go, once and whole."""
    assert {path.name for path in goal.iterdir()} == {given.path.name for given in trial.given}
    assert not any(given.path.exists() for given in trial.given)
