"""The messages that the daemon's mailbox holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asrwatch.engines import Heard
from asrwatch.errors import AsrwatchError
from asrwatch.inbox.messages import FileSettled, InboxHealed, InboxTrouble, ScanDone
from asrwatch.journey.poller import TaskNews
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.room import RoomSeen
from asrwatch.journey.store import Letter, StoreTrouble

if TYPE_CHECKING:
    from asrwatch.daemon import Daemon

__all__ = [
    "LATER",
    "Answered",
    "Call",
    "Mail",
    "PollingDone",
    "StepDone",
    "Stop",
    "TakenAway",
    "is_paid_for",
    "urgency",
]

LATER = 3
"""The urgency of what can wait until there is room again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDone:
    """A worker's step came to an end: what is now true, or what came in between."""

    before: Recording
    outcome: Recording | Exception


@dataclass(frozen=True, kw_only=True, slots=True)
class PollingDone:
    """A round of polling ended, by `error` if it was one nobody foresaw."""

    error: Exception | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """What became of a message to a notifier: told, or why not."""

    letter: Letter
    error: AsrwatchError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenAway:
    """The files of these failed recordings are gone."""

    recordings: tuple[Recording, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """Somebody asked for the end."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A question or command of a person, answered in the daemon's thread; `answer` must not raise.

    `spoiled` is told instead where the database cannot be used now.
    """

    answer: Callable[["Daemon"], None]
    spoiled: Callable[[StoreTrouble], None] = lambda _: None


Mail = (
    FileSettled
    | ScanDone
    | InboxTrouble
    | InboxHealed
    | StepDone
    | TaskNews
    | PollingDone
    | Answered
    | TakenAway
    | RoomSeen
    | Stop
    | Call
)


def is_paid_for(mail: Mail) -> bool:
    """Whether a message tells what a paid request brought, or that it was accepted."""
    match mail:
        case StepDone(before=before, outcome=Recording()):
            return before.state is State.ASKING
        case TaskNews(news=Heard()):
            return True
        case _:
            return False


def urgency(mail: Mail) -> int:
    """What is saved first when not all can be: lower is sooner."""
    if isinstance(mail, Stop):
        return 0
    if is_paid_for(mail):
        return 1
    return 2 if isinstance(mail, Call | RoomSeen) else LATER
