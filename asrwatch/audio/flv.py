"""Read the headers of FLV files."""

import struct

from asrwatch.audio.reader import HeaderReader
from asrwatch.audio.sound import NoSoundError, Sound

__all__ = ["flv"]

_CODECS = {2: "mp3", 10: "aac", 11: "speex", 14: "mp3", 7: "pcm_alaw", 8: "pcm_mulaw"}
_SOUND, _SCRIPT = 8, 18
_TAG = 11
_MOST_TAGS = 200
# How far the duration in the metadata may be from the last tag's time, which is where that tag begins.
_TOLERANCE = 2.0


def flv(reader: HeaderReader) -> Sound:
    """What an FLV file's headers tell.

    The duration in the metadata is believed only if the last tag's time agrees: a recorder writes it at the
    end, if ever.

    Raises:
        NoSoundError: no tag of sound near the start, and the header announces none.
        HeaderError: not to be made sense of.
    """
    announced = reader.at(4, 1)[0] & 4
    offset = reader.unpack(">I", 5)[0] + 4
    codec: str | None = None
    told: float | None = None
    for _ in range(_MOST_TAGS):
        if offset + _TAG > reader.size or (codec and told is not None):
            break
        kind, size = reader.at(offset, 1)[0], int.from_bytes(reader.at(offset + 1, 3), "big")
        if kind == _SOUND and codec is None:
            code = reader.at(offset + _TAG, 1)[0] >> 4
            codec = _CODECS.get(code, f"flv_{code}")
        elif kind == _SCRIPT and told is None:
            told = _duration(reader.some(offset + _TAG, min(size, 65_536)))
        offset += _TAG + size + 4
    if codec is None and not announced:
        raise NoSoundError("it is a video without sound")
    last = _last_time(reader)
    agrees = told is not None and last is not None and abs(told - last) <= _TOLERANCE
    return Sound(codec=codec, seconds=told if agrees else None)


def _duration(script: bytes) -> float | None:
    """The number called `duration` in the metadata (AMF0: marker 0, then a double)."""
    at = script.find(b"\x08duration\x00") + 10
    if at < 10 or len(script) < at + 8:  # noqa: PLR2004 - found, and a double behind it
        return None
    number = float(struct.unpack_from(">d", script, at)[0])
    return number if 0 < number < 1e9 else None  # noqa: PLR2004 - NaN and nonsense


def _last_time(reader: HeaderReader) -> float | None:
    """When the last tag begins; None if the file does not end with a whole one."""
    if reader.size < _TAG + 4:
        return None
    length = reader.unpack(">I", reader.size - 4)[0]
    begin = reader.size - 4 - length
    if length < _TAG or begin < 0:
        return None
    raw = reader.at(begin, 8)
    if int.from_bytes(raw[1:4], "big") + _TAG != length:
        return None
    # The fourth byte of the time comes last.
    return int.from_bytes(raw[7:8] + raw[4:7], "big") / 1000
