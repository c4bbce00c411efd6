"""Refuses a recording that is longer than its inbox allows."""

from datetime import timedelta

from asrwatch.errors import RecordingError
from asrwatch.journey.plan import AudioFacts
from asrwatch.values import format_duration, printable

__all__ = ["check_length"]


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
