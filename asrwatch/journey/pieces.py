"""Keeps a recording that was cut and its pieces together: rows for the pieces, one answer from all of theirs.

A cut recording waits in `cut` as long as a piece of it has anything before it, and costs nothing meanwhile. The
last piece that is heard makes its answer; the first that fails or is parked makes it wait for a person, and what
was not asked about by then is not. Rows of pieces that nobody paid for exist only while their recording is cut.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from asrwatch import logs
from asrwatch.audio.cutting import Stretch
from asrwatch.crash import crash_point
from asrwatch.errors import OurBug
from asrwatch.journey import leftovers
from asrwatch.journey.book import Book
from asrwatch.journey.cutting_up import (
    IN_FLIGHT,
    as_recording,
    failure_of,
    purchase_of,
    stretches,
)
from asrwatch.journey.joining import joined
from asrwatch.journey.purchases import Purchases
from asrwatch.journey.recording import DONE, UNPAID, Recording, State
from asrwatch.journey.retelling import lacks
from asrwatch.journey.route import Route
from asrwatch.values import counted, printable

__all__ = ["Pieces"]

log = logs.get("journey")

_KEPT = IN_FLIGHT | {State.DELIVERED}
"""A piece of an earlier cut in one of these stands for the same piece of the next."""


class Pieces:
    """See the module. Every method is called inside a transaction."""

    def __init__(self, book: Book, routes: Mapping[str, Route], purchases: Purchases) -> None:
        self._book = book
        self._routes = routes
        self._purchases = purchases
        book.follow(self._follow)

    def cut_up(self, before: Recording, after: Recording, now: datetime) -> None:
        """A recording was cut: its pieces get rows, and those of an earlier cut that are the same stay."""
        store, staging = self._book.store, after.staging
        if staging is None:
            raise OurBug("a cut recording lacks its pieces")
        bare = tuple(replace(piece, copy=None) for piece in staging.pieces)
        whole = replace(after, staging=replace(staging, pieces=bare))
        earlier: dict[str, Recording] = {}
        for row in store.pieces_of(whole.id):
            if row.reading is not None and row.state in _KEPT:
                earlier[row.reading.purchase] = row
            else:
                self._drop(row)
        note = f"cut into {counted(len(bare), 'piece')}{lacks(staging)}"
        self._book.save(before, whole, note=note)
        if whole.reading is not None:
            store.remember_cut(whole.reading.purchase, stretches(bare))
        kept = 0
        for piece in staging.pieces:
            if earlier.pop(purchase_of(whole, piece), None) is not None:
                self._discard(as_recording(whole, piece, now=now))
                kept += 1
                continue
            added = self._book.add(as_recording(whole, piece, now=now), note="cut")
            self._purchases.paid_already(added, now)
        for left in earlier.values():
            if left.state is State.DELIVERED:
                self._drop(left)
        crash_point("cut-up")
        self._book.log_saved(
            log.info,
            "cut-up",
            recording=whole.id,
            file=printable(whole.path),
            pieces=len(bare),
            kept=kept,
        )
        self._look(whole, now)

    def places(self, recording: Recording) -> tuple[Stretch, ...]:
        """Where this content was cut before by the same rules, if it is to be cut."""
        reading = recording.reading
        if reading is None or reading.plan.cut is None or reading.piece is not None:
            return ()
        return self._book.store.cut_of(reading.purchase)

    def whole_of(self, piece: Recording) -> Recording | None:
        """The recording that a piece was cut from."""
        return self._book.store.get(piece.part_of) if piece.part_of is not None else None

    def let_go_meanwhile(self, piece: Recording, after: Recording | None = None) -> bool:
        """Whether this is a piece that was dropped, unpaid, while a worker had it; what the worker made of it goes."""
        if piece.part_of is None or self._book.store.get(piece.id) is not None:
            return False
        self._discard(after or piece)
        return True

    def _follow(self, before: Recording, after: Recording) -> None:
        """Something became of a recording: what belongs to it is told."""
        if after.part_of is not None:
            self._follow_piece(after)
        elif before.state is State.CUT and after.state is not State.CUT:
            self._let_go(after)
        elif after.state is State.CUT and after.fingerprint != before.fingerprint:
            self._touched(after)

    def _follow_piece(self, piece: Recording) -> None:
        whole = self.whole_of(piece)
        if whole is None:
            return
        if not _waits_for(whole, piece):
            # what it belongs to starts over, or waits for a person: what is paid for is remembered as an answer
            if piece.state in UNPAID or (whole.state is State.CUT and piece.state in DONE):
                self._drop(piece)
                self._look(whole, piece.changed_at)
            return
        match piece.state:
            case State.DELIVERED:
                self._look(whole, piece.changed_at)
            case State.FAILED:
                why = failure_of(piece)
                self._book.save(whole, whole.fail(why, now=piece.changed_at), note=why.message)
            case State.PARKED:
                why = failure_of(piece)
                self._book.save(whole, whole.park(why, now=piece.changed_at), note=why.message)
            case _:
                pass

    def _look(self, whole: Recording, now: datetime) -> None:
        """With its last piece heard it has its answer."""
        if whole.state is not State.CUT or self._book.store.pieces_left(whole.id):
            return
        answers = {
            row.reading.purchase: row.answer
            for row in self._book.store.pieces_of(whole.id)
            if row.reading is not None and row.answer is not None
        }
        pieces = whole.staging.pieces if whole.staging else ()
        keys = [purchase_of(whole, piece) for piece in pieces]
        heard = [
            (piece, answers[key]) for piece, key in zip(pieces, keys, strict=True) if key in answers
        ]
        if not heard or len(heard) != len(pieces):
            raise OurBug("a cut recording has pieces that are neither heard nor on their way")
        answer = joined(heard)
        crash_point("joined")
        note = f"{counted(len(heard), 'piece')} heard, and joined"
        self._book.save(whole, whole.hear(answer, now=now), note=note)

    def _let_go(self, whole: Recording) -> None:
        """It waits for its pieces no longer: what nobody paid for goes, and so does what is in its answer."""
        joined_them = whole.state is State.TRANSCRIBED
        for row in self._book.store.pieces_of(whole.id):
            if row.state in UNPAID or joined_them:
                self._drop(row)
            elif row.state not in IN_FLIGHT:
                self._discard(row)

    def _touched(self, whole: Recording) -> None:
        """Its file has another date and the same content, so its pieces are of that file."""
        for row in self._book.store.pieces_of(whole.id):
            self._book.save(row, row.refreshed(whole.fingerprint))

    def _drop(self, piece: Recording) -> None:
        self._discard(piece)
        self._book.suspects.acquit(piece.id)
        self._book.store.drop(piece)

    def _discard(self, piece: Recording) -> None:
        route = self._routes.get(piece.inbox)
        if route is not None:
            leftovers.discard(piece, route)


def _waits_for(whole: Recording, piece: Recording) -> bool:
    """Whether a piece belongs to the cut that its recording waits for, and not to an earlier one.

    Of other content, or with other options, the same place is another piece.
    """
    if whole.state is not State.CUT or whole.staging is None or piece.piece is None:
        return False
    place = next((one for one in whole.staging.pieces if one.place == piece.piece.place), None)
    bought = piece.reading.purchase if piece.reading else ""
    return place is not None and purchase_of(whole, place) == bought
