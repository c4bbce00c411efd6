"""What there is to tell, as values with a JSON form, and in words for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import PlainSerializer, TypeAdapter

__all__ = [
    "About",
    "Day",
    "Message",
    "News",
    "Standstill",
    "as_json",
    "news_from_json",
    "news_to_json",
    "standstill_from_json",
    "standstill_to_json",
]

Span = Annotated[timedelta, PlainSerializer(lambda span: span.total_seconds(), when_used="json")]
Sum = Annotated[Decimal, PlainSerializer(float, when_used="json")]


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """One recording.

    `path` is exact where it is UTF-8; where it is not, it is escaped, and `path_base64` holds its bytes. `outputs`
    are the transcripts' paths. `text` is there only for who wants it, cut where it is long (`text_is_cut`).
    """

    id: int
    inbox: str
    path: str
    state: str
    at: datetime
    path_base64: str | None = None
    code: str | None = None
    message: str | None = None
    advice: str | None = None
    duration: Span | None = None
    engine: str | None = None
    model: str | None = None
    outputs: tuple[str, ...] = ()
    text: str | None = None
    text_is_cut: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Standstill:
    """Something that keeps recordings waiting, or did: `what` is `engine`, `inbox` or `disk`, `which` names it.

    `until` is when it is tried again.
    """

    what: str
    which: str
    since: datetime
    code: str
    message: str
    advice: str
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """What happened from `begin` to `end`, and what waits for a person at the end of it.

    `audio` is the length of what was delivered, `money` what was spent at most, in `currency`.
    """

    begin: datetime
    end: datetime
    delivered: int
    failed: int
    parked: int
    audio: Span
    requests: int
    billed: Span
    money: Sum
    currency: str
    waiting_failed: int = 0
    waiting_parked: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """Something to tell: `count` things of one kind, the first of them in `recordings` or `standstills`.

    `kind` is an occasion, or `test`. `reasons` counts by code; `inboxes` by inbox.
    """

    kind: str
    at: datetime
    count: int = 1
    recordings: tuple[About, ...] = ()
    standstills: tuple[Standstill, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)
    inboxes: Mapping[str, int] = field(default_factory=dict)
    day: Day | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """News on its way to one notifier; `id` stays the same however often it is sent."""

    id: str
    news: News


_NEWS: TypeAdapter[News] = TypeAdapter(News)
_STANDSTILL: TypeAdapter[Standstill] = TypeAdapter(Standstill)


def news_to_json(news: News) -> str:
    """The form that is kept."""
    return _NEWS.dump_json(news).decode()


def news_from_json(kept: str) -> News:
    """Read the form that is kept.

    Raises:
        ValueError: it is none.
    """
    return _NEWS.validate_json(kept)


def standstill_to_json(standstill: Standstill) -> str:
    """The form that is kept."""
    return _STANDSTILL.dump_json(standstill).decode()


def standstill_from_json(kept: str) -> Standstill:
    """Read the form that is kept.

    Raises:
        ValueError: it is none.
    """
    return _STANDSTILL.validate_json(kept)


def as_json(message: Message, *, summary: str) -> dict[str, Any]:
    """What programs are sent: the form of Standard Webhooks (`type`, `timestamp`, `data`) with the message's id."""
    told = _NEWS.dump_python(message.news, mode="json", exclude_none=True)
    kind, at = told.pop("kind"), told.pop("at")
    subject = {"held": "work", "healed": "work", "digest": "day", "test": "asrwatch"}
    return {
        "type": f"{subject.get(kind, 'recording')}.{kind}",
        "timestamp": at,
        "id": message.id,
        "data": {"summary": summary, **{name: value for name, value in told.items() if value}},
    }
