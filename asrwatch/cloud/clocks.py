"""What the Date headers of the cloud's answers tell of its clock, and of this machine's where that is wrong."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from asrwatch.errors import AsrwatchError, EngineError, EngineTrouble
from asrwatch.values import format_duration

__all__ = ["clock_trouble", "date_of"]

_TOLERATED = timedelta(minutes=5)
"""Signatures of object stores allow for fifteen minutes; networks and queues take their part of them."""


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """When an answer was made, by the clock of who made it; None where it does not say. Pure."""
    told = next((value for name, value in headers.items() if name.lower() == "date"), "")
    try:
        there = parsedate_to_datetime(told)
    except ValueError:
        return None
    return there if there.utcoffset() is not None else None


def clock_trouble(
    headers: Mapping[str, str], now: datetime, refused: AsrwatchError
) -> EngineError | None:
    """What a refused upload comes of where the clocks differ; None where they do not, or nobody tells. Pure.

    Args:
        headers: of the refusing answer.
        now: aware, of this machine.
        refused: what the refusal says by itself.
    """
    there = date_of(headers)
    if there is None or abs(now - there) <= _TOLERATED:
        return None
    how = "ahead of" if now > there else "behind"
    return EngineError(
        f"This machine's clock is {format_duration(abs(now - there))} {how} the cloud's, and an upload was "
        f"refused: {refused.message}",
        code="clock-wrong",
        trouble=EngineTrouble.DOWN,
        advice="Set the clock (NTP). Nothing was failed or paid; asrwatch goes on by itself afterwards.",
    )
