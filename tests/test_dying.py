"""Killed at every change of state, and between: nothing is lost, half-written, or paid twice outside the bound."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from e2e_helpers import Installed
from wav_helpers import write_wav

from asrwatch.journey.recording import State
from asrwatch.journey.store import Store
from asrwatch.sandbox import Knobs, Sandbox, Scripted

SYNC = (
    "saved:settled",
    "saving:staged",
    "saved:staged",
    "saving:asking",
    "saved:asking",
    "before-request",
    "answer-got",
    "answer-kept",
    "after-request",
    "saving:transcribed",
    "saved:transcribed",
    "rendered",
    "written",
    "finished",
    "saving:delivered",
    "saved:delivered",
)
TASKS = (
    "published",
    "saved:staged",
    "saved:asking",
    "before-request",
    "answer-got",
    "answer-kept",
    "after-request",
    "saving:submitted",
    "saved:submitted",
    "saving:transcribed",
    "saved:transcribed",
    "written",
    "saved:delivered",
)
ASKED_AGAIN = {"answer-got"}
"""Where a sync answer can be lost: the one bounded case in which it is asked, and paid, a second time."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A cloud that outlives every daemon of this module, and whose bill is the judge."""
    knobs = Knobs(rate_limits=False, queue_time=timedelta(0), work_time=timedelta(0))
    with Sandbox(recogniser=Scripted(), knobs=knobs) as running:
        yield running


def _die_and_go_on(world: Installed, place: str) -> None:
    """A daemon that dies at `place`, then one that does the rest."""
    dying = world.call("once", ASRWATCH_CRASH=place)
    assert dying.returncode == -9, f"it did not die at {place}: {dying.stderr}"
    for path in world.inbox.glob("*.json"):
        json.loads(path.read_text())  # complete, or not there
    for path in world.inbox.glob("*.txt"):
        assert path.read_text() == "Hello world.\n"
    again = world.call("once")
    assert again.returncode == 0, again.stderr
    assert (world.inbox / "talk.txt").read_text() == "Hello world.\n"
    assert json.loads((world.inbox / "talk.json").read_text())["text"] == "Hello world."
    names = sorted(path.name for path in world.inbox.iterdir())
    assert names == ["talk.json", "talk.txt", "talk.wav"], "something was left behind"
    with Store(world.root / "state") as store:
        assert [recording.state for recording in store.in_state(*State)] == [State.DELIVERED]


def _world(tmp_path: Path, sandbox: Sandbox, number: int, seconds: float) -> Installed:
    world = Installed(
        root=tmp_path,
        url=sandbox.url,
        key=sandbox.key,
        engines={"qwen3-asr-flash": {"longest": "2s"}},
    )
    write_wav(world.inbox / "talk.wav", number=number, seconds=seconds)
    return world


@pytest.mark.parametrize("place", SYNC)
def test_dying_with_the_sync_model(tmp_path: Path, sandbox: Sandbox, place: str) -> None:
    """Killed anywhere on a short way, the next start finishes it; paid twice only where the answer was lost."""
    world = _world(tmp_path, sandbox, 1000 + SYNC.index(place), 1)
    before = len(sandbox.bill.paid)
    _die_and_go_on(world, place)
    assert len(sandbox.bill.paid) - before == (2 if place in ASKED_AGAIN else 1)


@pytest.mark.parametrize("place", TASKS)
def test_dying_with_the_task_model(tmp_path: Path, sandbox: Sandbox, place: str) -> None:
    """Killed anywhere on a long recording's way, the next start finishes it, paid exactly once."""
    world = _world(tmp_path, sandbox, 2000 + TASKS.index(place), 3)
    before = len(sandbox.bill.paid)
    _die_and_go_on(world, place)
    assert len(sandbox.bill.paid) - before == 1


def test_dying_when_the_inbox_parks_unknown_answers(tmp_path: Path, sandbox: Sandbox) -> None:
    """With `unknown: park` a sync answer lost in a crash is parked, and paid once until a person says otherwise."""
    world = _world(tmp_path, sandbox, 3000, 1)
    world.inbox_keys = {"unknown": "park"}
    before = len(sandbox.bill.paid)
    assert world.call("once", ASRWATCH_CRASH="answer-got").returncode == -9
    assert world.call("once").returncode == 1
    assert world.status()["counts"]["parked"] == 1
    assert len(sandbox.bill.paid) - before == 1
    assert world.call("retry", str(world.inbox / "talk.wav")).returncode == 0
    assert world.call("once").returncode == 0
    assert len(sandbox.bill.paid) - before == 2


def test_a_recording_that_kills_every_daemon_is_parked(tmp_path: Path, sandbox: Sandbox) -> None:
    """A crash loop pays for three lost answers, then a person decides; a restart for ever does not pay for ever."""
    world = _world(tmp_path, sandbox, 3001, 1)
    before = len(sandbox.bill.paid)
    for _ in range(3):
        assert world.call("once", ASRWATCH_CRASH="answer-got").returncode == -9
    assert world.call("once", ASRWATCH_CRASH="answer-got").returncode == 1
    assert world.status()["counts"]["parked"] == 1
    assert len(sandbox.bill.paid) - before == 3
