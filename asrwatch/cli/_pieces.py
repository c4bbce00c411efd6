"""Shows the pieces of a recording that was cut: how many are heard, and each that is not."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta

from asrwatch.cli._printing import Row
from asrwatch.desk.reports.explanation import PieceLine
from asrwatch.journey.cutting_up import clock
from asrwatch.journey.recording import State
from asrwatch.values import counted, format_duration

__all__ = ["rows_of_pieces"]

LISTED = 20


def rows_of_pieces(pieces: Sequence[PieceLine]) -> Iterator[Row]:
    """How many there are and how far they are, what was billed, and those that are not heard."""
    if not pieces:
        return
    states = Counter(piece.state for piece in pieces)
    heard = states[State.DELIVERED]
    billed = sum((piece.billed for piece in pieces if piece.billed), timedelta(0))
    yield (
        "pieces",
        f"{heard} of {counted(len(pieces), 'piece')} heard, {format_duration(billed)} billed",
    )
    left = [piece for piece in pieces if piece.state is not State.DELIVERED]
    for piece in left[:LISTED]:
        channel = "" if piece.channel is None else f", channel {piece.channel + 1}"
        state = piece.state.value if piece.state else "not asked about"
        why = f": {piece.reason.message}" if piece.reason else ""
        place = f"{clock(piece.begin)}-{clock(piece.end)}{channel}"
        yield "", f"{piece.number:>4}  {place}  {state}{why}"
    if len(left) > LISTED:
        yield "", f"and {len(left) - LISTED} more"
