"""What was said and what happened: transcripts found, and the latest events."""

from dataclasses import dataclass
from datetime import datetime

from asrwatch.desk.forms import FileName, Span
from asrwatch.journey.recording import State

__all__ = ["Log", "LogLine", "Piece", "TranscriptLine", "Transcripts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A piece of text, and whether it was looked for."""

    text: str
    found: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TranscriptLine:
    """A transcript in which the words stand.

    `path` is where the recording lies now (None: deleted), `begin` the time in it at which the sentence found
    begins, where that is known.
    """

    id: int
    inbox: str
    recording: FileName
    path: FileName | None
    transcript: FileName | None
    state: State
    found_at: datetime
    delivered_at: datetime | None
    begin: Span | None
    excerpt: tuple[Piece, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcripts:
    """The best of the transcripts in which the words stand, or the newest where `ranked` is False.

    `count` is of all, at most one more than `counted_to`; `missing` recordings cannot be searched yet.
    """

    transcripts: tuple[TranscriptLine, ...]
    count: int
    counted_to: int
    ranked: bool
    missing: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLine:
    """What happened to a recording last: `what` in words; `event` is its number, for `AskLog.after`."""

    event: int
    at: datetime
    id: int
    inbox: str
    path: FileName
    state: State
    what: str
    code: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """What happened lately, oldest first; one line for each recording. `newest` is the newest event's number."""

    lines: tuple[LogLine, ...]
    newest: int
