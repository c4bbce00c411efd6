"""What the studio asks of the booth, and what the booth reports: values that travel as one line of JSON.

The studio (`studio.py`) runs in the daemon and never decodes; the booth (`booth/`) is a child process that
does nothing else. Times are whole samples at `RATE` per second, so that pieces join without a seam.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

__all__ = [
    "NO_CODECS",
    "NO_SPACE",
    "OTHER_VERSION",
    "RATE",
    "READ_FAILED",
    "SILENT_BELOW",
    "Codec",
    "Encode",
    "Encoded",
    "Order",
    "Piece",
    "Progress",
    "Refusal",
    "Report",
    "Survey",
    "Surveyed",
    "read",
    "samples",
    "span",
    "written",
]

RATE = 16_000
"""Samples per second of everything that is surveyed or encoded: what the models hear (contract section 3)."""


SILENT_BELOW = -80.0
"""Decibels of full scale: a recording of 16 bits whose loudest sample is below is silent throughout. That is three
steps of the finest there are; finer recordings are silent only if they hold nothing at all."""
NO_CODECS = "no-codecs"
"""The code of a refusal that lies in this machine: PyAV is there and cannot be loaded."""
NO_SPACE = "no-space"
"""The code of a refusal that lies in the disk that copies are written to."""
OTHER_VERSION = os.EX_TEMPFAIL
"""The status with which a booth ends whose asrwatch is not the one that asks: it may speak another language."""
READ_FAILED = "read-failed"
"""The code of a refusal that lies in the disk or share, not in the recording."""


class Codec(StrEnum):
    """What a recording is re-encoded to, and the container it lies in."""

    FLAC = "flac"
    OPUS = "opus"
    MP3 = "mp3"

    @property
    def container(self) -> str:
        """The container's name, as in `containers.CONTAINERS`."""
        return "ogg" if self is Codec.OPUS else str(self)

    @property
    def extension(self) -> str:
        """The usual ending of such a file, without the dot."""
        return str(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """Decode and say what is heard.

    `demuxers` are the only ones that may be used (libavformat's names); `longest` is where decoding stops, in
    samples; `until_sound` ends it at the first sound, which is all that is needed to know that it is not silent.
    `track` is which stream of sound is meant, counted from 0; None is the one that is marked as the default, or else
    the first. With `by_channel` it is also said where nobody speaks in each channel by itself.
    """

    demuxers: tuple[str, ...]
    longest: int
    until_sound: bool = False
    track: int | None = None
    by_channel: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """From which sample to which (None: the end) goes to the open file `descriptor`."""

    descriptor: int
    start: int = 0
    end: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Encode:
    """Decode once, write each piece as `codec`, 16 kHz.

    `channels` are kept apart, counted from 0; None mixes all of them into one. `bit_rate` is in bits per second
    and channel, for the lossy codecs. `longest` and `track` are as for `Survey`.
    """

    demuxers: tuple[str, ...]
    longest: int
    codec: Codec
    pieces: tuple[Piece, ...]
    channels: tuple[int, ...] | None = None
    bit_rate: int = 24_000
    track: int | None = None


Order = Survey | Encode


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How many samples are done."""

    done: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Surveyed:
    """What was heard.

    `samples` were decoded (all there are, unless `ended_early`); `peak` is the loudest sample in decibels of full
    scale (never above 0), None for digital silence; `silent` if nobody could hear anything in it;
    `same_channels` if every channel carries the same signal, `silent_channels` are those in which nobody could hear
    anything; `pauses` are (from, to) in samples, where nobody speaks, in order; `broken` counts packets that could
    not be decoded, `filled` samples of silence that stand where nothing is recorded; `tracks` is how many streams of
    sound there are, of which `track` was listened to;
    `channel_pauses` are like `pauses`, for each channel, where that was asked for; `pictures` says that it is a video.
    """

    codec: str
    sample_rate: int
    channels: int
    samples: int
    peak: float | None
    silent: bool
    same_channels: bool
    pauses: tuple[tuple[int, int], ...] = ()
    broken: int = 0
    tracks: int = 1
    ended_early: bool = False
    silent_channels: tuple[int, ...] = ()
    track: int = 0
    channel_pauses: tuple[tuple[tuple[int, int], ...], ...] = ()
    pictures: bool = False
    filled: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """What was written: bytes and samples of each piece, in the order of the pieces; the rest is as for `Surveyed`."""

    sizes: tuple[int, ...]
    samples: tuple[int, ...]
    channels: int
    broken: int = 0
    tracks: int = 1
    filled: int = 0
    pictures: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why it cannot be done, which lies in the recording: a code for machines, words for people."""

    code: str
    message: str


Report = Progress | Surveyed | Encoded | Refusal


_KINDS: Mapping[str, type[Order | Report]] = MappingProxyType(
    {kind.__name__: kind for kind in (Survey, Encode, Progress, Surveyed, Encoded, Refusal)}
)


def written(message: Order | Report) -> bytes:
    """A message as one line of JSON, its newline included."""
    return json.dumps({"kind": type(message).__name__, **asdict(message)}).encode() + b"\n"


def read(line: bytes | str) -> Order | Report:
    """The message of a line, as `written` wrote it.

    Raises:
        ValueError: it is none.
    """
    try:
        fields: dict[str, Any] = json.loads(line)
        return _KINDS[fields.pop("kind")](**{name: _value(name, at) for name, at in fields.items()})
    except (TypeError, KeyError, AttributeError) as error:
        msg = "not a message between studio and booth"
        raise ValueError(msg) from error


def _value(name: str, at: Any) -> Any:
    """What JSON made a list or a plain word, as what it was."""
    match name:
        case "pieces":
            return tuple(Piece(**piece) for piece in at)
        case "pauses":
            return tuple((start, end) for start, end in at)
        case "channel_pauses":
            return tuple(_value("pauses", each) for each in at)
        case "codec" if at in set(Codec):
            return Codec(at)
        case _:
            return tuple(at) if isinstance(at, list) else at


def samples(time: timedelta) -> int:
    """A time as whole samples."""
    return round(time.total_seconds() * RATE)


def span(count: int) -> timedelta:
    """Samples as a time."""
    return timedelta(seconds=count / RATE)
