"""What `asrwatch check` finds: good, doubtful or bad, with what to do."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Level", "bad", "doubtful", "good"]


class Level(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was checked: what it is about, how it came out, what to do."""

    level: Level
    about: str
    said: str
    advice: str = ""


def good(about: str, said: str) -> Finding:
    """It is as it should be."""
    return Finding(level=Level.OK, about=about, said=said)


def doubtful(about: str, said: str, advice: str = "") -> Finding:
    """It works, but perhaps not as it is meant."""
    return Finding(level=Level.WARN, about=about, said=said, advice=advice)


def bad(about: str, said: str, advice: str = "") -> Finding:
    """It keeps asrwatch from its work."""
    return Finding(level=Level.FAIL, about=about, said=said, advice=advice)
