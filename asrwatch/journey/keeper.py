"""Keeps the book: what every piece of news does to the recordings.

Runs in the daemon's main thread, inside its transactions. It decides with pure functions (`trouble`,
`gate`, `delivery.decide`) and writes to the store; it touches neither files nor network. Its clerks each keep
a part of it: `arrivals`, `outstanding`, `permission`, `purchases`, `shortages`, `turns`, `next_step`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from asrwatch import logs
from asrwatch.clock import Step as ClockStep
from asrwatch.clock import is_set, utc_now
from asrwatch.crash import crash_point
from asrwatch.errors import (
    AnswerLost,
    AsrwatchError,
    EngineError,
    Skipped,
    SourceChanged,
    Superseded,
    Vanished,
)
from asrwatch.journey import leftovers, retelling, timeshift, trouble
from asrwatch.journey.arrivals import Arrivals
from asrwatch.journey.book import Book
from asrwatch.journey.budget import Budget, Fuse
from asrwatch.journey.gate import Gate
from asrwatch.journey.handing_out import HandingOut
from asrwatch.journey.herald import Herald, Wish
from asrwatch.journey.next_step import NextStep
from asrwatch.journey.outstanding import Outstanding, ticket_of
from asrwatch.journey.permission import Permission
from asrwatch.journey.pieces import Pieces
from asrwatch.journey.purchases import Purchases
from asrwatch.journey.recording import SUPERSEDED, UNPAID, Recording, State
from asrwatch.journey.request import awaits_its_answer
from asrwatch.journey.room import Room
from asrwatch.journey.route import Route
from asrwatch.journey.shortages import Shortages
from asrwatch.journey.store import EVERY_ENGINE, STEPS_LEFT, Store
from asrwatch.journey.stranded import is_stranded
from asrwatch.journey.tidings import shown_path
from asrwatch.journey.turns import Turns
from asrwatch.values import printable

__all__ = ["Keeper"]

log = logs.get("journey")

DEFAULT_PATIENCE = timedelta(days=3)
"""For recordings whose inbox has left the configuration."""

_WITH_COPIES = (State.STAGED, State.ASKING)
"""Whoever is in another state needs no re-encoded copy any more."""
_PIECES_WITH_COPIES = (State.SETTLED, *_WITH_COPIES, State.SUBMITTED)
"""A piece needs its copy until it was heard: it may have to be uploaded afresh."""
SWEEP_EVERY = timedelta(days=1)

_ANOTHERS_TASK = AnswerLost(
    "The cloud answered with the number of a task that belongs to another recording.",
    code="duplicate-ticket",
    advice="What became of the request is looked for in the cloud's list of tasks.",
)


class Keeper:
    """See the module. Every method is called from the main thread, inside a transaction."""

    SETTLE_AGAIN = (SourceChanged, Skipped, Superseded, Vanished)
    """Errors after which the file's lookout must forget it."""

    def __init__(
        self,
        *,
        store: Store,
        routes: Mapping[str, Route],
        gate: Gate,
        key_digest: Callable[[], str | None],
        chance: Callable[[], float],
        room: Room | None = None,
        fuse: Fuse | None = None,
        clock: Callable[[], datetime] = utc_now,
        wishes: Iterable[Wish] = (),
        currency: str = "",
    ) -> None:
        self.store = store
        self.fuse = fuse or Fuse(Budget(), store, currency="")
        self.room = room or Room(state=b"", outputs={}, reserve=None)
        self.routes = routes
        self.gate = gate
        self._chance = chance
        self._next_sweep = 0.0

        self.book = Book(store, self.fuse)
        self.suspects = self.book.suspects
        self.purchases = Purchases(self.book)
        self.pieces = Pieces(self.book, routes, self.purchases)
        self.arrivals = Arrivals(self.book, routes)
        self.permission = Permission(self.book, gate, routes, key_digest)
        self.shortages = Shortages(self.book, self.room)
        self.outstanding = Outstanding(self.book, self.suffered)
        self.turns = Turns(store, routes=routes, permission=self.permission, room=self.room)
        next_step = NextStep(
            self.book,
            routes=routes,
            gate=gate,
            permission=self.permission,
            purchases=self.purchases,
            room=self.room,
            shortages=self.shortages,
            pieces=self.pieces,
            clock=clock,
        )
        self.herald = Herald(
            self.book,
            wishes,
            currency=currency,
            chance=chance,
            places={
                "inbox": routes.keys(),
                "disk": {shown_path(folder)[0] for folder in self.room.folders},
            },
        )
        self.book.tell = self.herald.changed
        self.handing_out = HandingOut(self.book, turns=self.turns, next_step=next_step)

        # What the daemon asks of the clerks.
        self.settled = self.arrivals.settled
        self.hopeless = self.arrivals.hopeless
        self.gone = self.arrivals.gone
        self.inbox_back = self.arrivals.inbox_back
        self.seen_whole = self.arrivals.seen_whole
        self.news = self.outstanding.news
        self.postpone_polls = self.outstanding.postpone_polls
        self.room_seen = self.shortages.room_seen
        self.waiting = self.permission.waiting
        self.opens = self.permission.opens
        self.holds = self.permission.holds
        self.key_glanced = self.permission.key_glanced
        self.nothing_left = self.permission.nothing_left
        self.may_begin = self.turns.may_begin
        self.hand_out = self.handing_out.hand_out
        self.trial = self.handing_out.trial
        self.round_of = self.handing_out.round_of
        self.take_news = self.book.take_news
        self.discard_news = self.book.discard_news

    # The beginning, and the clock.

    def open_up(self, now: datetime) -> None:
        """At start: requests that were under way when asrwatch ended are now unknown, and said to be."""
        leftovers.sweep_spool(self._with_copies(), self.routes)
        with self.store.transaction():
            self.arrivals.bring_home(now)
            self._count_deaths()
            self._compare_clock(now)
            self.arrivals.seen(self.store.in_state(State.SETTLED))
            for recording in self.store.in_state(State.ASKING, pieces=True):
                self.book.save(
                    recording,
                    replace(recording, due=now, changed_at=now),
                    note="asrwatch ended while this request was under way: whether it was accepted is unknown",
                    outcome="lost",
                )
            crash_point("asks-marked")
        self.store.deaths_counted()

    def sweep(self, clock: float) -> None:
        """Once a day, by monotonic seconds: remove prepared copies that their recordings left behind."""
        if clock < self._next_sweep:
            return
        self._next_sweep = clock + SWEEP_EVERY.total_seconds()
        leftovers.sweep_spool(self._with_copies(), self.routes, unchanged_for=SWEEP_EVERY)

    def _with_copies(self) -> tuple[Recording, ...]:
        needed = self.store.in_state(*_PIECES_WITH_COPIES, pieces=True)
        return tuple(one for one in needed if one.piece is not None or one.state in _WITH_COPIES)

    def _count_deaths(self) -> None:
        """What was under way when asrwatch died is suspected of having been the reason."""
        for one in self.store.count_deaths():
            self.suspects.suspect([one])
            recording = self.store.get(one.recording)
            if recording is not None:
                log.warning(
                    "suspected",
                    recording=one.recording,
                    file=printable(recording.path),
                    died_in=one.died_in,
                    deaths=one.deaths,
                )

    def _compare_clock(self, now: datetime) -> None:
        """A clock that is behind what was written was wrong then, or is wrong now."""
        last = self.store.last_event_at()
        if last is None or not is_set(now) or last <= now + timedelta(minutes=1):
            return
        log.warning("clock-went-back", now=now.isoformat(), last=last.isoformat())
        for recording in self.store.in_state(*STEPS_LEFT, State.SUBMITTED, pieces=True):
            self.book.save(recording, timeshift.pulled_in(recording, now))
        self.gate.open_now(now)

    def clock_stepped(self, step: ClockStep, *, now: datetime) -> None:
        """The clock was set, or the machine slept: no wait becomes longer or shorter by it."""
        log.warning(
            "clock-was-set" if step.by else "machine-slept",
            by=step.by.total_seconds(),
            slept=step.slept.total_seconds(),
            now=now.isoformat(),
        )
        for recording in self.store.in_state(*STEPS_LEFT, State.SUBMITTED, pieces=True):
            self.book.save(recording, timeshift.moved(recording, step))
        for hold in self.gate.clock_set(step):
            self.store.hold(hold)
        self.outstanding.clock_stepped()
        self.herald.clock_stepped(step)

    def broken_off(self, recording_ids: Collection[int]) -> None:
        """An orderly end leaves these steps unfinished."""
        if recording_ids:
            self.store.leave_tries(recording_ids)

    def _survived(self, before: Recording) -> None:
        """A step came to an end, whichever: asrwatch lives."""
        self.store.end_try(before.id, cleared=self.suspects.survived(before))

    def interrupted(self) -> dict[str, list[tuple[Recording, Route]]]:
        """By inbox, recordings whose delivery may have left drafts beside outputs, for a worker to tidy up."""
        found: dict[str, list[tuple[Recording, Route]]] = {}
        for recording in self.store.in_state(State.TRANSCRIBED):
            route = self.routes.get(recording.inbox)
            if route is not None:
                found.setdefault(recording.inbox, []).append((recording, route))
        return found

    # What workers say.

    def moved(self, before: Recording, after: Recording, *, now: datetime) -> None:
        """A step succeeded."""
        if self.pieces.let_go_meanwhile(before, after):
            return
        if self._is_anothers_task(before, after):
            self.suffered(before, _ANOTHERS_TASK, now=now)
            return
        self._survived(before)
        if before.state is State.ASKING and after.reading is not None:
            self.permission.request_ended(after.reading.plan.engine, before, now)
        if before.state is State.SETTLED and self.arrivals.absorbed(before, after, now):
            return
        if after.state is State.CUT:
            self.pieces.cut_up(before, after, now)
            self.arrivals.settle_newer(after, now)
            return
        outcome = retelling.outcome(before, after, self.routes)
        if outcome == "again":
            self.book.log_saved(
                log.warning,
                "asked-again",
                recording=after.id,
                file=printable(after.path),
                note=retelling.ASKED_AGAIN["again"],
            )
        self.book.save(before, after, note=retelling.note(before, after, outcome), outcome=outcome)
        self.outstanding.came_back(after)
        if before.reading is None and after.state in UNPAID:
            self.purchases.paid_already(after, now)  # needs no engine, so it waits for none
        self.arrivals.settle_newer(after, now)

    def _is_anothers_task(self, before: Recording, after: Recording) -> bool:
        """Whether the cloud named a task that it had named for another recording before."""
        if before.state is State.SUBMITTED or after.state is not State.SUBMITTED:
            return False
        owner = self.store.owner_of_ticket(ticket_of(after))
        return owner is not None and owner != after.id

    def suffered(self, before: Recording, error: AsrwatchError, *, now: datetime) -> None:
        """A step ended in an error that asrwatch knows."""
        if self.pieces.let_go_meanwhile(before):
            return
        if isinstance(error, Skipped):
            if before.state in UNPAID:
                self._let_go(before, error)
                return
            error = SourceChanged(error.message, code=error.code, advice=error.advice)
        error = self._with_a_successor(before, error)
        if before.state is not State.SUBMITTED:
            self._survived(before)
        route = self.routes.get(before.inbox)
        # What became of a request cannot be found out with a bad key either.
        cause = error.__cause__ if isinstance(error, AnswerLost) else None
        blamed = cause if isinstance(cause, EngineError) else error
        if isinstance(blamed, EngineError) or awaits_its_answer(before):
            self.permission.engine_suffered(before, blamed, now)
        if before.state is State.TRANSCRIBED:
            self.shortages.refused(before, error)
        after, note, outcome = trouble.suffer(
            before,
            error,
            now=now,
            patience=route.patience if route else DEFAULT_PATIENCE,
            rest_within=route.rest_within if route else DEFAULT_PATIENCE,
            # another engine would have its own pieces; one that was asked for by name is not replaced
            automatic=route is not None
            and route.engine is None
            and before.part_of is None
            and before.engine_wanted is None,
            chance=self._chance,
        )
        if after.state is State.FAILED:
            # Names decided and never written to are free for whoever comes to that path next.
            after = after.owning(tuple(output for output in after.outputs if output.sha256))
        gone = after.staging is None or after.state not in _WITH_COPIES
        if route is not None and gone and before.part_of is None:
            leftovers.discard(before, route)
        self.book.save(before, after, note=note, outcome=outcome)
        whole = self.pieces.whole_of(before)
        if whole is None:
            self.arrivals.settle_newer(after, now)
        elif isinstance(error, SourceChanged) and whole.state is State.CUT:
            self.suffered(whole, error, now=now)

    def _let_go(self, recording: Recording, error: Skipped) -> None:
        """A person wants its folder left alone: it is as if it had not been found, until that is over."""
        self._survived(recording)
        route = self.routes.get(recording.inbox)
        if route is not None:
            leftovers.discard(recording, route)
        self.store.drop(recording)
        self.book.log_saved(
            log.info,
            "left-alone",
            recording=recording.id,
            file=printable(recording.path),
            why=error.message,
        )

    def _with_a_successor(self, before: Recording, error: AsrwatchError) -> AsrwatchError:
        """A file that changed settles again, unless what it became is a recording of its own already."""
        latest = self.store.latest_at(before.path)
        if (
            not isinstance(error, SourceChanged)
            or before.state not in {*UNPAID, State.CUT, State.ASKING}
            or error.code == "changed-while-sent"
            or before.part_of is not None
            or latest is None
            or latest.id == before.id
        ):
            return error
        return Superseded(
            "The file holds other content by now, which is a recording of its own.",
            code=SUPERSEDED,
            advice="Nothing: this content was not paid for, and is gone.",
        )

    def surprised(self, before: Recording, error: Exception, *, now: datetime) -> None:
        """A step ended in an error nobody foresaw: that recording fails, the daemon goes on."""
        if self.pieces.let_go_meanwhile(before):
            return
        self._survived(before)
        log.error(
            "unexpected-error", recording=before.id, file=printable(before.path), exc_info=error
        )
        if awaits_its_answer(before):
            self.permission.engine_suffered(before, error, now)
        after, note, outcome = trouble.unexpected(before, error, now=now)
        self.book.save(before, after, note=note, outcome=outcome)
        self.arrivals.settle_newer(after, now)

    def is_stranded(
        self, *, silent: Collection[str], away: Collection[str], now: datetime, clock: float
    ) -> bool:
        """Whether all that is left waits for a disk, a share or a person."""
        held = self.permission.held_for_a_person(now)
        return all(
            is_stranded(each, room=self.room, silent=silent, away=away, now=now, clock=clock)
            or (
                each.state in UNPAID
                and each.reading is not None
                and not held.isdisjoint({each.reading.plan.engine, EVERY_ENGINE})
            )
            for each in self.store.in_state(*STEPS_LEFT, State.SUBMITTED, pieces=True)
            if each.inbox in self.routes
        )
