"""Measures and wraps text in which Chinese characters take two cells of a terminal."""

import re
from collections.abc import Iterator
from typing import Final
from unicodedata import combining, east_asian_width

__all__ = ["cells", "padded", "wrapped"]

_PIECE: Final = re.compile(
    r"[\u2e80-\u9fff\uff00-\uffef\u3000-\u303f]|[^\s\u2e80-\u9fff\uff00-\uffef\u3000-\u303f]+|\s+"
)
_NOT_FIRST: Final = "，。；：！？、）》”"


def cells(text: str) -> int:
    """How many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        2 if east_asian_width(each) in "WF" else 0 if combining(each) else 1 for each in text
    )


def padded(text: str, width: int) -> str:
    """Filled with blanks up to so many cells."""
    return text + " " * (width - cells(text))


def wrapped(text: str, width: int) -> Iterator[str]:
    """Lines of at most so many cells; words stay whole unless one is longer than a line."""
    line = ""
    for piece in _PIECE.findall(text.strip()):
        if line and cells(line) + cells(piece) > width and piece not in _NOT_FIRST:
            yield line.rstrip()
            line = ""
        line += piece if line or not piece.isspace() else ""
    if line:
        yield line.rstrip()
