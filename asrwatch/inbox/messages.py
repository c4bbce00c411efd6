"""What a lookout tells the daemon: files that settled, passes that ended, trouble that came and went."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from asrwatch.inbox.evidence import Evidence
from asrwatch.inbox.looks import ScanTrouble, Waiting, Why
from asrwatch.inbox.mounts import WatchMode
from asrwatch.journey.evidence import Fingerprint

__all__ = [
    "About",
    "Deafness",
    "FileSettled",
    "InboxHealed",
    "InboxTrouble",
    "Message",
    "PassKind",
    "ScanDone",
]


class PassKind(StrEnum):
    """How much was looked at."""

    WHOLE = "whole"
    PART = "part"
    LOOK = "look"


class About(StrEnum):
    """What has trouble: the folder, places below it, events that hurry things up, or whoever looks at it."""

    ROOT = "root"
    BELOW = "below"
    EVENTS = "events"
    LOOKOUT = "lookout"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileSettled:
    """A file is whole, by this evidence; posted once per path and fingerprint."""

    inbox: str
    path: bytes
    fingerprint: Fingerprint
    evidence: Evidence = Evidence.QUIET


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanDone:
    """A pass or a round of looks has ended; posted after the files that settled in it.

    `complete` says that the inbox and every folder looked at could be read. `files` are the wanted files
    looked at. `troubles` are the first of `trouble_count`. `waiting` is everything that has not settled,
    in the whole inbox; `gone` are files that vanished before they settled.
    """

    inbox: str
    kind: PassKind
    complete: bool
    files: int
    took: timedelta
    troubles: tuple[ScanTrouble, ...]
    trouble_count: int
    waiting: tuple[Waiting, ...]
    gone: tuple[bytes, ...]
    watching: WatchMode
    watching_reason: str

    @property
    def settling(self) -> int:
        """How many files will settle if they are left alone; empty ones may wait for ever."""
        return sum(waiting.why is Why.CHANGING for waiting in self.waiting)

    @property
    def quiet(self) -> bool:
        """Whether there is nothing to wait for: everything there has settled and was reported."""
        return self.settling == 0


@dataclass(frozen=True, kw_only=True, slots=True)
class InboxTrouble:
    """An inbox cannot be read, or its events cannot be had; posted when it begins or changes.

    Two are the same trouble whenever it began.
    """

    inbox: str
    about: About
    code: str
    message: str
    advice: str
    since: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class InboxHealed:
    """The trouble an inbox had is over."""

    inbox: str
    about: About


@dataclass(frozen=True, kw_only=True, slots=True)
class Deafness:
    """Why events cannot be relied upon, now.

    `partial`: they come, but not from everywhere. `root_away`: there is nothing to listen to. `lost`: they come
    again, and some were lost.
    """

    code: str
    message: str
    advice: str
    partial: bool = False
    root_away: bool = False
    lost: bool = False


Message = FileSettled | ScanDone | InboxTrouble | InboxHealed
