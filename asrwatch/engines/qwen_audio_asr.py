"""The older `qwen-audio-asr`, retired by the vendor and still asked when it is named.

It takes no options and no context, answers without times, and is never chosen unasked.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from pydantic import Field, JsonValue

from asrwatch.cloud import native, spoken
from asrwatch.engines import Ask, Engine, EngineOptions, Heard, Pending, Sent
from asrwatch.engines._at_once import answered_at_once, recalled_at_once
from asrwatch.engines._wishes import no_language, no_place_for, no_times
from asrwatch.journey.evidence import Answer
from asrwatch.journey.plan import Wishes
from asrwatch.journey.transcript import Transcript
from asrwatch.values import Duration, Size

__all__ = ["QwenAudioAsr", "QwenAudioOptions"]


class QwenAudioOptions(EngineOptions):
    """Options of `qwen-audio-asr`; the limits are those of contract section 2.6.

    6144 tokens of input at 25 a second are 245 seconds, less some room for the frame around them.
    """

    model: str = "qwen-audio-asr"
    longest: Duration = timedelta(seconds=240)
    largest: Size = 10_000_000  # the smaller reading of the 10 MB that its path takes
    requests_per_minute: int = Field(default=60, ge=1)


class QwenAudioAsr(Engine[QwenAudioOptions]):
    """Retired by the vendor (no longer documented); still works where the account still has it."""

    Options = QwenAudioOptions
    takes_bytes = True
    base64 = True
    timestamps = False
    channels = False
    tasks = False
    automatic = False
    regions: ClassVar[frozenset[str]] = frozenset({"beijing"})
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

    def sent(self, wishes: Wishes) -> Sent:
        """No wish goes over the wire."""
        model = self.options.model
        left_out = (
            *no_language(wishes, model),
            *no_times(wishes, model),
            *no_place_for(wishes, model),
        )
        return Sent(options={}, left_out=left_out)

    def start(self, ask: Ask) -> Heard | Pending:
        """Send the recording, or its URL, and wait for the text."""
        return answered_at_once(
            ask,
            cloud=self.cloud,
            path=native.PATH,
            build=self._document,
            options=self.options,
            headers={},
        )

    def recall(self, ask_id: str) -> Heard | Pending | None:
        """See `Engine.recall`."""
        return recalled_at_once(ask_id, cloud=self.cloud)

    def read(self, answer: Answer) -> Transcript:
        """The text."""
        return spoken.transcript(answer)

    def _document(self, audio: str) -> Mapping[str, JsonValue]:
        return native.plain_document(model=self.options.model, audio=audio)
