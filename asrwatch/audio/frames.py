"""Count the frames of formats that are nothing but frames: AMR, ADTS and MPEG audio.

Frames are walked from header to header, which is exact. After `MOST_FRAMES` the walk ends (more than ten
minutes of any of these, so every duration that decides between engines is counted, not guessed) and only a
constant bit rate allows to tell the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass

from asrwatch.audio.reader import HeaderError, HeaderReader

__all__ = ["MOST_FRAMES", "Frame", "NoFramesError", "Walk", "first_frame", "sound_end", "walk"]

MOST_FRAMES = 30_000
_BLOCK = 256 * 1024
_ENOUGH = 4
_ID3V1 = 128
_APE_FOOTER = 32


class NoFramesError(HeaderError):
    """There is no stream of frames where one would have to be."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as its header describes it: size in bytes, samples of each channel, and what is constant.

    `kind` is equal for all frames of one stream, `rate` for all frames of a constant bit rate.
    """

    size: int
    samples: int
    kind: object
    rate: object


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """Where a walk led: how much sound was passed, where it stopped, and how constant it was.

    `whole` is set if it stopped because the file ended (at most within the last frame).
    """

    frames: int
    samples: int
    stopped: int
    whole: bool
    steady: bool


ReadFrame = Callable[[bytes, int], Frame | None]


def walk(
    reader: HeaderReader,
    begin: int,
    end: int,
    read_frame: ReadFrame,
    *,
    header: int,
    most: int = MOST_FRAMES,
) -> Walk:
    """Follow frames from `begin` until something else stands there, `end`, or `most` frames.

    Args:
        reader: the file.
        begin: where a frame starts.
        end: where the sound ends.
        read_frame: reads the header at an offset of some bytes; None if there is none.
        header: how many bytes `read_frame` needs.
        most: frames after which to stop.
    """
    offset, frames, samples = begin, 0, 0
    block, block_begin = b"", begin
    block_size = min(_BLOCK, 1024 * most)
    first: Frame | None = None
    steady = True
    while frames < most and offset + header <= end:
        if offset + header > block_begin + len(block) or offset < block_begin:
            block_begin, block = offset, reader.some(offset, min(block_size, end - offset))
        frame = read_frame(block, offset - block_begin)
        if frame is None or (first is not None and frame.kind != first.kind):
            return Walk(frames=frames, samples=samples, stopped=offset, whole=False, steady=steady)
        if offset + frame.size > end:
            offset = end
            break
        first = first or frame
        steady = steady and frame.rate == first.rate
        frames += 1
        samples += frame.samples
        offset += frame.size
    return Walk(
        frames=frames,
        samples=samples,
        stopped=offset,
        whole=end - offset < header,
        steady=steady,
    )


def first_frame(
    reader: HeaderReader, begin: int, read_frame: ReadFrame, *, header: int, search: int
) -> int:
    """Where a stream of frames that start with 0xFF begins: the first place where frames follow each other.

    Args:
        reader: the file.
        begin: where to look first.
        read_frame: reads the header at an offset of some bytes; None if there is none.
        header: how many bytes `read_frame` needs.
        search: how many bytes to look through.

    Raises:
        NoFramesError: there is no such place.
    """
    block = reader.some(begin, search)
    offset = block.find(b"\xff")
    while 0 <= offset <= len(block) - header:
        if read_frame(block, offset) is not None:
            place = begin + offset
            walked = walk(reader, place, reader.size, read_frame, header=header, most=_ENOUGH)
            # A very short recording may be over before, perhaps with a tag behind it.
            if walked.frames == _ENOUGH or (walked.frames > 1 and _is_over(reader, walked)):
                return place
        offset = block.find(b"\xff", offset + 1)
    raise NoFramesError("no stream of frames")


def _is_over(reader: HeaderReader, walked: Walk) -> bool:
    return walked.whole or walked.stopped >= sound_end(reader)


def sound_end(reader: HeaderReader) -> int:
    """Where the sound ends and ID3v1 and APEv2 tags, which programs append, begin."""
    end = reader.size
    if end >= _ID3V1 and reader.some(end - _ID3V1, 3) == b"TAG":
        end -= _ID3V1
    if end >= _APE_FOOTER and reader.some(end - _APE_FOOTER, 8) == b"APETAGEX":
        size, _items, flags = (
            int.from_bytes(reader.at(end - _APE_FOOTER + at, 4), "little") for at in (12, 16, 20)
        )
        # The size counts the footer, and the header only by a flag.
        with_header = size + (_APE_FOOTER if flags >> 31 else 0)
        if _APE_FOOTER <= with_header <= end:
            end -= with_header
    return end
