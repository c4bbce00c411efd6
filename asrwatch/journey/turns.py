"""Whose turn it is: each inbox in its turn has one, whatever else is due; pieces are a queue beside each inbox's."""

import time
from collections.abc import Collection, Mapping
from datetime import datetime

from asrwatch.journey.permission import Permission
from asrwatch.journey.recording import UNPAID, Recording, State
from asrwatch.journey.room import Room
from asrwatch.journey.route import Route
from asrwatch.journey.store import Store

__all__ = ["Turns"]

Queue = tuple[str, bool]
"""An inbox, and whether it is the queue of its pieces or that of its recordings."""


class Turns:
    """See the module."""

    def __init__(
        self, store: Store, *, routes: Mapping[str, Route], permission: Permission, room: Room
    ) -> None:
        self._store = store
        self._routes = routes
        self._permission = permission
        self._room = room
        self._served: dict[frozenset[State], Queue] = {}

    def whose(
        self,
        states: Collection[State],
        wanted: int,
        *,
        under_way: Collection[int],
        barred_inboxes: Collection[str],
        now: datetime,
    ) -> tuple[Recording, ...]:
        """What is due, at most `wanted`; where there is more, each inbox in its turn has one.

        Thousands of files dropped in one inbox must not keep another one's file waiting for all of them, nor the
        pieces of a long recording a short one that comes after it.
        """
        waiting = self._permission.waiting(now)
        waiting_inboxes = self._room.barred(time.monotonic())

        def due(limit: int, passed: Collection[int], queue: Queue | None) -> tuple[Recording, ...]:
            return self._store.due(
                now,
                limit=limit,
                states=states,
                under_way=(*under_way, *passed),
                waiting_engines=waiting,
                waiting_inboxes=waiting_inboxes,
                barred_inboxes=barred_inboxes,
                inbox=queue[0] if queue else None,
                pieces=queue is not None and queue[1],
            )

        whichever = due(wanted + 1, (), None)
        names = sorted({*self._routes, *(recording.inbox for recording in whichever)})
        cut = (False, True) if self._store.has_pieces() else (False,)
        queues = [(name, pieces) for name in names for pieces in cut]
        if len(whichever) <= wanted or len(queues) == 1:
            return whichever[:wanted]
        chosen: list[Recording] = []
        last = self._served.get(frozenset(states), ("", False))
        queues = [one for one in queues if one > last] + [one for one in queues if one <= last]
        while queues and len(chosen) < wanted:
            for queue in tuple(queues):
                found = due(1, [one.id for one in chosen], queue)
                if not found:
                    queues.remove(queue)
                    continue
                chosen += found
                if len(chosen) == wanted:
                    break
        return tuple(chosen)

    def suspect(
        self,
        states: Collection[State],
        suspects: Collection[int],
        barred_inboxes: Collection[str],
        now: datetime,
    ) -> Recording | None:
        """The suspect that is due, if one is that may begin."""
        clock = time.monotonic()
        ready = self._store.due(
            now,
            limit=1,
            states=self.may_begin(states, clock),
            only=suspects,
            waiting_engines=self._permission.waiting(now),
            waiting_inboxes=self._room.barred(clock),
            barred_inboxes=barred_inboxes,
        )
        return ready[0] if ready else None

    def served(self, states: Collection[State], recording: Recording) -> None:
        """Its queue had its turn: among steps of this kind, the next one's is next."""
        self._served[frozenset(states)] = recording.inbox, recording.part_of is not None

    def may_begin(self, states: Collection[State], clock: float) -> tuple[State, ...]:
        """The states whose recordings may go on: where the state folder lacks room, those already paid for."""
        short = self._room.state_is_short(clock)
        return tuple(state for state in states if not (short and state in UNPAID))
