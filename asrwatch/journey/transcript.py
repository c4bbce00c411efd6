"""A transcript: what was heard, in one shape for every engine, and where it comes from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import JsonValue

from asrwatch.journey.plan import AudioFacts

__all__ = ["PieceTold", "Provenance", "Sentence", "Transcript", "Word"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """A word: times from the start of the recording, `punctuation` that follows it in the text."""

    begin: timedelta
    end: timedelta
    text: str
    punctuation: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """A sentence or, where the engine gives no times, a whole channel's text."""

    text: str
    begin: timedelta | None = None
    end: timedelta | None = None
    channel: int | None = None
    language: str | None = None
    emotion: str | None = None
    speaker: str | None = None
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """What was heard, in one shape for every engine.

    `no_speech` marks an engine's finding that nothing was said: the text is then empty.
    `duration` is the recording's length as the engine tells it, where it does. `voices` names the speaker of each
    channel that was asked about as one, by its number; each sentence's `speaker` then says who spoke.
    """

    text: str
    sentences: tuple[Sentence, ...] = ()
    language: str | None = None
    emotion: str | None = None
    no_speech: bool = False
    billed: timedelta | None = None
    duration: timedelta | None = None
    voices: Mapping[int, str] = field(default_factory=dict)

    @property
    def spoken(self) -> tuple[Sentence, ...]:
        """Everything that was said: the sentences or, where there are none, the text as one."""
        return self.sentences or ((Sentence(text=self.text),) if self.text else ())


@dataclass(frozen=True, kw_only=True, slots=True)
class PieceTold:
    """One of the pieces that a transcript was joined from, and what was paid for it."""

    begin: timedelta
    end: timedelta
    channel: int | None
    task_id: str | None
    billed: timedelta | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Where a transcript comes from: everything the JSON output tells beside the words.

    `raw` is the answer as it came, already parsed; dates are aware, UTC. `facts` are those of the recording;
    `track` is which of its streams of sound was heard, None where the engine chose; `missing` is for how long there is
    no sound in it that could be decoded. `pieces` are there if it was cut.
    """

    source: str
    sha256: str | None
    recorded_at: datetime | None
    duration: timedelta | None
    engine: str
    model: str
    options: Mapping[str, JsonValue]
    left_out: tuple[str, ...]
    region: str
    task_id: str | None
    status: str
    billed: timedelta | None
    asrwatch: str
    found_at: datetime | None
    asked_at: datetime | None
    answered_at: datetime | None
    raw: JsonValue
    facts: AudioFacts | None = None
    track: int | None = None
    missing: timedelta | None = None
    pieces: tuple[PieceTold, ...] = ()
