"""Read the headers of Matroska and WebM files."""

import struct
from collections.abc import Iterator
from dataclasses import replace

from asrwatch.audio.reader import HeaderError, HeaderReader
from asrwatch.audio.sound import NoSoundError, Sound

__all__ = ["matroska", "matroska_closed"]

_SEGMENT, _INFO, _TRACKS, _CLUSTER = 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
_SCALE, _DURATION = 0x2AD7B1, 0x4489
_TRACK, _KIND, _CODEC, _AUDIO, _RATE, _CHANNELS = 0xAE, 0x83, 0x86, 0xE1, 0xB5, 0x9F
_SOUND = 2
_CODECS = {
    "A_OPUS": "opus",
    "A_VORBIS": "vorbis",
    "A_AAC": "aac",
    "A_FLAC": "flac",
    "A_MPEG/L3": "mp3",
    "A_AC3": "ac3",
    "A_PCM/INT/LIT": "pcm_le",
}
_SEGMENT_ID = 4
_MOST_ELEMENTS = 2_000

# An element: its id, where its content begins, and where it ends (the file's end if it does not say).
_Element = tuple[int, int, int]


def matroska(reader: HeaderReader) -> Sound:
    """What a Matroska file's headers tell of its first track of sound.

    The duration is unknown where it was never written (a recorder died, a live stream) and if the file is
    shorter than it claims.

    Raises:
        NoSoundError: tracks of pictures only.
        HeaderError: not to be made sense of.
    """
    segment = next((e for e in _elements(reader, 0, reader.size) if e[0] == _SEGMENT), None)
    if segment is None:
        raise HeaderError("no segment")
    seconds: float | None = None
    tracks: list[_Element] | None = None
    for kind, begin, end in _elements(reader, segment[1], segment[2]):
        if kind == _INFO:
            values = {
                name: reader.some(at, min(to - at, 8))
                for name, at, to in _elements(reader, begin, end)
            }
            scale = int.from_bytes(values.get(_SCALE, b"\x0f\x42\x40"), "big")
            ticks = _number(values.get(_DURATION, b""))
            seconds = ticks * scale / 1e9 if segment[2] <= reader.size else None
        elif kind == _TRACKS:
            tracks = [e for e in _elements(reader, begin, end) if e[0] == _TRACK]
        if kind == _CLUSTER and tracks is not None:
            break
    if not tracks:
        raise HeaderError("no tracks")
    for _, begin, end in tracks:
        sound = _sound(reader, begin, end, seconds)
        if sound is not None:
            return replace(sound, cut=segment[2] > reader.size)
    raise NoSoundError("it is a video without sound")


def matroska_closed(reader: HeaderReader) -> bool | None:
    """Whether the size that a recorder writes when it closes its file is there and right; None where it is unset.

    Raises:
        HeaderError: not to be made sense of.
    """
    offset = 0
    for kind, begin, end in _elements(reader, 0, reader.size):
        if kind == _SEGMENT:
            size = int.from_bytes(
                reader.at(offset + _SEGMENT_ID, begin - offset - _SEGMENT_ID), "big"
            )
            unset = (1 << 7 * (begin - offset - _SEGMENT_ID)) - 1
            if size & unset == unset:
                return None
            return end == reader.size
        offset = end
    return None


def _sound(reader: HeaderReader, begin: int, end: int, seconds: float | None) -> Sound | None:
    fields = {name: (at, to) for name, at, to in _elements(reader, begin, end)}
    if _KIND not in fields or int.from_bytes(_raw(reader, fields[_KIND]), "big") != _SOUND:
        return None
    codec = _raw(reader, fields[_CODEC]).decode("ascii", "replace") if _CODEC in fields else ""
    audio = {
        name: _raw(reader, (at, to))
        for name, at, to in _elements(reader, *fields.get(_AUDIO, (0, 0)))
    }
    name = next((short for long, short in _CODECS.items() if codec.startswith(long)), codec)
    return Sound(
        codec=name.strip("\0"),
        seconds=seconds,
        sample_rate=round(_number(audio.get(_RATE, struct.pack(">f", 8000.0)))),
        channels=int.from_bytes(audio.get(_CHANNELS, b"\x01"), "big"),
    )


def _raw(reader: HeaderReader, place: tuple[int, int]) -> bytes:
    return reader.some(place[0], min(place[1] - place[0], 64))


def _number(raw: bytes) -> float:
    """An EBML float; 0 if it is none, and for values that are no numbers."""
    layout = {4: ">f", 8: ">d"}.get(len(raw))
    number = float(struct.unpack(layout, raw)[0]) if layout else 0.0
    return number if 0 <= number < 1e18 else 0.0  # noqa: PLR2004 - beyond any count, and NaN


def _elements(reader: HeaderReader, begin: int, end: int) -> Iterator[_Element]:
    offset = begin
    for _ in range(_MOST_ELEMENTS):
        if offset >= min(end, reader.size):
            return
        head = reader.some(offset, 12)
        id_length = 9 - head[0].bit_length()
        if id_length > 4 or len(head) <= id_length:  # noqa: PLR2004 - longest id
            raise HeaderError("no element")
        size_length = 9 - head[id_length].bit_length()
        content = id_length + size_length
        if size_length > 8 or len(head) < content:  # noqa: PLR2004 - longest size
            raise HeaderError("no size")
        unset = (1 << 7 * size_length) - 1
        size = int.from_bytes(head[id_length:content], "big") & unset
        stop = reader.size if size == unset else offset + content + size
        yield int.from_bytes(head[:id_length], "big"), offset + content, stop
        offset = stop
