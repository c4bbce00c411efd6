"""Pieces of recordings that were cut, and the places where each content was."""

import json
from collections.abc import Sequence

from sqlalchemy import bindparam, or_, select
from sqlalchemy.dialects.sqlite import insert as upsert

from asrwatch.audio.cutting import Stretch
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import tables
from asrwatch.journey.store.due import STEPS_LEFT
from asrwatch.journey.store.loading import WITH_ANSWER, Loading
from asrwatch.journey.store.prepared import Prepared

__all__ = ["Cuts"]

_table = tables.recordings

_ANY_PIECE = Prepared(
    select(_table.c.id)
    .where(
        _table.c.part_of.is_not(None),
        or_(*(_table.c.state == state.value for state in STEPS_LEFT)),
    )
    .limit(1)
)
_PIECES = WITH_ANSWER.where(_table.c.part_of == bindparam("of")).order_by(_table.c.id)
_PIECES_LEFT = Prepared(
    select(_table.c.id)
    .where(_table.c.part_of == bindparam("of"), _table.c.state != State.DELIVERED.value)
    .limit(1)
)


class Cuts(Loading):
    """Part of the store; see the module."""

    def pieces_of(self, recording_id: int) -> tuple[Recording, ...]:
        """The pieces of a recording that was cut, in the order in which they were."""
        return self._many(_PIECES, {"of": recording_id})

    def in_flight(self, recording_id: int) -> bool:
        """Whether something was, or may have been, paid for a piece of a recording that is not in the books yet."""
        out = (State.ASKING, State.SUBMITTED, State.TRANSCRIBED)
        return any(piece.state in out for piece in self.pieces_of(recording_id))

    def has_pieces(self) -> bool:
        """Whether any piece has a worker's step before it."""
        with self.transaction():
            return _ANY_PIECE.run(self._connection, {}).fetchone() is not None

    def pieces_left(self, recording_id: int) -> bool:
        """Whether a recording has pieces that are not heard yet."""
        with self.transaction():
            return _PIECES_LEFT.run(self._connection, {"of": recording_id}).fetchone() is not None

    def remember_cut(self, purchase: str, places: Sequence[Stretch]) -> None:
        """Where a recording was cut: the same content is never cut elsewhere by the same rules, and paid again."""
        written = json.dumps(
            [[place.begin, place.end, place.overlap, place.channel] for place in places]
        )
        with self.transaction():
            self._connection.execute(
                upsert(tables.cuts)
                .values(purchase=purchase, places=written)
                .on_conflict_do_update(index_elements=["purchase"], set_={"places": written})
            )

    def cut_of(self, purchase: str) -> tuple[Stretch, ...]:
        """Where the content of this purchase was cut before; nothing if it never was."""
        wanted = select(tables.cuts.c.places).where(tables.cuts.c.purchase == purchase)
        with self.transaction():
            places = self._connection.execute(wanted).scalar()
        return tuple(
            Stretch(begin=begin, end=end, overlap=overlap, channel=channel[0] if channel else None)
            for begin, end, overlap, *channel in json.loads(places or "[]")
        )
