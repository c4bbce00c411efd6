"""The end: requests finish and are saved; what is free is left to the next start."""

from collections.abc import Callable
from datetime import timedelta

from asrwatch import logs
from asrwatch.crash import crash_point
from asrwatch.daemon.household import Household
from asrwatch.daemon.mail import StepDone, is_paid_for
from asrwatch.daemon.saving import Saving
from asrwatch.journey.recording import State
from asrwatch.journey.request import is_ours
from asrwatch.journey.store import StoreTrouble

__all__ = ["Ending"]

log = logs.get("daemon")

MORE_TIME = timedelta(seconds=30)
"""What systemd is asked for, again and again, while an end waits for a request: it may take longer than
`TimeoutStopSec`, and what was paid for is worth waiting for."""
CHORES_END, DELIVERIES_END, UNSAVED_END = 1.0, 3.0, 120.0
"""Seconds that an end waits for these. Readings and uploads are free, and begun anew by the next start."""


class Ending:
    """See the module. Used in the daemon's main thread."""

    def __init__(self, household: Household, *, saving: Saving) -> None:
        self._household = household
        self._saving = saving

    def wind_up(self, turn: Callable[[], None]) -> None:
        """No new steps; requests finish and are saved, in as many turns as that takes.

        A second `Stop` waits for nothing: a request that is out then is unknown, and its row says so.
        """
        every, clock = self._household, self._household.clock
        every.house.notifier.stopping()
        crash_point("stopping")
        every.lookouts.stop()
        begun = clock.monotonic()
        every.ending = True
        asked = every.asked_to_stop
        while every.asked_to_stop is asked and self._awaited(clock.monotonic() - begun):
            every.house.notifier.extend_timeout(MORE_TIME)
            turn()
        crash_point("wound-up")
        left = every.left_behind
        try:
            every.keeper.broken_off(self._left_in_order())
        except StoreTrouble:
            every.store.note_left(self._left_in_order())
        self._shut_down(wait=not left)
        log.info(
            "stopped",
            left_under_way=len(every.under_way),
            hurried=every.asked_to_stop is not asked,
        )
        crash_point("stopped")

    def break_off(self) -> None:
        """Nothing may be written any more: end at once, and let who starts next find out what is true."""
        self._household.lookouts.tell_to_stop()
        self._shut_down(wait=False)
        self._household.store.note_left(self._left_in_order())
        log.error("broken-off", left_under_way=len(self._household.under_way))

    def _shut_down(self, *, wait: bool) -> None:
        self._household.workers.shut_down(wait=wait)
        self._household.rounds.shut_down(wait=wait)
        self._household.courier.shut_down(wait=wait)

    def _awaited(self, waited: float) -> bool:
        """Whether the end waits for something: for requests to their own ends, for the rest only a moment."""
        unsaved, under_way = self._saving.unsaved, self._household.under_way
        paid_for = any(is_paid_for(piece) for piece in unsaved)
        if unsaved and waited < (UNSAVED_END if paid_for else DELIVERIES_END):
            return True
        stuck = self._household.slots.stuck()
        stuck |= {one.before.id for one in unsaved if isinstance(one, StepDone)}
        if any(is_ours(one) for one in under_way.values() if one.id not in stuck):
            return True
        delivers = any(one.state is State.TRANSCRIBED for one in under_way.values())
        return self._household.left_behind and waited < (DELIVERIES_END if delivers else CHORES_END)

    def _left_in_order(self) -> frozenset[int]:
        """What is no suspect, though it was under way at the end: all but what hangs asrwatch itself."""
        under_way = self._household.rounds.under_way | self._household.under_way.keys()
        return under_way - self._household.slots.hanging()
