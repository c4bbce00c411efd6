"""Spans of audio as the contract writes them: whole milliseconds."""

from datetime import timedelta

__all__ = ["milliseconds"]


def milliseconds(span: timedelta) -> int:
    """Rounded."""
    return round(span / timedelta(milliseconds=1))
