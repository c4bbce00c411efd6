"""The sandbox's time of day and the two ways the contract writes it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

__all__ = ["CHINA", "Clock", "epoch_ms", "parse_list_time", "poll_time", "utc_now"]

Clock = Callable[[], datetime]

# Polls write times without a zone; contract 4.2 takes them for China time in every region.
CHINA: Final = timezone(timedelta(hours=8))
_LIST_FORMAT: Final = "%Y%m%d%H%M%S"


def utc_now() -> datetime:
    """The real time."""
    return datetime.now(UTC)


def poll_time(moment: datetime) -> str:
    """`2026-11-22 10:00:00.123`, the form of polls (contract 4.2)."""
    return moment.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def epoch_ms(moment: datetime) -> int:
    """Epoch milliseconds, the form of lists (contract 5.2)."""
    return round(moment.timestamp() * 1000)


def parse_list_time(written: str) -> datetime:
    """Read `YYYYMMDDhhmmss`, the filter form of lists (contract 5.2).

    Raises:
        ValueError: it is not of that form.
    """
    return datetime.strptime(written, _LIST_FORMAT).replace(tzinfo=CHINA)
