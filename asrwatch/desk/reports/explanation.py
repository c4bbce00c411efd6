"""What there is to tell of one file: its story so far, or what would happen to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from asrwatch.desk.forms import FileName, Span, Sum
from asrwatch.desk.reports.lines import Reason, RecordingLine, Settling, SoundLine, Untold
from asrwatch.journey.recording import State

__all__ = ["EventLine", "Explanation", "Foresight", "OutputLine", "Paid", "PieceLine", "Story"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EventLine:
    """One line of a recording's story."""

    at: datetime
    state: State
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Paid:
    """One paid request that was made for a recording, and what became of it."""

    ask_id: str
    asked_at: datetime
    engine: str
    model: str
    outcome: str
    billed: Span | None
    cost: Sum | None = None
    currency: str = ""
    piece: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputLine:
    """A file that was written, or whose place is decided."""

    format: str
    path: FileName
    written: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PieceLine:
    """A piece of a recording that was cut: its place, how far it is (None: not on its way), and what was paid."""

    number: int
    begin: Span
    end: Span
    channel: int | None = None
    state: State | None = None
    ticket: str | None = None
    billed: Span | None = None
    reason: Reason | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """Everything there is to tell of one recording.

    `now` says in words what is true, `waits` why nothing happens at this moment, `next_at` when it goes on.
    """

    id: int
    inbox: str
    path: FileName
    state: State
    now: str
    waits: tuple[str, ...]
    next_at: datetime | None
    found_at: datetime
    size: int
    sha256: str | None = None
    container: str | None = None
    codec: str | None = None
    duration: Span | None = None
    channels: int | None = None
    engine: str | None = None
    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    ticket: str | None = None
    attempts: int = 0
    failure: Reason | None = None
    trouble: Reason | None = None
    trouble_since: datetime | None = None
    trouble_count: int = 0
    outputs: tuple[OutputLine, ...] = ()
    original: FileName | None = None
    paid: tuple[Paid, ...] = ()
    pieces: tuple[PieceLine, ...] = ()
    events: tuple[EventLine, ...] = ()
    sound: SoundLine | None = None
    untold: tuple[Untold, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Foresight:
    """What would happen to a file asrwatch does not know, and why; found out without paying.

    `taken` says whether it would become a recording at all.
    """

    taken: bool
    verdict: str
    inbox: str | None = None
    container: str | None = None
    codec: str | None = None
    duration: Span | None = None
    channels: int | None = None
    engine: str | None = None
    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    advice: str = ""
    sound: SoundLine | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """What is known of a file (`story`, `earlier` ones at the same path) or of a folder (`below`)."""

    path: FileName
    running: bool
    story: Story | None = None
    earlier: tuple[RecordingLine, ...] = ()
    below: tuple[RecordingLine, ...] = ()
    below_count: int = 0
    settling: tuple[Settling, ...] = ()
    forgotten: bool = False
    foresight: Foresight | None = None
