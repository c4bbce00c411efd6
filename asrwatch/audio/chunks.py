"""Walk the chunks of RIFF, RF64 and AIFF files."""

from collections.abc import Iterator
from dataclasses import dataclass

from asrwatch.audio.reader import HeaderError, HeaderReader

__all__ = ["ENDLESS", "MOST_CHUNKS", "SLACK", "Chunk", "chunks", "closes_with_chunks", "is_meant"]

# Real files have a handful; a walk through a million empty ones tells nothing.
MOST_CHUNKS = 1_000
# What programs that cannot know the end write for a size: arecord and SoX stay a little below 2 GiB.
ENDLESS = 0x7FFF0000
# Some programs count a header or two as sound.
SLACK = 64
# Placeholders lie around the most that 31 and 32 bits hold, or, in long sizes, near the most of 63 and 64.
_PLACEHOLDERS = (range(ENDLESS, 0x8001_0000), range(0xFFFF_0000, 0x1_0001_0000))
_LARGEST = 1 << 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """A chunk: its name, where its content begins, and the size it claims, which may be a lie."""

    name: bytes
    begin: int
    size: int


def is_meant(size: int) -> bool:
    """Whether a size in a header is one that somebody counted, and no placeholder."""
    return 0 < size < _LARGEST and not any(size in these for these in _PLACEHOLDERS)


def chunks(
    reader: HeaderReader, begin: int, end: int, *, big_endian: bool = False
) -> Iterator[Chunk]:
    """The chunks between `begin` and `end`; the last one may claim to reach beyond.

    Raises:
        HeaderError: somebody asked for the one after a chunk that reaches beyond `end`.
    """
    layout = ">4sI" if big_endian else "<4sI"
    offset = begin
    for _ in range(MOST_CHUNKS):
        # Padding at the very end is sometimes forgotten.
        if offset > end + 1:
            raise HeaderError("a chunk reaches beyond the end")
        if offset + 8 > end:
            return
        name, size = reader.unpack(layout, offset)
        yield Chunk(name=name, begin=offset + 8, size=size)
        offset += 8 + size + size % 2
    raise HeaderError("too many chunks")


def closes_with_chunks(reader: HeaderReader, begin: int, *, big_endian: bool = False) -> bool:
    """Whether well-formed chunks, and nothing else, fill the file from `begin` to its end."""
    last = begin
    try:
        for chunk in chunks(reader, begin, reader.size, big_endian=big_endian):
            if not all(0x20 <= letter < 0x7F for letter in chunk.name):  # noqa: PLR2004 - printable ASCII
                return False
            last = chunk.begin + chunk.size + chunk.size % 2
    except HeaderError:
        return False
    return abs(reader.size - last) <= 1
