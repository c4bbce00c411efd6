"""When each character of a sentence is said, as exactly as its words' times tell.

The engine's words are found again in the sentence's own text (contract section 4.3: a word may or may not
carry its space, and the text is what counts). What lies between found words is shared in
proportion to its length; without words that is the whole sentence.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate

from asrwatch.formats._text import one_line
from asrwatch.journey.transcript import Word

__all__ = ["Clock", "milliseconds"]

_MILLISECOND = timedelta(milliseconds=1)
_SLACK = 16
_MOST_SLACK = 200
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Anchor:
    """Characters `start` to `end` are said from `begin` to `until` (milliseconds)."""

    start: int
    end: int
    begin: float
    until: float


class Clock:
    """The times of a sentence's characters, in milliseconds; they never run backwards.

    Args:
        text: of the sentence, on one line.
        begin: of the sentence.
        until: its end.
        words: with their times, in any spelling of spaces and case; may be empty.

    `exact` says whether any word was found, so that times mean more than proportion.
    """

    def __init__(self, text: str, begin: float, until: float, words: Sequence[Word] = ()) -> None:
        found = _anchors(text, begin, until, words)
        self.exact = bool(found)
        if not found:
            found = [_Anchor(start=0, end=len(text), begin=begin, until=until)]
        first = _Anchor(start=0, end=0, begin=begin, until=begin)
        last = _Anchor(start=len(text), end=len(text), begin=until, until=until)
        self._anchors = [first, *found, last]
        self._starts = [anchor.start for anchor in self._anchors]
        self._ends = [anchor.end for anchor in self._anchors]
        # how many characters that are spoken come before each position
        self._spoken = [0, *accumulate(character.isalnum() for character in text)]

    def begin(self, position: int) -> float:
        """When what starts at `position` begins to be said."""
        index = min(bisect_right(self._ends, position), len(self._anchors) - 1)
        anchor = self._anchors[index]
        if position >= anchor.start:
            return _inside(anchor, position)
        if self._spoken[anchor.start] > self._spoken[position]:
            return _between(self._anchors[index - 1], anchor, position)
        return anchor.begin

    def until(self, position: int) -> float:
        """When what ends before `position` has been said."""
        index = max(bisect_left(self._starts, position) - 1, 0)
        anchor = self._anchors[index]
        if position <= anchor.end:
            return _inside(anchor, position)
        if self._spoken[position] > self._spoken[anchor.end]:
            return _between(anchor, self._anchors[index + 1], position)
        return anchor.until


def milliseconds(span: timedelta) -> int:
    """A span in whole milliseconds, never negative."""
    return max(round(span / _MILLISECOND), 0)


def _inside(anchor: _Anchor, position: int) -> float:
    length = anchor.end - anchor.start
    share = (position - anchor.start) / length if length else 0.0
    return anchor.begin + share * (anchor.until - anchor.begin)


def _between(before: _Anchor, after: _Anchor, position: int) -> float:
    share = (position - before.end) / (after.start - before.end)
    return before.until + share * (after.begin - before.until)


def _anchors(text: str, begin: float, until: float, words: Sequence[Word]) -> list[_Anchor]:
    """Every word that is found again, in order, its times inside the sentence and never backwards."""
    folded = _folded(text)
    found: list[_Anchor] = []
    position, time, slack = 0, begin, _SLACK
    for word in words:
        needle = _EDGES.sub("", _folded(one_line(word.text)))
        start = _find(folded, needle, position, position + len(needle) + slack) if needle else -1
        if start < 0:
            # an engine may write a number as digits that it heard as words: look further next time
            slack = min(slack + 2 * len(needle), _MOST_SLACK)
            continue
        position, slack = start + len(needle), _SLACK
        said_from = min(max(float(milliseconds(word.begin)), time), until)
        time = min(max(float(milliseconds(word.end)), said_from), until)
        found.append(_Anchor(start=start, end=position, begin=said_from, until=time))
    return found


def _find(text: str, needle: str, start: int, end: int) -> int:
    """Where `needle` stands as a word of its own: "a" is not found in "banana"."""
    while (start := text.find(needle, start, end)) >= 0:
        after = start + len(needle)
        if not (_glued(text, start) or _glued(text, after)):
            return start
        start += 1
    return -1


def _glued(text: str, position: int) -> bool:
    """Whether a word of an alphabet runs over `position`; other scripts have no such words."""
    if not 0 < position < len(text):
        return False
    return _alphabetic(text[position - 1]) and _alphabetic(text[position])


def _alphabetic(character: str) -> bool:
    """Whether it belongs to a script that puts spaces between words: up to Hebrew, Arabic and India's."""
    code = ord(character)
    spaced = code < 0x0E00 or 0x1E00 <= code <= 0x1FFF  # noqa: PLR2004 - Thai follows; more Latin, Greek
    return spaced and character.isalnum()


def _folded(text: str) -> str:
    """Lower case without ever changing the length."""
    return "".join(low if len(low := character.lower()) == 1 else character for character in text)
