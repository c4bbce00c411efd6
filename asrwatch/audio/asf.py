"""Read the headers of ASF files: WMA and WMV."""

from collections.abc import Iterator

from asrwatch.audio.chunks import is_meant
from asrwatch.audio.reader import HeaderError, HeaderReader
from asrwatch.audio.riff import parse_format
from asrwatch.audio.sound import NoSoundError, ProtectedError, Sound

__all__ = ["asf", "asf_closed"]

_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_STREAM = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
_SOUND = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
_ENCRYPTED = (
    bytes.fromhex("fbb31122 23bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a29 2226174cb935dae07ee9289c"),
)
"""Content Encryption and Extended Content Encryption objects (ASF specification, section 3)."""
_OBJECT = 24
_MOST_OBJECTS = 1_000
_BROADCAST = 1


def asf(reader: HeaderReader) -> Sound:
    """What an ASF file's headers tell of its first stream of sound.

    The duration is unknown for live streams, and if the file is shorter than it claims.

    Raises:
        NoSoundError: streams of pictures only.
        ProtectedError: encrypted.
        HeaderError: not to be made sense of.
    """
    seconds: float | None = None
    sound: Sound | None = None
    streams = 0
    cut = False
    for name, begin, size in _objects(reader):
        if name == _FILE:
            file_size, _created, _packets, play, _send, preroll, flags = reader.unpack(
                "<6QI", begin + 16
            )
            cut = not flags & _BROADCAST and reader.size < file_size and is_meant(file_size)
            if not flags & _BROADCAST and file_size <= reader.size:
                # Play time in 100 ns includes the preroll, which is in milliseconds.
                seconds = play / 1e7 - preroll / 1e3
        elif name in _ENCRYPTED:
            raise ProtectedError("its sound is encrypted")
        elif name == _STREAM:
            streams += 1
            if sound is None and reader.at(begin, 16) == _SOUND:
                layout = parse_format(reader.some(begin + 54, max(0, min(size - 54, 64))))
                sound = Sound(
                    codec=layout.codec,
                    sample_rate=layout.sample_rate,
                    channels=layout.channels,
                )
    if sound is None and streams:
        raise NoSoundError("it is a video without sound")
    if sound is None:
        raise HeaderError("no streams")
    return Sound(
        codec=sound.codec,
        seconds=seconds,
        sample_rate=sound.sample_rate,
        channels=sound.channels,
        cut=cut,
    )


def asf_closed(reader: HeaderReader) -> bool | None:
    """Whether the file has the size that was written into its header when it was closed; None for live streams.

    Raises:
        HeaderError: not to be made sense of.
    """
    for name, begin, _size in _objects(reader):
        if name == _FILE:
            claimed, flags = reader.unpack("<Q", begin + 16)[0], reader.unpack("<I", begin + 64)[0]
            return None if flags & _BROADCAST else claimed == reader.size
    return None


def _objects(reader: HeaderReader) -> Iterator[tuple[bytes, int, int]]:
    """The objects inside the header object: name, where the content begins, its size."""
    end = min(reader.unpack("<Q", 16)[0], reader.size)
    offset = 30
    for _ in range(_MOST_OBJECTS):
        if offset + _OBJECT > end:
            return
        name, size = reader.unpack("<16sQ", offset)
        if size < _OBJECT:
            raise HeaderError("an object smaller than its header")
        yield name, offset + _OBJECT, size - _OBJECT
        offset += size
