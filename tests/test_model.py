"""Random sequences of what people, disks and clouds do, against what was promised about them."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from conftest import Keep
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from model_helpers import World, sha256, sound, stamp, words_of

from asrwatch.desk import Desk
from asrwatch.desk.questions import AskExplain, AskRetry
from asrwatch.desk.reports.explanation import Explanation
from asrwatch.journey.recording import State

NAMES = st.sampled_from(["a.wav", "b.wav", "sub/c.wav"])
SOUNDS = {
    f"{'long' if long else 'short'} {number}": sound(number, long=long)
    for number in (1, 2, 3)
    for long in (False, True)
}
CONTENTS = {**SOUNDS, "text": b"This is no recording."}
PRISTINE = {sha256(content) for content in SOUNDS.values()}
REASONS = {"poison", "task-failed", "noise", "answer-lost", "task-unknown"}
"""Why a whole recording may end without its transcript: what the cloud was told to say."""
TROUBLES = [
    "busy",
    "down",
    "throttled",
    "bad key",
    "no money",
    "lost",
    "answer lost",
    "answer lost",
    "killed",
    "killed after",
    "killed after",
]
DONE = {State.DELIVERED, State.FAILED, State.PARKED}


class Model(RuleBasedStateMachine):
    """What must be true whatever happens, told with nothing but the files, the bill and the losses."""

    done: ClassVar = 0
    """How many sequences came to a good end."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.files: dict[str, bytes] = {}
        self.ever: set[str] = set()
        self.allowed: Counter[str] = Counter()
        self.changes = 0

    @initialize(which=st.lists(st.sampled_from(sorted(SOUNDS)), min_size=1, max_size=3))
    def begin(self, which: list[str]) -> None:
        """Something is there already."""
        for name, each in zip(("a.wav", "b.wav", "sub/c.wav"), which, strict=False):
            self.drop(name, each, whole=True)

    # People.

    def _holds(self, name: str, content: bytes) -> None:
        self.changes += 1
        stamp(self.world.inbox / name, self.changes)
        self.files[name] = content
        self.ever.add(words_of(sha256(content)) + "\n")

    @rule(name=NAMES, which=st.sampled_from(sorted(CONTENTS)), whole=st.booleans())
    def drop(self, name: str, which: str, *, whole: bool) -> None:
        """Write a file anew from its beginning, or move a whole one in."""
        content = CONTENTS[which]
        path = self.world.inbox / name
        if whole:
            made = self.world.root / "made"
            made.write_bytes(content)
            made.rename(path)
        else:
            path.write_bytes(content)
        self._holds(name, content)

    @precondition(lambda self: self.files)
    @rule(
        name=NAMES,
        how=st.sampled_from(["touch", "append little", "append much", "empty", "cut off"]),
    )
    def change(self, name: str, how: str) -> None:
        """Go on writing a file, cut it off, or date it anew."""
        before = self.files.get(name)
        if before is not None:
            after = {
                "touch": before,
                "append little": before + b"\1\2",
                "append much": before + b"\1\2" * 400,
                "empty": b"",
                "cut off": before[:1000],
            }[how]
            with (self.world.inbox / name).open("r+b") as out:
                out.truncate(min(len(before), len(after)))
                out.seek(0, os.SEEK_END)
                out.write(after[len(before) :])
            self._holds(name, after)

    @precondition(lambda self: self.files)
    @rule(name=NAMES, to=NAMES, how=st.sampled_from(["rename", "copy", "delete"]))
    def move(self, name: str, to: str, how: str) -> None:
        """Give a file another name, over what is there; copy it; take it away."""
        if name not in self.files or name == to:
            return
        path = self.world.inbox / name
        if how == "copy":
            (self.world.inbox / to).write_bytes(self.files[name])
            self._holds(to, self.files[name])
            return
        content = self.files.pop(name)
        if how == "rename":
            path.rename(self.world.inbox / to)
            self.files[to] = content
        else:
            path.unlink()

    @rule()
    def retry(self) -> None:
        """A person says of all that failed or is parked: again, and pays for what is parked."""
        world = self.world
        if world.daemon is None or world.store is None or world.disk_full:
            return
        for recording in world.store.in_state(State.PARKED):
            if recording.reading is not None:
                self.allowed[recording.reading.sha256] += 1
        desk = Desk(world.settings(), world.store, world.daemon)
        with world.store.transaction():
            desk.answer(AskRetry(failed=True, parked=True))
        world.daemon.saving.saved()

    # The machine.

    @rule(seconds=st.sampled_from([1, 30, 1000, 90_000]))
    def tick(self, seconds: int) -> None:
        """Time passes."""
        self.world.seconds += seconds

    @rule(order=st.lists(st.sampled_from(["look", "turn", "turn", "work"]), max_size=6))
    def threads(self, order: list[str]) -> None:
        """The threads have their turns in any order."""
        for each in order:
            getattr(self.world, each)()

    @rule(rounds=st.integers(1, 8))
    def go_on(self, rounds: int) -> None:
        """They have them in the order in which they mostly do; a dead daemon is started again."""
        if self.world.daemon is None:
            self.world.start()
        for _ in range(rounds):
            self.world.look()
            self.world.turn()
            self.world.work()
            self.world.seconds += 3

    @rule(kill=st.booleans(), full=st.booleans())
    def accident(self, *, kill: bool, full: bool) -> None:
        """The process is killed; the disk is full, or has room again."""
        if kill:
            self.world.die()
        self.world.disk_full = full

    # The cloud.

    @rule(trouble=st.sampled_from(TROUBLES), times=st.sampled_from([1, 2, 4]))
    def requests_fail(self, trouble: str, times: int) -> None:
        """What comes of the next paid requests."""
        self.world.cloud.troubles.extend([trouble] * times)

    @rule(
        trouble=st.sampled_from(["busy", "down", "throttled", "bad key", "killed"]),
        fate=st.sampled_from(["heard", "failed", "refused", "forgotten"]),
    )
    def tasks_fail(self, trouble: str, fate: str) -> None:
        """What comes of the next question or upload, and of the next task."""
        self.world.cloud.queries.append(trouble)
        self.world.cloud.fates.append(fate)

    @rule()
    def heal(self) -> None:
        """The cloud is well again."""
        self.world.cloud.troubles.clear()
        self.world.cloud.queries.clear()

    # What must be true.

    @invariant()
    def never_paid_twice(self) -> None:
        """But where an answer was lost, or a person wanted it."""
        for digest, times in self.world.cloud.paid.items():
            bound = 1 + self.world.cloud.lost[digest] + self.allowed[digest]
            assert times <= bound, f"{digest} was paid {times} times"

    @invariant()
    def nothing_half_written(self) -> None:
        """Whoever looks at the transcripts at any time sees whole ones, of contents that there were."""
        for path in self.world.outputs.rglob("*.txt"):
            if not path.name.startswith("."):
                assert path.read_text() in self.ever, path

    def teardown(self) -> None:
        """In the end everything is as it must be."""
        try:
            self.world.settle_down()
            self.nothing_half_written()
            self.never_paid_twice()
            self._nothing_lost()
            Model.done += 1
        finally:
            self.world.end()

    def _nothing_lost(self) -> None:
        world = self.world
        assert world.quiet, f"it does not come to rest: {world.left()}"
        assert world.store is not None
        desk = Desk(world.settings(), world.store)
        for name, content in self.files.items():
            path = world.inbox / name
            recording = world.store.latest_at(bytes(path))
            if not content:
                continue
            assert recording is not None, f"nobody knows {name}"
            assert recording.reading is None or recording.reading.sha256 == sha256(content)
            if recording.state is State.DELIVERED:
                (output,) = recording.outputs
                assert (
                    Path(str(output.path, "utf-8")).read_text() == words_of(sha256(content)) + "\n"
                )
            elif sha256(content) in PRISTINE:
                assert recording.failure is not None
                assert recording.failure.code in REASONS, recording.failure
        for recording in world.store.in_state(*State):
            assert recording.state in DONE
            told = desk.answer(AskExplain(path=recording.path))
            assert isinstance(told, Explanation)
            assert told.story is not None
            if recording.failure is not None:
                assert recording.failure.code != "unexpected"
                assert recording.failure.message
        self._nothing_paid_is_lost()

    def _nothing_paid_is_lost(self) -> None:
        """Every answer that the cloud gave, and that came through, is in the store."""
        cloud, store = self.world.cloud, self.world.store
        assert store is not None
        readings = [recording.reading for recording in store.in_state(*State)]
        purchases: dict[str, set[str]] = {}
        for (
            reading
        ) in readings:  # one content may have been planned for one engine, then for another
            if reading is not None:
                purchases.setdefault(reading.sha256, set()).add(reading.purchase)
        for digest, times in cloud.paid.items():
            spoilt = sum(
                job.sha256 == digest and job.fate == "forgotten" for job in cloud.jobs.values()
            )
            if times > cloud.lost[digest] + spoilt:
                assert any(store.answer_for(each) for each in purchases[digest]), digest


def _sequences(number: int, *, fresh: bool) -> settings:
    return settings(
        max_examples=number,
        stateful_step_count=30,
        derandomize=not fresh,
        database=None,
        deadline=None,
        print_blob=fresh,
        # Shrinking runs the model thousands of times: `left` tells more, and sooner.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def test_what_was_promised_holds_in_any_order() -> None:
    """Whatever people, disk and cloud do in whichever order: nothing is lost, half-written, or paid twice."""
    run_state_machine_as_test(Model, settings=_sequences(25, fresh=False))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_what_was_promised_holds_in_thousands_of_orders(
    rounds: Callable[[int, int], int], promise: Keep
) -> None:
    """The same, thousands of times and other ones each time [P30]."""
    number = rounds(5000, 500)
    Model.done = 0
    try:
        run_state_machine_as_test(Model, settings=_sequences(number, fresh=True))
    finally:
        promise(
            "P30 random sequences of actions agree with a model",
            promised=f"{number} of {number}",
            measured=f"{Model.done}, all agree",
        )
    assert Model.done >= number
