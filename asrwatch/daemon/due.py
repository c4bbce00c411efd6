"""What is due: the steps, questions and messages to begin now, or how long nothing is."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from asrwatch.clock import is_set
from asrwatch.daemon.household import Household
from asrwatch.journey.filling import REST
from asrwatch.journey.next_step import Step
from asrwatch.journey.recording import Recording
from asrwatch.journey.store import Letter
from asrwatch.journey.tidings import standing
from asrwatch.news import Standstill

__all__ = ["WHILE_ENDING", "Due"]

LONGEST_SLEEP = timedelta(seconds=20)
KEY_GLANCE = timedelta(seconds=2)
ROOM_GLANCE = timedelta(seconds=2)
WHILE_ENDING = timedelta(milliseconds=250)


class Due:
    """See the module. Used in the daemon's main thread; all but `wait` inside a transaction."""

    def __init__(self, household: Household) -> None:
        self._household = household
        self._clock = household.clock
        self._keeper = household.keeper
        self._slots = household.slots
        self._on_trial = False
        self._next_glance = self._clock.monotonic()

    def wait(self) -> timedelta:
        """How long nothing falls due, at most `LONGEST_SLEEP`: the clock may be set meanwhile."""
        now, keeper = self._clock.now(), self._keeper
        longest = LONGEST_SLEEP if self._household.goes_on() else WHILE_ENDING
        if self._household.gate.holds or keeper.suspects.ids:
            longest = min(longest, KEY_GLANCE)
        if self._household.filler.has_work or self._household.noting.has_work:
            longest = min(longest, REST)
        barred, clock = self._household.room.barred(time.monotonic()), time.monotonic()
        if barred or self._household.room.shortages:
            longest = min(longest, ROOM_GLANCE)
        apart = (*self._slots.under_way, *keeper.suspects.ids)
        dates = [keeper.opens(now)]
        if self._household.goes_on():  # nothing is told while it ends
            dates.append(keeper.herald.opens(now, busy=self._household.courier.busy))
        dates += [
            self._household.store.next_due(
                states=keeper.may_begin(states, clock),
                waiting_inboxes=barred,
                waiting_engines=keeper.waiting(now),
                under_way=apart,
                barred_inboxes=shut,
            )
            for states, shut in ([] if self._on_trial else self._slots.open_kinds(now))
        ]
        if not self._household.rounds.under_way and not self._on_trial and is_set(now):
            dates.append(self._household.store.next_poll())
        waits = [max(date - now, timedelta(0)) for date in dates if date is not None]
        return min([longest, *waits])

    def steps(self) -> list[Step]:
        """Steps to begin once the transaction is committed, as many as there are free slots."""
        now, slots = self._clock.now(), self._slots
        self._glance_at_key(now)
        self._household.look_for_room()
        barred = slots.barred()
        busy = slots.working().keys() - slots.stuck()
        kinds = slots.kinds(now)
        alone = self._keeper.trial(
            [state for kind in kinds for state in kind],
            under_way=busy | self._household.rounds.under_way,
            barred_inboxes=barred,
            now=now,
        )
        self._on_trial = alone is not None
        if alone is not None:
            return alone
        steps: list[Step] = []
        for kind in kinds:
            steps += self._keeper.hand_out(
                kind,
                limit=slots.free(kind),
                under_way=slots.working(),
                barred_inboxes=barred,
                crowd=slots.crowd(kind),
                now=now,
            )
        return steps

    def tasks(self, begun: Sequence[Step]) -> tuple[Recording, ...]:
        """The tasks to ask about, as these steps begin; a suspect's alone."""
        batch = self._household.rounds.due()
        if not batch:
            return ()
        busy = self._slots.working().keys() - self._slots.stuck()
        busy |= {recording.id for recording, _ in begun}
        return self._keeper.round_of(batch, under_way=busy, now=self._clock.now())

    def letters(self) -> list[Letter]:
        """What is to be told; what is the matter, and what is not any more, is seen first."""
        if not self._household.house.wishes:
            return []
        now, herald = self._clock.now(), self._keeper.herald
        herald.look(now, holds=self._keeper.holds(now), shortages=self._household.room.shortages)
        return (
            herald.letters(now, busy=self._household.courier.busy)
            if self._household.goes_on()
            else []
        )

    def standstills(self) -> tuple[Standstill, ...]:
        """What keeps recordings waiting now."""
        now, hindrances = self._clock.now(), self._household.room.hindrances(time.monotonic())
        return tuple(each for _, each in standing(self._keeper.holds(now), hindrances, now))

    def _glance_at_key(self, now: datetime) -> None:
        """A corrected key ends the holds that the old one was the reason for."""
        if not self._household.gate.holds or self._clock.monotonic() < self._next_glance:
            return
        self._next_glance = self._clock.monotonic() + KEY_GLANCE.total_seconds()
        self._keeper.key_glanced(now=now)
