"""How much of a recording could not be decoded, and whether the rest may pass for the whole. Pure."""

from datetime import timedelta

from asrwatch.audio.diet import keeps_every_sample
from asrwatch.audio.orders import Encoded, Surveyed, span
from asrwatch.errors import RecordingError
from asrwatch.journey.plan import AudioFacts
from asrwatch.values import format_duration

__all__ = ["LEAST_TOLD", "check_every_sample", "check_whole", "damaged", "falls_short", "missing"]

LEAST_TOLD = timedelta(milliseconds=500)
"""Nobody is told of less: lengths that are counted in frames are no more exact."""
_RESAMPLING = timedelta(milliseconds=50)
"""So much may a copy at another rate be shorter."""
_OF_THE_FILE = frozenset({"mkv", "webm"})
"""Containers whose headers tell how long the file is, and not its sound, which may end before the pictures."""


def falls_short(count: int, promised: timedelta | None) -> bool:
    """Whether `count` samples are clearly fewer than the headers promise: two seconds or a hundredth are let pass."""
    if promised is None:
        return False
    return span(count) < promised - max(timedelta(seconds=2), promised / 100)


def missing(facts: AudioFacts, count: int, filled: int) -> timedelta:
    """How much of a recording holds no sound: what its headers promise beyond `count` samples, and what was filled."""
    promised = facts.duration or timedelta(0)
    lacks = max(promised - span(count), timedelta(0)) + span(filled)
    return lacks if lacks >= LEAST_TOLD else timedelta(0)


def check_whole(facts: AudioFacts, decoded: Surveyed | Encoded, count: int) -> None:
    """Refuse a recording of which too little can be decoded; silence in the place of damage counts for nothing.

    Args:
        facts: what its headers tell.
        decoded: what became of it.
        count: samples that it came to.

    Raises:
        RecordingError: `cut-off`.
    """
    found = count - decoded.filled if decoded.broken else count
    if not falls_short(found, facts.duration):
        return
    if decoded.broken or not decoded.pictures or facts.container not in _OF_THE_FILE:
        raise damaged(span(found), facts)


def check_every_sample(facts: AudioFacts, decoded: Encoded, count: int) -> None:
    """Refuse one that lacks anything, where headers count every sample; of others nobody can tell.

    Raises:
        RecordingError: `cut-off`.
    """
    if facts.duration is None or not keeps_every_sample(facts.codec):
        return
    found = span(count - decoded.filled)
    if found < facts.duration - _RESAMPLING:
        raise damaged(found, facts)


def damaged(found: timedelta, facts: AudioFacts) -> RecordingError:
    """What is said of a recording of which only so much was found."""
    promised = format_duration(facts.duration) if facts.duration is not None else "?"
    return RecordingError(
        f"Only {format_duration(found)} of its {promised} can be decoded.",
        code="cut-off",
        advice="Nothing was sent or paid. Copy it once more, or repair it.",
    )
