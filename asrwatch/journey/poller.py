"""Asks the cloud about all outstanding tasks inside its query limit.

The dates on which to ask are in the store; the daemon hands over whatever is due, one round at a time, and
every answer comes back as a message the moment it is known. How many queries a round takes (one list, or one
each) is the engine's decision; how many a second, the cloud's desk watches over (10; contract section 5.1
allows 20).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any

from asrwatch.crash import crash_point
from asrwatch.engines import Engine, Heard, StillOut
from asrwatch.errors import AsrwatchError, EngineError, TemporaryError
from asrwatch.journey.recording import Recording

__all__ = ["LATE_AFTER", "OVERDUE_AFTER", "TaskNews", "ask_about", "next_wait", "soon"]

SHORTEST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(seconds=20)
TOGETHER = timedelta(seconds=2)
LATE_AFTER = timedelta(hours=12)
"""No recording is longer, and most tasks take a fraction of their recordings' length."""
OVERDUE_AFTER = timedelta(hours=20)
"""Four hours before the cloud forgets a finished task (contract section 4.5), a person should know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskNews:
    """What the cloud says of one task; an `EngineError` or `TemporaryError` of the way there says nothing of it.

    `final` tells an error about the task itself, which ends it, from one about the way there.
    """

    recording: Recording
    news: Heard | StillOut | AsrwatchError
    final: bool = True


def next_wait(age: timedelta) -> timedelta:
    """How long until a task of this age is asked about again: 5 s, growing to 20 s with its age."""
    return min(max(age / 6, SHORTEST_WAIT), LONGEST_WAIT)


def soon(
    outstanding: Iterable[Recording], *, due: Callable[[Recording], bool]
) -> tuple[Recording, ...]:
    """Which tasks to ask about now: those due, and, if there are any, those due within two seconds.

    Taken along, they make one list call serve more tasks.
    """
    tasks = tuple(outstanding)
    first = [recording.due for recording in tasks if due(recording)]
    if not first:
        return ()
    horizon = max(first) + TOGETHER
    return tuple(recording for recording in tasks if recording.due <= horizon)


def ask_about(
    recordings: Sequence[Recording],
    engines: Mapping[str, Engine[Any]],
    tell: Callable[[TaskNews], None],
    *,
    go_on: Callable[[], bool],
) -> None:
    """One round: ask about these submitted recordings, and tell the news of every one of them.

    Args:
        recordings: all submitted; their engines are in `engines`.
        engines: by name.
        tell: gets the news, one by one, from this thread.
        go_on: asked between queries; the rest of the round is dropped once it says no.
    """
    crash_point("polling")
    ordered = sorted(recordings, key=_engine_name)
    for name, group in groupby(ordered, key=_engine_name):
        waiting = {_ticket(recording): recording for recording in group}
        for news in _round(engines[name], waiting):
            tell(news)
            crash_point("told")
            if not go_on():
                return


def _round(engine: Engine[Any], waiting: dict[str, Recording]) -> Iterable[TaskNews]:
    trouble: AsrwatchError | None = None
    try:
        for ticket, news in engine.check(list(waiting)):
            recording = waiting.pop(ticket, None)
            if recording is not None:
                yield TaskNews(recording=recording, news=news)
    except (EngineError, TemporaryError) as error:
        trouble = error
    for recording in waiting.values():
        yield TaskNews(
            recording=recording, news=trouble or StillOut(status="not mentioned"), final=False
        )


def _engine_name(recording: Recording) -> str:
    return recording.reading.plan.engine if recording.reading else ""


def _ticket(recording: Recording) -> str:
    return recording.task.ticket if recording.task else ""
