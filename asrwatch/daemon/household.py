"""The household: everybody who works for the daemon, made once at its start."""

import os
import queue
import random
import time
from collections.abc import Callable

from asrwatch.daemon.clock_steps import ClockSteps
from asrwatch.daemon.house import House
from asrwatch.daemon.lookouts import Lookouts
from asrwatch.daemon.mail import Mail, Stop
from asrwatch.daemon.polling import Rounds
from asrwatch.daemon.slots import Slots
from asrwatch.daemon.telling import Courier
from asrwatch.daemon.workers import STEP, Workers
from asrwatch.files.room import Reserve
from asrwatch.heartbeats import Heartbeats, beat
from asrwatch.journey.backups import Backups
from asrwatch.journey.budget import Fuse
from asrwatch.journey.filling import Filler
from asrwatch.journey.gate import Gate
from asrwatch.journey.keeper import Keeper
from asrwatch.journey.noting import Noting
from asrwatch.journey.recording import Recording
from asrwatch.journey.room import RESERVE_AT_ONCE, Room
from asrwatch.journey.store import RESERVE
from asrwatch.journey.survey import Survey
from asrwatch.supervision import Supervision

__all__ = ["Household"]


class Household:
    """See the module. What belongs to the daemon's main thread alone is nobody else's to call.

    `asked_to_stop` is what asked for the end; with `ending` nothing new is begun. While `reserve_is_given` up
    there is room for what is paid for only. `post` puts something into the mailbox: any thread may, any signal
    handler, and it never blocks.
    """

    def __init__(self, house: House) -> None:
        self.house = house
        self.store = house.store
        self.clock = house.clock
        self.mailbox: queue.SimpleQueue[Mail] = queue.SimpleQueue()
        self.post: Callable[[Mail], None] = self.mailbox.put
        self.asked_to_stop: Stop | None = None
        self.ending = False
        self.reserve_is_given = False

        self.hearts = Heartbeats(house.clock.monotonic)
        self.supervision = Supervision(self.hearts, house.notifier)
        self.gate = Gate(
            {name: engine.options.requests_per_minute for name, engine in house.engines.items()},
            house.store.holds(),
            chance=random.random,
            lost_in_a_row={name: one.options.lost_in_a_row for name, one in house.engines.items()},
            lost=house.store.lost_in_a_row(),
        )
        self.backups = Backups(house.store, house.backup, beat)
        self.noting = Noting(house.store, house.routes)
        self.filler = Filler(house.store, house.engines)
        state = os.fsencode(house.store.state_dir)
        outputs = {name: route.rules.outputs_root for name, route in house.routes.items()}
        self.room = Room(state=state, outputs=outputs, reserve=house.reserve)
        spare = house.reserve or 0
        self.reserve = Reserve(house.store.state_dir / RESERVE, spare // RESERVE_AT_ONCE)
        self.survey = Survey(state=state, reserve=self.reserve, spare=spare, post=self.post)
        self.keeper = Keeper(
            store=house.store,
            routes=house.routes,
            gate=self.gate,
            key_digest=house.keys.digest,
            chance=random.random,
            room=self.room,
            fuse=Fuse(house.budget, house.store, currency=house.currency),
            clock=house.clock.now,
            wishes=house.wishes,
            currency=house.currency,
        )
        self.courier = Courier(house.notifiers, hearts=self.hearts, post=self.post)
        self.slots = Slots(
            workers=house.workers, inboxes=len(house.routes), supervision=self.supervision
        )
        self.workers = Workers(
            house.workers,
            slots=self.slots,
            supervision=self.supervision,
            hearts=self.hearts,
            post=self.post,
        )
        self.rounds = Rounds(
            house.store,
            house.engines,
            clock=self.clock,
            hearts=self.hearts,
            usual=STEP,
            post=self.post,
        )
        self.lookouts = Lookouts(
            house.lookouts,
            store=house.store,
            clock=self.clock,
            hearts=self.hearts,
            post=self.post,
        )
        self.clock_steps = ClockSteps(
            self.clock, store=house.store, keeper=self.keeper, slots=self.slots
        )

    @property
    def under_way(self) -> dict[int, Recording]:
        """Recordings whose steps are with workers, by their numbers."""
        return self.slots.under_way

    @property
    def left_behind(self) -> bool:
        """Whether threads are still at something that an end would not wait for."""
        beside = self.workers.aside or self.courier.busy
        return bool(self.slots.under_way or self.rounds.under_way or beside)

    def goes_on(self) -> bool:
        """Whether new work may begin."""
        return self.asked_to_stop is None and not self.ending

    def look_for_room(self) -> None:
        """Have somebody look how much room there is, if that was not done lately."""
        if self.room.due(time.monotonic()):
            self.survey.look(self.room.folders)
