"""Read the headers of AIFF and AIFF-C files."""

from asrwatch.audio.chunks import chunks, closes_with_chunks
from asrwatch.audio.reader import HeaderError, HeaderReader
from asrwatch.audio.sound import NothingYetError, Sound

__all__ = ["aiff", "aiff_closed"]

# COMM: channels, frames, bits, then the rate as an 80-bit float; AIFF-C adds the codec.
_COMMON = ">HIHHQ"
_CODECS = {
    b"NONE": "pcm_s{bits}be",
    b"twos": "pcm_s{bits}be",
    b"sowt": "pcm_s{bits}le",
    b"fl32": "pcm_f32be",
    b"FL32": "pcm_f32be",
    b"fl64": "pcm_f64be",
    b"ulaw": "pcm_mulaw",
    b"ULAW": "pcm_mulaw",
    b"alaw": "pcm_alaw",
    b"ALAW": "pcm_alaw",
}
_EIGHT_BITS = ("pcm_mulaw", "pcm_alaw")


def aiff(reader: HeaderReader) -> Sound:
    """What an AIFF file's headers tell; the duration is unknown if not all of the sound is there.

    Raises:
        NothingYetError: headers only, no sound.
        HeaderError: not to be made sense of.
    """
    common: tuple[int, int, int, int] | None = None
    codec: str | None = "pcm_s{bits}be"
    there: int | None = None
    whole = True
    for chunk in chunks(reader, 12, reader.size, big_endian=True):
        if chunk.name == b"COMM":
            channels, frames, bits, exponent, mantissa = reader.unpack(_COMMON, chunk.begin)
            common = (channels, frames, bits, _rate(exponent, mantissa))
            if chunk.size >= 22:  # noqa: PLR2004 - where the codec ends
                codec = _CODECS.get(reader.at(chunk.begin + 18, 4))
        elif chunk.name == b"SSND":
            # Eight bytes of alignment precede the sound.
            there = min(chunk.size, reader.size - chunk.begin) - 8
            whole = chunk.begin + chunk.size <= reader.size
        if common is not None and there is not None:
            break
    if common is None:
        raise HeaderError("no common chunk")
    if there is None or there <= 0:
        raise NothingYetError("its headers are there, but no sound follows them")
    channels, frames, bits, rate = common
    cut = not whole
    name = codec.format(bits=bits) if codec else None
    width = 1 if name in _EIGHT_BITS else (bits + 7) // 8
    if name is not None:
        # Blocks of fixed length: what is there can be counted, and must be what is claimed.
        whole = whole and frames * channels * width <= there
    seconds = frames / rate if whole and rate else None
    return Sound(codec=name, seconds=seconds, sample_rate=rate, channels=channels, cut=cut)


def aiff_closed(reader: HeaderReader) -> bool:
    """Whether every size was written and is right.

    Raises:
        HeaderError: not to be made sense of.
    """
    if abs(reader.unpack(">I", 4)[0] + 8 - reader.size) > 1:
        return False
    whole = closes_with_chunks(reader, 12, big_endian=True)
    return whole and any(
        chunk.name == b"SSND" and chunk.size > 8  # noqa: PLR2004 - bytes of alignment
        for chunk in chunks(reader, 12, reader.size, big_endian=True)
    )


def _rate(exponent: int, mantissa: int) -> int:
    """The 80-bit extended float, which is a whole number for every rate there is."""
    shift = 16383 + 63 - (exponent & 0x7FFF)
    return mantissa >> shift if 0 <= shift < 64 else 0  # noqa: PLR2004 - bits of the mantissa
