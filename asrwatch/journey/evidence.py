"""The evidence that a recording's states rest on: a value for each thing that has become true."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import TypeVar

from asrwatch.errors import AsrwatchError, OurBug
from asrwatch.journey.plan import AudioFacts, Piece, Plan, Prepared, purchase_key
from asrwatch.journey.transcript import Sentence

__all__ = [
    "Answer",
    "Asking",
    "Delivery",
    "Failure",
    "Fingerprint",
    "Output",
    "Reading",
    "Staging",
    "Task",
    "Trouble",
    "proven",
]

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """What `lstat` says of the settled file: device, inode, size in bytes, mtime in nanoseconds."""

    device: int
    inode: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, kw_only=True)  # no slots: the purchase is worked out once
class Reading:
    """Evidence of having read the file once from end to end.

    Of a `piece` the facts are its own; the hash is that of the whole file.
    """

    sha256: str
    facts: AudioFacts
    plan: Plan
    piece: Piece | None = None

    @cached_property
    def purchase(self) -> str:
        """What would be bought: same content, engine and options are never paid for twice."""
        return purchase_key(self.sha256, self.plan, self.piece)


@dataclass(frozen=True, kw_only=True, slots=True)
class Staging:
    """Evidence that the engine can reach the audio.

    `url` is None where the bytes go in the request, `prepared` where they are the recording's own. With both, a copy
    was uploaded, and `prepared` tells what it was: it is not in the spool any more. `pieces` are those that it was cut
    into; each of them is a row with its copy in the spool. `missing` is what a recording that was cut lacks.
    """

    ask_id: str
    prepared: Prepared | None = None
    pieces: tuple[Piece, ...] = ()
    url: str | None = None
    url_expires: datetime | None = None
    missing: timedelta = timedelta(0)

    @property
    def lacks(self) -> timedelta:
        """For how long the recording holds no sound that could be decoded, as far as somebody decoded it."""
        return self.prepared.missing if self.prepared else self.missing


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """Evidence of an announced request: since when, and who sends it (host, process).

    `uptime` is the machine's own clock beside `asked_at`, which may jump. `expected` is how much audio it should
    be billed for, `price` what a second of it costs, None where that is not known.
    """

    asked_at: datetime
    who: str
    uptime: timedelta | None = None
    expected: timedelta | None = None
    price: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """Evidence of an accepted task: the cloud's id for it, and since when."""

    ticket: str
    submitted_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The cloud's answer as it came, JSON in UTF-8; kept for ever, read again by the engine at will.

    `billed` is what the answer says was billed, None where it does not say. `id` is 0 until the store has
    given it one.
    """

    raw: bytes
    received_at: datetime
    billed: timedelta | None = None
    ticket: str | None = None
    id: int = field(default=0, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """A file we wrote: which format, where, and the sha256 of its content when we wrote it."""

    format: str
    path: bytes
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """Evidence that every output is in its place; `original` is where the recording lies now.

    `left_alone` says why the original was not moved or deleted although it should have been; it becomes a
    note of the recording's story. `said` is what was delivered, for the search; None where it is not in hand.
    """

    delivered_at: datetime
    outputs: tuple[Output, ...]
    original: bytes | None
    left_alone: str = ""
    said: tuple[Sentence, ...] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a person must look: class and code for machines, message and advice for people."""

    error: str
    code: str
    message: str
    advice: str

    @classmethod
    def of(cls, error: AsrwatchError) -> "Failure":
        """The failure an error stands for."""
        return cls(
            error=type(error).__name__,
            code=error.code,
            message=error.message,
            advice=error.advice,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Temporary trouble on the way to an answer: since when, how often, and what it was last.

    What may cost money is counted by itself: `lost` answers (the last of them that of attempt `lost_at`),
    `tasks` that the cloud failed, and `urls` that it could not fetch.
    """

    since: datetime
    count: int
    last: Failure
    lost: int = 0
    lost_at: int = 0
    tasks: int = 0
    urls: int = 0


def proven(value: ValueT | None) -> ValueT:
    """Evidence that is there, since the recording's state says so.

    Raises:
        OurBug: it is not.
    """
    if value is None:
        msg = "a recording lacks the evidence of its state"
        raise OurBug(msg)
    return value
