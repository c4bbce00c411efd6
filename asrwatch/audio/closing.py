"""Tells from a recording's own sizes, indexes and end marks whether its recorder has closed it.

Reads headers and the last bytes, never the whole. A container that is closed by its own word may still be open:
some recorders bring their headers up to date every few seconds. So this is evidence, and not proof.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import BinaryIO

from asrwatch.audio.aiff import aiff_closed
from asrwatch.audio.asf import asf_closed
from asrwatch.audio.avi import avi_closed
from asrwatch.audio.chunks import MOST_CHUNKS
from asrwatch.audio.flac_end import flac_closed
from asrwatch.audio.frames import NoFramesError
from asrwatch.audio.magic import HEAD, id3_size, marked
from asrwatch.audio.matroska import matroska_closed
from asrwatch.audio.mp3 import mp3_closed
from asrwatch.audio.mp4 import mp4_closed
from asrwatch.audio.ogg import ogg_closed
from asrwatch.audio.reader import HeaderError, HeaderReader
from asrwatch.audio.riff import wav_closed
from asrwatch.audio.sound import NoSoundError

__all__ = ["is_closed"]

_TAIL = 1 << 16
_UNSET = 0xFFFFFFFF
_CAF_HEADER = 8
_CAF_CHUNK = 12


def is_closed(stream: BinaryIO) -> bool | None:
    """Whether the container says that it is complete.

    Args:
        stream: open and seekable; its position is at the start afterwards.

    Returns:
        True: every size and index that is written last is there and right. False: it says itself that it is
        not closed (sizes zero, placeholders, or not those of the file; no index), or its end is nothing but
        zeros, as of a file whose size was reserved. None: it does not tell.

    Raises:
        OSError: the stream itself failed.
    """
    try:
        reader = HeaderReader(stream)
        begin, head = 0, reader.some(0, HEAD)
        if tag := id3_size(head):
            begin, head = tag, reader.some(tag, HEAD)
        name = marked(head)
        if not reader.some(max(0, reader.size - _TAIL), _TAIL).strip(b"\0"):
            return False
        if begin:
            return _BEHIND_TAG[name](reader, begin) if name in _BEHIND_TAG else None
        if name in _BEHIND_TAG:
            return _BEHIND_TAG[name](reader, 0)
        return _FROM_START[name](reader) if name in _FROM_START else None
    except (HeaderError, NoSoundError, NoFramesError):
        return None
    finally:
        stream.seek(0)


def _caf_closed(reader: HeaderReader) -> bool:
    """Core Audio: the sound's size is -1 until the recorder has closed its file."""
    offset, sound = _CAF_HEADER, False
    for _ in range(MOST_CHUNKS):
        if offset >= reader.size:
            break
        name, size = reader.unpack(">4sq", offset)
        if size < 0:
            return False
        sound = sound or (name == b"data" and size > 4)  # noqa: PLR2004 - its edit count
        offset += _CAF_CHUNK + size
    return sound and offset == reader.size


def _au_closed(reader: HeaderReader) -> bool | None:
    begin, size = reader.unpack(">II", 4)
    if size == _UNSET:
        return None
    return bool(size) and begin + size == reader.size


# These begin where an ID3 tag, which programs put before them, ends.
_BEHIND_TAG: Mapping[str | None, Callable[[HeaderReader, int], bool | None]] = MappingProxyType(
    {"mp3": mp3_closed, "flac": flac_closed}
)
_FROM_START: Mapping[str | None, Callable[[HeaderReader], bool | None]] = MappingProxyType(
    {
        "aiff": aiff_closed,
        "asf": asf_closed,
        "au": _au_closed,
        "avi": avi_closed,
        "caf": _caf_closed,
        "mkv": matroska_closed,
        "mp4": mp4_closed,
        "ogg": ogg_closed,
        "w64": wav_closed,
        "wav": wav_closed,
        "webm": matroska_closed,
    }
)
