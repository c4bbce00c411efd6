"""Tells from a FLAC file's last frame whether it is the one that its header says is the last."""

from dataclasses import dataclass

from asrwatch.audio.frames import sound_end
from asrwatch.audio.reader import HeaderError, HeaderReader

__all__ = ["flac_closed", "lacks_its_end"]

_MOST_BLOCKS = 1_000
_STREAM_INFO = 34
# The largest frame there can be takes two megabytes; real ones, of 4,608 samples at most, a tenth of this.
_TAIL = 1 << 18
# There is one last frame; a file of nothing but its header was made to keep us summing up.
_MOST_ALIKE = 4
_SHORTEST_HEADER = 6
_LONGEST_HEADER = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class _Promise:
    """What the header says: samples in all, how many a frame has where all have the same, whether it has their sum."""

    samples: int
    block: int
    digest: bool


def flac_closed(reader: HeaderReader, begin: int) -> bool | None:
    """Whether the encoder has written its sums and the last frame is there; None where it left no sums.

    Args:
        reader: of the file.
        begin: where `fLaC` stands.

    Raises:
        HeaderError: not to be made sense of.
    """
    offset = begin + 4
    promise: _Promise | None = None
    for _ in range(_MOST_BLOCKS):
        head = reader.unpack(">I", offset)[0]
        kind, size, last = head >> 24 & 0x7F, head & 0xFFFFFF, head >> 31
        if kind == 0:
            promise = _promise(reader.at(offset + 4, _STREAM_INFO))
        offset += 4 + size
        if last:
            break
    else:
        raise HeaderError("too many blocks")
    if promise is None or not promise.digest:
        return None
    tail = reader.some(max(offset, reader.size - _TAIL), _TAIL)
    at, alike = tail.rfind(b"\xff"), 0
    while at >= 0 and alike < _MOST_ALIKE:
        if _last_sample(tail[at : at + _LONGEST_HEADER], promise.block) == promise.samples:
            alike += 1
            if not _crc16(tail[at:]):
                return True
        at = tail.rfind(b"\xff", 0, at)
    return False


def lacks_its_end(reader: HeaderReader, begin: int, info: bytes) -> bool:
    """Whether the last frame there is ends before what the header promises; False where neither can be told.

    Args:
        reader: of the file.
        begin: where its frames begin.
        info: its STREAMINFO.
    """
    promise = _promise(info)
    if promise is None or not promise.block:  # frames are numbered, and of unequal length
        return False
    end = sound_end(reader)
    start = max(begin, end - _TAIL)
    tail = reader.some(start, max(0, end - start))
    last, at = 0, tail.rfind(b"\xff")
    while at >= 0 and last < promise.samples:
        last = max(last, _last_sample(tail[at : at + _LONGEST_HEADER], promise.block) or 0)
        at = tail.rfind(b"\xff", 0, at)
    return 0 < last < promise.samples


def _promise(info: bytes) -> _Promise | None:
    """None where the count is missing: encoders write it, and at the latest the digest, when they are done."""
    least, most = int.from_bytes(info[:2], "big"), int.from_bytes(info[2:4], "big")
    samples = int.from_bytes(info[10:18], "big") & (1 << 36) - 1
    if not samples:
        return None
    block = least if least == most else 0
    return _Promise(samples=samples, block=block, digest=any(info[18:34]))


def _last_sample(frame: bytes, block: int) -> int | None:
    """The number of the sample after a frame's last one; None if no frame begins here."""
    if len(frame) < _SHORTEST_HEADER or frame[1] & 0xFE != 0xF8 or frame[3] & 1:  # noqa: PLR2004 - sync
        return None
    coded = _number(frame[4 : _LONGEST_HEADER - 5])
    if coded is None:
        return None
    number, length = coded
    at = 4 + length
    size_code, rate_code = frame[2] >> 4, frame[2] & 0xF
    size, extra = _block_size(size_code, frame[at : at + 2])
    at += extra + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if not size or at >= len(frame) or _crc8(frame[:at]) != frame[at]:
        return None
    variable = frame[1] & 1
    return (number if variable else number * block) + size


def _block_size(code: int, behind: bytes) -> tuple[int, int]:
    """Samples of a frame, and how many bytes behind the number say so."""
    match code:
        case 1:
            return 192, 0
        case 2 | 3 | 4 | 5:
            return 576 << code - 2, 0
        case 6:
            return int.from_bytes(behind[:1], "big") + 1, 1
        case 7:
            return int.from_bytes(behind[:2], "big") + 1, 2
        case 0:
            return 0, 0
        case _:
            return 256 << code - 8, 0


def _number(raw: bytes) -> tuple[int, int] | None:
    """A number coded as UTF-8 codes characters, up to 36 bits long; and how many bytes it takes."""
    if not raw:
        return None
    first = raw[0]
    if first < 0x80:  # noqa: PLR2004 - one byte
        return first, 1
    length = 8 - (first ^ 0xFF).bit_length()
    if not 2 <= length <= 7 or len(raw) < length:  # noqa: PLR2004 - the lengths there are
        return None
    number = first & (0x7F >> length)
    for byte in raw[1:length]:
        if byte >> 6 != 2:  # noqa: PLR2004 - how every further byte begins
            return None
        number = number << 6 | byte & 0x3F
    return number, length


def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    top, mask = 1 << bits - 1, (1 << bits) - 1
    sums = []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
        sums.append(value)
    return tuple(sums)


_CRC8 = _table(0x07, 8)
_CRC16 = _table(0x8005, 16)


def _crc8(raw: bytes) -> int:
    value = 0
    for byte in raw:
        value = _CRC8[value ^ byte]
    return value


def _crc16(raw: bytes) -> int:
    """Zero for a whole frame, its own sum included."""
    value = 0
    for byte in raw:
        value = (value << 8 & 0xFF00) ^ _CRC16[value >> 8 ^ byte]
    return value
