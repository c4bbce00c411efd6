"""What a notifier is: one file per way to tell somebody, found by its name."""

import hashlib
import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time as time_of_day
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from asrwatch.errors import AsrwatchError, TemporaryError
from asrwatch.news import Message
from asrwatch.values import Duration, Secret, parse_duration

__all__ = [
    "AbsolutePath",
    "Gone",
    "Message",
    "Notifier",
    "NotifierOptions",
    "Occasion",
    "Refused",
    "Surroundings",
]


class Occasion(StrEnum):
    """What somebody may want to be told.

    `held`: something keeps recordings waiting (a refused key, a spent budget, an inbox that is away, a full disk);
    `healed`: that is over; `digest`: what happened in a day.
    """

    DELIVERED = "delivered"
    FAILED = "failed"
    PARKED = "parked"
    HELD = "held"
    HEALED = "healed"
    DIGEST = "digest"


class Gone(AsrwatchError):
    """The receiver wants no messages any more: none is sent until a person says otherwise."""


class Refused(TemporaryError):
    """The receiver is there and does not take this message: others may be taken."""


def _time_of_day(written: str) -> str:
    if not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", written):
        msg = "must be a time of day such as 08:00"
        raise ValueError(msg)
    return written


def _as_written(told: object) -> object:
    """YAML reads 18:30 as a number of sixtieths."""
    if isinstance(told, int) and not isinstance(told, bool):
        return f"{told // 60}:{told % 60:02}"
    return told


def _absolute(path: Path) -> Path:
    expanded = Path(os.path.expanduser(path))  # noqa: PTH111 - Path's raises for an unknown user
    if not expanded.is_absolute():
        msg = "must be an absolute path, or begin with ~/"
        raise ValueError(msg)
    return expanded


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class NotifierOptions(BaseModel):
    """Options that every notifier has; a notifier's own `Options` add to them.

    `on`: what is told. `group`: after a message, everything of its kind within this time becomes one message; what is
    in `each` is not grouped. `text`: transcripts' texts go along. `dead_after`: how long a message that nobody
    takes is tried. `digest_at`: the local time of the day's digest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: Annotated[tuple[Occasion, ...], Field(min_length=1)] = (
        Occasion.FAILED,
        Occasion.PARKED,
        Occasion.HELD,
        Occasion.HEALED,
    )
    group: Duration = parse_duration("10m")
    each: tuple[Occasion, ...] = (Occasion.DELIVERED,)
    text: bool = False
    dead_after: Duration = parse_duration("3d")
    digest_at: Annotated[str, BeforeValidator(_as_written), AfterValidator(_time_of_day)] = "08:00"

    @property
    def digest_time(self) -> time_of_day:
        """When the digest is due, local time."""
        hour, _, minute = self.digest_at.partition(":")
        return time_of_day(int(hour), int(minute))


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What a notifier needs of the world; tests have their own.

    `noticed` is called with every secret before it is used; `resolve` gives the addresses of a host and port
    (None: the system's resolver); `now` are seconds since 1970.
    """

    noticed: Callable[[Secret], None] = lambda _: None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    resolve: Callable[[str, int], Sequence[str]] | None = None
    now: Callable[[], float] = time.time


OptionsT = TypeVar("OptionsT", bound=NotifierOptions)


class Notifier(ABC, Generic[OptionsT]):
    """One way to tell somebody.

    Class variables:
        Options: its options with their defaults.
        needs: the module it cannot work without and the extra of asrwatch that brings it, if any.
    """

    Options: ClassVar[type[NotifierOptions]]
    needs: ClassVar[tuple[str, str] | None] = None

    def __init__(self, options: OptionsT, around: Surroundings | None = None) -> None:
        self.options = options
        self.around = around or Surroundings()

    @property
    def name(self) -> str:
        """The name it is used by: its file's name."""
        return type(self).__module__.rpartition(".")[2].replace("_", "-")

    @property
    @abstractmethod
    def address(self) -> str:
        """Whom it tells: two notifiers of one kind and address are one. May hold secrets."""

    @property
    def own_options(self) -> dict[str, object]:
        """Its options without those that each inbox may have of its own."""
        return {
            name: value for name, value in self.options if name not in NotifierOptions.model_fields
        }

    @property
    @abstractmethod
    def label(self) -> str:
        """What people call it, without anything secret."""

    @property
    def key(self) -> str:
        """What its messages are kept under: stable as long as its address is."""
        hashed = hashlib.blake2b(self.address.encode("utf-8", "surrogatepass"), digest_size=6)
        return f"{self.name}:{hashed.hexdigest()}"

    @abstractmethod
    def check(self) -> str:
        """Look whether it could be reached, without telling anything; what was found, in words.

        Raises:
            AsrwatchError: it could not; what to do.
        """

    @abstractmethod
    def send(self, message: Message) -> str:
        """Tell it, within a bounded time; what the receiver said, in a line for the log. May be repeated.

        Raises:
            Gone: the receiver wants no messages any more.
            Refused: this message was not taken; others may be.
            TemporaryError: nothing can be told now.
        """
