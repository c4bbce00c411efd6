"""Decides what a worker is to do next with a recording whose turn it is."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from asrwatch.errors import OurBug
from asrwatch.journey import delivery, journey
from asrwatch.journey.book import Book
from asrwatch.journey.gate import Gate
from asrwatch.journey.permission import Permission
from asrwatch.journey.pieces import Pieces
from asrwatch.journey.purchases import Purchases
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.room import Room
from asrwatch.journey.route import Route
from asrwatch.journey.shortages import Shortages
from asrwatch.journey.suspects import POISON, step_of, unfetchable

__all__ = ["NextStep", "Step"]

Step = tuple[Recording, Callable[[], Recording]]
"""A recording, and what a worker is to do with it."""

URL_MARGIN = timedelta(minutes=30)
"""A URL that expires within this long is published afresh before it is asked with."""


class NextStep:
    """See the module. Requests are announced, and saved, here."""

    def __init__(
        self,
        book: Book,
        *,
        routes: Mapping[str, Route],
        gate: Gate,
        permission: Permission,
        purchases: Purchases,
        room: Room,
        shortages: Shortages,
        pieces: Pieces,
        clock: Callable[[], datetime],
    ) -> None:
        self._book = book
        self._routes = routes
        self._gate = gate
        self._permission = permission
        self._purchases = purchases
        self._room = room
        self._shortages = shortages
        self._pieces = pieces
        self._clock = clock

    def begin(self, recording: Recording, now: datetime, barred: Collection[str]) -> Step | None:
        """What a worker does next with it, written down as begun; None where nothing, or nothing yet."""
        if self._book.suspects.is_poison(recording):
            self.give_up(recording, now)
            return None
        step = self._chosen_step(recording, now, barred)
        if step is not None:
            self._book.store.begin_try(recording.id, step_of(step[0]))
        return step

    def give_up(self, recording: Recording, now: datetime) -> None:
        """It has killed asrwatch often enough; a person looks at it, its neighbours go on."""
        self._book.suspects.acquit(recording.id)
        self._book.store.end_try(recording.id)
        if recording.state is State.SUBMITTED:
            failure = unfetchable(recording)
            parked = recording.park(failure, now=now)
            self._book.save(recording, parked, note=failure.message, outcome="lost")
            return
        money = recording.state is State.ASKING  # what was paid is a question of its own
        after = recording.park(POISON, now=now) if money else recording.fail(POISON, now=now)
        self._book.save(recording, after, note=POISON.message, outcome="lost" if money else "")

    def _chosen_step(
        self, recording: Recording, now: datetime, barred: Collection[str]
    ) -> Step | None:
        route = self._routes.get(recording.inbox)
        if route is None:
            # Its inbox left the configuration: it stays as it is until the inbox is back.
            self._book.save(recording, replace(recording, due=now + timedelta(hours=1)))
            return None
        match recording.state:
            case State.SETTLED if recording.reading is not None and (
                self._purchases.paid_already(recording, now)
                or not self._shortages.has_room(recording, now)
            ):
                return None
            case State.STAGED:
                return self._announce(self._probe(recording, now, barred), now)
            case State.TRANSCRIBED if recording.part_of is None:
                recording = self._with_outputs(recording, route)
            case _:
                pass
        known = self._book.store.known_tickets() if recording.state is State.ASKING else frozenset()
        places = self._pieces.places(recording) if recording.state is State.SETTLED else ()
        return recording, partial(
            journey.advance, recording, route, clock=self._clock, known=known, places=places
        )

    def _probe(self, recording: Recording, now: datetime, barred: Collection[str]) -> Recording:
        """A held engine is tried with the shortest recording that waits for it: the cheapest question there is."""
        engines = self._gate.probes(recording.reading.plan.engine if recording.reading else "")
        if not engines:
            return recording
        shortest = self._book.store.shortest_staged(
            now, engines=engines, inboxes=set(self._routes) - set(barred)
        )
        return shortest or recording

    def _announce(self, recording: Recording, now: datetime) -> Step | None:
        reading, staging = recording.reading, recording.staging
        route = self._routes[recording.inbox]
        if reading is None or staging is None:
            raise OurBug("a staged recording lacks its evidence")
        if not self._gate.is_open(reading.plan.engine, now):
            return None
        if self._purchases.paid_already(recording, now) or self._permission.is_spent(now):
            return None
        if staging.url_expires is not None and staging.url_expires < now + URL_MARGIN:
            self._book.save(
                recording, recording.resettle(now=now), note="its URL is about to expire"
            )
            return None
        if self._purchases.parked_already(recording, reading.purchase, now):
            return None
        if self._purchases.being_bought(recording, reading.purchase, now):
            return None
        if self._purchases.perhaps_asked_before(recording, now):
            return None
        if not self._shortages.has_room(recording, now):
            return None
        self._room.take(recording)
        self._gate.take(reading.plan.engine, now)
        announced = journey.announce(recording, route, now=now)
        self._book.save(recording, announced)
        if announced.asking is not None:
            self._book.fuse.announced(announced.asking)
        return announced, partial(journey.ask, announced, route, clock=self._clock)

    def _with_outputs(self, recording: Recording, route: Route) -> Recording:
        """Decide once where the outputs go, and save it before the first is written."""
        if {output.format for output in recording.outputs} == set(route.formats):
            return recording
        decided = delivery.decide(recording, route.rules, owners_of=self._book.store.owners_of)
        owning = recording.owning(decided)
        self._book.save(recording, owning)
        return owning
