"""Tells in passing whether a plain WAV is silent, without a process for it: most have a sound in the first blink."""

from array import array
from typing import BinaryIO

from asrwatch.audio.chunks import chunks, closes_with_chunks
from asrwatch.audio.orders import SILENT_BELOW
from asrwatch.audio.reader import HeaderError, HeaderReader
from asrwatch.journey.plan import AudioFacts

__all__ = ["is_silent"]

_AT_ONCE = 1 << 16
_LOUD = round(10 ** (SILENT_BELOW / 20) * 32_768)
_RIFF_HEAD = 12


def is_silent(stream: BinaryIO, facts: AudioFacts) -> bool | None:
    """Whether no sample of a 16-bit WAV is loud enough to be heard.

    Args:
        stream: open; its position is at the start afterwards.
        facts: of it.

    Returns:
        None where this cannot be told here: it has to be decoded.

    Raises:
        OSError: the stream itself failed.
    """
    if (facts.container, facts.codec) != ("wav", "pcm_s16le") or array("h", [1]).tobytes()[0] != 1:
        return None
    try:
        place = _samples(HeaderReader(stream))
        return None if place is None else _is_quiet(stream, place)
    finally:
        stream.seek(0)


def _samples(reader: HeaderReader) -> range | None:
    """Where the samples lie: to the end of the file, unless chunks of something else are all that follows them."""
    try:
        for chunk in chunks(reader, _RIFF_HEAD, reader.size):
            if chunk.name == b"data":
                end = chunk.begin + chunk.size
                ends_there = chunk.size and closes_with_chunks(reader, end + end % 2)
                return range(chunk.begin, end if ends_there else reader.size)
    except HeaderError:
        pass
    return None


def _is_quiet(stream: BinaryIO, place: range) -> bool:
    stream.seek(place.start)
    left = len(place)
    while left > 0 and (piece := stream.read(min(_AT_ONCE, left))):
        left -= len(piece)
        samples = array("h", piece[: len(piece) // 2 * 2])
        if samples and (max(samples) >= _LOUD or min(samples) <= -_LOUD):
            return False
    return True
