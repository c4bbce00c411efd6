"""Ask mutagen about containers that no engine takes as they are, so that a refusal can say what they hold."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from mutagen.ac3 import AC3Info
from mutagen.monkeysaudio import MonkeysAudioInfo
from mutagen.musepack import MusepackInfo
from mutagen.trueaudio import TrueAudioInfo
from mutagen.wavpack import WavPackInfo

from asrwatch.audio.foreign import mutagen_border
from asrwatch.audio.reader import HeaderReader
from asrwatch.audio.sound import Sound

__all__ = ["TAGGED", "tagged"]

TAGGED: Mapping[str, Callable[[HeaderReader], Any]] = MappingProxyType(
    {
        "ac3": AC3Info,
        "ape": MonkeysAudioInfo,
        "musepack": MusepackInfo,
        "tta": lambda reader: TrueAudioInfo(reader, 0),
        "wavpack": WavPackInfo,
    }
)


def tagged(reader: HeaderReader, container: str) -> Sound:
    """What mutagen reads from a container in `TAGGED`.

    Raises:
        HeaderError: not to be made sense of.
        OSError: the stream itself failed.
    """
    with mutagen_border(reader):
        reader.seek(0)
        info = TAGGED[container](reader)
        return Sound(
            codec=container,
            seconds=float(info.length),
            sample_rate=int(info.sample_rate),
            channels=getattr(info, "channels", None),
        )
