"""Steps that were begun: written before they begin, so that one which kills asrwatch is known by its name."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import bindparam, case, delete, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from asrwatch.journey.store import ends
from asrwatch.journey.store.database import Database
from asrwatch.journey.store.prepared import Prepared
from asrwatch.journey.store.tables import recordings, tries

__all__ = ["Suspect", "Tries"]

_BEGIN = upsert(tries)
_BEGIN_TRY = Prepared(
    _BEGIN.on_conflict_do_update(
        index_elements=["recording"], set_={"step": _BEGIN.excluded["step"]}
    ),
    ("recording", "step", "deaths"),
)
_CLEAR = Prepared(delete(tries).where(tries.c.recording == bindparam("of")))
_END = Prepared(update(tries).where(tries.c.recording == bindparam("of")), ("step",))


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspect:
    """A recording at which asrwatch died, `deaths` times in a row, the last time in this step."""

    recording: int
    died_in: str
    deaths: int


class Tries(Database):
    """Which steps are under way, and which of them asrwatch did not survive."""

    def begin_try(self, recording_id: int, step: str) -> None:
        """A step is about to begin."""
        with self.transaction():
            begun = {"recording": recording_id, "step": step, "deaths": 0}
            _BEGIN_TRY.run(self._connection, begun)

    def end_try(self, recording_id: int, *, cleared: bool = True) -> None:
        """A step came to an end, whichever; `cleared` unless its recording stays a suspect of another step."""
        with self.transaction():
            (_CLEAR if cleared else _END).run(self._connection, {"of": recording_id, "step": None})

    def leave_tries(self, recording_ids: Collection[int]) -> None:
        """An orderly end breaks these steps off: it was not they that ended asrwatch."""
        with self.transaction():
            left = tries.c.recording.in_(recording_ids)
            self._connection.execute(delete(tries).where(left, tries.c.deaths == 0))
            self._connection.execute(update(tries).where(left).values(step=None))

    def note_left(self, recording_ids: Collection[int]) -> None:
        """The same where the database can take nothing any more."""
        ends.note(self.state_dir, recording_ids)

    def deaths_counted(self) -> None:
        """What `count_deaths` found is committed."""
        ends.forget(self.state_dir)

    def count_deaths(self) -> tuple[Suspect, ...]:
        """At a start: what was under way when asrwatch last died is counted; returns every suspect."""
        gone = tries.c.recording.not_in(select(recordings.c.id))
        died = tries.c.step.is_not(None)
        with self.transaction():
            self._connection.execute(delete(tries).where(gone))
            self.leave_tries(ends.noted(self.state_dir))
            self._connection.execute(
                update(tries).values(
                    deaths=tries.c.deaths + case((died, 1), else_=0),
                    died_in=case((died, tries.c.step), else_=tries.c.died_in),
                    step=None,
                )
            )
            rows = self._connection.execute(select(tries).order_by(tries.c.deaths)).all()
        return tuple(
            Suspect(recording=row.recording, died_in=row.died_in, deaths=row.deaths)
            for row in rows
            if row.deaths
        )
