"""Foreign text made fit for a file that people open: cleaned, joined, labelled, in paragraphs."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from asrwatch.journey.transcript import Sentence, Transcript

__all__ = ["Paragraph", "clean", "joined", "label_of", "labels", "one_line", "paragraphs"]

_PAUSE = timedelta(seconds=2)
_PARAGRAPH_LENGTH = 500
_LABEL_LENGTH = 40

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # steers a terminal: colours, cursor, clearing
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # its title, links, the clipboard
    r"|\x1b[ -/]*[0-~]"
)
_LINE_BREAK = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# C0 and C1 controls except tab and line feed; overrides that reorder what a reader sees
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` without anything that steers a terminal or that UTF-8 cannot hold; lines end with LF."""
    text = _ESCAPE_SEQUENCE.sub("", text)
    text = _LINE_BREAK.sub("\n", text)
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", text))


def one_line(text: str) -> str:
    """`text` cleaned, every run of white space one space."""
    return " ".join(clean(text).split())


def joined(texts: Iterable[str]) -> str:
    """Sentences in a row: a space between them, none between Chinese or Japanese ones."""
    row = ""
    for text in texts:
        piece = one_line(text)
        gap = "" if not row or not piece or _unspaced(row[-1]) or _unspaced(piece[0]) else " "
        row += gap + piece
    return row


def _unspaced(character: str) -> bool:
    """Whether this character's script puts no spaces between sentences."""
    if unicodedata.east_asian_width(character) not in {"W", "F"}:
        return False
    name = unicodedata.name(character, "")
    return name.startswith(("CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "FULLWIDTH", "BOPOMOFO"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """Whether a transcript's channels and speakers have to be told apart; `named` that each speaker has a name."""

    channels: bool
    speakers: bool
    named: bool = False


def labels(transcript: Transcript, sentences: Sequence[Sentence]) -> Labels:
    """What has to be labelled: there is more than one of it, or its speakers were asked for by name."""
    return Labels(
        named=bool(transcript.voices),
        channels=len({sentence.channel for sentence in sentences} - {None}) > 1,
        speakers=len({sentence.speaker for sentence in sentences} - {None}) > 1,
    )


def label_of(sentence: Sentence, wanted: Labels) -> str:
    """Who speaks, as far as that has to be said: "Channel 1" (number 0), "Speaker 2", or a name."""
    if wanted.named and sentence.speaker is not None:
        return one_line(sentence.speaker)[:_LABEL_LENGTH].strip()
    parts = []
    if wanted.channels and sentence.channel is not None:
        parts.append(f"Channel {sentence.channel + 1}")
    if wanted.speakers and sentence.speaker is not None:
        speaker = one_line(sentence.speaker)
        parts.append(f"Speaker {speaker}" if speaker.isdigit() else speaker)
    return ", ".join(parts)[:_LABEL_LENGTH].strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Paragraph:
    """Sentences that belong together: who says them (if that has to be said), since when."""

    text: str
    label: str = ""
    begin: timedelta | None = None


def paragraphs(transcript: Transcript) -> tuple[Paragraph, ...]:
    """The transcript as it is read: a new paragraph after a pause, for another voice, or when long.

    Voices take turns where times are known; otherwise one channel follows the other. Sentences that leave
    out something of the text give way to it.
    """
    sentences = [sentence for sentence in transcript.sentences if one_line(sentence.text)]
    wanted = labels(transcript, sentences)
    if (
        not wanted.channels
        and not wanted.named
        and _length(transcript.text) > sum(_length(sentence.text) for sentence in sentences)
    ):
        lines = (one_line(line) for line in clean(transcript.text).split("\n"))
        return tuple(Paragraph(text=line) for line in lines if line)
    if all(sentence.begin is not None for sentence in sentences):
        sentences.sort(key=lambda sentence: sentence.begin or timedelta())
    found: list[Paragraph] = []
    heard_until: timedelta | None = None
    for sentence in sentences:
        label = label_of(sentence, wanted)
        if found and not _starts_afresh(found[-1], label, heard_until, sentence.begin):
            text = joined((found[-1].text, sentence.text))
            found[-1] = replace(found[-1], text=text)
        else:
            found.append(Paragraph(text=one_line(sentence.text), label=label, begin=sentence.begin))
        heard_until = sentence.end
    return tuple(found)


def _length(text: str) -> int:
    """How much a text says: its characters, white space aside."""
    return len("".join(clean(text).split()))


def _starts_afresh(
    before: Paragraph, label: str, until: timedelta | None, begin: timedelta | None
) -> bool:
    paused = until is not None and begin is not None and begin - until >= _PAUSE
    return paused or label != before.label or len(before.text) >= _PARAGRAPH_LENGTH
