"""Count the frames of AMR files."""

from asrwatch.audio.frames import Frame, sound_end, walk
from asrwatch.audio.reader import HeaderError, HeaderReader
from asrwatch.audio.sound import NoSoundError, Sound

__all__ = ["amr"]

# RFC 4867 section 5.3: octets of a frame with its header, by frame type; None is not allowed in a file.
_NARROW: tuple[int | None, ...] = (13, 14, 16, 18, 20, 21, 27, 32, 6, 6, 6, 6, None, None, None, 1)
_WIDE: tuple[int | None, ...] = (
    18,
    24,
    33,
    37,
    41,
    47,
    51,
    59,
    61,
    6,
    None,
    None,
    None,
    None,
    1,
    1,
)
_FRAME_SECONDS = 0.02


def amr(reader: HeaderReader) -> Sound:
    """What an AMR file consists of: frames of 20 ms, counted one by one.

    Raises:
        NoSoundError: the header alone.
        HeaderError: a form with several channels, or no frames behind the header.
    """
    head = reader.some(0, 16)
    if head.startswith(b"#!AMR-WB\n"):
        begin, sizes, codec, rate = 9, _WIDE, "amr_wb", 16_000
    elif head.startswith(b"#!AMR\n"):
        begin, sizes, codec, rate = 6, _NARROW, "amr_nb", 8_000
    else:
        raise HeaderError("AMR with several channels")
    end = sound_end(reader)
    if begin >= end:
        raise NoSoundError("its header is there, but no sound follows it")

    def read_frame(block: bytes, offset: int) -> Frame | None:
        octet = block[offset]
        size = sizes[octet >> 3 & 0xF]
        # The padding bits are zero: the only thing besides the type that a wrong place would get wrong.
        if size is None or octet & 0x83:
            return None
        return Frame(size, rate // 50, codec, size)

    walked = walk(reader, begin, end, read_frame, header=1)
    seconds: float | None = None
    if walked.whole:
        seconds = walked.frames * _FRAME_SECONDS
    elif walked.steady and walked.frames and _goes_on(reader, begin, end, walked.stopped):
        # Without pauses every frame is as long as the first, so the rest can be divided.
        size = (walked.stopped - begin) // walked.frames
        seconds = (end - begin) // size * _FRAME_SECONDS
    return Sound(codec=codec, seconds=seconds, sample_rate=rate, channels=1)


def _goes_on(reader: HeaderReader, begin: int, end: int, stopped: int) -> bool:
    """Whether frames like the first stand where they must if all are as long, here and there in the rest."""
    first = reader.at(begin, 1)
    size = _NARROW[first[0] >> 3 & 0xF] if begin == 6 else _WIDE[first[0] >> 3 & 0xF]  # noqa: PLR2004 - the header of the narrow form
    if not size:
        return False
    count, passed = (end - begin) // size, (stopped - begin) // size
    places = {passed + (count - 1 - passed) * part // 64 for part in range(65)}
    return all(reader.at(begin + place * size, 1) == first for place in places if place < count)
