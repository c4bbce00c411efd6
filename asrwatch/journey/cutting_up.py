"""What a cut comes to: its pieces as recordings of their own, and how they are called. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from asrwatch.audio.cutting import Stretch
from asrwatch.errors import OurBug
from asrwatch.journey.channels import ordinal
from asrwatch.journey.evidence import Failure
from asrwatch.journey.plan import Piece, Preparation, purchase_key
from asrwatch.journey.recording import Recording, State

__all__ = [
    "IN_FLIGHT",
    "as_recording",
    "clock",
    "failure_of",
    "name_of",
    "purchase_of",
    "stretches",
]

_MILLISECOND = timedelta(milliseconds=1)
IN_FLIGHT = frozenset({State.ASKING, State.SUBMITTED, State.TRANSCRIBED})
"""What was, or may be, paid for a piece in one of these, and its answer is on its way into the books."""


def stretches(pieces: Sequence[Piece]) -> tuple[Stretch, ...]:
    """Where a recording was cut."""
    return tuple(
        Stretch(
            begin=piece.begin // _MILLISECOND,
            end=piece.end // _MILLISECOND,
            overlap=piece.overlap // _MILLISECOND,
            channel=piece.channel,
        )
        for piece in pieces
    )


def as_recording(whole: Recording, piece: Piece, *, now: datetime) -> Recording:
    """A piece as a recording, ready to be staged: it lies where the whole does, and is bought by itself."""
    reading, copy = whole.reading, piece.copy
    if reading is None or copy is None:
        raise OurBug("a cut recording lacks its evidence")
    facts = replace(
        reading.facts,
        container=copy.container,
        codec=None,
        duration=piece.end - piece.begin,
        sample_rate=None,
        channels=copy.channels,
        tracks=None,
        track=0,
    )
    plan = replace(reading.plan, preparation=Preparation.RE_ENCODE, cut=None, left_out=())
    found = Recording.found(
        inbox=whole.inbox, path=whole.path, fingerprint=whole.fingerprint, now=now
    )
    return replace(
        found, part_of=whole.id, reading=replace(reading, facts=facts, plan=plan, piece=piece)
    )


def purchase_of(whole: Recording, piece: Piece) -> str:
    """What is bought with a piece of a recording: this content, these options, this place."""
    if whole.reading is None:
        raise OurBug("a cut recording lacks its evidence")
    return purchase_key(whole.reading.sha256, whole.reading.plan, piece)


def name_of(piece: Piece) -> str:
    """How a piece is called where people read it: "Piece 7 of 12, 18:00-21:00"."""
    channel = "" if piece.channel is None else f", the {ordinal(piece.channel)} channel"
    return f"Piece {piece.number} of {piece.of}, {clock(piece.begin)}-{clock(piece.end)}{channel}"


def clock(moment: timedelta) -> str:
    """A place in a recording as players show it: "3:05", "1:02:45"."""
    minutes, seconds = divmod(round(moment.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def failure_of(piece: Recording) -> Failure:
    """Why the whole recording waits for a person: what is wrong with one piece of it."""
    failure = piece.failure
    if failure is None or piece.piece is None:
        raise OurBug("a piece that failed lacks its evidence")
    return replace(
        failure,
        message=f"{name_of(piece.piece)}: {failure.message}",
        advice=f"{failure.advice} Pieces that were heard are not asked for again.".strip(),
    )
