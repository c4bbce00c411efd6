"""What people ask: each question has a JSON form, which travels through the control socket."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Discriminator, TypeAdapter

from asrwatch.desk.forms import FileName

__all__ = [
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
    "Question",
    "question_from_json",
    "question_to_json",
]


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

_QUESTIONS: TypeAdapter[Question] = TypeAdapter(Annotated[Question, Discriminator("ask")])


def question_to_json(question: Question) -> Any:
    """The JSON form, ready for `json.dumps` (with `ensure_ascii`, since paths may hold surrogates)."""
    return _QUESTIONS.dump_python(question, mode="json")


def question_from_json(written: Any) -> Question:
    """Read a question's JSON form.

    Raises:
        pydantic.ValidationError: it is no question.
    """
    return _QUESTIONS.validate_python(written)
