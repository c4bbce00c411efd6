"""What commands did."""

from dataclasses import dataclass

from asrwatch.desk.forms import FileName

__all__ = ["Booked", "ToldAgain", "Treated", "Treatment"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Treated:
    """What was done with one recording, or why nothing was."""

    path: FileName
    done: bool
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Treatment:
    """What `retry` or `forget` did: the first of the lines, and how many there are of each kind."""

    running: bool
    treated: tuple[Treated, ...]
    done: int
    refused: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Booked:
    """Those of the files that cost nothing any more."""

    paths: tuple[FileName, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldAgain:
    """How many messages are tried again, or were thrown away."""

    running: bool
    messages: int
