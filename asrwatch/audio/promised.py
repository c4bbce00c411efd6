"""Tells of containers whose headers are not read otherwise whether they promise more bytes than there are."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from asrwatch.audio.chunks import MOST_CHUNKS, is_meant
from asrwatch.audio.reader import HeaderError, HeaderReader

__all__ = ["promises_more"]

_CAF_HEADER = 8
_CAF_CHUNK = 12


def promises_more(reader: HeaderReader, container: str) -> bool:
    """Whether a size in its headers, which is no placeholder, reaches beyond the file's end."""
    try:
        return container in _PROMISES and _PROMISES[container](reader)
    except HeaderError:
        return False


def _caf(reader: HeaderReader) -> bool:
    offset = _CAF_HEADER
    for _ in range(MOST_CHUNKS):
        if offset + _CAF_CHUNK > reader.size:
            return False
        size = reader.unpack(">q", offset + 4)[0]
        offset += _CAF_CHUNK + size
        if size < 0 or offset > reader.size:
            return is_meant(size)
    return False


def _au(reader: HeaderReader) -> bool:
    begin, size = reader.unpack(">II", 4)
    return is_meant(size) and begin + size > reader.size


_PROMISES: Mapping[str, Callable[[HeaderReader], bool]] = MappingProxyType({"caf": _caf, "au": _au})
