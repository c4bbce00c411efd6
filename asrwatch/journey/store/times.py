"""What is kept about the clock from one run to the next."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert as upsert

from asrwatch.clock import Offset
from asrwatch.journey.store.database import Database
from asrwatch.journey.store.tables import clock, events

__all__ = ["Times"]


class Times(Database):
    """When the machine was started by the clock, and when something last happened."""

    def offset(self) -> Offset | None:
        """As an earlier run left it."""
        with self.transaction():
            row = self._connection.execute(select(clock)).first()
        return Offset(boot_id=row.boot_id, booted=row.booted) if row else None

    def keep_offset(self, offset: Offset) -> None:
        """For the next run."""
        values = {"id": 1, "boot_id": offset.boot_id, "booted": offset.booted}
        with self.transaction():
            self._connection.execute(
                upsert(clock)
                .values(**values)
                .on_conflict_do_update(index_elements=["id"], set_=values)
            )

    def last_event_at(self) -> datetime | None:
        """The date of what was written last, by the clock of that moment."""
        with self.transaction():
            return self._connection.execute(
                select(events.c.at).order_by(events.c.id.desc()).limit(1)
            ).scalar_one_or_none()
