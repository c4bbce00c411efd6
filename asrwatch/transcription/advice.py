"""What somebody who asked once and waits can do about an error: errors are written for the daemon's users."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from asrwatch.errors import (
    AsrwatchError,
    DoesNotFit,
    EngineError,
    EngineTrouble,
    RecordingError,
    SourceChanged,
    TemporaryError,
    TicketLost,
    UrlExpired,
)
from asrwatch.values import format_duration, printable

__all__ = ["Situation", "advice", "advising"]

# Sentences about what only the daemon does, remembers or is set to; and nobody who named a file by mistake
# should be told to remove it, as whoever finds it in an inbox is.
_OF_THE_DAEMON = re.compile(
    r"\basrwatch (?:goes|tries|waits|fetches|submits|publishes)|`asrwatch (?:retry|explain|forget)"
    r"|\binbox|\bsettle|\bby itself|\bremove (?:it\b|or rename)",
    re.IGNORECASE,
)
_SENTENCES = re.compile(r"(?<=[.!?])\s+")

_BY_CODE: Mapping[str, str] = {
    "outside-root": "Move it there, or configure `storage: dashscope-temp`, which uploads it.",
    "no-times": "Use `--model auto` or a model that gives times, or another format.",
    "cut-off": "Use `--model qwen3-asr-flash-filetrans`, which takes long recordings; it pays again.",
    "CANCELED": "Transcribing it again submits a new task.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """What was asked: a model by its name, an address instead of a file, a task's answer, a language."""

    named: bool = False
    url: bool = False
    collecting: bool = False
    language: str | None = None


@contextmanager
def advising(situation: Situation) -> Iterator[None]:
    """Give errors that pass the advice that fits the situation, and nothing else."""
    try:
        yield
    except AsrwatchError as error:
        error.advice = advice(error, situation)
        raise


def advice(error: AsrwatchError, situation: Situation) -> str:
    """What can be done about `error` by somebody who made one request and waits for it. Pure."""
    instead = _BY_CODE.get(error.code) or _instead(error, situation)
    if instead:
        return instead
    kept = (
        sentence
        for sentence in _SENTENCES.split(error.advice)
        if not _OF_THE_DAEMON.search(sentence)
    )
    return " ".join(part for part in (_first(error, situation), *kept) if part)


def _instead(error: AsrwatchError, situation: Situation) -> str:
    """Where the way out is another one than the daemon's."""
    match error:
        case AsrwatchError(code="fits-nowhere") | DoesNotFit():
            if situation.named:
                return (
                    "Use `--model auto`, which finds a model that takes it; or split or convert it."
                )
            return "Split or convert it, or ask for less: no subtitles, words or other channels."
        case UrlExpired() if situation.url:
            return "Open the address from another network, without logging in; then ask again."
        case UrlExpired():
            return "Nothing was paid: ask again, and the recording is uploaded afresh."
        case TicketLost() if situation.collecting:
            return (
                "Check the id. A task is known for 24 hours, and only to the account and the region "
                "it was submitted with."
            )
        case TicketLost():
            return "It may have been paid for; asking again pays again."
        case SourceChanged():
            return "Ask again once it is no longer being written."
        case _:
            return ""


def _first(error: AsrwatchError, situation: Situation) -> str:
    """What is said before that part of the daemon's advice which holds here, too."""
    match error:
        case EngineError(trouble=EngineTrouble.THROTTLED) | TemporaryError():
            when = f"in {format_duration(error.retry_after)}" if error.retry_after else "later"
            return f"Nothing was paid: ask again {when}."
        case RecordingError() if situation.language and error.code.lower().startswith("invalid"):
            written = printable(situation.language)
            return f"A language is given by its code, such as en; given was {written!r}."
    return ""
