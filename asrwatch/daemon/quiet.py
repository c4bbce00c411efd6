"""Whether `asrwatch once` may end: nothing is left to do, or nothing that goes on without a person."""

import time
from datetime import timedelta

from asrwatch.daemon.household import Household
from asrwatch.daemon.saving import Saving
from asrwatch.daemon.upkeep import Upkeep
from asrwatch.inbox.lookout import Snapshot
from asrwatch.inbox.messages import About
from asrwatch.journey.store import StoreTrouble

__all__ = ["Quiet"]

WAITS = timedelta(seconds=5)
"""So long `asrwatch once` waits for room or a share, once nothing else is left to do."""
WAITS_FOR_STORE = timedelta(seconds=20)
"""So long it waits for a database that cannot be written."""
WAITS_TO_TELL = timedelta(seconds=15)
"""So long it waits for notifiers, once nothing else is left to do."""


class Quiet:
    """See the module. Used in the daemon's main thread, between its turns."""

    def __init__(self, household: Household, *, saving: Saving, upkeep: Upkeep) -> None:
        self._household = household
        self._keeper = household.keeper
        self._saving = saving
        self._upkeep = upkeep
        self._waiting_since: float | None = None

    def is_quiet(self) -> bool:
        """With `until_quiet`: nothing is left to do, or nothing that goes on without a person."""
        if not self._household.house.until_quiet:
            return False
        if self._saving.trouble is not None:
            return self._has_lasted(WAITS_FOR_STORE)
        try:
            if self._is_done():
                return self._is_told()
            if self._is_stranded():
                return self._has_lasted(WAITS) and self._household.mailbox.empty()
        except StoreTrouble:
            return self._has_lasted(WAITS_FOR_STORE)
        self._waiting_since = None
        return False

    def _has_lasted(self, span: timedelta) -> bool:
        clock = self._household.clock.monotonic()
        if self._waiting_since is None:
            self._waiting_since = clock
        return clock - self._waiting_since >= span.total_seconds()

    def _is_done(self) -> bool:
        """Every inbox was scanned whole, nothing settles, nothing moves or could."""
        if self._household.under_way or self._household.rounds.under_way or self._saving.unsaved:
            return False
        if self._upkeep.has_notes_to_see_to:
            return False
        if any(
            not _is_settled(lookout.snapshot()) for lookout in self._household.lookouts.values()
        ):
            return False
        return self._household.mailbox.empty() and self._keeper.nothing_left(
            self._household.clock.now()
        )

    def _is_told(self) -> bool:
        """Whether everybody was told what there is to tell, or it takes too long: the next start goes on with it."""
        if not self._household.house.wishes:
            return True
        now, busy = self._household.clock.now(), self._household.courier.busy
        with self._household.store.transaction():
            self._keeper.herald.release(now)
            due = self._keeper.herald.opens(now, busy=busy)
        waits = bool(busy) or (due is not None and due <= now)
        return not waits or self._has_lasted(WAITS_TO_TELL)

    def _is_stranded(self) -> bool:
        """Whether all that is left waits for room, or for files of inboxes that do not answer or are away."""
        slots = self._household.slots
        working = slots.working().keys() - slots.stuck()
        if working or self._household.rounds.under_way or self._saving.unsaved:
            return False
        silent, away = slots.barred(), set()
        for name, lookout in self._household.lookouts.items():
            snapshot = lookout.snapshot()
            if name not in silent and not _is_settled(snapshot):
                return False
            if any(trouble.about is About.ROOT for trouble in snapshot.troubles):
                away.add(name)
        return self._keeper.is_stranded(
            silent=silent, away=away, now=self._household.clock.now(), clock=time.monotonic()
        )


def _is_settled(inbox: Snapshot) -> bool:
    """Whether an inbox was scanned whole, and nothing in it settles."""
    return inbox.last_whole is not None and inbox.last is not None and inbox.last.quiet
