"""JSON: the normalized response, the words in one shape for every engine, and where it all comes from."""

import json
import math
import re
from datetime import UTC, datetime, timedelta
from itertools import groupby

from pydantic import JsonValue

from asrwatch.formats import Format, FormatOptions
from asrwatch.formats._alignment import milliseconds
from asrwatch.formats._loops import loops
from asrwatch.formats._text import joined
from asrwatch.journey.plan import AudioFacts
from asrwatch.journey.transcript import PieceTold, Provenance, Sentence, Transcript
from asrwatch.values import printable

# what UTF-8 cannot hold, and what would steer a terminal that shows the file
_TO_ESCAPE = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Json(Format[FormatOptions]):
    """Everything: text, status, raw answer, sentences, words, channels, and where it comes from."""

    def render(self, transcript: Transcript, provenance: Provenance) -> str:
        """One object; times in milliseconds (`_ms`), dates in ISO 8601, UTC; what is unknown is null.

        `task_id` is there for tasks only, as the normalized response has it. `loops` names phrases that the text
        repeats on and on, which a model makes up on noise.
        """
        response: dict[str, JsonValue] = {"text": transcript.text}
        if provenance.task_id is not None:
            response["task_id"] = provenance.task_id
        response |= {
            "status": provenance.status,
            "no_speech": transcript.no_speech,
            "language": transcript.language,
            "emotion": transcript.emotion,
            "channels": _channels(transcript),
            "loops": [
                {"phrase": loop.phrase, "times": loop.times, "begins_at": loop.begin}
                for loop in loops(transcript.text)
            ],
            "sentences": [_sentence(sentence) for sentence in transcript.sentences],
            "provenance": _provenance(transcript, provenance),
            "raw": provenance.raw,
        }
        text = json.dumps(_finite(response), ensure_ascii=False, allow_nan=False, indent=2)
        return _TO_ESCAPE.sub(_escape, text) + "\n"


def _channels(transcript: Transcript) -> list[JsonValue]:
    """Each channel's whole text; one channel, 0, where the engine does not tell them apart."""
    ordered = sorted(transcript.sentences, key=_channel)
    texts = {
        channel: joined(sentence.text for sentence in sentences)
        for channel, sentences in groupby(ordered, key=_channel)
    } or {0: transcript.text}
    voices = transcript.voices
    return [
        {"channel": channel, "speaker": voices.get(channel), "text": texts.get(channel, "")}
        for channel in sorted({*texts, *voices})
    ]


def _channel(sentence: Sentence) -> int:
    return sentence.channel or 0


def _sentence(sentence: Sentence) -> JsonValue:
    return {
        "channel": _channel(sentence),
        "speaker": sentence.speaker,
        "begin_ms": _ms(sentence.begin),
        "end_ms": _ms(sentence.end),
        "text": sentence.text,
        "language": sentence.language,
        "emotion": sentence.emotion,
        "words": [
            {
                "begin_ms": _ms(word.begin),
                "end_ms": _ms(word.end),
                "text": word.text,
                "punctuation": word.punctuation,
            }
            for word in sentence.words
        ],
    }


def _provenance(transcript: Transcript, provenance: Provenance) -> JsonValue:
    billed = provenance.billed if provenance.billed is not None else transcript.billed
    duration = provenance.duration if provenance.duration is not None else transcript.duration
    return {
        "source": printable(provenance.source),
        "sha256": provenance.sha256,
        "duration_ms": _ms(duration),
        "audio": None if provenance.facts is None else _audio(provenance.facts, provenance),
        "recorded_at": _date(provenance.recorded_at),
        "engine": provenance.engine,
        "model": provenance.model,
        "region": provenance.region,
        "options": dict(provenance.options),
        "options_left_out": list(provenance.left_out),
        "task_id": provenance.task_id,
        "billed_seconds": None if billed is None else billed.total_seconds(),
        "found_at": _date(provenance.found_at),
        "asked_at": _date(provenance.asked_at),
        "answered_at": _date(provenance.answered_at),
        "asrwatch": provenance.asrwatch,
        **({"pieces": [_piece(piece) for piece in provenance.pieces]} if provenance.pieces else {}),
    }


def _piece(piece: PieceTold) -> JsonValue:
    return {
        "begin_ms": _ms(piece.begin),
        "end_ms": _ms(piece.end),
        "channel": piece.channel,
        "task_id": piece.task_id,
        "billed_seconds": None if piece.billed is None else piece.billed.total_seconds(),
    }


def _audio(facts: AudioFacts, provenance: Provenance) -> JsonValue:
    """What was known of the recording, and which of its streams of sound was heard."""
    return {
        "container": facts.container,
        "codec": facts.codec,
        "sample_rate": facts.sample_rate,
        "channels": facts.channels,
        "same_channels": facts.same_channels,
        "silent_channels": list(facts.silent_channels),
        "tracks": facts.tracks,
        "track": provenance.track,
        **({"missing_ms": _ms(provenance.missing)} if provenance.missing else {}),
    }


def _ms(span: timedelta | None) -> int | None:
    return None if span is None else milliseconds(span)


def _date(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _finite(value: JsonValue) -> JsonValue:
    """NaN and infinities, which some servers write and JSON does not know, as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(member) for key, member in value.items()}
    return [_finite(member) for member in value] if isinstance(value, list) else value


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
