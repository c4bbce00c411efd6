"""What a recogniser promises the sandbox: a recording in, the speech in it with its times out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

__all__ = [
    "Listening",
    "Recogniser",
    "Sound",
    "TooLong",
    "Track",
    "Unreadable",
    "Utterance",
    "Word",
]


@dataclass(frozen=True, kw_only=True)
class Sound:
    """One recording as it was received.

    Args:
        path: the bytes, on disk.
        sha256: of the bytes, in hexadecimal.
        size: in bytes.
        name: the file's name where there is one (a URL's last part), else empty.
    """

    path: Path
    sha256: str
    size: int
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Word:
    """One word; times count from the start of the recording."""

    begin: timedelta
    end: timedelta
    text: str
    punctuation: str = ""


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One stretch of speech, its words in order."""

    begin: timedelta
    end: timedelta
    text: str
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Track:
    """What was heard on one channel; `text` is empty where nobody spoke."""

    channel: int
    text: str
    utterances: tuple[Utterance, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Listening:
    """What listening to a recording gave.

    Args:
        duration: of the decoded audio.
        container: the short name of the format, such as `wav`.
        sample_rate: of the recording, in Hz.
        channels: how many the recording has.
        tracks: one per channel asked for.
        language: one code of contract 2.1.
        emotion: one word of contract 2.1.
    """

    duration: timedelta
    container: str = "wav"
    sample_rate: int = 16_000
    channels: int = 1
    tracks: tuple[Track, ...] = field(default=())
    language: str = "en"
    emotion: str = "neutral"

    @property
    def text(self) -> str:
        """Everything that was said, channel after channel."""
        return " ".join(track.text for track in self.tracks if track.text)


class Unreadable(Exception):
    """The bytes are not audio that can be decoded."""


class TooLong(Exception):
    """The recording is longer than asked to listen to."""

    def __init__(self, duration: timedelta) -> None:
        super().__init__(f"{duration.total_seconds():.3f} s")
        self.duration = duration


class Recogniser(Protocol):
    """Anything that can listen. One instance serves many requests at the same time."""

    def start(self) -> None:
        """Get ready.

        Raises:
            StartupError: it cannot work here; the text says what to install.
        """

    def close(self) -> None:
        """Stop, and leave no process or thread behind. May be called twice."""

    async def listen(
        self, sound: Sound, *, channels: Sequence[int] | None, longest: timedelta
    ) -> Listening:
        """Recognise a recording.

        Args:
            sound: the recording.
            channels: which ones, each on its own; None mixes them all into channel 0.
            longest: refuse what is longer, before any recognition.

        Raises:
            Unreadable: it is not audio, or a channel is not there.
            TooLong: it is longer than `longest`.
        """
