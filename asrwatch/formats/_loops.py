"""Finds phrases that a model repeats on and on, as models do where they hear noise: told, and left in the text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Loop", "loops"]

MOST_TIMES = 20
"""Nobody says the same thing more often than this in a row."""
LONGEST = 200
"""Characters of the longest phrase that is looked for."""
_STEP = 10
# Half of a loop that is just too long, so that one of the probes lies deep enough in it.
_BEGUN = re.compile(rf"(.{{1,{LONGEST}}}?)\1{{9,}}", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Loop:
    """A phrase, how often it stands there in a row, and from which character on."""

    phrase: str
    times: int
    begin: int


def loops(text: str) -> Iterator[Loop]:
    """Every phrase repeated more than `MOST_TIMES` times in a row, in order; in time linear in the text."""
    at = 0
    while at < len(text):
        found = _BEGUN.match(text, at)
        if found is None:
            at += _STEP
            continue
        length = len(found[1])
        begin, end = _stretched(text, found.start(), found.end(), length)
        times = (end - begin) // length
        if times > MOST_TIMES:
            yield Loop(phrase=text[begin : begin + length].strip(), times=times, begin=begin)
        at = max(end, at + 1)


def _stretched(text: str, begin: int, end: int, length: int) -> tuple[int, int]:
    """As far to both sides as the repetition goes."""
    while begin > 0 and text[begin - 1] == text[begin - 1 + length]:
        begin -= 1
    while end < len(text) and text[end] == text[end - length]:
        end += 1
    return begin, end
