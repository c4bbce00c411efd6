"""Read the headers of Ogg files: Opus, Vorbis, FLAC, Speex, with or without pictures.

By hand, because mutagen believes the last page of a file that was cut off, and counts from zero what was
recorded from the middle of a live stream.
"""

from dataclasses import dataclass

from asrwatch.audio.flac import stream_info
from asrwatch.audio.reader import HeaderError, HeaderReader
from asrwatch.audio.sound import NoSoundError, NothingYetError, Sound

__all__ = ["ogg", "ogg_closed"]

_PAGE = "<4sBBqIIIB"
_PAGE_SIZE = 27
_END = 4
_LARGEST_PAGE = _PAGE_SIZE + 255 + 255 * 255
# Header pages may hold pictures of many megabytes before the first sound.
_MOST_PAGES = 2_000
# More than one page of sound (ffmpeg writes a second or less, some encoders up to ten) before the first
# position means that the counting did not start with this file.
_LONGEST_FIRST_PAGE = 15.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page:
    """A page: `position` counts samples up to its end, -1 if no packet ends on it."""

    flags: int
    position: int
    serial: int
    body: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stream:
    """What a stream's first packet says; positions count `ticks` a second, from `skip`."""

    codec: str
    sample_rate: int | None
    channels: int | None
    ticks: int
    skip: int = 0


def ogg(reader: HeaderReader) -> Sound:
    """What an Ogg file tells of its first stream of sound.

    The duration is the position of the last whole page; it is unknown if that page belongs to another
    stream (chained files, video) or if the first position shows a recording from the middle of a stream.

    Raises:
        NoSoundError: headers only, or no stream of sound.
        HeaderError: not to be made sense of.
    """
    offset = 0
    found: tuple[int, _Stream] | None = None
    for _ in range(_MOST_PAGES):
        page = _page(reader, offset)
        if page is None:
            break
        if page.flags & 2 and found is None:
            stream = _stream(reader.some(page.body, min(64, page.end - page.body)))
            found = (page.serial, stream) if stream is not None else None
        elif found is None and not page.flags & 2:
            raise NoSoundError("none of its streams is sound")
        elif found is not None and page.serial == found[0] and page.position > 0:
            return _sound(reader, found[1], page)
        offset = page.end
    if found is not None and offset >= reader.size:
        raise NothingYetError("its headers are there, but no sound follows them")
    raise HeaderError("no page of sound")


def ogg_closed(reader: HeaderReader) -> bool | None:
    """Whether the file ends with a page that says it is the last of its stream; None if the last page does not.

    Raises:
        HeaderError: the bound of what may be read is reached.
    """
    last = _last_page(reader)
    if last is None or last.end != reader.size:
        return False
    return True if last.flags & _END else None


def _sound(reader: HeaderReader, stream: _Stream, first: _Page) -> Sound:
    seconds: float | None = None
    last = _last_page(reader)
    if stream.ticks and last is not None and last.serial == first.serial:
        begins_here = first.position - stream.skip <= _LONGEST_FIRST_PAGE * stream.ticks
        # A file of one page may be as long as it likes.
        if begins_here or last.end == first.end:
            seconds = (last.position - stream.skip) / stream.ticks
    return Sound(
        codec=stream.codec,
        seconds=seconds,
        sample_rate=stream.sample_rate,
        channels=stream.channels,
        cut=last is not None and _is_cut(reader, last.end),
    )


def _is_cut(reader: HeaderReader, end: int) -> bool:
    """Whether a page begins behind the last whole one."""
    return reader.some(end, 4) == b"OggS" and _page(reader, end) is None


def _page(reader: HeaderReader, offset: int) -> _Page | None:
    """The page at `offset`; None if there is no whole one."""
    if offset + _PAGE_SIZE > reader.size:
        return None
    magic, version, flags, position, serial, _sequence, _crc, segments = reader.unpack(
        _PAGE, offset
    )
    body = offset + _PAGE_SIZE + segments
    if magic != b"OggS" or version != 0 or body > reader.size:
        return None
    end = body + sum(reader.at(offset + _PAGE_SIZE, segments))
    if end > reader.size:
        return None
    return _Page(flags=flags, position=position, serial=serial, body=body, end=end)


def _last_page(reader: HeaderReader) -> _Page | None:
    """The last whole page with a position."""
    begin = max(0, reader.size - 4 * _LARGEST_PAGE)
    tail = reader.some(begin, reader.size - begin)
    at = tail.rfind(b"OggS")
    while at >= 0:
        page = _page(reader, begin + at)
        if page is not None and page.position >= 0:
            return page
        at = tail.rfind(b"OggS", 0, at)
    return None


def _stream(packet: bytes) -> _Stream | None:
    """What the first packet of a stream says; None if it is not sound."""
    packet = packet.ljust(64, b"\0")
    if packet.startswith(b"OpusHead"):
        # Opus always counts at 48 kHz; the rate it names is that of the source (RFC 7845 section 5.1).
        return _Stream(
            codec="opus",
            sample_rate=48_000,
            channels=packet[9],
            ticks=48_000,
            skip=int.from_bytes(packet[10:12], "little"),
        )
    if packet.startswith(b"\x01vorbis"):
        rate = int.from_bytes(packet[12:16], "little")
        return _Stream(codec="vorbis", sample_rate=rate, channels=packet[11], ticks=rate)
    if packet.startswith(b"\x7fFLAC"):
        sound = stream_info(packet[17:51])
        rate = sound.sample_rate or 0
        return _Stream(codec="flac", sample_rate=rate, channels=sound.channels, ticks=rate)
    if packet.startswith(b"Speex   "):
        rate = int.from_bytes(packet[36:40], "little")
        channels = int.from_bytes(packet[48:52], "little")
        return _Stream(codec="speex", sample_rate=rate, channels=channels, ticks=rate)
    return None
