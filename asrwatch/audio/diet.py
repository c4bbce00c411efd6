"""Decides whether a smaller copy of a recording is uploaded in its place: pure, from sizes and measured speeds.

A copy is worth it where it is clearly smaller, and made in less time than its upload spares. What is compressed
already is left alone: a second compression would lose more than it gains.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

from asrwatch.audio.orders import Codec
from asrwatch.journey.plan import AudioFacts
from asrwatch.values import format_duration, format_size

__all__ = [
    "ASSUMED",
    "PER_SECOND",
    "Diet",
    "Speeds",
    "Upload",
    "Verdict",
    "copy_size",
    "judge",
    "keeps_every_sample",
]


class Diet(StrEnum):
    """What an inbox allows to be done to an upload's size."""

    OFF = "off"
    LOSSLESS = "lossless"
    SMALL = "small"

    @property
    def codec(self) -> Codec | None:
        """What copies are coded as; None: none are made."""
        return {Diet.LOSSLESS: Codec.FLAC, Diet.SMALL: Codec.OPUS}.get(self)


PER_SECOND: Mapping[Codec, int] = MappingProxyType(
    {Codec.FLAC: 18_000, Codec.OPUS: 3_200, Codec.MP3: 3_200}
)
"""Bytes of a copy at 16 kHz for each second and channel: of speech, which is hardly ever larger."""

CLEARLY = 0.75
"""A copy must have at most this share of the original's bytes."""

MOST_COMPRESSED = 40_000
"""Bytes a second: 320 kbit/s, the most that compressed sound takes; with more there are pictures in the file."""

BEGINNING = timedelta(seconds=0.5)
"""What it takes to start a process that encodes, on a busy machine."""

_AS_RECORDED = ("pcm", "a_pcm", "lpcm", "flac", "a_flac", "alac", "a_alac", "in24", "in32", "fl32")
"""How codecs begin that keep every sample."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speeds:
    """How quick uploads and encoding are here.

    `uplink` is in bytes a second, `encoding` in seconds of sound a second; `measured` says that the first was, and
    not only assumed.
    """

    uplink: float = 5_000_000
    encoding: Mapping[Codec, float] = field(
        default_factory=lambda: {Codec.FLAC: 100.0, Codec.OPUS: 40.0, Codec.MP3: 40.0}
    )
    measured: bool = False


ASSUMED = Speeds()
"""Before anything was measured: a quick uplink (40 Mbit/s) and a slow machine, so that only what surely gains is
encoded. One busy core was measured at 600 times real time for FLAC, 53 for Opus."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """What is to be uploaded: its facts, its bytes, how many channels a copy of it would have.

    `overlaps` says that a copy is uploaded while it is being encoded.
    """

    facts: AudioFacts
    size: int
    channels: int
    overlaps: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a copy is coded as (None: the original is uploaded), about how many bytes go, and why."""

    codec: Codec | None
    sends: int
    reason: str


def copy_size(codec: Codec, duration: timedelta, channels: int) -> int:
    """About how many bytes a copy has."""
    return round(duration.total_seconds() * PER_SECOND[codec] * channels)


def keeps_every_sample(codec: str | None) -> bool:
    """Whether a codec is one whose headers count every sample, and whose decoders bring every one back."""
    return (codec or "").lower().startswith(_AS_RECORDED)


def judge(upload: Upload, diet: Diet, speeds: Speeds = ASSUMED) -> Verdict:
    """Whether a copy is uploaded, and why or why not."""
    codec, duration = diet.codec, upload.facts.duration
    if codec is None:
        return _as_it_is(upload, "this inbox's diet is off")
    if duration is None:
        return _as_it_is(upload, "how long it is is not known")
    if _is_compressed(upload, duration):
        return _as_it_is(upload, f"{upload.facts.codec or 'its sound'} is compressed already")
    after = copy_size(codec, duration, upload.channels)
    if after > upload.size * CLEARLY:
        return _as_it_is(upload, f"16 kHz {codec} would hardly be smaller")
    encoding = duration / speeds.encoding[codec] + BEGINNING
    before_takes, after_takes = (
        timedelta(seconds=size / speeds.uplink) for size in (upload.size, after)
    )
    takes = max(encoding, after_takes) if upload.overlaps else encoding + after_takes
    how = "measured" if speeds.measured else "assumed"
    uplink = f"{how} uplink of {format_size(round(speeds.uplink))}/s"
    if takes >= before_takes:
        return _as_it_is(
            upload,
            f"16 kHz {codec} would take {format_duration(encoding)} to make, more than its upload spares ({uplink})",
        )
    return Verdict(
        codec=codec,
        sends=after,
        reason=f"uploaded as 16 kHz {codec}, about {format_size(after)} instead of {format_size(upload.size)}: "
        f"{format_duration(before_takes - after_takes)} less of upload for {format_duration(encoding)} of encoding "
        f"({uplink})",
    )


def _is_compressed(upload: Upload, duration: timedelta) -> bool:
    if keeps_every_sample(upload.facts.codec):
        return False
    return upload.size <= MOST_COMPRESSED * max(duration.total_seconds(), 1.0)


def _as_it_is(upload: Upload, why: str) -> Verdict:
    return Verdict(
        codec=None,
        sends=upload.size,
        reason=f"uploaded as it is, {format_size(upload.size)}: {why}",
    )
