"""Read JSON that another party wrote: what is missing or of the wrong kind is None, never an exception."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta

from pydantic import JsonValue

__all__ = [
    "field",
    "items",
    "mapping",
    "milliseconds",
    "number",
    "parse",
    "seconds",
    "text",
    "whole_number",
]

_LONGEST = 10**11
"""Seconds, some three thousand years: dates since 1970 fit as well, and nothing overflows."""


def parse(body: bytes) -> JsonValue:
    """The JSON value in `body` (UTF-8, a byte order mark allowed); None where there is none."""
    try:
        value: JsonValue = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return value


def mapping(value: object) -> Mapping[str, JsonValue]:
    """The JSON object `value` is, or an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> Sequence[JsonValue]:
    """The JSON array `value` is, or an empty one."""
    return value if isinstance(value, list) else ()


def field(value: object, *path: str) -> JsonValue:
    """What lies under these keys, one inside the other; None where a step is missing."""
    for key in path:
        value = mapping(value).get(key)
    return value  # type: ignore[return-value]  # it came out of a JSON object, or was given as JSON


def text(value: object) -> str | None:
    """A string, with lone surrogates replaced: no file could hold them."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "replace").decode("utf-8")


def number(value: object) -> float | None:
    """A finite number, also one written as a string."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def whole_number(value: object) -> int | None:
    """A whole number, also one written as a string."""
    found = number(value)
    return int(found) if found is not None else None


def seconds(value: object) -> timedelta | None:
    """A span given in seconds, not negative."""
    found = number(value)
    return timedelta(seconds=found) if found is not None and 0 <= found <= _LONGEST else None


def milliseconds(value: object) -> timedelta | None:
    """A span given in milliseconds, not negative."""
    found = number(value)
    return seconds(found / 1000) if found is not None else None
