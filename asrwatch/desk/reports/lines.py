"""What several reports tell in the same words: a reason, a recording, a file that settles, a message, a sound."""

from dataclasses import dataclass
from datetime import datetime

from asrwatch.desk.forms import FileName, Span
from asrwatch.errors import AsrwatchError
from asrwatch.journey.recording import State

__all__ = ["ForAPerson", "Reason", "RecordingLine", "Settling", "SoundLine", "Untold"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why something is as it is, and what to do about it."""

    code: str
    message: str
    advice: str = ""

    @classmethod
    def of(cls, error: AsrwatchError) -> "Reason":
        """The reason an error stands for."""
        return cls(code=error.code, message=error.message, advice=error.advice)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingLine:
    """A recording in one line: where it is, since when, and what that means now.

    `trouble` is what it met last on its way, `next_at` when it goes on by itself.
    """

    id: int
    inbox: str
    path: FileName
    state: State
    since: datetime
    now: str
    next_at: datetime | None = None
    trouble: Reason | None = None
    trouble_since: datetime | None = None
    trouble_count: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ForAPerson:
    """A recording that waits for a person: why, since when, and the command (`next`) that takes it up again."""

    inbox: str
    path: FileName
    since: datetime
    reason: Reason
    next: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Settling:
    """A file that has not settled yet: why, and for how long it has been waiting."""

    inbox: str
    path: FileName
    size: int
    why: str
    waits_for: Span


@dataclass(frozen=True, kw_only=True, slots=True)
class Untold:
    """A message that was not told: of `count` things, the first of them `about` a file.

    `given_up` says why it is not tried any more; otherwise `next_at` is when it is.
    """

    message: str
    notifier: str
    kind: str
    since: datetime
    attempts: int
    count: int
    about: str | None = None
    given_up: str | None = None
    next_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundLine:
    """What a recording is, as far as that is known; None is unknown.

    `duration_from` is `headers`, `decoding` or empty. `silent`: nobody could hear anything in it; `same_channels`:
    all carry the same sound; `silent_channels` and `track` (of `tracks` streams of sound) count from 0;
    `pictures`: it is a video.
    """

    container: str | None
    codec: str | None
    duration: Span | None
    duration_from: str
    sample_rate: int | None
    channels: int | None
    silent: bool | None
    same_channels: bool | None
    silent_channels: tuple[int, ...]
    tracks: int | None
    track: int
    pictures: bool | None
