"""Read a recording's headers at given places, with a bound on how much and how often."""

import struct
from typing import Any, BinaryIO

__all__ = ["HeaderError", "HeaderReader"]

# A header reader that wants more than this has been led astray: 20 MB of album art fit, and so do
# 32 MB of frames to be counted.
MOST_BYTES = 64 * 2**20
MOST_READS = 100_000


class HeaderError(Exception):
    """The headers do not say what they should: whatever they would have told is unknown."""


class HeaderReader:
    """A seekable stream, read by position, and as a file for mutagen.

    Whatever a file claims about itself, reading it ends: after `MOST_BYTES` or `MOST_READS` every further
    read raises. `trouble` keeps an `OSError` of the stream itself, which mutagen would swallow.

    Args:
        stream: seekable, open for reading in binary.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._bytes_left = MOST_BYTES
        self._reads_left = MOST_READS
        self._position = 0
        self.trouble: OSError | None = None
        self.size = stream.seek(0, 2)

    def some(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`; fewer only where the file ends.

        Raises:
            HeaderError: the bound is reached, or `offset` lies nowhere.
            OSError: the stream itself failed.
        """
        if offset < 0 or count < 0:
            raise HeaderError(f"{count} bytes at {offset}")
        count = min(count, max(0, self.size - offset))
        self._reads_left -= 1
        self._bytes_left -= count
        if self._reads_left < 0 or self._bytes_left < 0:
            raise HeaderError("the headers go on for too long")
        if not count:
            return b""
        try:
            self._stream.seek(offset)
            parts = [self._stream.read(count)]
            # A raw stream may answer with less than it has.
            while parts[-1] and (missing := count - sum(map(len, parts))) > 0:
                parts.append(self._stream.read(missing))
        except OSError as error:
            self.trouble = error
            raise
        return b"".join(parts)

    def at(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes from `offset`.

        Raises:
            HeaderError: the file ends before, or the bound is reached.
            OSError: the stream itself failed.
        """
        read = self.some(offset, count)
        if len(read) < count:
            raise HeaderError(f"the file ends before {count} bytes at {offset}")
        return read

    def unpack(self, layout: str, offset: int) -> tuple[Any, ...]:
        """What `struct.unpack` makes of the bytes at `offset`; raises as `at` does."""
        return struct.unpack(layout, self.at(offset, struct.calcsize(layout)))

    # The part of the file protocol that mutagen uses.

    def read(self, count: int = -1) -> bytes:
        """Bytes from the current position, as a file gives them."""
        wanted = count if count >= 0 else max(0, self.size - self._position)
        read = self.some(self._position, wanted)
        self._position += len(read)
        return read

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the current position, as a file does."""
        base = {0: 0, 1: self._position, 2: self.size}[whence]
        if base + offset < 0:
            raise HeaderError(f"position {base + offset}")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The current position."""
        return self._position
