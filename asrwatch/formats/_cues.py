"""Subtitle cues from a transcript: readable, in time, never overlapping within a voice's channel."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from pydantic import Field

from asrwatch.errors import RecordingError
from asrwatch.formats import FormatOptions
from asrwatch.formats._alignment import Clock, milliseconds
from asrwatch.formats._lines import MIDDLING, STRONG, Breaks, columns_of
from asrwatch.formats._text import label_of, labels, one_line
from asrwatch.journey.transcript import Sentence, Transcript
from asrwatch.values import Duration

__all__ = ["Cue", "CueOptions", "cues", "timestamp"]

_SHORTEST = 1000  # ms a cue is shown where nothing follows: shorter ones flash
_FLOOR = 100  # ms that even a cue without any time of its own gets
_COLUMNS_PER_SECOND = 20  # how fast people read subtitles
_SILENCE = 1500  # ms between two words over which no cue is held
_ORPHAN = 12  # columns that are too few to be left for a cue of their own
_WORTH_A_BREAK = 24  # columns of imbalance that a line break after punctuation is worth
_EARLY = 0.25  # how full a cue is at least before punctuation makes it worth ending


class CueOptions(FormatOptions):
    """How subtitles are cut."""

    columns: int = Field(default=42, ge=10, le=200)
    """Characters in a line, half as many of a wide script; a cue has two lines."""
    longest: Duration = timedelta(seconds=7)
    """How long one cue may last, where the engine tells the times of words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cue:
    """What is shown from `begin` to `end` (milliseconds): one or two lines, and whose they are.

    `label` is as much of `voice` as leaves room for the text.
    """

    begin: int
    end: int
    lines: tuple[str, ...]
    label: str = ""
    voice: str = ""
    channel: int | None = None


def cues(transcript: Transcript, options: CueOptions) -> tuple[Cue, ...]:
    """All cues in the order they are shown; none for a transcript without text.

    All of the sentences' text is there, in order. Cues of one channel follow each other; those of several
    channels may be shown at the same time.

    Raises:
        RecordingError: there is text, but no times at all.
    """
    sentences = [sentence for sentence in transcript.sentences if one_line(sentence.text)]
    timed = any(_own_times(sentence) != (None, None) for sentence in sentences)
    if not timed and (sentences or one_line(transcript.text)):
        raise RecordingError(
            "Subtitles need times, and this engine's answer has none.",
            code="no-times",
            advice="Set `engine: auto` or `engine: qwen3-asr-flash-filetrans`, then retry; "
            "or take srt and vtt out of `formats`.",
        )
    wanted = labels(transcript, sentences)
    found: list[Cue] = []
    for channel in dict.fromkeys(sentence.channel for sentence in sentences):
        voices = [sentence for sentence in sentences if sentence.channel == channel]
        rough: list[Cue] = []
        for sentence, begin, end in sorted(_spans(voices), key=lambda span: span[1]):
            voice = label_of(sentence, wanted)
            rough.extend(_cut(sentence, begin, end, voice=voice, options=options))
        found.extend(_in_time(rough, milliseconds(options.longest)))
    return tuple(sorted(found, key=lambda cue: cue.begin))


def timestamp(moment: int, point: str) -> str:
    """Milliseconds as `hh:mm:ss`, `point`, and three digits."""
    seconds, rest = divmod(moment, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}{point}{rest:03}"


def _own_times(sentence: Sentence) -> tuple[int | None, int | None]:
    """When a sentence begins and ends, in milliseconds, by itself or by its words."""
    begin, end = sentence.begin, sentence.end
    if sentence.words:
        no_length = begin is not None and end is not None and end <= begin
        begin = sentence.words[0].begin if begin is None or no_length else begin
        end = sentence.words[-1].end if end is None or no_length else end
    return (
        None if begin is None else milliseconds(begin),
        None if end is None else milliseconds(end),
    )


def _spans(sentences: list[Sentence]) -> Iterator[tuple[Sentence, int, int]]:
    """Sentences with their times; what is not known is filled from the neighbours."""
    own = [_own_times(sentence) for sentence in sentences]
    until = 0
    for index, (sentence, (begin, end)) in enumerate(zip(sentences, own, strict=True)):
        start = until if begin is None else begin
        later = (known for known, _ in own[index + 1 :] if known is not None)
        guess = next(later, start + _reading_time(sentence.text)) if end is None else end
        until = max(guess, start)
        yield sentence, start, until


def _reading_time(text: str) -> int:
    return max(len(text) * 1000 // _COLUMNS_PER_SECOND, _SHORTEST)


def _cut(
    sentence: Sentence, begin: int, end: int, *, voice: str, options: CueOptions
) -> Iterator[Cue]:
    """One sentence as cues whose times are those of the characters they hold."""
    text = one_line(sentence.text)
    label = _narrow(voice, options.columns // 2)
    breaks = Breaks(text, options.columns - _indent(label))
    clock = Clock(text, begin, end, sentence.words)
    first, last = 0, len(breaks.places) - 1
    while first < last:
        room = _room(breaks, first, clock, indent=_indent(label), options=options)
        cut = _best_end(breaks, first, room)
        start, stop = breaks.places[first], breaks.places[cut]
        while stop > start and text[stop - 1] == " ":
            stop -= 1
        yield Cue(
            begin=round(clock.begin(start)),
            end=round(clock.until(stop)),
            lines=_lines(breaks, first, cut, indent=_indent(label), columns=options.columns),
            label=label,
            voice=voice,
            channel=sentence.channel,
        )
        first = cut


def _narrow(label: str, columns: int) -> str:
    """As much of a label as leaves half of a line for the text."""
    while _indent(label) > columns:
        label = label[:-1].rstrip()
    return label


def _indent(label: str) -> int:
    """The columns a label takes where a format writes it before the text: `Label: `."""
    return columns_of(label) + 2 if label else 0


def _room(breaks: Breaks, first: int, clock: Clock, *, indent: int, options: CueOptions) -> int:
    """The last place a cue from `first` on can reach: two lines, not too long, no long silence."""
    line = breaks.reach(first, options.columns - indent)
    most = breaks.reach(line, options.columns)
    if not clock.exact:
        return most
    places = breaks.places
    latest = clock.begin(places[first]) + milliseconds(options.longest)
    for place in range(first + 1, most):
        silence = clock.begin(places[place]) - clock.until(places[place])
        if silence >= _SILENCE or clock.until(places[place + 1]) > latest:
            return place
    return most


def _best_end(breaks: Breaks, first: int, room: int) -> int:
    """Where to end a cue that can reach `room`: the fuller the better, best after punctuation."""
    if room == len(breaks.places) - 1:
        return room
    full = breaks.width(first, room) or 1

    def worth(place: int) -> float:
        fill = breaks.width(first, place) / full
        bonus = {STRONG: 1.0, MIDDLING: 0.6}.get(breaks.strength(place), 0.0)
        rest = breaks.width(place, len(breaks.places) - 1)
        return fill + (bonus if fill >= _EARLY else 0.0) - (0.5 if rest < _ORPHAN else 0.0)

    return max(range(first + 1, room + 1), key=lambda place: (worth(place), place))


def _lines(breaks: Breaks, first: int, last: int, *, indent: int, columns: int) -> tuple[str, ...]:
    """One line if it fits, else two of about the same length, best after punctuation."""
    if breaks.width(first, last) <= columns - indent:
        return (breaks.text_of(first, last),)

    def imbalance(place: int) -> int:
        unlike = abs(indent + breaks.width(first, place) - breaks.width(place, last))
        return unlike - (_WORTH_A_BREAK if breaks.strength(place) else 0)

    fitting = [
        place
        for place in range(first + 1, last)
        if breaks.width(first, place) <= columns - indent and breaks.width(place, last) <= columns
    ]
    cut = min(fitting, key=imbalance)
    return breaks.text_of(first, cut), breaks.text_of(cut, last)


def _in_time(rough: list[Cue], longest: int) -> Iterator[Cue]:
    """Cues of one channel that follow each other, each long enough to be read where there is time."""
    until = 0
    for index, cue in enumerate(rough):
        begin = max(cue.begin, until)
        end = max(cue.end, begin + _FLOOR)
        needed = max(_SHORTEST, sum(map(len, cue.lines)) * 1000 // _COLUMNS_PER_SECOND)
        readable = max(begin + min(needed, longest), end)
        # where sentences overlap, the next one waits for this one's time, but not for long
        least = begin + min(end - begin, _SHORTEST)
        if index + 1 < len(rough):
            readable = max(min(readable, rough[index + 1].begin), least)
        until = readable
        yield replace(cue, begin=begin, end=until)
