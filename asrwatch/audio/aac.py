"""Count the frames of ADTS streams, the usual form of `.aac` files."""

from dataclasses import dataclass

from asrwatch.audio.frames import Frame, NoFramesError, first_frame, sound_end, walk
from asrwatch.audio.reader import HeaderError, HeaderReader
from asrwatch.audio.sound import NoSoundError, Sound

__all__ = ["aac"]

_RATES = (
    96_000,
    88_200,
    64_000,
    48_000,
    44_100,
    32_000,
    24_000,
    22_050,
    16_000,
    12_000,
    11_025,
    8_000,
    7_350,
)
_HEADER = 7
_SYNC = 0xFFF
_SEARCH = 16_384
_LATM = b"\x56"


def aac(reader: HeaderReader, begin: int) -> Sound:
    """What an ADTS stream consists of; `begin` is where it starts, behind an ID3 tag.

    AAC has no constant frames, so the duration is known only if the whole file was walked.

    Raises:
        NoSoundError: nothing behind the tag.
        NoFramesError: no frames near the start.
        HeaderError: another form of AAC (ADIF, LATM).
    """
    end = sound_end(reader)
    if begin >= end:
        raise NoSoundError("there is a tag, but no sound behind it")
    if reader.some(begin, 4) == b"ADIF":
        raise HeaderError("ADIF, which has no frames to be counted")
    try:
        start = first_frame(reader, begin, _read_frame, header=_HEADER, search=_SEARCH)
    except NoFramesError:
        if reader.some(begin, 1) == _LATM:
            raise HeaderError("perhaps LATM, whose frames are not counted") from None
        raise
    first = _layout(reader.at(start, _HEADER), 0)
    if first is None:
        raise NoFramesError("no stream of ADTS frames")
    walked = walk(reader, start, end, _read_frame, header=_HEADER)
    return Sound(
        codec="aac",
        seconds=walked.samples / first.rate if walked.whole else None,
        sample_rate=first.rate,
        channels=first.channels or None,
    )


@dataclass(frozen=True, slots=True)
class _Layout:
    """The fields of a frame's header that do not change from frame to frame."""

    rate: int
    channels: int


def _layout(block: bytes, offset: int) -> _Layout | None:
    head = int.from_bytes(block[offset : offset + _HEADER], "big")
    rate = head >> 34 & 0xF
    if head >> 44 != _SYNC or head >> 41 & 3 or rate >= len(_RATES):
        return None
    return _Layout(_RATES[rate], head >> 30 & 7)


def _read_frame(block: bytes, offset: int) -> Frame | None:
    layout = _layout(block, offset)
    head = int.from_bytes(block[offset : offset + _HEADER], "big")
    size = head >> 13 & 0x1FFF
    if layout is None or size < _HEADER:
        return None
    return Frame(size, ((head & 3) + 1) * 1024, layout, None)
