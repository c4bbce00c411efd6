"""Finds what two transcripts of overlapping audio both have, and leaves it to one of them. Pure.

Where no pause was near, two pieces share a second or two, and so a few words; at their edges words may be cut in
half. What both heard is looked for among the last words of the one and the first of the other, in any script;
where nothing is found, nothing is left out: a word twice is better than a word lost.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import SequenceMatcher

from asrwatch.journey.transcript import Sentence

__all__ = ["without_what_both_have"]

_WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_WIDE}]|[^\W{_WIDE}]+(?:['’][^\W{_WIDE}]+)*")  # noqa: RUF001 - an apostrophe as printed
"""A word, or a character of a script that puts no spaces between words."""
_CLOSING = re.compile(r"[\s]*[^\w\s\"'“‘(\[{《「『]+")  # noqa: RUF001 - quotation marks as printed
FASTEST = 10
"""Words or characters that nobody speaks more of in a second."""
SPARE = 3
HALVES = 2
"""So many words at the edge of a piece may be cut in half, or be misheard for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Token:
    """A word: of which sentence, from where to where in its text."""

    sentence: int
    begin: int
    end: int
    text: str


def without_what_both_have(
    earlier: Sequence[Sentence], later: Sequence[Sentence], *, overlap: timedelta
) -> tuple[tuple[Sentence, ...], tuple[Sentence, ...]]:
    """Both transcripts, each without what the other tells.

    Args:
        earlier: sentences of the piece that ends in the overlap.
        later: of the one that begins with it.
        overlap: how much audio both have.
    """
    most = round(overlap.total_seconds() * FASTEST) + SPARE
    tail, head = _tokens(earlier)[-most:], _tokens(later)[:most]
    match = SequenceMatcher(
        None, [one.text for one in tail], [one.text for one in head], autojunk=False
    ).find_longest_match()
    left, ahead = len(tail) - match.a - match.size, match.b
    exact = left == ahead == 0
    if not match.size or max(left, ahead) > HALVES or (match.size == 1 and not exact):
        return tuple(earlier), tuple(later)
    rest = _from(later, head[match.b + match.size - 1])
    kept = _until(earlier, tail[match.a + match.size - 1])
    if rest and (closing := _CLOSING.match(rest[0].text)):
        kept = (*kept[:-1], replace(kept[-1], text=kept[-1].text + closing[0].strip()))
        rest = (replace(rest[0], text=rest[0].text[closing.end() :]), *rest[1:])
    return kept, tuple(replace(one, text=one.text.strip()) for one in rest if one.text.strip())


def _tokens(sentences: Sequence[Sentence]) -> list[_Token]:
    return [
        _Token(sentence=number, begin=found.start(), end=found.end(), text=found[0].casefold())
        for number, sentence in enumerate(sentences)
        for found in _TOKEN.finditer(sentence.text)
    ]


def _until(sentences: Sequence[Sentence], last: _Token) -> tuple[Sentence, ...]:
    """Everything up to and with this word."""
    cut = sentences[last.sentence]
    words = cut.words[: _words_within(cut, last)]
    end = words[-1].end if words else cut.end
    shorter = replace(cut, text=cut.text[: last.end], words=words, end=end)
    return (*sentences[: last.sentence], shorter)


def _from(sentences: Sequence[Sentence], last: _Token) -> tuple[Sentence, ...]:
    """Everything after this word."""
    cut = sentences[last.sentence]
    words = cut.words[_words_within(cut, last) :]
    begin = words[0].begin if words else cut.begin
    shorter = replace(cut, text=cut.text[last.end :], words=words, begin=begin)
    return (shorter, *sentences[last.sentence + 1 :])


def _words_within(sentence: Sentence, last: _Token) -> int:
    """How many of a sentence's timed words its text has up to this one: they may be several signs each."""
    left = len(_TOKEN.findall(sentence.text[: last.end]))
    for number, word in enumerate(sentence.words):
        if left <= 0:
            return number
        left -= max(len(_TOKEN.findall(word.text)), 1)
    return len(sentence.words)
