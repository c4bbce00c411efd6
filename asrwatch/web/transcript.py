"""A transcript as the page shows it: sentences with their times, and where in their text each word stands. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from asrwatch.journey.transcript import Sentence, Transcript, Word

__all__ = ["CHUNK", "Said", "chunks", "said", "times"]

CHUNK = 30
"""Sentences that a browser lays out together, and only when they come near."""
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A sentence: its number, its text, who says it, and when (milliseconds; None where nobody knows)."""

    number: int
    text: str
    who: str
    begin: int | None
    end: int | None
    words: tuple[int, ...]

    @property
    def seconds(self) -> str:
        """Its begin, as a link to that moment says it (Media Fragments)."""
        return f"{(self.begin or 0) / 1000:.3f}"

    @property
    def at(self) -> str:
        """Its begin, as people read it: "0:07", "1:02:07"."""
        minutes, second = divmod((self.begin or 0) // 1000, 60)
        hours, minute = divmod(minutes, 60)
        return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def said(transcript: Transcript) -> tuple[Said, ...]:
    """Every sentence in the order of time; the whole text as one where there are none."""
    sentences = [each for each in transcript.sentences if each.text.strip()]
    if not sentences and transcript.text.strip():
        sentences = [Sentence(text=transcript.text)]
    several = len({each.channel for each in sentences}) > 1
    if all(each.begin is not None for each in sentences):
        sentences.sort(key=lambda each: each.begin or timedelta(0))
    return tuple(_said(number, each, several) for number, each in enumerate(sentences))


def chunks(sentences: Sequence[Said]) -> Iterator[Sequence[Said]]:
    """The same, in stretches."""
    for begin in range(0, len(sentences), CHUNK):
        yield sentences[begin : begin + CHUNK]


def times(sentences: Sequence[Said]) -> list[list[object]]:
    """What the player needs: of each timed sentence its number, begin, end, and the words' numbers in a row.

    Four numbers for each word: begin, end, and from where to where it stands in the text, as JavaScript counts.
    """
    return [
        [each.number, each.begin, each.end if each.end is not None else each.begin, each.words]
        for each in sentences
        if each.begin is not None
    ]


def _said(number: int, sentence: Sentence, several: bool) -> Said:
    who = sentence.speaker or ""
    if not who and several and sentence.channel is not None:
        who = str(sentence.channel + 1)
    return Said(
        number=number,
        text=sentence.text,
        who=who,
        begin=_milliseconds(sentence.begin),
        end=_milliseconds(sentence.end),
        words=tuple(_words(sentence.text, sentence.words)),
    )


def _words(text: str, words: Sequence[Word]) -> Iterator[int]:
    """Each word is looked for after the one before it; one that stands nowhere is left out."""
    at, units = 0, 0
    for word in words:
        wanted = word.text.strip()
        begin = text.find(wanted, at) if wanted else -1
        if begin < 0:
            continue
        units += _units(text[at:begin])
        end = begin + len(wanted)
        until = units + _units(text[begin:end])
        yield from (word.begin // _MILLISECOND, word.end // _MILLISECOND, units, until)
        at, units = end, until


def _units(text: str) -> int:
    """How long a text is for JavaScript, which counts in UTF-16."""
    if text.isascii():
        return len(text)
    return len(text) + sum(ord(character) > 0xFFFF for character in text)  # noqa: PLR2004 - beyond the first plane


def _milliseconds(span: timedelta | None) -> int | None:
    return None if span is None else span // _MILLISECOND
