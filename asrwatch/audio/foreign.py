"""The border to mutagen: whatever it raises on a broken file becomes ours."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from mutagen import MutagenError

from asrwatch.audio.reader import HeaderError, HeaderReader

__all__ = ["mutagen_border"]

# What mutagen lets through on broken input besides its own errors.
_BROKEN = (
    MutagenError,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
)


@contextmanager
def mutagen_border(reader: HeaderReader) -> Iterator[None]:
    """Turn mutagen's errors into `HeaderError`, and give back the stream's own, which it hides.

    Raises:
        HeaderError: mutagen cannot make sense of the file.
        OSError: the stream itself failed.
    """
    try:
        yield
    except _BROKEN as error:
        if reader.trouble is not None:
            raise reader.trouble from error
        raise HeaderError("mutagen cannot read it") from error
