"""A recogniser that says what it was told to say, without decoding anything."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from asrwatch.sandbox.recogniser import (
    Listening,
    Sound,
    TooLong,
    Track,
    Unreadable,
    Utterance,
    Word,
)

__all__ = ["Said", "Scripted"]

_SENTENCE: Final = re.compile(r"[^.!?。！？…]+[.!?。！？…]*\s*")  # noqa: RUF001 - Chinese punctuation on purpose
_WORD: Final = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\s\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)
_PUNCTUATION: Final = re.compile(r"[^\w]+$")


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a recording is made to hold.

    Args:
        text: what is said; empty for silence.
        seconds: how long the recording is.
        language: reported language code.
        channels: how many channels the recording has; the same is said on each.
        container: reported container.
        unreadable: whether decoding fails.
    """

    text: str = ""
    seconds: float = 3.0
    language: str = "en"
    channels: int = 1
    container: str = "wav"
    unreadable: bool = False


Script = Mapping[str, Said | str] | Callable[[Sound], Said | str]


class Scripted:
    """Answers from a script.

    Args:
        script: what is said, by sha256 of the content or by file name (the last part of a URL; data URIs
            have no name), or a function of the `Sound`. A plain string is a `Said` of three seconds.
        otherwise: what recordings that the script does not name hold.
        latency: how long listening takes.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        otherwise: Said | str = "Hello world.",
        latency: timedelta = timedelta(0),
    ) -> None:
        self.script: Script = {} if script is None else script
        self.otherwise = otherwise
        self.latency = latency

    def start(self) -> None:
        """Nothing to get ready."""

    def close(self) -> None:
        """Nothing to stop."""

    async def listen(
        self, sound: Sound, *, channels: Sequence[int] | None, longest: timedelta
    ) -> Listening:
        """Look the recording up; see `Recogniser.listen`."""
        if self.latency:
            await asyncio.sleep(self.latency.total_seconds())
        said = self._find(sound)
        if said.unreadable:
            raise Unreadable("the script says so")
        duration = timedelta(seconds=said.seconds)
        if duration > longest:
            raise TooLong(duration)
        wanted = (0,) if channels is None else tuple(channels)
        if any(channel >= said.channels for channel in wanted):
            raise Unreadable(f"there are {said.channels} channels")
        return Listening(
            duration=duration,
            container=said.container,
            channels=said.channels,
            language=said.language,
            tracks=tuple(
                Track(
                    channel=channel,
                    text=said.text,
                    utterances=tuple(_utterances(said.text, duration)),
                )
                for channel in wanted
            ),
        )

    def _find(self, sound: Sound) -> Said:
        if callable(self.script):
            said = self.script(sound)
        else:
            said = self.script.get(sound.sha256, self.script.get(sound.name, self.otherwise))
        return Said(text=said) if isinstance(said, str) else said


def _utterances(text: str, duration: timedelta) -> list[Utterance]:
    """Share the duration out among sentences and words, by their length."""
    if not text.strip():
        return []

    def moment(position: int) -> timedelta:
        return duration * position / len(text)

    return [
        Utterance(
            begin=moment(match.start()),
            end=moment(match.start() + len(match[0].rstrip())),
            text=match[0].strip(),
            words=tuple(_words(match[0], match.start(), moment)),
        )
        for match in _SENTENCE.finditer(text)
        if match[0].strip()
    ]


def _words(sentence: str, offset: int, moment: Callable[[int], timedelta]) -> list[Word]:
    words = []
    for match in _WORD.finditer(sentence):
        tail = _PUNCTUATION.search(match[0])
        punctuation = tail[0] if tail else ""
        words.append(
            Word(
                begin=moment(offset + match.start()),
                end=moment(offset + match.end()),
                text=match[0].removesuffix(punctuation),
                punctuation=punctuation,
            )
        )
    return words
