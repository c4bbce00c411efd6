"""Read the headers of WAV files: RIFF, RIFX, RF64, BW64 and Sony Wave64.

By hand, because a recorder that died or is still writing leaves sizes that mutagen believes: zero,
0xFFFFFFFF, or more than there is. What is really there decides.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from asrwatch.audio.chunks import MOST_CHUNKS, SLACK, Chunk, chunks, closes_with_chunks, is_meant
from asrwatch.audio.reader import HeaderError, HeaderReader
from asrwatch.audio.sound import NothingYetError, Sound

__all__ = ["Format", "parse_format", "wav", "wav_closed"]

_UNSET = 0xFFFFFFFF
_EXTENSIBLE = 0xFFFE
_PCM, _ADPCM, _FLOAT, _A_LAW, _MU_LAW, _IMA, _GSM = 0x01, 0x02, 0x03, 0x06, 0x07, 0x11, 0x31
_OTHER_CODECS = {0x50: "mp2", 0x55: "mp3", 0xFF: "aac", 0x161: "wmav2", 0x40: "g721", 0x45: "g726"}
_W64_HEADER = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A WAVEFORMATEX: how the sound is laid out.

    `block` is how many bytes hold `samples_per_block` samples of every channel; None where blocks have no
    fixed length.
    """

    codec: str
    channels: int
    sample_rate: int
    bytes_per_second: int
    block: int | None
    samples_per_block: int


def parse_format(raw: bytes, *, big_endian: bool = False) -> Format:
    """Read a WAVEFORMATEX, as WAV and AVI files hold it.

    Raises:
        HeaderError: too short to be one.
    """
    if len(raw) < 16:  # noqa: PLR2004 - the oldest form
        raise HeaderError("a format chunk that is too short")
    order: Literal["big", "little"] = "big" if big_endian else "little"

    def number(begin: int, end: int) -> int:
        return int.from_bytes(raw[begin:end], order)

    tag, channels, rate = number(0, 2), number(2, 4), number(4, 8)
    block, bits = number(12, 14), number(14, 16)
    if tag == _EXTENSIBLE and len(raw) >= 26:  # noqa: PLR2004 - the sub-format begins with the old tag
        tag = number(24, 26)
    samples = 1
    whole_samples = channels * ((bits + 7) // 8)
    if tag in {_PCM, _FLOAT, _A_LAW, _MU_LAW}:
        fixed = block > 0 and block == whole_samples
    else:
        # Behind the extension's length lies how many samples a block holds.
        fixed = tag in {_ADPCM, _IMA, _GSM} and len(raw) >= 20 and block > 0  # noqa: PLR2004 - up to that field
        samples = number(18, 20) if fixed else 1
    return Format(
        codec=_codec(tag, bits, "be" if big_endian else "le"),
        channels=channels,
        sample_rate=rate,
        bytes_per_second=number(8, 12),
        block=block if fixed and samples else None,
        samples_per_block=samples,
    )


def _codec(tag: int, bits: int, order: str) -> str:
    match tag:
        case 0x01:  # PCM
            return "pcm_u8" if bits <= 8 else f"pcm_s{bits}{order}"  # noqa: PLR2004 - bytes are unsigned
        case 0x03:
            return f"pcm_f{bits}{order}"
        case 0x06:
            return "pcm_alaw"
        case 0x07:
            return "pcm_mulaw"
        case 0x02:
            return "adpcm_ms"
        case 0x11:
            return "adpcm_ima_wav"
        case 0x31:
            return "gsm_ms"
        case _:
            return _OTHER_CODECS.get(tag, f"wav_0x{tag:04x}")


def wav(reader: HeaderReader) -> Sound:
    """What a WAV file's headers tell.

    The duration is counted from the bytes that are really there. It is unknown if the file goes on behind
    its declared sound with something that is not a chunk (a recorder has written on), or if its blocks
    have no fixed length and its size is not certain.

    Raises:
        NothingYetError: headers only, no sound behind them.
        HeaderError: not to be made sense of.
    """
    magic = reader.at(0, 4)
    w64 = magic == b"riff"
    big_endian = magic == b"RIFX"
    walk = _w64_chunks(reader) if w64 else chunks(reader, 12, reader.size, big_endian=big_endian)
    layout: Format | None = None
    samples: int | None = None
    long_size: int | None = None
    for chunk in walk:
        match chunk.name:
            case b"ds64":
                long_size = reader.unpack("<Q", chunk.begin + 8)[0]
            case b"fmt ":
                raw = reader.some(chunk.begin, min(chunk.size, 64))
                layout = parse_format(raw, big_endian=big_endian)
            case b"fact" if chunk.size >= 4:  # noqa: PLR2004 - one number
                samples = reader.unpack(">I" if big_endian else "<I", chunk.begin)[0]
            case b"data":
                if layout is None:
                    raise HeaderError("sound without a format")
                size = long_size if chunk.size == _UNSET and long_size else chunk.size
                declared = None if size == _UNSET else size
                return _sound(reader, layout, chunk.begin, declared=declared, samples=samples)
            case _:
                pass
    if layout is None:
        raise HeaderError("neither format nor sound")
    raise NothingYetError("its headers are there, but no sound follows them")


def wav_closed(reader: HeaderReader) -> bool | None:
    """Whether every size was written and is right, as it is once a recorder has closed its file.

    False where sizes are still zero or placeholders, or do not match the file; None where it does not tell.

    Raises:
        HeaderError: not to be made sense of.
    """
    magic = reader.at(0, 4)
    if magic == b"riff":
        return _w64_closed(reader)
    big_endian = magic == b"RIFX"
    claimed: int = reader.unpack(">I" if big_endian else "<I", 4)[0]
    long = magic in {b"RF64", b"BW64"}
    if long:
        if reader.at(12, 4) != b"ds64":
            return None
        claimed = reader.unpack("<Q", 20)[0]
    # A padding byte at the very end is sometimes forgotten, and sometimes not counted.
    if abs(claimed + 8 - reader.size) > 1:
        return False
    for chunk in chunks(reader, 12, reader.size, big_endian=big_endian):
        if chunk.name == b"data":
            size = reader.unpack("<Q", 28)[0] if long and chunk.size == _UNSET else chunk.size
            there = reader.size - chunk.begin
            if not 0 < size <= there:
                return False
            return size + size % 2 >= there or closes_with_chunks(
                reader, chunk.begin + size + size % 2, big_endian=big_endian
            )
    return False


def _w64_closed(reader: HeaderReader) -> bool:
    if reader.unpack("<Q", 16)[0] != reader.size:
        return False
    return any(
        chunk.name == b"data" and 0 < chunk.size <= reader.size - chunk.begin
        for chunk in _w64_chunks(reader)
    )


def _sound(
    reader: HeaderReader, layout: Format, begin: int, *, declared: int | None, samples: int | None
) -> Sound:
    there = reader.size - begin
    cut = declared is not None and there + SLACK < declared and is_meant(declared)
    if declared is not None and not 0 < declared <= there:
        if declared == 0 and there > 0 and closes_with_chunks(reader, begin):
            there = 0
        declared = None
    if min(there, declared or there) < (layout.block or 1):
        raise NothingYetError("its headers are there, but no sound follows them")
    return Sound(
        codec=layout.codec,
        seconds=_seconds(reader, layout, begin, declared=declared, samples=samples),
        sample_rate=layout.sample_rate,
        channels=layout.channels,
        cut=cut,
    )


def _seconds(
    reader: HeaderReader, layout: Format, begin: int, *, declared: int | None, samples: int | None
) -> float | None:
    if layout.sample_rate == 0:
        return None
    if declared is not None and not _ends_there(reader, layout, begin + declared):
        return None
    if layout.block:
        blocks = (declared if declared is not None else reader.size - begin) // layout.block
        counted = blocks * layout.samples_per_block / layout.sample_rate
        told = samples / layout.sample_rate if samples and layout.samples_per_block > 1 else None
        # The last block of ADPCM and GSM is filled up; `fact` knows how far, unless it is a placeholder.
        block_length = layout.samples_per_block / layout.sample_rate
        return told if told is not None and 0 <= counted - told < block_length else counted
    if declared is None or not samples:
        return None
    told = samples / layout.sample_rate
    by_rate = declared / layout.bytes_per_second if layout.bytes_per_second else told
    # Two claims that agree; encoders of variable rate leave the second one zero.
    return told if abs(told - by_rate) <= max(0.5, 0.02 * by_rate) else None


def _ends_there(reader: HeaderReader, layout: Format, end: int) -> bool:
    """Whether the sound ends where the header says, as far as one can tell.

    A recorder that updates its header only now and then leaves more sound behind the declared end. Less than
    a tenth of a second of anything is let pass, and so are well-formed chunks.
    """
    behind = reader.size - end
    if behind <= max(layout.bytes_per_second // 10, 1):
        return True
    return closes_with_chunks(reader, end + end % 2) or closes_with_chunks(reader, end)


def _w64_chunks(reader: HeaderReader) -> Iterator[Chunk]:
    """Wave64: names are GUIDs that begin with the old name, sizes count their header, all in eights."""
    offset = 40
    for _ in range(MOST_CHUNKS):
        if offset + _W64_HEADER > reader.size:
            return
        name, size = reader.unpack("<4s12xQ", offset)
        if size < _W64_HEADER and name != b"data":
            raise HeaderError("a chunk smaller than its header")
        content = max(0, size - _W64_HEADER)
        yield Chunk(name=name, begin=offset + _W64_HEADER, size=content)
        offset += (size + 7) & ~7
    raise HeaderError("too many chunks")
