"""Values that have a JSON form of their own: paths as text, spans as seconds, money as numbers."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

__all__ = ["FileName", "Span", "Sum"]


def _to_bytes(written: Any) -> bytes:
    if isinstance(written, bytes):
        return written
    if isinstance(written, str) and "\0" not in written:
        return written.encode("utf-8", "surrogateescape")
    msg = "not a path"
    raise ValueError(msg)


def _to_text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


FileName = Annotated[bytes, PlainValidator(_to_bytes), PlainSerializer(_to_text, when_used="json")]
"""A path as the file system knows it; text in JSON, the same whatever the locale of who asks and who answers."""

Span = Annotated[timedelta, PlainSerializer(lambda span: span.total_seconds(), when_used="json")]
"""A span of time; seconds in JSON."""

Sum = Annotated[Decimal, PlainSerializer(float, when_used="json")]
"""An amount of money; a number in JSON."""
