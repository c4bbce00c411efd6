"""Read the headers of MP4, M4A, QuickTime and 3GP files.

By hand, because mutagen takes a video without sound for a recording, and believes the length of one that
was cut off.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from asrwatch.audio.reader import HeaderError, HeaderReader
from asrwatch.audio.sound import CutOffError, NoSoundError, ProtectedError, Sound

__all__ = ["mp4", "mp4_closed"]

_MOST_BOXES = 5_000
_CODECS = {
    b"mp4a": "aac",
    b".mp3": "mp3",
    b"alac": "alac",
    b"samr": "amr_nb",
    b"sawb": "amr_wb",
    b"Opus": "opus",
    b"fLaC": "flac",
    b"ac-3": "ac3",
    b"ec-3": "eac3",
    b"sowt": "pcm_s16le",
    b"twos": "pcm_s16be",
    b"ulaw": "pcm_mulaw",
    b"alaw": "pcm_alaw",
}
_ENCRYPTED = {b"enca", b"drms", b"aavd"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Box:
    """A box: its name, where its content begins, and where it claims to end; `endless` if it does not say."""

    name: bytes
    begin: int
    end: int
    endless: bool = False


def mp4(reader: HeaderReader) -> Sound:
    """What an MP4 file's index tells of its first track of sound.

    The duration is unknown if the file is made of fragments (their sum is written nowhere for certain) or if
    a part of it is missing at the end.

    Raises:
        CutOffError: no index; nobody can play it.
        NoSoundError: no track of sound.
        ProtectedError: encrypted.
        HeaderError: not to be made sense of.
    """
    index: _Box | None = None
    fragmented = False
    whole = True
    for box in _boxes(reader, 0, reader.size):
        index = index or (box if box.name == b"moov" else None)
        fragmented = fragmented or box.name in {b"moof", b"sidx"}
        whole = whole and box.end <= reader.size
    if index is None and not fragmented:
        raise CutOffError("its index is missing: the recorder or the copy did not finish")
    if index is None or index.end > reader.size:
        raise HeaderError("no whole index")
    tracks = [box for box in _boxes(reader, index.begin, index.end) if box.name == b"trak"]
    for track in tracks:
        sound = _sound(reader, track, whole=whole and not fragmented)
        if sound is not None:
            return replace(sound, cut=not whole)
    if tracks:
        raise NoSoundError("it is a video without sound")
    raise HeaderError("no tracks")


def mp4_closed(reader: HeaderReader) -> bool | None:
    """Whether the index is there and boxes fill the file.

    One made of fragments looks so at the end of each; only the index of fragments, written last, tells that it
    is closed. None where the file does not tell. Sound whose size is unset, as recorders leave it until they write
    the index behind it, is not closed.

    Raises:
        HeaderError: not to be made sense of.
    """
    names: set[bytes] = set()
    end = 0
    for box in _boxes(reader, 0, reader.size):
        names.add(box.name)
        end = box.end
        if box.endless:
            return None if names & {b"moov", b"moof"} else False
    if end != reader.size or b"moov" not in names:
        return None if b"moof" in names else False
    if b"moof" in names:
        return True if b"mfra" in names else None
    return True if b"mdat" in names else None


def _sound(reader: HeaderReader, track: _Box, *, whole: bool) -> Sound | None:
    """The track's sound; None if it is a track of something else."""
    media = _find(reader, track, b"mdia")
    handler = _find(reader, media, b"hdlr")
    if reader.at(handler.begin + 8, 4) != b"soun":
        return None
    header = _find(reader, media, b"mdhd")
    long = reader.at(header.begin, 1) == b"\x01"
    units, length = reader.unpack(">IQ" if long else ">II", header.begin + (20 if long else 12))
    seconds = length / units if whole and units and length else None
    entry = _find(reader, media, b"minf", b"stbl", b"stsd").begin + 8
    name = reader.at(entry + 4, 4)
    if name in _ENCRYPTED:
        raise ProtectedError("its sound is encrypted")
    # Version 2 (QuickTime, more than two channels) keeps both numbers elsewhere.
    version = reader.unpack(">H", entry + 16)[0]
    plain = version in {0, 1}
    return Sound(
        codec=_CODECS.get(name, name.decode("ascii", "replace").strip()),
        seconds=seconds,
        sample_rate=(reader.unpack(">H", entry + 32)[0] or None) if plain else None,
        channels=reader.unpack(">H", entry + 24)[0] if plain else None,
    )


def _find(reader: HeaderReader, box: _Box, *names: bytes) -> _Box:
    for name in names:
        inner = next((b for b in _boxes(reader, box.begin, box.end) if b.name == name), None)
        if inner is None:
            raise HeaderError(f"no {name!r} box")
        box = inner
    return box


def _boxes(reader: HeaderReader, begin: int, end: int) -> Iterator[_Box]:
    """The boxes that begin between `begin` and `end`; whatever is no box ends the walk."""
    offset = begin
    for _ in range(_MOST_BOXES):
        if offset + 8 > min(end, reader.size):
            return
        size, name = reader.unpack(">I4s", offset)
        content = offset + 8
        endless = size == 0
        if size == 1:
            size, content = reader.unpack(">Q", offset + 8)[0], offset + 16
        elif endless:
            size = end - offset
        if size < content - offset:
            return
        yield _Box(name=name, begin=content, end=offset + size, endless=endless)
        offset += size
