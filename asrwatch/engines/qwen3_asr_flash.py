"""Recordings of up to five minutes, answered at once: `qwen3-asr-flash` and its dated snapshots.

The text comes without times and without channels; silence is an empty transcript.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from pydantic import Field, JsonValue

from asrwatch.cloud import Cloud, compat, loose, native, spoken
from asrwatch.engines import Ask, Engine, EngineOptions, Heard, Pending, Sent
from asrwatch.engines._at_once import answered_at_once, recalled_at_once
from asrwatch.engines._wishes import no_place_for, no_times, one_language
from asrwatch.journey.evidence import Answer
from asrwatch.journey.plan import Wishes
from asrwatch.journey.transcript import Transcript
from asrwatch.values import Duration, Size

__all__ = ["Dialect", "FlashOptions", "Qwen3AsrFlash"]


class Dialect(StrEnum):
    """Which of the cloud's two ways of talking to the model is used."""

    AUTO = "auto"
    COMPAT = "compat"
    NATIVE = "native"


EXACTLY = timedelta(seconds=300)
"""The longest that is accepted; a millisecond more is not (contract section 3)."""


class FlashOptions(EngineOptions):
    """Options of `qwen3-asr-flash`; the limits are those of contract sections 3 and 8.

    `dialect`: `auto` takes the native path in the US, which has no compatible one, else the compatible.
    `stream`: the answer comes in pieces, which keeps slow answers from running into time-outs.
    `enable_itn`: spoken numbers are written as digits (Chinese and English only).
    """

    model: str = "qwen3-asr-flash"
    longest: Duration = timedelta(seconds=295)
    # "10 MB" is 10,000,000 at its smallest; one page shows a cap of 10,485,760 for the whole data URI.
    # Under the smaller reading nothing is refused by either, and its prefix needs no counting.
    largest: Size = 10_000_000
    requests_per_minute: int = Field(default=100, ge=1)
    dialect: Dialect = Dialect.AUTO
    stream: bool = False
    enable_itn: bool = False


class Qwen3AsrFlash(Engine[FlashOptions]):
    """Recordings of up to five minutes, answered at once; no times, no channels."""

    Options = FlashOptions
    takes_bytes = True
    base64 = True
    timestamps = False
    channels = False
    tasks = False
    regions: ClassVar[frozenset[str]] = frozenset({"beijing", "singapore", "us"})
    prices: ClassVar[Mapping[str, Decimal]] = {
        "beijing": Decimal("0.00022"),
        "singapore": Decimal("0.000035"),
        "us": Decimal("0.000035"),
    }
    containers: ClassVar[frozenset[str]] = frozenset(
        {
            "aac",
            "amr",
            "avi",
            "aiff",
            "flac",
            "flv",
            "mkv",
            "mp3",
            "mpeg",
            "ogg",
            "opus",
            "wav",
            "webm",
            "wma",
            "wmv",
        }
    )
    # The contract says nothing of codecs; a WAV may hold any, and plain PCM is what everybody's samples show.
    codecs: ClassVar[Mapping[str, frozenset[str]]] = {"wav": frozenset({"pcm_s16le", "pcm_u8"})}
    fastest_rate = 48_000

    def __init__(self, options: FlashOptions, cloud: Cloud) -> None:
        super().__init__(options, cloud)
        in_the_us = cloud.region == "us"
        self._native = options.dialect is Dialect.NATIVE or (
            options.dialect is Dialect.AUTO and in_the_us
        )

    @property
    def longest_copy(self) -> timedelta:
        """Up to the vendor's own limit, unless the configuration names another."""
        shipped = FlashOptions.model_fields["longest"].default
        return EXACTLY if self.options.longest == shipped else self.options.longest

    def sent(self, wishes: Wishes) -> Sent:
        """One language, ITN and context go over the wire; nothing else is known to the model."""
        language, said = one_language(wishes, self.options.model)
        options: dict[str, JsonValue] = {"enable_itn": self.options.enable_itn}
        if language is not None:
            options["language"] = language
        if wishes.context:
            options["context"] = wishes.context
        left_out = (
            *said,
            *no_times(wishes, self.options.model),
            *no_place_for(wishes, self.options.model),
        )
        return Sent(options=options, left_out=left_out)

    def start(self, ask: Ask) -> Heard | Pending:
        """Send the recording, or its URL, and wait for the text."""
        return answered_at_once(
            ask,
            cloud=self.cloud,
            path=native.PATH if self._native else compat.PATH,
            build=self._builder(self.sent(ask.wishes).options),
            options=self.options,
            headers=native.STREAM_HEADERS if self._native and self.options.stream else {},
        )

    def recall(self, ask_id: str) -> Heard | Pending | None:
        """See `Engine.recall`."""
        return recalled_at_once(ask_id, cloud=self.cloud)

    def read(self, answer: Answer) -> Transcript:
        """The text, with the language and emotion that were heard."""
        return spoken.transcript(answer)

    def _builder(
        self, options: Mapping[str, JsonValue]
    ) -> Callable[[str], Mapping[str, JsonValue]]:
        dialect = native.request_document if self._native else compat.request_document

        def build(audio: str) -> Mapping[str, JsonValue]:
            return dialect(
                model=self.options.model,
                audio=audio,
                language=loose.text(options.get("language")),
                enable_itn=self.options.enable_itn,
                context=loose.text(options.get("context")) or "",
                stream=self.options.stream,
            )

        return build
