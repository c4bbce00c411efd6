"""What a request should be billed, told before it is made. Pure."""

import math
from datetime import timedelta

from asrwatch.audio.cutting import about
from asrwatch.journey.plan import AudioFacts, Plan

__all__ = ["expected_bill", "last_seconds_of"]

_LEANEST = 750
"""Bytes a second: no codec in use makes speech smaller, so a file of unknown length is not longer than this says."""


def expected_bill(facts: AudioFacts, size: int, *, longest: timedelta, channels: int) -> timedelta:
    """How much audio will be billed: whole seconds, for each channel.

    Args:
        facts: of the recording; an unknown duration is never zero, but the most it can be.
        size: of the file in bytes; 0 is unknown, too.
        longest: what the engine takes.
        channels: how many of them are billed.
    """
    duration = facts.duration
    if duration is None:
        duration = min(longest, timedelta(seconds=size / _LEANEST)) if size else longest
    return timedelta(seconds=math.ceil(duration.total_seconds()) * channels)


def last_seconds_of(plan: Plan, facts: AudioFacts) -> timedelta:
    """What cutting adds to the bill at most: the last second begun of each piece counts as whole."""
    if plan.cut is None or facts.duration is None:
        return timedelta(0)
    return timedelta(seconds=about(facts.duration, plan.cut))
