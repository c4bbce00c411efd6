"""Find out how long an MP3 is without guessing.

By hand, because mutagen extrapolates from the first frame, which is wrong by minutes for a variable bit rate,
and believes the headers encoders leave (Xing, LAME, VBRI) in files that were cut off or joined. Here those
headers must match the file's size; otherwise the frames are counted. Beyond the walk's end a duration is told
only if frames here and there in the rest have the bit rate that all of the beginning had.
"""

from dataclasses import dataclass

from asrwatch.audio.frames import Frame, NoFramesError, Walk, first_frame, sound_end, walk
from asrwatch.audio.reader import HeaderReader
from asrwatch.audio.sound import NoSoundError, Sound

__all__ = ["mp3", "mp3_closed"]

# By version (2.5, reserved, 2, 1 as the two bits stand) and layer (reserved, 3, 2, 1).
_SAMPLE_RATES = ((11_025, 12_000, 8_000), (), (22_050, 24_000, 16_000), (44_100, 48_000, 32_000))
_V1_RATES = (
    (),
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
)
_V2_LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_V2_RATES = (
    (),
    _V2_LOW,
    _V2_LOW,
    (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
)
_VERSION_1 = 3
_LAYER_1, _LAYER_3 = 3, 1
_HEADER = 4
# Junk before the first frame, as broken tags leave it.
_SEARCH = 2**20
_PLACES = 16
_AGREEING = 50


@dataclass(frozen=True, slots=True)
class _Kind:
    """What all frames of a stream have in common; version and layer as their bits stand."""

    version: int
    layer: int
    sample_rate: int
    mono: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Count:
    """What an encoder counted: frames, the samples of them that are not sound, bytes; 0 is unknown."""

    frames: int
    size: int
    silent_samples: int = 0


def mp3(reader: HeaderReader, begin: int) -> Sound:
    """What an MP3 file (or MPEG layer 1 or 2) tells; `begin` is where its sound may start.

    Raises:
        NoSoundError: nothing behind the tag.
        NoFramesError: no frames near the start.
    """
    end = sound_end(reader)
    if begin >= end:
        raise NoSoundError("there is a tag, but no sound behind it")
    start = first_frame(reader, begin, _read_frame, header=_HEADER, search=_SEARCH)
    raw = reader.at(start, _HEADER)
    first, kind = _read_frame(raw, 0), _kind(raw, 0)
    if first is None or kind is None:
        raise NoFramesError("no stream of frames")
    count = _count(reader, start, kind)
    samples: float | None = None
    if count is not None:
        samples = _told(count, first, end - start)
    if samples is None:
        # A frame that only holds a count holds no sound.
        samples = _counted(reader, start + (first.size if count else 0), end, first)
    return Sound(
        codec=f"mp{4 - kind.layer}",
        seconds=samples / kind.sample_rate if samples else None,
        sample_rate=kind.sample_rate,
        channels=1 if kind.mono else 2,
        cut=count is not None
        and count.size - (end - start) > max(_slack(first), count.size // 100),
    )


def mp3_closed(reader: HeaderReader, begin: int) -> bool | None:
    """Whether the count of bytes that encoders write last is there and right; None where it tells nothing.

    Raises:
        NoFramesError: no frames near the start.
        HeaderError: the bound of what may be read is reached.
    """
    start = first_frame(reader, begin, _read_frame, header=_HEADER, search=_SEARCH)
    raw = reader.at(start, _HEADER)
    first, kind = _read_frame(raw, 0), _kind(raw, 0)
    count = _count(reader, start, kind) if kind is not None else None
    if first is None or count is None:
        return None
    if not count.frames or not count.size:
        return False if reader.some(start + 4, 64).find(b"Xing") >= 0 else None
    if start + count.size > reader.size:
        return False  # it was cut off, or is on its way still
    # The header's own frame is counted by some encoders and not by others.
    missing = sound_end(reader) - start - count.size
    return True if 0 <= missing <= first.size else None


def _count(reader: HeaderReader, start: int, kind: _Kind) -> _Count | None:
    """What a Xing or VBRI header in the first frame says; None if there is none."""
    if kind.layer != _LAYER_3:
        return None
    if reader.some(start + 36, 4) == b"VBRI":
        size, frames = (int.from_bytes(reader.some(start + at, 4), "big") for at in (46, 50))
        return _Count(frames=frames, size=size)
    side = (17 if kind.mono else 32) if kind.version == _VERSION_1 else (9 if kind.mono else 17)
    raw = reader.some(start + _HEADER + side, 160)
    if not raw.startswith((b"Xing", b"Info")):
        return None
    flags, at = raw[7:8], 8
    fields: list[int] = []
    for bit, length in ((1, 4), (2, 4), (4, 100), (8, 4)):
        present = bool(flags) and bool(flags[0] & bit)
        fields.append(int.from_bytes(raw[at : at + length], "big") if present else 0)
        at += length if present else 0
    encoder = raw[at : at + 4]
    silent = 0
    if encoder in {b"LAME", b"Lavf", b"Lavc"}:
        packed = int.from_bytes(raw[at + 21 : at + 24], "big")
        silent = (packed >> 12) + (packed & 0xFFF)
    return _Count(frames=fields[0], size=fields[1], silent_samples=silent)


def _told(count: _Count, first: Frame, there: int) -> int | None:
    """The samples an encoder counted, if it was this file, as it is, that it counted."""
    if not count.frames or not count.size:
        return None
    if abs(there - count.size) > _slack(first):
        return None
    samples = count.frames * first.samples - count.silent_samples
    return samples if samples > 0 else None


def _slack(first: Frame) -> int:
    """Bytes that a count may be wrong by: the header's own frame is counted by some encoders and not by others."""
    return max(4 * first.size, 4096)


def _counted(reader: HeaderReader, begin: int, end: int, first: Frame) -> float | None:
    """The samples of all frames, walked or, with a constant bit rate, divided; None if neither can be."""
    walked = walk(reader, begin, end, _read_frame, header=_HEADER)
    if walked.whole:
        return walked.samples
    if not walked.steady or not walked.frames or not _steady(reader, first, walked, end):
        return None
    return (end - begin) * walked.samples / (walked.stopped - begin)


def _steady(reader: HeaderReader, first: Frame, walked: Walk, end: int) -> bool:
    """Whether the rest of the file, looked at in many places, is made of frames like the first."""
    step = (end - walked.stopped) // _PLACES
    places = range(walked.stopped, end - 2 * _AGREEING * first.size, max(step, first.size))
    return bool(places) and all(_agrees(reader, first, place, end) for place in places)


def _agrees(reader: HeaderReader, first: Frame, place: int, end: int) -> bool:
    """Whether frames of the same kind and rate follow each other somewhere right after `place`."""
    block = reader.some(place, 2 * first.size + _HEADER)
    offset = block.find(b"\xff")
    while 0 <= offset <= len(block) - _HEADER:
        frame = _read_frame(block, offset)
        if frame is not None and frame.kind == first.kind:
            walked = walk(reader, place + offset, end, _read_frame, header=_HEADER, most=_AGREEING)
            if walked.frames == _AGREEING:
                return walked.steady and frame.rate == first.rate
        offset = block.find(b"\xff", offset + 1)
    return False


def _kind(block: bytes, offset: int) -> _Kind | None:
    """The fields that are the same in all frames; None if no frame header stands at `offset`."""
    sync, second, third, fourth = block[offset : offset + _HEADER]
    version, layer, sample_index = second >> 3 & 3, second >> 1 & 3, third >> 2 & 3
    if sync != 0xFF or second < 0xE0 or version == 1 or layer == 0 or sample_index == 3:  # noqa: PLR2004 - sync, reserved values
        return None
    return _Kind(version, layer, _SAMPLE_RATES[version][sample_index], fourth >> 6 == 3)  # noqa: PLR2004 - mono


def _read_frame(block: bytes, offset: int) -> Frame | None:
    """Read a frame's header; free format and reserved values are none."""
    kind, third = _kind(block, offset), block[offset + 2]
    rate_index, padding = third >> 4, third >> 1 & 1
    if kind is None or rate_index in {0, 15}:
        return None
    rates = _V1_RATES if kind.version == _VERSION_1 else _V2_RATES
    bit_rate = rates[kind.layer][rate_index] * 1000
    if kind.layer == _LAYER_1:
        size, samples = (12 * bit_rate // kind.sample_rate + padding) * 4, 384
    elif kind.layer == _LAYER_3 and kind.version != _VERSION_1:
        size, samples = 72 * bit_rate // kind.sample_rate + padding, 576
    else:
        size, samples = 144 * bit_rate // kind.sample_rate + padding, 1152
    return Frame(size, samples, kind, bit_rate)
