"""Turn one event into one line that nothing in it can break, forge or leak."""

import json
import os
import reprlib
import traceback
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from math import isfinite
from typing import Any

import structlog

from asrwatch.values import Secret, printable

__all__ = ["MASK", "for_machines", "for_people", "masked"]

MASK = "***"
_FIRST = ("timestamp", "level", "logger", "event")
_LARGEST_INT_BITS = 256
_DEEPEST = 6

_repr = reprlib.Repr()
# Room for anything worth reading; still a bound, as foreign objects may be of any size.
_repr.maxother = _repr.maxstring = _repr.maxlong = 4_000
_repr.maxlevel = _DEEPEST


def for_machines(event: Mapping[str, Any], secrets: Sequence[str]) -> str:
    """The event as one JSON object in ASCII.

    Args:
        event: names and values of any kind.
        secrets: texts that are masked wherever they stand, longest first.
    """
    plain = _Plain(secrets).event(event)
    # DEL is the one control character that JSON in ASCII leaves as it is.
    return json.dumps(plain, ensure_ascii=True, allow_nan=False).replace("\x7f", "\\u007f")


def for_people(event: Mapping[str, Any], secrets: Sequence[str], *, colours: bool) -> str:
    """The event as a line for a terminal; an exception follows on lines of its own, behind a margin.

    Args:
        event: names and values of any kind.
        secrets: texts that are masked wherever they stand, longest first.
        colours: whether to use colours.
    """
    plain = _Plain(secrets).event(event)
    error = plain.pop("exception", None)
    shown = {printable(key): _shown(value) for key, value in plain.items()}
    renderer = structlog.dev.ConsoleRenderer(colors=colours, sort_keys=False, pad_event_to=24)
    line = renderer(None, "", shown)
    # The margin shows that these lines belong to the event above, whatever they say.
    margin = "".join(f"\n    | {printable(part)}" for part in str(error or "").splitlines())
    return f"{line}{margin}"


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list | dict):
        return printable(json.dumps(value, ensure_ascii=False))
    return value


class _Plain:
    """Puts values into JSON's types, with every text in them masked."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = secrets

    def event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """The whole event, what every event has first."""
        ordered = {key: event[key] for key in _FIRST if key in event} | dict(event)
        return {self._masked(str(key)): self._value(ordered[key]) for key in ordered}

    def _value(self, value: Any, depth: int = _DEEPEST) -> Any:
        match value:
            case None | bool():
                return value
            case int():
                return int(value) if value.bit_length() <= _LARGEST_INT_BITS else hex(value)
            case float() if isfinite(value):
                return value
            case Mapping() if depth:
                return {
                    self._masked(str(key)): self._value(inner, depth - 1)
                    for key, inner in value.items()
                }
            case list() | tuple() | set() | frozenset() if depth:
                return [self._value(inner, depth - 1) for inner in value]
            case timedelta():
                return value.total_seconds()
            case _:
                return self._masked(_text(value))

    def _masked(self, text: str) -> str:
        return masked(text, self._secrets)


def masked(text: str, secrets: Sequence[str]) -> str:
    """The text without any of the secrets."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def _text(value: Any) -> str:
    """Any other value as text; objects that cannot show themselves are named by their class."""
    match value:
        case str():
            return str(value)
        case bytes() | bytearray():
            return printable(bytes(value))
        case Secret():
            return MASK
        case date():
            return value.isoformat()
        case os.PathLike():
            return printable(os.fsencode(value))
        case BaseException():
            # Unlike str(), this survives an exception that cannot say what it is.
            return "".join(traceback.format_exception_only(value)).strip()
        case _:
            return _repr.repr(value)
