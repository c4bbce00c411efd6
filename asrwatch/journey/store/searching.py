"""Text for the search: how what was said is cut into words, what a person's search means, and which part to show.

Chinese, Japanese, Thai and their like write no spaces. Each of their characters is a word of its own to the index, and
several in a row are a phrase: so a search of one character works, and one of five finds exactly these five. Measured
beside FTS5's trigrams (Debian's SQLite 3.40): an index of 0.7 x the text instead of 3.3 x, and trigrams find nothing
shorter than three characters.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, pairwise

from asrwatch.errors import UsageError

__all__ = [
    "LONGEST",
    "Excerpt",
    "Fragment",
    "Search",
    "excerpt",
    "phrases",
    "query",
    "split",
    "token",
]

LONGEST = 1000
"""Characters of a search; what is longer was not typed by a person."""
_MOST_PHRASES = 64
_WIDTH = 160
"""Characters around what was found; less of scripts without spaces, which say more with each."""
_BEFORE = 40
_MOST_SPOTS = 2000

# Kana, bopomofo, Han with all its extensions, Hangul (whose particles hang on the words), Thai, Lao, Burmese and Khmer
# without the vowel signs that the index takes no notice of. To change this is to build every index anew: a migration.
_ALONE = (
    "[\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2\u0eb3\u0ebd-\u0ec6\u1000-\u102a\u1780-\u17b3"
    "\u2e80-\u2fff\u3005-\u3007\u3021-\u312f\u3131-\u318f\u31a0-\ua4cf\uac00-\ud7af\uf900-\ufaff\uff66-\uff9d"
    "\U00020000-\U0003ffff]"
)
_IS_ALONE = re.compile(_ALONE)
_PHRASE_OR_WORD = re.compile(r'"([^"]*)"|(\S+)')
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """What somebody looks for: words, in one inbox or all, of recordings found since then (aware)."""

    text: str
    inbox: str | None = None
    since: datetime | None = None
    limit: int = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Fragment:
    """A piece of text, and whether it was looked for."""

    text: str
    found: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Excerpt:
    """The part of a transcript that holds most of what was looked for; `begin` is its first sentence's time."""

    fragments: tuple[Fragment, ...]
    begin: timedelta | None = None


def split(text: str) -> str:
    """Text as the index gets it: scripts without spaces one character at a time."""
    return _IS_ALONE.sub(r" \g<0> ", _storable(text))


def phrases(search: str) -> tuple[str, ...]:
    """What must all be there: each word, and as one what stands in a pair of quote marks.

    Every other sign (`*`, `NEAR`, `AND`, `-`, a single quote mark) is text, and signs are no part of words.

    Raises:
        UsageError: there is no word in it, or far too much.
    """
    if len(search) > LONGEST:
        raise UsageError(
            f"The search is longer than {LONGEST} characters.",
            code="search-too-long",
            advice="A few words out of it find the same.",
        )
    found = (quoted or word for quoted, word in _PHRASE_OR_WORD.findall(_storable(search)))
    told = tuple(dict.fromkeys(each.strip() for each in found if _WORD.search(split(each))))
    if not told:
        raise UsageError(
            "There is no word in the search.",
            code="search-empty",
            advice='Name words that were said; a phrase goes in quote marks: "good morning".',
        )
    return told[:_MOST_PHRASES]


def query(search: str, inbox: str | None = None) -> str:
    """The search in FTS5's own language: every phrase quoted, so that nothing in it is an operator.

    Raises:
        UsageError: as `phrases`.
    """
    told = " ".join('"' + split(each).replace('"', " ") + '"' for each in phrases(search))
    there = "" if inbox is None else f" AND inbox : {token(inbox)}"
    return f"said : ({told}){there}"


def token(inbox: str) -> str:
    """An inbox's name as one word of the index, whatever stands in it."""
    return "x" + inbox.encode("utf-8", "surrogatepass").hex()


def excerpt(search: str, said: Sequence[tuple[timedelta | None, str]]) -> Excerpt:
    """The part of a transcript to show.

    Args:
        search: as the person wrote it.
        said: the sentences: when each begins, and its text.

    Raises:
        UsageError: as `phrases`.
    """
    texts = [text for _, text in said]
    whole = "\n".join(texts)
    spots = _spots(phrases(search), whole)
    begin, end = _window(spots, whole)
    begins = [0, *accumulate(len(text) + 1 for text in texts)]
    at = spots[_fullest(spots)][0] if spots else 0
    sentence = min(bisect_right(begins, at) - 1, len(said) - 1)
    return Excerpt(
        fragments=tuple(_fragments(whole, begin, end, spots)),
        begin=said[sentence][0] if said else None,
    )


def _storable(text: str) -> str:
    """Without what SQLite's UTF-8 cannot hold, and without the sign that would end it."""
    return text.encode("utf-8", "replace").decode().replace("\0", " ")


Spot = tuple[int, int, int]
"""Where a phrase was found: begin and end in the text, and which of the phrases it is."""


def _spots(wanted: Sequence[str], whole: str) -> list[Spot]:
    """Where the phrases stand; looked for in the text as it is, then without accents, as the index does it."""
    patterns = [_pattern(each) for each in wanted]
    spots = list(_found(patterns, whole))
    if len({which for _, _, which in spots}) < len(patterns):
        bare = [_pattern(_bare(each)) for each in wanted]
        spots = list(_found(bare, _bare(whole))) or spots
    return sorted(spots)[:_MOST_SPOTS]


def _found(patterns: Sequence[re.Pattern[str]], text: str) -> Iterator[Spot]:
    for which, pattern in enumerate(patterns):
        for number, match in enumerate(pattern.finditer(text)):
            if number == _MOST_SPOTS:
                break
            yield match.start(), match.end(), which


def _pattern(phrase: str) -> re.Pattern[str]:
    """The phrase as the index would find it: whole words, or characters that are words of their own."""
    words = _WORD.findall(split(phrase))
    alone = [_IS_ALONE.fullmatch(word) is not None for word in words]
    told = re.escape(words[0])
    for word, joins in zip(words[1:], (any(pair) for pair in pairwise(alone)), strict=True):
        told += (r"[\W_]*" if joins else r"[\W_]+") + re.escape(word)
    before = "" if alone[0] else rf"(?:(?<![^\W_])|(?<={_ALONE}))"
    after = "" if alone[-1] else rf"(?:(?![^\W_])|(?={_ALONE}))"
    return re.compile(before + told + after, re.IGNORECASE)


def _bare(text: str) -> str:
    """Without accents, each character still in its place."""
    return "".join(
        character if character.isascii() else unicodedata.normalize("NFD", character)[0]
        for character in text
    )


def _fullest(spots: Sequence[Spot]) -> int:
    """The spot from which on most of the phrases stand close together."""
    best, most = 0, 0
    for number, (begin, _, _) in enumerate(spots):
        near = set()
        for _, end, which in spots[number:]:
            if end > begin + _WIDTH:
                break
            near.add(which)
        if len(near) > most:
            best, most = number, len(near)
    return best


def _window(spots: Sequence[Spot], whole: str) -> tuple[int, int]:
    if not spots:
        return 0, min(len(whole), _WIDTH)
    at = spots[_fullest(spots)][0]
    begin = max(at - _BEFORE, 0)
    if begin:  # not in the middle of a word, where there are words
        space = whole.find(" ", begin, at)
        begin = space + 1 if space >= 0 else begin
    end = min(begin + _WIDTH, len(whole))
    if end < len(whole):
        space = whole.rfind(" ", at + _BEFORE, end)
        end = space if space >= 0 else end
    return begin, end


def _fragments(whole: str, begin: int, end: int, spots: Sequence[Spot]) -> Iterator[Fragment]:
    if begin:
        yield Fragment(text="…")
    at = begin
    for start, stop, _ in spots:
        if start < at or start >= end:
            continue
        if start > at:
            yield Fragment(text=whole[at:start])
        yield Fragment(text=whole[start : min(stop, end)], found=True)
        at = min(stop, end)
    if at < end:
        yield Fragment(text=whole[at:end])
    if end < len(whole):
        yield Fragment(text="…")
