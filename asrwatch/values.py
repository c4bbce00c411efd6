"""Values that people write: secrets, durations ("500ms", "10s", "3d"), sizes ("2GB")."""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import wraps
from typing import Annotated, Any, NoReturn, SupportsIndex, TypeVar

from pydantic import BeforeValidator, PlainSerializer
from pydantic.types import PositiveInt
from pydantic_core import PydanticCustomError

__all__ = [
    "Duration",
    "Secret",
    "Size",
    "counted",
    "format_duration",
    "format_hours",
    "format_money",
    "format_size",
    "parse_duration",
    "parse_size",
    "printable",
]

ValueT = TypeVar("ValueT")

_DURATION_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_SIZE_UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


class Secret:
    """A string that shows itself only when asked by name: `secret.reveal()`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself, to be put on the wire and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, _memo: object) -> "Secret":
        return self

    def __reduce_ex__(self, _protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a secret is not stored anywhere but where it was read from")


_LONGEST = timedelta(days=36_525)
"""A hundred years: what is meant as "for ever" must not lead to dates that cannot be."""


def parse_duration(written: object) -> timedelta:
    """Read "500ms", "10s", "5m", "2h", "3d", "1w" or 0.

    Raises:
        ValueError: not a duration, with the forms there are.
    """
    if isinstance(written, timedelta):
        return written
    if written == 0 and not isinstance(written, bool):
        return timedelta(0)
    bare = written.strip() if isinstance(written, str) else ""
    match = _QUANTITY.fullmatch(bare.removeprefix("-"))
    unit = _DURATION_UNITS.get(match[2].lower()) if match else None
    if unit is not None and bare.startswith("-"):
        raise ValueError("must not be negative")
    if match is None or unit is None:
        msg = f"{written!r} is not a duration; write a number and ms, s, m, h, d or w, such as 10s"
        raise ValueError(msg)
    too_long = f"{written!r} is longer than any duration can be"
    try:
        span = float(match[1]) * unit
    except OverflowError:
        raise ValueError(too_long) from None
    if span > _LONGEST:
        raise ValueError(too_long)
    return span


def format_duration(span: timedelta) -> str:
    """Write a span the way people read it: "0.5s", "59s", "3m 07s", "2h 05m", "3d 4h"."""
    seconds = span.total_seconds()
    if seconds < 0:
        return f"-{format_duration(-span)}"
    if seconds < 10:  # noqa: PLR2004 - below ten seconds tenths still mean something
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    whole = round(seconds)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, second = divmod(rest, 60)
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {second:02}s" if minutes else f"{second}s"


def format_hours(span: timedelta) -> str:
    """Write an amount of audio: hours from the first on, however many days they are: "59m 59s", "26.5h"."""
    hour = timedelta(hours=1)
    return format_duration(span) if span < hour else f"{span / hour:.1f}h"


def format_money(sum_: Decimal, currency: str) -> str:
    """Write an amount of money, small ones with as many places as say something: "12.30 CNY", "0.0013 CNY"."""
    if sum_ and abs(sum_) < 1:
        return f"{sum_:.{max(2, 1 - sum_.adjusted())}f} {currency}"
    return f"{sum_:.2f} {currency}"


def parse_size(written: object) -> int:
    """Read "10MB", "2GB", "512KiB" or a whole number of bytes.

    Raises:
        ValueError: not a size, with the forms there are.
    """
    if isinstance(written, int) and not isinstance(written, bool) and written >= 0:
        return written
    match = _QUANTITY.fullmatch(written) if isinstance(written, str) else None
    unit = _SIZE_UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None:
        msg = f"{written!r} is not a size; write a number and B, KB, MB, GB or MiB, such as 10MB"
        raise ValueError(msg)
    try:
        return round(float(match[1]) * unit)
    except OverflowError:
        msg = f"{written!r} is larger than any size can be; write one such as 10MB"
        raise ValueError(msg) from None


def format_size(size: int) -> str:
    """Write a number of bytes the way people read it: "812 B", "7.5 MB", "2.0 GB"."""
    amount = float(size)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000:  # noqa: PLR2004 - SI steps
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def counted(number: int, thing: str) -> str:
    """Write a number and what is counted: "1 request", "2 requests"."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def printable(name: bytes | str) -> str:
    r"""Show a file name or foreign text on one line of ASCII-safe text.

    Control characters, bidirectional overrides, line separators and bytes that are not UTF-8 come out
    as `\x..` or `\u....` escapes, so that nothing in a name can forge a log line or steer a terminal.
    """
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    if text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 - surrogateescape's range: one undecodable byte
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def _duration_text(span: timedelta) -> str:
    return f"{span.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"


def _positive(span: timedelta) -> timedelta:
    if span < timedelta(0):
        raise ValueError("must not be negative")
    return span


def _in_our_words(parse: Callable[[Any], ValueT]) -> Callable[[Any], ValueT]:
    """The same as a validator: pydantic puts "Value error, " before what a plain ValueError says."""

    @wraps(parse)
    def validate(written: Any) -> ValueT:
        try:
            return parse(written)
        except ValueError as error:
            raise PydanticCustomError("unreadable", "{what}", {"what": str(error)}) from error

    return validate


def _duration(written: Any) -> timedelta:
    return _positive(parse_duration(written))


Duration = Annotated[
    timedelta,
    BeforeValidator(_in_our_words(_duration)),
    PlainSerializer(_duration_text, when_used="json"),
]
Size = Annotated[PositiveInt, BeforeValidator(_in_our_words(parse_size))]
