"""What an engine is: one file per model family in this folder, found by its name.

To add an engine, add one file: `my_engine.py` holds one subclass of `Engine` and is used as `my-engine`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, BinaryIO, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from asrwatch.cloud import Cloud
from asrwatch.errors import AsrwatchError
from asrwatch.journey.evidence import Answer
from asrwatch.journey.plan import Wishes
from asrwatch.journey.transcript import Transcript
from asrwatch.values import Duration, Size

__all__ = [
    "Ask",
    "Engine",
    "EngineOptions",
    "Found",
    "Heard",
    "LocalAudio",
    "NotThere",
    "Pending",
    "RemoteAudio",
    "Sent",
    "StillOut",
]


class Limits(BaseModel):
    """What an engine takes; shipped with the engine, changeable in the config, as the vendor changes them.

    `longest` is a duration, `largest` a size in bytes as it would be sent (Base64 included where the bytes
    go in the request).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    longest: Duration
    largest: Size
    requests_per_minute: int = Field(ge=1)


class EngineOptions(Limits):
    """Options every engine has; an engine's own `Options` add to them."""

    model: str
    read_timeout: Duration = timedelta(seconds=330)
    """How long the cloud may take to begin and go on answering one request."""
    price_per_second: Annotated[Decimal, Field(ge=0)] | None = None
    """Of one second of audio in one channel, in the region's currency; left out: what the engine ships with."""
    lost_in_a_row: int = Field(default=5, ge=1)
    """After this many paid requests in a row without an answer, the engine is held."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalAudio:
    """Audio that travels in the request: an open stream at its start, its size in bytes, its MIME type."""

    stream: BinaryIO
    size: int
    mime: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteAudio:
    """Audio the cloud fetches itself: `http(s)://` or `oss://`."""

    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One paid request: its id (ASCII, unique), the audio, and what is wanted."""

    id: str
    audio: LocalAudio | RemoteAudio
    wishes: Wishes


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """How an engine maps wishes: the options it sends, and a sentence for each wish it must leave out."""

    options: Mapping[str, JsonValue]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """The engine answered: this is the raw answer."""

    answer: Answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """The engine took the recording as a task: its ticket, when to ask first, and the raw acceptance."""

    ticket: str
    wait: timedelta
    raw: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class StillOut:
    """A task that is not finished: the cloud's word for how far it is, and what keeps its answer away."""

    status: str
    trouble: AsrwatchError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A lost request was accepted after all: this is its ticket, proven by its result's source URL."""

    ticket: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NotThere:
    """No task of the cloud's list can be the lost request: it was never accepted."""


OptionsT = TypeVar("OptionsT", bound=EngineOptions)


class Engine(ABC, Generic[OptionsT]):
    """One model family. Subclasses set the class variables and implement the abstract methods.

    Class variables:
        Options: the engine's options with their defaults.
        takes_bytes: audio may travel in the request (else only by URL).
        base64: bytes are sent as Base64, so `largest` counts four for every three.
        timestamps: answers carry times of sentences.
        channels: channels other than the first can be asked for.
        tasks: `start` answers `Pending`, `check` and `reconcile` work.
        automatic: the dispatcher may choose it unasked.
        regions: where the vendor serves it; empty is everywhere.
        containers: file name extensions it documents (contract sections 3 and 4.1), lower case, no dot.
        codecs: for containers that may hold anything, the sound that is sent as it is; other sound is re-encoded.
        fastest_rate: samples per second above which such a file is re-encoded; None for any.
        prices: of a second of audio, by region, where the vendor names one (contract section 8).
    """

    Options: ClassVar[type[EngineOptions]]
    takes_bytes: ClassVar[bool]
    base64: ClassVar[bool] = False
    timestamps: ClassVar[bool]
    channels: ClassVar[bool]
    tasks: ClassVar[bool]
    automatic: ClassVar[bool] = True
    regions: ClassVar[frozenset[str]] = frozenset()
    containers: ClassVar[frozenset[str]]
    codecs: ClassVar[Mapping[str, frozenset[str]]] = {}
    fastest_rate: ClassVar[int | None] = None
    prices: ClassVar[Mapping[str, Decimal]] = {}

    def __init__(self, options: OptionsT, cloud: Cloud) -> None:
        self.options = options
        self.cloud = cloud

    @property
    def name(self) -> str:
        """The name it is used by: its file's name with dashes."""
        return type(self).__module__.rpartition(".")[2].replace("_", "-")

    @property
    def price_per_second(self) -> Decimal | None:
        """What a second of audio in one channel costs, in the region's currency; None: nobody knows."""
        if self.options.price_per_second is not None:
            return self.options.price_per_second
        return self.prices.get(self.cloud.region)

    @property
    def longest_copy(self) -> timedelta:
        """How long a re-encoded copy may be, whose length is known to the sample; never less than `longest`."""
        return self.options.longest

    def billed_channels(self, wishes: Wishes) -> int:  # noqa: ARG002 - an engine that bills channels looks at them
        """How many channels of a recording are billed."""
        return 1

    @abstractmethod
    def sent(self, wishes: Wishes) -> Sent:
        """How `wishes` would go over the wire. Pure."""

    @abstractmethod
    def start(self, ask: Ask) -> Heard | Pending:
        """Make the one paid request. Never repeats it by itself.

        Raises:
            DoesNotFit: refused for length or size.
            RecordingError: refused for another reason that lies in the recording.
            UrlExpired: the cloud could not fetch the audio; publish it afresh.
            TemporaryError: certainly not accepted; may be asked again later.
            EngineError: certainly not accepted; no other recording would be either.
            AnswerLost: it may have been accepted.
        """

    def recall(self, ask_id: str) -> Heard | Pending | None:  # noqa: ARG002 - an engine whose answers are kept looks
        """What was answered to a request whose answer nobody read, as far as it was kept; costs nothing.

        Raises:
            AsrwatchError: as `start` does.
        """
        return None

    @abstractmethod
    def read(self, answer: Answer) -> Transcript:
        """What the stored answer says. Pure, and repeatable for ever.

        Raises:
            RecordingError: the answer holds no usable transcript (cut off, unreadable).
        """

    def check(
        self, tickets: Sequence[str]
    ) -> Iterator[tuple[str, Heard | StillOut | AsrwatchError]]:
        """Ask how far these tasks are; yields each ticket's news as soon as it is known.

        Errors about one task are yielded; errors about the engine (`EngineError`) or the way there
        (`TemporaryError`) are raised and leave the remaining tickets unanswered.
        """
        raise NotImplementedError(f"{self.name} has no tasks to check ({len(tickets)} asked)")

    def reconcile(
        self,
        ask_id: str,
        *,
        since: datetime,
        known: frozenset[str],
        url: str | None = None,
        sure: bool = True,
    ) -> Found | StillOut | NotThere:
        """Find out what became of a request whose answer was lost, without paying.

        Args:
            ask_id: of the lost request; its source URL carries it.
            since: when it was announced.
            known: tickets that belong to other recordings.
            url: the source URL as it was sent.
            sure: whether `since` was read from the clock as it goes now; else it is a date to doubt.

        Returns:
            `Found` with proof, `NotThere`, or `StillOut` while an unproven task is still running.
        """
        raise NotImplementedError(
            f"{self.name} cannot reconcile {ask_id} ({url}, {since}, {sure}, {len(known)})"
        )
