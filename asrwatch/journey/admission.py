"""Refuses a recording that its inbox does not take, and says of one that cannot be decoded what it is."""

from datetime import timedelta

from asrwatch.errors import RecordingError
from asrwatch.journey.recording import AudioFacts
from asrwatch.values import format_duration, printable

__all__ = ["check_length", "named"]

_UNDECODABLE = "unknown-codec"


def check_length(facts: AudioFacts, path: bytes, longest: timedelta | None) -> None:
    """Refuse what is longer than the inbox allows; an unknown length is not too long.

    Raises:
        RecordingError: `longer-than-allowed`.
    """
    if longest is None or facts.duration is None or facts.duration <= longest:
        return
    is_long, limit = format_duration(facts.duration), format_duration(longest)
    if is_long == limit:  # a hair over: rounding would make nonsense of it
        is_long = f"a little more than {limit}"
    raise RecordingError(
        f"{printable(path)} is longer than its inbox allows: {is_long}, and `longest` is {limit}.",
        code="longer-than-allowed",
        advice="Nothing was sent or paid. Split it; or raise the inbox's `longest`, then `asrwatch retry` it.",
    )


def named(error: RecordingError, facts: AudioFacts, path: bytes) -> RecordingError:
    """The refusal of a decoder that does not know the codec, with the codec's name; any other as it is."""
    if error.code != _UNDECODABLE or facts.codec is None:
        return error
    return RecordingError(
        f"The sound in {printable(path)} is coded as {facts.codec}, which nothing here can decode.",
        code=_UNDECODABLE,
        advice=error.advice,
    )
