"""What people ask and what they are told: questions and reports, each with a JSON form.

The JSON form is what travels through the control socket and what `--json` prints: paths as text (bytes that
are not UTF-8 as surrogate escapes), dates as ISO 8601, spans as seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Discriminator, PlainSerializer, PlainValidator, TypeAdapter

from asrwatch.errors import AsrwatchError
from asrwatch.journey.recording import State

__all__ = [
    "Ailment",
    "AskAnother",
    "AskBooked",
    "AskExplain",
    "AskForget",
    "AskHealth",
    "AskLog",
    "AskRetry",
    "AskStatus",
    "AskTellAgain",
    "AskTranscripts",
    "Booked",
    "BudgetLine",
    "Doubt",
    "EventLine",
    "Explanation",
    "FileName",
    "ForAPerson",
    "Foresight",
    "Health",
    "HoldLine",
    "InboxHealth",
    "Log",
    "LogLine",
    "Money",
    "NotifierLine",
    "OutputLine",
    "Paid",
    "Piece",
    "PieceLine",
    "Question",
    "Reason",
    "RecordingLine",
    "Report",
    "Settling",
    "SoundLine",
    "Span",
    "Status",
    "Story",
    "Stuck",
    "TaskLine",
    "ToldAgain",
    "TranscriptLine",
    "Transcripts",
    "Treated",
    "Treatment",
    "Untold",
    "from_json",
    "question_from_json",
    "to_json",
]

ReportT = TypeVar("ReportT")


def _to_bytes(written: Any) -> bytes:
    if isinstance(written, bytes):
        return written
    if isinstance(written, str) and "\0" not in written:
        return written.encode("utf-8", "surrogateescape")
    msg = "not a path"
    raise ValueError(msg)


def _to_text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


FileName = Annotated[bytes, PlainValidator(_to_bytes), PlainSerializer(_to_text, when_used="json")]
"""A path as the file system knows it; text in JSON, the same whatever the locale of who asks and who answers."""

Span = Annotated[timedelta, PlainSerializer(lambda span: span.total_seconds(), when_used="json")]
"""A span of time; seconds in JSON."""

Sum = Annotated[Decimal, PlainSerializer(float, when_used="json")]
"""An amount of money; a number in JSON."""


# Questions.


@dataclass(frozen=True, kw_only=True, slots=True)
class AskStatus:
    """How do things stand?"""

    ask: Literal["status"] = "status"


@dataclass(frozen=True, kw_only=True, slots=True)
class AskHealth:
    """How are the daemon and its inboxes doing at this moment? Answered from memory, without the database."""

    ask: Literal["health"] = "health"


@dataclass(frozen=True, kw_only=True, slots=True)
class AskExplain:
    """What is the story of this file or folder? `path` is absolute."""

    path: FileName
    ask: Literal["explain"] = "explain"


@dataclass(frozen=True, kw_only=True, slots=True)
class AskBooked:
    """Which of these files cost nothing any more: asked about already, failed, or left alone on purpose?"""

    paths: tuple[FileName, ...]
    ask: Literal["booked"] = "booked"


@dataclass(frozen=True, kw_only=True, slots=True)
class AskRetry:
    """Take these up again: files and everything below folders (absolute), or all that failed or are parked.

    With paths and `failed` or `parked`, only what has failed or is parked below them.
    """

    paths: tuple[FileName, ...] = ()
    failed: bool = False
    parked: bool = False
    ask: Literal["retry"] = "retry"


@dataclass(frozen=True, kw_only=True, slots=True)
class AskAnother:
    """Transcribe this recording again, with this engine, whatever its inbox says; that is paid for."""

    recording: int
    engine: str
    ask: Literal["another"] = "another"


@dataclass(frozen=True, kw_only=True, slots=True)
class AskForget:
    """Drop what is known of these files and of everything below these folders (absolute)."""

    paths: tuple[FileName, ...]
    ask: Literal["forget"] = "forget"


@dataclass(frozen=True, kw_only=True, slots=True)
class AskTranscripts:
    """In which transcripts do these words stand? Of recordings found since then, in one inbox or all."""

    search: str
    inbox: str | None = None
    since: datetime | None = None
    limit: int = 20
    ask: Literal["transcripts"] = "transcripts"


@dataclass(frozen=True, kw_only=True, slots=True)
class AskLog:
    """What happened lately? `after` is the number of an event: only what came after it."""

    inbox: str | None = None
    since: datetime | None = None
    after: int | None = None
    limit: int = 20
    ask: Literal["log"] = "log"


@dataclass(frozen=True, kw_only=True, slots=True)
class AskTellAgain:
    """Try again what no notifier took; with `drop`: throw it away."""

    drop: bool = False
    ask: Literal["tell-again"] = "tell-again"


Question = (
    AskAnother
    | AskStatus
    | AskHealth
    | AskExplain
    | AskBooked
    | AskRetry
    | AskForget
    | AskTranscripts
    | AskLog
    | AskTellAgain
)


# Reports.


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
class Ailment(Reason):
    """What is wrong with an inbox, what to do about it, and since when."""

    since: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class InboxHealth:
    """How an inbox is doing. Everything but name and path is unknown (None) where no daemon runs.

    `health` is `ok` or `degraded`, which has its `troubles`. `files` counts what may be a recording, whatever
    became of it, as of the last look; what has not settled longest waits `settling_for`. `looked_at` is when the
    last pass over everything ended, `scanning_since` when the one under way began. Of the events: how often some
    were lost (`events_lost`), how often they were armed afresh (`events_rearmed`), when the last one came.
    """

    name: str
    path: FileName
    alive: bool | None = None
    watching: str | None = None
    watching_reason: str | None = None
    files: int | None = None
    settling: int | None = None
    settling_for: Span | None = None
    empty: int | None = None
    unreadable: int | None = None
    scan_took: Span | None = None
    health: Literal["ok", "degraded"] | None = None
    looked_at: datetime | None = None
    scanning_since: datetime | None = None
    events_lost: int | None = None
    events_rearmed: int | None = None
    last_event_at: datetime | None = None
    troubles: tuple[Ailment, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldLine:
    """Why and until when an engine is not asked; `scope` is `*` for all engines."""

    scope: str
    trouble: str
    since: datetime
    until: datetime
    count: int
    reason: Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskLine:
    """A task the cloud is working on, and when it is asked about next."""

    ticket: str
    engine: str
    path: FileName
    submitted_at: datetime
    age: Span
    next_question: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Money:
    """What was asked of the cloud in a span of time, in requests, in audio and in money.

    `unsent` requests never reached the cloud; `asked` leaves them out. `billed` is what the answers say;
    `audio` and `money` also count what may be billed for requests whose answer is not known (see `Ledger`).
    """

    asked: int
    answered: int
    billed: Span
    unknown: int
    perhaps_twice: int
    unsent: int = 0
    refused: int = 0
    bill_unknown: int = 0
    audio: Span = timedelta(0)
    money: Sum = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetLine:
    """A limit for the day or month under way: what was asked for in it at most, of how much, and its end."""

    period: str
    until: datetime
    audio: Span
    audio_allowed: Span | None
    money: Sum
    money_allowed: Sum | None
    spent: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """A request of which nobody knows whether it was paid, and what that would be; to be looked for on the bill."""

    ask_id: str
    path: FileName
    sha256: str | None
    asked_at: datetime
    engine: str
    model: str
    outcome: str
    audio: Span | None
    cost: Sum | None


@dataclass(frozen=True, kw_only=True, slots=True)
class NotifierLine:
    """How a notifier does: messages that wait for it and that it never took (`untold`), and what it failed with.

    `told_at` is when it last took one; `gone` since when it wants none.
    """

    notifier: str
    inboxes: tuple[str, ...]
    waiting: int
    untold: int
    told_at: datetime | None = None
    failures: int = 0
    next_at: datetime | None = None
    gone: datetime | None = None
    trouble: Reason | None = None


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
class Stuck:
    """A thread beyond its deadline: what it does, and for how long it has not moved."""

    thread: str
    doing: str
    since: Span
    allowed: Span


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """How things stand. Lists hold the first of many; the counts beside them are of all."""

    version: str
    at: datetime
    state_dir: FileName
    running: bool
    process: int | None
    started_at: datetime | None
    watchdog: Span | None
    stuck: tuple[Stuck, ...]
    counts: Mapping[State, int]
    under_way: tuple[RecordingLine, ...]
    oldest_waiting: RecordingLine | None
    failed: tuple[ForAPerson, ...]
    parked: tuple[ForAPerson, ...]
    settling: tuple[Settling, ...]
    settling_count: int
    inboxes: tuple[InboxHealth, ...]
    holds: tuple[HoldLine, ...]
    tasks: tuple[TaskLine, ...]
    task_count: int
    today: Money
    this_month: Money
    ever: Money
    currency: str
    doubts: tuple[Doubt, ...] = ()
    shortages: tuple[Reason, ...] = ()
    backup_at: datetime | None = None
    backup_trouble: Reason | None = None
    page: str | None = None
    page_trouble: Reason | None = None
    budget: tuple[BudgetLine, ...] = ()
    notifiers: tuple[NotifierLine, ...] = ()
    untold: tuple[Untold, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What only the running daemon knows. `under_way` are the recordings that workers are on.

    `paced` engines are not asked now although nothing holds them: their pace does. `page` is where the status
    page is served, None without one; `page_trouble` why it cannot be.
    """

    at: datetime
    running: bool
    started_at: datetime | None
    inboxes: tuple[InboxHealth, ...]
    settling: tuple[Settling, ...]
    settling_count: int
    holds: tuple[HoldLine, ...]
    shortages: tuple[Reason, ...]
    stuck: tuple[Stuck, ...]
    under_way: tuple[int, ...] = ()
    paced: tuple[str, ...] = ()
    workers_busy: bool = False
    page: str | None = None
    page_trouble: Reason | None = None


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Treated:
    """What was done with one recording, or why nothing was."""

    path: FileName
    done: bool
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Treatment:
    """What `retry` or `forget` did: the first of the lines, and how many there are of each kind."""

    running: bool
    treated: tuple[Treated, ...]
    done: int
    refused: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Booked:
    """Those of the files that cost nothing any more."""

    paths: tuple[FileName, ...]


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


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldAgain:
    """How many messages are tried again, or were thrown away."""

    running: bool
    messages: int


Report = Status | Health | Explanation | Treatment | Booked | Transcripts | Log | ToldAgain

_ADAPTERS: Mapping[type[Any], TypeAdapter[Any]] = {
    kind: TypeAdapter(kind)
    for kind in (Status, Health, Explanation, Treatment, Booked, Transcripts, Log, ToldAgain)
}
_QUESTIONS: TypeAdapter[Question] = TypeAdapter(Annotated[Question, Discriminator("ask")])


def to_json(report: Report | Question) -> Any:
    """The JSON form, ready for `json.dumps` (with `ensure_ascii`, since paths may hold surrogates)."""
    adapter = _ADAPTERS.get(type(report), _QUESTIONS)
    return adapter.dump_python(report, mode="json")


def from_json(kind: type[ReportT], written: Any) -> ReportT:
    """Read a report's JSON form.

    Raises:
        pydantic.ValidationError: it is no such report.
    """
    report: ReportT = _ADAPTERS[kind].validate_python(written)
    return report


def question_from_json(written: Any) -> Question:
    """Read a question's JSON form.

    Raises:
        pydantic.ValidationError: it is no question.
    """
    return _QUESTIONS.validate_python(written)
