"""How text is broken into lines: where it may be, how wide it is, where it should be."""
# ruff: noqa: RUF001 - punctuation of many scripts is what this module is about

import unicodedata
from bisect import bisect_right
from itertools import accumulate

__all__ = ["MIDDLING", "STRONG", "Breaks", "columns_of"]

STRONG = 2
MIDDLING = 1

_ENDS_SENTENCE = frozenset(".!?…。！？｡؟।‽")
_ENDS_CLAUSE = frozenset(",;:，、；：､،؛—–")
_CLOSES = frozenset("\"'”’»›)]}）］｝」』】〉》〕")
_OPENS = frozenset("“‘«‹([{（［｛「『【〈《〔")
# characters no Japanese or Chinese line begins with, closing marks and sentence marks aside
_NEVER_FIRST = frozenset("ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ々ゝゞヽヾ・％℃〜～")
_LOOK_BACK = 8
_JOINERS = frozenset("\u200d\ufe0e\ufe0f\u2060")
_WIDE_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "FULLWIDTH", "BOPOMOFO")


class Breaks:
    """The places where one sentence, on one line, may be broken.

    Pieces lie between neighbouring places: `places[0]` is 0, the last is the text's length. A piece keeps
    the space it ends with; `text_of` and `width` leave that out. A character is one column wide, two
    where its script is (and where it may be either in a text that has wide ones), so that 42
    columns are 42 Latin letters or 21 Chinese characters. No piece is wider than `columns`.
    """

    def __init__(self, text: str, columns: int) -> None:
        self.text = text
        widths = _widths(text)
        self._before = [0, *accumulate(widths)]
        self.places = [0]
        for position in range(1, len(text)):
            if _may_break(text, position):
                self._add(position, columns)
        if text:
            self._add(len(text), columns)

    def text_of(self, first: int, last: int) -> str:
        """What stands between the places `first` and `last`."""
        return self.text[self.places[first] : self.places[last]].strip()

    def width(self, first: int, last: int) -> int:
        """How many columns that takes."""
        start, end = self.places[first], self.places[last]
        trailing = end > start and self.text[end - 1] == " "
        return self._before[end] - self._before[start] - trailing

    def reach(self, first: int, columns: int) -> int:
        """The last place that one line from `first` on can reach in so many columns."""
        room = self._before[self.places[first]] + columns + 1  # a trailing space takes no room
        low = first
        high = bisect_right(self.places, bisect_right(self._before, room) - 1)
        last = min(high, len(self.places) - 1)
        while last > low and self.width(first, last) > columns:
            last -= 1
        return last

    def strength(self, place: int) -> int:
        """How good it is to break here: after a sentence, after a clause, or anywhere."""
        end = self.places[place]
        before = self.text[max(end - _LOOK_BACK, 0) : end].rstrip()
        while before and before[-1] in _CLOSES:
            before = before[:-1]
        if before and before[-1] in _ENDS_SENTENCE:
            return STRONG
        return MIDDLING if before and before[-1] in _ENDS_CLAUSE else 0

    def _add(self, position: int, columns: int) -> None:
        """Break before `position`, and on the way there where that is wider than a line."""
        end = position - (self.text[position - 1] == " ")
        while self._before[end] - self._before[start := self.places[-1]] > columns:
            most = bisect_right(self._before, self._before[start] + columns) - 1
            cut = most
            while cut > start + 1 and not _may_split(self.text, cut):
                cut -= 1
            self.places.append(cut if cut > start + 1 else max(most, start + 1))
        if position > self.places[-1]:
            self.places.append(position)


def columns_of(text: str) -> int:
    """How many columns a text takes."""
    return sum(_widths(text))


def _widths(text: str) -> list[int]:
    kinds = [unicodedata.east_asian_width(character) for character in text]
    wide = frozenset("WFA") if not {"W", "F"}.isdisjoint(kinds) else frozenset("WF")
    return [2 if kind in wide else 1 for kind in kinds]


def _may_break(text: str, position: int) -> bool:
    before, after = text[position - 1], text[position]
    if before == " " or after == " ":
        return before == " "
    if after in _NEVER_FIRST or after in _CLOSES or before in _OPENS:
        return False
    if after in _ENDS_SENTENCE or after in _ENDS_CLAUSE or after in _JOINERS or before in _JOINERS:
        return False
    if unicodedata.category(after) in {"Mn", "Mc", "Me"}:
        return False
    return before == "—" or _is_wide(before) or _is_wide(after)


def _may_split(text: str, position: int) -> bool:
    """Whether an over-long word may be cut here at least: not within one visible character."""
    before, after = text[position - 1], text[position]
    if after in _JOINERS or before in _JOINERS:
        return False
    return unicodedata.category(after) not in {"Mn", "Mc", "Me"}


def _is_wide(character: str) -> bool:
    """Whether its script may be broken anywhere; Korean is wide too, but has spaces."""
    if unicodedata.east_asian_width(character) not in {"W", "F"}:
        return False
    return unicodedata.name(character, "").startswith(_WIDE_SCRIPTS)
