"""Chooses the language: by `--lang`, by the locale's environment variables, by a browser's Accept-Language."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, get_args

__all__ = ["LANGUAGES", "Language", "accepted", "language", "language_of", "speaking", "use"]

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

_spoken: ContextVar[Language | None] = ContextVar("language", default=None)
_chosen: list[Language] = []
"""The process's language, once it is known: at most one."""


def language() -> Language:
    """The language that holds here: that of the request, else the process's, else the locale's."""
    here = _spoken.get()
    if here is not None:
        return here
    if not _chosen:
        _chosen.append(language_of(os.environ))
    return _chosen[0]


def use(chosen: Language) -> None:
    """From now on this process speaks it (`--lang`)."""
    _chosen[:] = [chosen]


@contextmanager
def speaking(chosen: Language) -> Iterator[None]:
    """This language for as long as the block lasts, in this thread or task alone."""
    before = _spoken.set(chosen)
    try:
        yield
    finally:
        _spoken.reset(before)


def language_of(environment: Mapping[str, str]) -> Language:
    """The language of a locale, as gettext reads it: LANGUAGE counts unless the locale is C."""
    found = (environment.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    locale = next((each for each in found if each), "")
    if locale.partition(".")[0] in {"", "C", "POSIX"}:
        return "en"
    for wish in (*environment.get("LANGUAGE", "").split(":"), locale):
        known = _known(wish)
        if known is not None:
            return known
    return "en"


def accepted(header: str | None) -> Language:
    """The language that a browser's Accept-Language likes best; English where it knows neither."""
    best: Language = "en"
    most = 0.0
    for wish in (header or "")[:1000].split(","):
        tag, _, weight = wish.partition(";")
        known = "en" if tag.strip() == "*" else _known(tag)
        likes = _weight(weight)
        if known is not None and likes > most:
            best, most = known, likes
    return best


def _known(tag: str) -> Language | None:
    first = re.split(r"[-_.@]", tag.strip().lower(), maxsplit=1)[0]
    return next((each for each in LANGUAGES if each == first), None)


def _weight(written: str) -> float:
    match = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", written)
    return float(match[1]) if match else (0.0 if written.strip() else 1.0)
