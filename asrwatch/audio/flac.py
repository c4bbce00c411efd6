"""Read the headers of FLAC files."""

from dataclasses import replace

from asrwatch.audio.flac_end import lacks_its_end
from asrwatch.audio.reader import HeaderError, HeaderReader
from asrwatch.audio.sound import NoSoundError, Sound

__all__ = ["flac", "stream_info"]

# A file may carry many pictures and comments before its sound, each up to 16 MB; all are skipped over.
_MOST_BLOCKS = 1_000


def stream_info(raw: bytes) -> Sound:
    """What a STREAMINFO block says; a count of zero samples is an unknown one (a live encoder).

    Raises:
        HeaderError: too short to be one.
    """
    if len(raw) < 18:  # noqa: PLR2004 - up to and with the sample count
        raise HeaderError("stream information that is too short")
    packed = int.from_bytes(raw[10:18], "big")
    rate, channels, samples = packed >> 44, (packed >> 41 & 7) + 1, packed & (1 << 36) - 1
    seconds = samples / rate if rate and samples else None
    return Sound(codec="flac", seconds=seconds, sample_rate=rate, channels=channels)


def flac(reader: HeaderReader, begin: int) -> Sound:
    """What a FLAC file's headers tell; `begin` is where `fLaC` stands.

    The count of samples is believed: how long a file that was cut off (its last frame is not the one the count
    promises) still sounds is not to be had without decoding, and believing too much only sends it to an engine that
    takes more.

    Raises:
        NoSoundError: no frame of sound follows the headers.
        HeaderError: not to be made sense of.
    """
    offset = begin + 4
    sound: Sound | None = None
    info = b""
    for _ in range(_MOST_BLOCKS):
        head = reader.unpack(">I", offset)[0]
        kind, size, last = head >> 24 & 0x7F, head & 0xFFFFFF, head >> 31
        if kind == 0 and sound is None:
            info = reader.at(offset + 4, min(size, 34))
            sound = stream_info(info)
        offset += 4 + size
        if last:
            break
    else:
        raise HeaderError("too many blocks")
    if sound is None:
        raise HeaderError("no stream information")
    if offset >= reader.size:
        raise NoSoundError("its headers are there, but no sound follows them")
    return replace(sound, cut=lacks_its_end(reader, offset, info))
