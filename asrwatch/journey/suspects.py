"""Finds the one recording that kills asrwatch among those that were under way when it died.

Whatever was under way at a death is suspected, and tried alone, so that the next death tells. A recording
that survives the step it was suspected of is cleared; at the third death it is given up and its neighbours
go on. An orderly end counts for nothing.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from asrwatch.journey.evidence import Failure
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.remembered import Remembered
from asrwatch.journey.request import is_ours
from asrwatch.journey.store import STEPS_LEFT, Suspect
from asrwatch.values import printable

__all__ = ["MOST_DEATHS", "POISON", "Suspects", "step_of", "unfetchable"]

MOST_DEATHS = 3
POLL = "poll"
ALONE = timedelta(seconds=30)
"""For how long a suspect is alone that was there at one death only: most die at once, and long steps must not
hold up everybody."""
LONG_ALONE = timedelta(minutes=10)
"""The same from the second death on."""

HELD_BACK = timedelta(minutes=1)
"""For how long others are held back until what is under way has ended and a trial can begin: an upload may take
hours. What is under way still is suspected with it, if it dies, and tried in its turn."""

POISON = Failure(
    error="Poison",
    code="poison",
    message=f"asrwatch died {MOST_DEATHS} times in a row while it was at work on this recording.",
    advice="The log holds the stacks; please report it. Take the file away, or let `asrwatch retry` try again.",
)


def unfetchable(recording: Recording) -> Failure:
    """What becomes of a task that is paid for, and whose result asrwatch does not survive."""
    ticket = printable(recording.task.ticket) if recording.task else ""
    return Failure(
        error="Poison",
        code="poison-result",
        message=f"asrwatch died {MOST_DEATHS} times in a row while it fetched the result of task {ticket}, which is "
        "paid for.",
        advice=f"`asrwatch transcribe --task {ticket}` tries again by itself, for nothing, while the cloud keeps it "
        "(24 hours); `asrwatch retry` asks and pays again. The log holds the stacks; please report it.",
    )


def step_of(recording: Recording) -> str:
    """The step that a worker, or the poller, takes with it, as the books call it."""
    match recording.state:
        case State.SETTLED:
            return "read" if recording.reading is None else "publish"
        case State.STAGED:
            return "ask"
        case State.ASKING:
            return "ask" if is_ours(recording) else "reconcile"
        case State.SUBMITTED:
            return POLL
        case _:
            return recording.state.value


class Suspects:
    """Who is suspected of having killed asrwatch."""

    def __init__(self, memory: Callable[[], Remembered[Any, Any]] = Remembered) -> None:
        self._all: Remembered[int, Suspect] = memory()
        self._tried_since: Remembered[int, datetime] = memory()
        self._waits_since: Remembered[int, datetime] = memory()

    @property
    def ids(self) -> frozenset[int]:
        """Whose steps are taken alone."""
        return frozenset(self._all)

    def suspect(self, found: Iterable[Suspect]) -> None:
        """After a death."""
        self._all.update({one.recording: one for one in found})

    def is_poison(self, recording: Recording) -> bool:
        """Whether it has had its tries at the step that is next."""
        one = self._all.get(recording.id)
        return one is not None and one.deaths >= MOST_DEATHS and one.died_in == step_of(recording)

    def begins(self, recording_id: int, now: datetime) -> None:
        """Its trial begins."""
        self._tried_since[recording_id] = now
        self._waits_since.pop(recording_id, None)

    def waits(self, recording_id: int, now: datetime) -> bool:
        """Whether its trial waits for others that are under way, and nobody else begins meanwhile."""
        since = self._waits_since.setdefault(recording_id, now)
        return timedelta(0) <= now - since < HELD_BACK

    def of_polling(self, batch: Iterable[Recording]) -> tuple[Recording, ...]:
        """Those of these tasks that are suspected of it, the least suspicious first."""
        deaths = {number: one.deaths for number, one in self._all.items() if one.died_in == POLL}
        return tuple(
            sorted((one for one in batch if one.id in deaths), key=lambda one: deaths[one.id])
        )

    def is_grave(self, recording_id: int) -> bool:
        """Whether nobody else may do anything during its trial."""
        one = self._all.get(recording_id)
        return one is not None and one.deaths > 1

    def is_past(self, recording: Recording) -> bool:
        """Whether a suspect got past the step that it is suspected of, and no worker has another for it."""
        one = self._all.get(recording.id)
        left = recording.state in STEPS_LEFT
        return one is not None and not left and one.died_in != step_of(recording)

    def survived(self, recording: Recording) -> bool:
        """Its step came to an end; answers whether it is free of suspicion (now or before)."""
        self._tried_since.pop(recording.id, None)
        one = self._all.get(recording.id)
        if one is not None and one.died_in != step_of(recording):
            return False
        self.acquit(recording.id)
        return True

    def acquit(self, recording_id: int) -> None:
        """It is out of reach, given up, or gone."""
        for memory in (self._all, self._tried_since, self._waits_since):
            memory.pop(recording_id, None)

    def others_wait(self, under_way: Collection[int], now: datetime) -> bool:
        """Whether a trial is under way that nobody else may take part in."""
        for recording_id in under_way:
            one = self._all.get(recording_id)
            since = self._tried_since.get(recording_id)
            if one is not None and since is not None:
                alone = ALONE if one.deaths == 1 else LONG_ALONE
                return timedelta(0) <= now - since < alone
        return False

    def in_trial(self, under_way: Collection[int]) -> bool:
        """Whether one of them is a suspect on its trial."""
        return any(each in self._all for each in under_way)
