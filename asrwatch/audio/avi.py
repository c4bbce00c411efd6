"""Read the headers of AVI files."""

from dataclasses import replace

from asrwatch.audio.chunks import ENDLESS, SLACK, Chunk, chunks, closes_with_chunks
from asrwatch.audio.reader import HeaderError, HeaderReader
from asrwatch.audio.riff import parse_format
from asrwatch.audio.sound import NoSoundError, Sound

__all__ = ["avi", "avi_closed"]


def avi(reader: HeaderReader) -> Sound:
    """What an AVI file's headers tell of its first stream of sound.

    The duration is unknown if the file is shorter or longer than it claims: cut off, or continued in
    further parts (OpenDML).

    Raises:
        NoSoundError: streams of pictures only.
        HeaderError: not to be made sense of.
    """
    claimed = reader.unpack("<I", 4)[0] + 8
    whole = abs(reader.size - claimed) <= 1
    for chunk in chunks(reader, 12, reader.size):
        if chunk.name != b"LIST" or reader.at(chunk.begin, 4) != b"hdrl":
            continue
        streams = [
            inner
            for inner in chunks(reader, chunk.begin + 4, chunk.begin + chunk.size)
            if inner.name == b"LIST" and reader.at(inner.begin, 4) == b"strl"
        ]
        for stream in streams:
            sound = _sound(reader, stream, whole=whole)
            if sound is not None:
                return replace(sound, cut=reader.size + SLACK < claimed < ENDLESS)
        if streams:
            raise NoSoundError("it is a video without sound")
    raise HeaderError("no stream headers")


def avi_closed(reader: HeaderReader) -> bool:
    """Whether the file is filled by its parts (OpenDML has several), each of the size it claims.

    Raises:
        HeaderError: not to be made sense of.
    """
    claimed = reader.unpack("<I", 4)[0]
    return 0 < claimed < ENDLESS and closes_with_chunks(reader, 0)


def _sound(reader: HeaderReader, stream: Chunk, *, whole: bool) -> Sound | None:
    seconds: float | None = None
    is_sound = False
    for chunk in chunks(reader, stream.begin + 4, stream.begin + stream.size):
        if chunk.name == b"strh":
            is_sound = reader.at(chunk.begin, 4) == b"auds"
            scale, rate, _start, length = reader.unpack("<4I", chunk.begin + 20)
            seconds = length * scale / rate if rate and whole else None
        elif chunk.name == b"strf" and is_sound:
            layout = parse_format(reader.some(chunk.begin, min(chunk.size, 64)))
            return Sound(
                codec=layout.codec,
                seconds=seconds,
                sample_rate=layout.sample_rate,
                channels=layout.channels,
            )
    return Sound() if is_sound else None
