"""Find out from a recording's own headers what it is, before anything is sent or paid.

Whatever the headers do not tell for certain is unknown (None), and never zero. An unknown duration costs a
detour through an engine that takes long recordings; a wrong one could cost a refusal, which the journey also
survives. So every reader errs towards unknown, and none decodes.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import BinaryIO

from asrwatch.audio.aac import aac
from asrwatch.audio.aiff import aiff
from asrwatch.audio.amr import amr
from asrwatch.audio.asf import asf
from asrwatch.audio.avi import avi
from asrwatch.audio.containers import CONTAINERS, Container
from asrwatch.audio.flac import flac
from asrwatch.audio.flv import flv
from asrwatch.audio.frames import NoFramesError
from asrwatch.audio.magic import (
    HEAD,
    container_of,
    id3_size,
    looks_like_audio,
    marked,
    refuse_other,
)
from asrwatch.audio.matroska import matroska
from asrwatch.audio.mp3 import mp3
from asrwatch.audio.mp4 import mp4
from asrwatch.audio.ogg import ogg
from asrwatch.audio.promised import promises_more
from asrwatch.audio.reader import HeaderError, HeaderReader
from asrwatch.audio.riff import wav
from asrwatch.audio.sound import (
    CutOffError,
    NoSoundError,
    NothingYetError,
    ProtectedError,
    Sound,
    believed,
)
from asrwatch.audio.tagged import TAGGED, tagged
from asrwatch.errors import UNPAID, Incomplete, RecordingError
from asrwatch.journey.plan import AudioFacts
from asrwatch.values import printable

__all__ = ["probe"]

_MOST_TAGS = 8
_MAGIC = 12
"""Bytes by which most containers are known; zeros there are space that a header is written to last."""

# These begin where an ID3 tag, which programs put before them, ends.
_BEHIND_TAG: Mapping[str, Callable[[HeaderReader, int], Sound]] = MappingProxyType(
    {"mp3": mp3, "aac": aac, "flac": flac}
)
_FROM_START: Mapping[str, Callable[[HeaderReader], Sound]] = MappingProxyType(
    {
        "wav": wav,
        "w64": wav,
        "aiff": aiff,
        "amr": amr,
        "asf": asf,
        "avi": avi,
        "flv": flv,
        "mkv": matroska,
        "mp4": mp4,
        "ogg": ogg,
        "webm": matroska,
    }
)


def probe(stream: BinaryIO, name: bytes, *, whole: bool = False) -> AudioFacts:
    """What a recording's headers tell; whatever its content, the answer comes within bounded time and memory.

    Args:
        stream: the open file, seekable; its position is at the start afterwards.
        name: file name or path, for its ending and for messages.
        whole: refuse a file that ends before what its headers promise, which may well be playable.

    Returns:
        The facts; `container` is a key of `CONTAINERS`, or None if neither content nor name tells.

    Raises:
        RecordingError: `not-audio` (text, a picture, a playlist, ...), `no-audio` (headers without sound,
            a video without sound), `protected` (encrypted), `unknown-codec` (DS2).
        Incomplete: `no-audio` (headers, and nothing behind them yet), `cut-off` (nobody could play it),
            `truncated` (only if `whole`: the end is missing, or the beginning is not written yet).
        OSError: the stream itself failed.
    """
    try:
        return _probe(HeaderReader(stream), name, whole=whole)
    finally:
        stream.seek(0)


def _probe(reader: HeaderReader, name: bytes, *, whole: bool) -> AudioFacts:
    if not reader.size:
        raise _no_audio(name, "it is empty")
    begin, head = _behind_tags(reader)
    if not head:
        raise _no_audio(name, "there is a tag, but no sound behind it", yet=True)
    if whole and not any(head[:_MAGIC]) and not looks_like_audio(name, head):
        raise _truncated(name, "its beginning is not written yet")
    container = _container(name, head, tagged_before=begin > 0)
    if container is None:
        return AudioFacts()
    if container.name == "ds2":
        raise RecordingError(
            f"{printable(name)} is DS2 (DSS Pro) of a dictation machine, which nothing here can decode.",
            code="unknown-codec",
            advice=f"{UNPAID} Have the machine's own program write it as WAV or MP3.",
        )
    try:
        sound = _read(reader, container, begin)
    except NoSoundError as error:
        yet = isinstance(error, NothingYetError)
        raise _no_audio(name, str(error), yet=yet) from error
    except CutOffError as error:
        raise Incomplete(
            f"{printable(name)} cannot be played: {error}.",
            code="cut-off",
            advice=f"{UNPAID} Copy it once more, or repair it.",
        ) from error
    except ProtectedError as error:
        raise RecordingError(
            f"{printable(name)} cannot be transcribed: {error}.",
            code="protected",
            advice=f"{UNPAID} Put an unprotected copy in its place.",
        ) from error
    except NoFramesError as error:
        raise RecordingError(
            f"{printable(name)} is not a recording: no {container.name} sound was found in it.",
            code="not-audio",
            advice=f"{UNPAID} If it does play somewhere, convert it to FLAC or WAV.",
        ) from error
    except HeaderError:
        if whole and promises_more(reader, container.name):
            raise _truncated(name, "it ends before its headers say it does") from None
        return AudioFacts(container=container.name)
    if whole and sound.cut:
        raise _truncated(name, "it ends before its headers say it does")
    return believed(container.name, sound)


def _behind_tags(reader: HeaderReader) -> tuple[int, bytes]:
    """Where the ID3 tags at the start end, however many megabytes of pictures they hold, and what follows."""
    begin = 0
    head = reader.some(0, HEAD)
    for _ in range(_MOST_TAGS):
        size = id3_size(head)
        if not size:
            break
        begin += size
        head = reader.some(begin, HEAD)
    return begin, head


def _container(name: bytes, head: bytes, *, tagged_before: bool) -> Container | None:
    if tagged_before and marked(head) is None and any(head):
        # Programs put ID3 tags before MP3 files, whatever these are called.
        refuse_other(b"%s.mp3" % name, head)
        return CONTAINERS["mp3"]
    refuse_other(name, head)
    return container_of(name, head)


def _read(reader: HeaderReader, container: Container, begin: int) -> Sound:
    if container.name in _BEHIND_TAG:
        return _BEHIND_TAG[container.name](reader, begin)
    if begin:
        raise HeaderError("a tag before a container that has no place for one")
    if container.name in _FROM_START:
        return _FROM_START[container.name](reader)
    if container.name in TAGGED:
        return tagged(reader, container.name)
    raise HeaderError("no reader for this container")


def _no_audio(name: bytes, why: str, *, yet: bool = False) -> RecordingError:
    kind = Incomplete if yet else RecordingError
    return kind(
        f"There is no sound in {printable(name)}: {why}.",
        code="no-audio",
        advice=f"{UNPAID} Remove it, or put the recording in its place.",
    )


def _truncated(name: bytes, why: str) -> Incomplete:
    return Incomplete(
        f"{printable(name)} is not whole: {why}.",
        code="truncated",
        advice=f"{UNPAID} Copy it once more; `asrwatch transcribe FILE` takes it as it is.",
    )
