"""What a reader of headers finds, and which findings are believed."""

from dataclasses import dataclass
from datetime import timedelta

from asrwatch.journey.plan import AudioFacts

__all__ = ["CutOffError", "NoSoundError", "NothingYetError", "ProtectedError", "Sound", "believed"]

# The longest recording any engine takes is 12 hours (contract section 4.1); a month leaves room for a
# logger that never stops. Beyond these bounds a header is broken or hostile (a billion seconds, a
# million channels, 1 Hz), and what it says is unknown.
LONGEST = timedelta(days=31)
SAMPLE_RATES = range(1_000, 1_000_001)
CHANNELS = range(1, 65)


class NoSoundError(Exception):
    """The headers are whole and say that there is no sound in this file; the text says how they say it."""


class NothingYetError(NoSoundError):
    """The headers are whole and no sound follows them, as in a file whose recorder has only just begun."""


class CutOffError(Exception):
    """The file lacks a part without which nobody can play it."""


class ProtectedError(Exception):
    """The sound is encrypted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """One stream of sound as the headers describe it; `seconds` is None where they do not tell.

    `cut` says that the file ends before what its headers promise.
    """

    codec: str | None = None
    seconds: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    cut: bool = False


def believed(container: str, sound: Sound) -> AudioFacts:
    """The facts, without what cannot be; a duration counted in absurd units is unknown as well."""
    rate, channels, seconds = sound.sample_rate, sound.channels, sound.seconds
    absurd_rate = rate is not None and rate not in SAMPLE_RATES
    absurd_channels = channels is not None and channels not in CHANNELS
    duration: timedelta | None = None
    counted_right = not absurd_rate and not absurd_channels
    if counted_right and seconds is not None and 0 < seconds <= LONGEST.total_seconds():
        # Less than a microsecond becomes zero, and zero is not a duration.
        duration = timedelta(seconds=seconds) or None
    return AudioFacts(
        container=container,
        codec=sound.codec or None,
        duration=duration,
        sample_rate=None if absurd_rate else rate,
        channels=None if absurd_channels else channels,
    )
