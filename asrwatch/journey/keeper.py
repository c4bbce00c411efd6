"""Keeps the book: what every piece of news does to the recordings, and which steps come next.

Runs in the daemon's main thread, inside its transactions. It decides with pure functions (`trouble`,
`gate`, `delivery.decide`) and writes to the store; it touches neither files nor network.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, assert_never

from asrwatch import logs
from asrwatch.clock import Step as ClockStep
from asrwatch.clock import is_set, utc_now
from asrwatch.crash import crash_point
from asrwatch.engines import Heard, StillOut
from asrwatch.errors import (
    AnswerLost,
    AsrwatchError,
    EngineError,
    EngineTrouble,
    OurBug,
    SourceChanged,
    Superseded,
    TemporaryError,
    TicketLost,
    Vanished,
)
from asrwatch.inbox.messages import FileSettled
from asrwatch.journey import away, delivery, journey, timeshift, trouble
from asrwatch.journey.budget import Budget, Fuse
from asrwatch.journey.crowd import Crowd
from asrwatch.journey.gate import Gate
from asrwatch.journey.journey import Route
from asrwatch.journey.poller import LATE_AFTER, OVERDUE_AFTER, TaskNews, next_wait
from asrwatch.journey.recording import SUPERSEDED, Failure, Fingerprint, Recording, State
from asrwatch.journey.remembered import Remembered
from asrwatch.journey.room import NO_ROOM, Room, RoomSeen, Shortage, promised_for
from asrwatch.journey.store import STEPS_LEFT, Hold, Store
from asrwatch.journey.suspects import POISON, Suspects, step_of, unfetchable
from asrwatch.values import format_duration, printable

__all__ = ["Change", "Keeper", "Step"]

log = logs.get("journey")

Step = tuple[Recording, Callable[[], Recording]]
"""A recording, and what a worker is to do with it."""

SAME_PURCHASE = timedelta(seconds=5)
"""How long a recording waits for another of the same content that is being transcribed."""
ROOM_AGAIN = timedelta(seconds=10)
"""How long a recording waits whose result is too large for the room there is."""
URL_MARGIN = timedelta(minutes=30)
"""A URL that expires within this long is published afresh before it is asked with."""
DEFAULT_PATIENCE = timedelta(days=3)
"""For recordings whose inbox has left the configuration."""
UNKNOWN_TIMES = 3
FORGOTTEN_AFTER = timedelta(hours=24)
"""A younger task is believed to be forgotten only after it was unknown three times in a row: a wrong key or a
list that lags would otherwise park everything there is."""
UNPAID = frozenset({State.SETTLED, State.STAGED})
FAILED_LOOKED_AFTER = 1000
"""How many of the newest failed recordings a pass checks for files that were taken away."""
OVERDUE_AGAIN = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A recording has become something else: for the log, progress bars and notifiers."""

    before: Recording | None
    after: Recording
    note: str


class Keeper:
    """See the module. Every method is called from the main thread, inside a transaction."""

    SETTLE_AGAIN = (SourceChanged, Superseded, Vanished)
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
    ) -> None:
        self.store = store
        self.fuse = fuse or Fuse(Budget(), store, currency="")
        self._budget_told: datetime | None = None
        self._served: dict[frozenset[State], str] = {}
        self.room = room or Room(state=b"", outputs={}, reserve=None)
        self.routes = routes
        self.gate = gate
        self._key_digest = key_digest
        self._chance = chance
        self._clock = clock
        self._news: list[Change] = []
        self._newer: Remembered[int, Fingerprint] = Remembered()
        self._overdue: Remembered[int, datetime] = Remembered()
        self._seen_path: Remembered[int, None] = Remembered()
        self._settled_anew: set[int] = set()
        self._unknown: Remembered[int, int] = Remembered()
        self._barred: Remembered[str, None] = Remembered()
        self._in_trouble: Remembered[int, str] = Remembered()
        self._to_log: list[Callable[[], None]] = []
        self.suspects = Suspects()

    # Arrivals.

    def open_up(self, now: datetime) -> None:
        """At start: requests that were under way when asrwatch ended are now unknown, and said to be."""
        journey.sweep_spool(self.store.in_state(State.STAGED, State.ASKING), self.routes)
        with self.store.transaction():
            self._bring_home(now)
            self._count_deaths()
            self._compare_clock(now)
            self._seen_path.update((each.id, None) for each in self.store.in_state(State.SETTLED))
            for recording in self.store.in_state(State.ASKING):
                self._save(
                    recording,
                    replace(recording, due=now, changed_at=now),
                    note="asrwatch ended while this request was under way: whether it was accepted is unknown",
                    outcome="lost",
                )
            crash_point("asks-marked")

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
        for recording in self.store.in_state(*STEPS_LEFT, State.SUBMITTED):
            self._save(recording, timeshift.pulled_in(recording, now))
        self.gate.open_now(now)

    def clock_stepped(self, step: ClockStep, *, now: datetime) -> None:
        """The clock was set, or the machine slept: no wait becomes longer or shorter by it."""
        log.warning(
            "clock-was-set" if step.by else "machine-slept",
            by=step.by.total_seconds(),
            slept=step.slept.total_seconds(),
            now=now.isoformat(),
        )
        for recording in self.store.in_state(*STEPS_LEFT, State.SUBMITTED):
            self._save(recording, timeshift.moved(recording, step))
        for hold in self.gate.clock_set(step):
            self.store.hold(hold)
        self._overdue.clear()

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

    def _bring_home(self, now: datetime) -> None:
        """Unfinished recordings of an inbox that was renamed go on, also where their files are gone."""
        unfinished = (*STEPS_LEFT, State.SUBMITTED)
        for recording in self.store.in_state(*unfinished):
            if recording.inbox in self.routes:
                continue
            for name, route in self.routes.items():
                if recording.path.startswith(route.rules.inbox.rstrip(b"/") + b"/"):
                    self._at_home(recording, name, now)
                    break

    def settled(
        self, found: FileSettled, *, under_way: Mapping[int, Recording], now: datetime
    ) -> None:
        """A file stopped changing: it is new, or known, or known with other content."""
        latest = self.store.latest_at(found.path)
        if latest is None:
            self._add(found, now)
        elif latest.id in under_way:
            # The step under way is with the old content: what to do is clear when it ends.
            if latest.fingerprint != found.fingerprint:
                self._newer[latest.id] = found.fingerprint
        else:
            self._found_again(latest, found, now)

    def _found_again(self, latest: Recording, found: FileSettled, now: datetime) -> None:
        latest = self._at_home(latest, found.inbox, now)
        same = latest.fingerprint == found.fingerprint
        if latest.state in UNPAID:
            again = latest.resettle(now=now, fingerprint=None if same else found.fingerprint)
            if not same or latest.trouble is not None:
                self._save(latest, again, note="" if same else "the file changed and settled again")
        elif latest.state is State.FAILED and latest.answer is None:
            returned = latest.failure is not None and latest.failure.code == "vanished"
            if not same or returned:
                again = latest.resettle(now=now, fingerprint=found.fingerprint)
                note = "the file is back" if same else "the file changed"
                self._save(latest, again, note=note)
        elif not same or (latest.failure is not None and latest.failure.code == SUPERSEDED):
            self._add(found, now, latest=latest)

    def _at_home(self, recording: Recording, inbox: str, now: datetime) -> Recording:
        """A recording whose folder now belongs to an inbox of another name goes on there."""
        if recording.inbox == inbox:
            return recording
        moved = replace(recording, inbox=inbox, due=min(recording.due, now))
        self._save(recording, moved, note=f"its inbox is now called {printable(inbox)}")
        return moved

    def _add(self, found: FileSettled, now: datetime, *, latest: Recording | None = None) -> None:
        recording = self.store.add(
            Recording.found(
                inbox=found.inbox, path=found.path, fingerprint=found.fingerprint, now=now
            ),
            note="settled",
        )
        if latest is not None:
            self._seen_path[recording.id] = None
        self._news.append(Change(before=None, after=recording, note="settled"))

    # What workers say.

    def moved(self, before: Recording, after: Recording, *, now: datetime) -> None:
        """A step succeeded."""
        if self._is_anothers_task(before, after):
            self.suffered(before, _ANOTHERS_TASK, now=now)
            return
        self._survived(before)
        if before.state is State.ASKING and after.reading is not None:
            self._request_ended(after.reading.plan.engine, before, now)
        if before.state is State.SETTLED and self._absorbed(before, after):
            return
        outcome = self._outcome(before, after)
        if outcome == "again":
            self._log_saved(
                log.warning,
                "asked-again",
                recording=after.id,
                file=printable(after.path),
                note=_ASKED_AGAIN["again"],
            )
        self._save(before, after, note=self._note(before, after, outcome), outcome=outcome)
        self._overdue.pop(after.id, None)
        if before.reading is None and after.state in UNPAID:
            self._paid_already(after, now)  # needs no engine, so it waits for none
        self._settle_newer(after, now)

    def _is_anothers_task(self, before: Recording, after: Recording) -> bool:
        """Whether the cloud named a task that it had named for another recording before."""
        if before.state is State.SUBMITTED or after.state is not State.SUBMITTED:
            return False
        owner = self.store.owner_of_ticket(_ticket(after))
        return owner is not None and owner != after.id

    def _request_ended(self, engine: str, before: Recording, now: datetime) -> None:
        if not journey.awaits_its_answer(before):
            return  # what became of a request that was lost says nothing of the next one
        asked_at = before.asking.asked_at if before.asking else None
        for hold in self.gate.succeed(engine, now=now, asked_at=asked_at):
            self.store.release(hold.scope)
            log.info("hold-lifted", scope=hold.scope, code=hold.code)

    def _absorbed(self, before: Recording, after: Recording) -> bool:
        """The same content at the same path under a new fingerprint is the same recording (design section 3)."""
        if after.id not in self._seen_path or after.reading is None or before.reading is not None:
            return False
        del self._seen_path[after.id]
        # Only what lay there last: after other content, the same once more is no touch, and what is known
        # of a path must be what lies there.
        older = next((one for one in self.store.all_at(after.path) if one.id != after.id), None)
        if older is None or older.state is State.FAILED:
            return False
        same_content = older.reading is not None and older.reading.sha256 == after.reading.sha256
        # Delivered and moved away, it cannot be lying here touched: somebody dropped it again.
        elsewhere = older.delivery is not None and older.delivery.original != after.path
        if same_content and not elsewhere:
            self.store.drop(after)
            self._save(
                older,
                older.refreshed(after.fingerprint),
                note="touched or remounted, with the same content",
            )
            return True
        return False

    def _outcome(self, before: Recording, after: Recording) -> str:
        """What the ledger learns from this move."""
        if before.state not in {State.ASKING, State.SUBMITTED} or after.state is before.state:
            return ""
        match after.state:
            case State.SUBMITTED:
                return "accepted"
            case State.TRANSCRIBED:
                return "answered"
            case State.STAGED:
                engine = after.reading.plan.engine if after.reading else ""
                route = self.routes.get(after.inbox)
                has_tasks = (
                    route is not None and engine in route.engines and route.engines[engine].tasks
                )
                return "not_accepted" if has_tasks else "again"
            case State.PARKED:
                return "lost"
            case _:
                return ""

    @staticmethod
    def _note(before: Recording, after: Recording, outcome: str) -> str:
        reading, staging = after.reading, after.staging
        match after.state:
            case State.SETTLED | State.STAGED if before.reading is None and reading is not None:
                return "; ".join((*reading.plan.reasons, *reading.plan.left_out))
            case State.SUBMITTED if after.task is not None:
                how = "adopted: " if not journey.is_ours(before) else ""
                return f"{how}task {after.task.ticket}"
            case State.STAGED if before.state is State.ASKING:
                return _ASKED_AGAIN[outcome]
            case State.STAGED if staging is not None and staging.url is not None:
                return "uploaded"
            case State.PARKED if after.failure is not None:
                return after.failure.message
            case State.DELIVERED:
                written = ", ".join(printable(output.path) for output in after.outputs)
                left = after.delivery.left_alone if after.delivery else ""
                return f"{written}. {left}" if left else written
            case _:
                return ""

    def suffered(self, before: Recording, error: AsrwatchError, *, now: datetime) -> None:
        """A step ended in an error that asrwatch knows."""
        if before.state is not State.SUBMITTED:
            self._survived(before)
        route = self.routes.get(before.inbox)
        # What became of a request cannot be found out with a bad key either.
        cause = error.__cause__ if isinstance(error, AnswerLost) else None
        blamed = cause if isinstance(cause, EngineError) else error
        if isinstance(blamed, EngineError) or journey.awaits_its_answer(before):
            self._engine_suffered(before, blamed, now)
        if before.state is State.TRANSCRIBED:
            change = self.room.refused(before.inbox, error)
            if change is not None and change.begun is not None:
                self._tell_shortage(change.begun)
        after, note, outcome = trouble.suffer(
            before,
            error,
            now=now,
            patience=route.patience if route else DEFAULT_PATIENCE,
            rest_within=route.rest_within if route else DEFAULT_PATIENCE,
            automatic=route is not None and route.engine is None,
            chance=self._chance,
        )
        if after.state is State.FAILED:
            # Names decided and never written to are free for whoever comes to that path next.
            after = after.owning(tuple(output for output in after.outputs if output.sha256))
        if route is not None and after.staging is None:
            journey.discard(before, route)
        self._save(before, after, note=note, outcome=outcome)
        self._settle_newer(after, now)

    def _tell_trouble(self, before: Recording, after: Recording) -> None:
        """One warning when a kind of trouble begins, and a line when the last recording has left it behind."""
        code = self._in_trouble.get(after.id)
        if code and (after.trouble is None or after.trouble.last.code != code):
            del self._in_trouble[after.id]
            if code not in self._in_trouble.values():
                self._log_saved(log.info, "trouble-over", code=code)
        if after.trouble is None or after.trouble == before.trouble:
            return
        last = after.trouble.last
        if last.code not in self._in_trouble.values():
            self._log_saved(
                log.warning,
                "trouble",
                code=last.code,
                error=last.message,
                advice=last.advice,
                first=printable(after.path),
            )
        self._in_trouble[after.id] = last.code

    def _engine_suffered(self, before: Recording, error: Exception, now: datetime) -> None:
        """What a request that was refused, or whose answer was lost, says of its engine."""
        engine = before.reading.plan.engine if before.reading else ""
        asked_at = before.asking.asked_at if before.asking else None
        digest = self._key_digest()
        match error:
            case EngineError():
                hold = self.gate.refuse(
                    engine, error, now=now, asked_at=asked_at, key_digest=digest
                )
            case AsrwatchError() if not isinstance(error, AnswerLost):
                if error.code not in trouble.NEVER_LEFT:
                    self.gate.heard_from(engine)
                self.gate.give_up_probe(engine)
                return
            case _:
                hold = self.gate.lose(
                    engine, str(error), now=now, asked_at=asked_at, key_digest=digest
                )
        if hold is None:
            return
        self.store.hold(hold)
        first = hold.count == 1
        (log.error if first else log.warning)(
            "engine-held",
            scope=hold.scope,
            trouble=hold.trouble.value,
            code=hold.code,
            error=hold.message,
            advice=hold.advice,
            until=hold.until.isoformat(timespec="seconds"),
        )

    def surprised(self, before: Recording, error: Exception, *, now: datetime) -> None:
        """A step ended in an error nobody foresaw: that recording fails, the daemon goes on."""
        self._survived(before)
        log.error(
            "unexpected-error", recording=before.id, file=printable(before.path), exc_info=error
        )
        if journey.awaits_its_answer(before):
            self._engine_suffered(before, error, now)
        after, note, outcome = trouble.unexpected(before, error, now=now)
        self._save(before, after, note=note, outcome=outcome)
        self._settle_newer(after, now)

    def _settle_newer(self, recording: Recording, now: datetime) -> None:
        """The file changed while a step was under way, and settled again meanwhile."""
        newer = self._newer.get(recording.id)
        if newer is not None:
            self._settled_anew.add(recording.id)
            found = FileSettled(inbox=recording.inbox, path=recording.path, fingerprint=newer)
            self._found_again(recording, found, now)

    # What the poller says.

    def news(self, told: TaskNews, *, now: datetime) -> None:
        """The cloud said something about a task, or the way to it is barred."""
        self._survived(told.recording)
        current = self.store.get(told.recording.id)
        if (
            current is None
            or current.state is not State.SUBMITTED
            or _ticket(current) != _ticket(told.recording)
        ):
            return
        age = now - current.task.submitted_at if current.task else timedelta(0)
        match told.news:
            case Heard(answer=answer):
                self._save(current, current.hear(answer, now=now), outcome="answered")
                self._overdue.pop(current.id, None)
            case StillOut(status=status, trouble=barrier):
                self._unknown.pop(current.id, None)
                if barrier is not None:
                    current = self._kept_away(current, barrier, now)
                self._still_out(current, status, age, now)
            case EngineError() | TemporaryError() if not told.final:
                if told.news.code not in self._barred:
                    self._log_saved(
                        log.warning, "polling-barred", code=told.news.code, error=str(told.news)
                    )
                    self._barred[told.news.code] = None
                self._still_out(current, told.news.code, max(age, timedelta(minutes=2)), now)
            case TicketLost() if (
                age < FORGOTTEN_AFTER and self._seen_unknown(current) < UNKNOWN_TIMES
            ):
                self._still_out(current, "UNKNOWN", timedelta(0), now)
            case AsrwatchError():
                self.suffered(current, told.news, now=now)
            case _:
                assert_never(told.news)
        if told.final:
            self._barred.clear()

    def _seen_unknown(self, current: Recording) -> int:
        """How often in a row the cloud said that it does not know this task."""
        self._unknown[current.id] = self._unknown.get(current.id, 0) + 1
        return self._unknown[current.id]

    def _kept_away(self, current: Recording, error: AsrwatchError, now: datetime) -> Recording:
        """The task is done and paid for, and its answer cannot be had now: told once, and kept in sight."""
        met = trouble.met_again(current, error, now=now)
        if current.trouble is None or current.trouble.last.code != error.code:
            # a share of the network that is away comes back; another host stays one until a person acts
            tell = log.error if error.code == "foreign-host" else log.warning
            tell(
                "result-kept-away",
                ticket=_ticket(current),
                file=printable(current.path),
                code=error.code,
                error=error.message,
                advice=error.advice,
            )
        return current.postpone(met, due=current.due)

    def _still_out(self, current: Recording, status: str, age: timedelta, now: datetime) -> None:
        self._save(current, replace(current, due=now + next_wait(age)))
        said = self._overdue.get(current.id)
        if LATE_AFTER < age <= OVERDUE_AFTER and said is None:
            self._overdue[current.id] = now
            log.warning(
                "task-late",
                ticket=_ticket(current),
                file=printable(current.path),
                status=status,
                age=format_duration(age),
            )
        if age > OVERDUE_AFTER and (said is None or now - said >= OVERDUE_AGAIN):
            self._overdue[current.id] = now
            self._log_saved(
                log.error,
                "task-overdue",
                ticket=_ticket(current),
                file=printable(current.path),
                status=status,
                age=format_duration(age),
                advice="The cloud forgets a task 24 hours after it has finished.",
            )

    def postpone_polls(self, ids: frozenset[int], *, now: datetime) -> None:
        """A round of polling broke off: whatever it did not answer is asked about later."""
        for recording in self.store.outstanding():
            if recording.id in ids and recording.due <= now:
                self._save(recording, replace(recording, due=now + next_wait(timedelta(hours=1))))

    def hopeless(self, inbox: str) -> tuple[Recording, ...]:
        """Failed recordings of an inbox for which nothing was paid: without their files they are nothing."""
        return tuple(
            recording
            for recording in self.store.in_state(State.FAILED, limit=FAILED_LOOKED_AFTER)
            if recording.inbox == inbox and recording.answer is None
        )

    def gone(self, recordings: Sequence[Recording]) -> None:
        """The files of these failed recordings were taken away: nothing is left to say about them."""
        for recording in recordings:
            current = self.store.get(recording.id)
            if current is not None and current.state is State.FAILED and current.answer is None:
                self.store.drop(current)
                log.info("taken-away", recording=current.id, file=printable(current.path))

    def inbox_back(self, inbox: str, *, now: datetime) -> None:
        """An inbox that was away is back: what waited for it goes on."""
        for recording in self.store.in_state(*away.WAIT_FOR_IT):
            home = away.come_home(recording, now=now) if recording.inbox == inbox else None
            if home is not None:
                self._save(recording, home, note="its inbox is back")

    # What comes next.

    def waiting(self, now: datetime) -> frozenset[str]:
        """The engines that may not be asked at this moment."""
        if not is_set(now) or self._is_spent(now):
            return self.gate.engines
        return self.gate.waiting(now)

    def opens(self, now: datetime) -> datetime | None:
        """The next date on which an engine may be asked that may not now."""
        blown = self.fuse.blown(now)
        return blown.until if blown else self.gate.opens(now)

    def holds(self, now: datetime) -> tuple[Hold, ...]:
        """Everything that keeps engines from being asked: refusals, and a budget that is spent."""
        others = (self.fuse.blown(now), timeshift.unset(now))
        return (*self.gate.holds, *(hold for hold in others if hold))

    def _is_spent(self, now: datetime) -> bool:
        """Whether the budget is; said once for each day or month."""
        blown = self.fuse.blown(now)
        if blown is not None and self._budget_told != blown.until:
            self._budget_told = blown.until
            log.error(
                "budget-spent",
                code=blown.code,
                error=blown.message,
                advice=blown.advice,
                until=blown.until.isoformat(timespec="seconds"),
            )
        return blown is not None

    def hand_out(
        self,
        states: Collection[State],
        *,
        limit: int,
        under_way: Collection[int],
        now: datetime,
        barred_inboxes: Collection[str] = (),
        crowd: Crowd | None = None,
    ) -> list[Step]:
        """The next steps of recordings in these states, for at most `limit` free workers.

        Requests are announced, and saved, here. `crowd` says how many slots one inbox may have.
        """
        steps: list[Step] = []
        crowd = crowd or Crowd()
        passed_over: set[int] = set()
        clock = time.monotonic()
        states = self.may_begin(states, clock)
        while (wanted := limit - len(steps)) > 0:
            chosen = self._in_turn(
                states,
                wanted,
                under_way=(*under_way, *passed_over, *self.suspects.ids),
                barred_inboxes={*barred_inboxes, *crowd.full},
                now=now,
            )
            for recording in chosen:
                if recording.inbox in crowd.full:
                    continue
                passed_over.add(recording.id)
                step = self._next_step(recording, now, barred_inboxes)
                if step is not None:
                    crowd.take(recording.inbox)
                    passed_over.add(step[0].id)  # a probe is of another recording than its turn was
                    steps.append(step)
                    self._served[frozenset(states)] = recording.inbox
            if len(chosen) < wanted:
                break
        return steps

    def may_begin(self, states: Collection[State], clock: float) -> tuple[State, ...]:
        """The states whose recordings may go on: where the state folder lacks room, those already paid for."""
        short = self.room.state_is_short(clock)
        return tuple(state for state in states if not (short and state in UNPAID))

    def room_seen(self, look: RoomSeen, *, now: datetime) -> None:
        """Somebody looked how much room there is: an alarm when it is too little, and work when it is enough."""
        ours = self.store.still_to_come()
        change = self.room.saw(look, promised=promised_for(ours))
        if change is None:
            return
        if change.begun is not None:
            self._tell_shortage(change.begun)
            return
        self._log_saved(log.info, "room-back", folder=printable(change.folder))
        for inbox in self.room.inboxes_of(change.folder):
            self._deliver_now(inbox, now)

    def _tell_shortage(self, shortage: Shortage) -> None:
        self._log_saved(
            log.error,
            "no-room",
            code=shortage.code,
            folder=printable(shortage.folder),
            error=shortage.message,
            advice=shortage.advice,
        )

    def _deliver_now(self, inbox: str, now: datetime) -> None:
        """What could not be written for lack of room is tried at once."""
        for recording in self.store.in_state(State.TRANSCRIBED):
            trouble = recording.trouble
            if recording.inbox == inbox and trouble is not None and trouble.last.code in NO_ROOM:
                self._save(recording, recording.postpone(trouble, due=min(recording.due, now)))

    def _has_room(self, recording: Recording, now: datetime) -> bool:
        if recording.inbox in self.room.barred(time.monotonic()):
            return False
        if self.room.lacks(recording) is None:
            return True
        self._save(recording, replace(recording, due=now + ROOM_AGAIN))
        return False

    def _in_turn(
        self,
        states: Collection[State],
        wanted: int,
        *,
        under_way: Collection[int],
        barred_inboxes: Collection[str],
        now: datetime,
    ) -> tuple[Recording, ...]:
        """What is due, at most `wanted`; where there is more, each inbox in its turn has one.

        Thousands of files dropped in one inbox must not keep another one's file waiting for all of them.
        """
        waiting = self.waiting(now)
        waiting_inboxes = self.room.barred(time.monotonic())

        def due(limit: int, passed: Collection[int], inbox: str | None) -> tuple[Recording, ...]:
            return self.store.due(
                now,
                limit=limit,
                states=states,
                under_way=(*under_way, *passed),
                waiting_engines=waiting,
                waiting_inboxes=waiting_inboxes,
                barred_inboxes=barred_inboxes,
                inbox=inbox,
            )

        whichever = due(wanted + 1, (), None)
        names = sorted({*self.routes, *(recording.inbox for recording in whichever)})
        if len(whichever) <= wanted or len(names) == 1:
            return whichever[:wanted]
        chosen: list[Recording] = []
        last = self._served.get(frozenset(states), "")
        names = [name for name in names if name > last] + [name for name in names if name <= last]
        while names and len(chosen) < wanted:
            for name in tuple(names):
                found = due(1, [one.id for one in chosen], name)
                if not found:
                    names.remove(name)
                    continue
                chosen += found
                if len(chosen) == wanted:
                    break
        return tuple(chosen)

    def trial(
        self,
        *,
        under_way: Collection[int],
        now: datetime,
        barred_inboxes: Collection[str] = (),
    ) -> list[Step] | None:
        """The step of a suspect, which is taken alone; None where others may go on."""
        if not self.suspects.ids:
            return None
        if self.suspects.in_trial(under_way):
            return [] if self.suspects.others_wait(under_way, now) else None
        ready = self.store.due(
            now,
            limit=1,
            only=self.suspects.ids,
            waiting_engines=self.waiting(now),
            barred_inboxes=barred_inboxes,
        )
        if not ready:
            grave = any(
                self.suspects.is_grave(one.id) and one.due <= now
                for one in self.suspects.of_polling(self.store.outstanding())
            )
            return [] if grave else None
        if under_way:
            return []  # what is under way ends first, or a death would tell nothing
        self.suspects.begins(ready[0].id, now)
        step = self._next_step(ready[0], now, barred_inboxes)
        return [step] if step else []

    def round_of(
        self, batch: Sequence[Recording], *, under_way: Collection[int], now: datetime
    ) -> tuple[Recording, ...]:
        """Which of these tasks to ask about, written down as begun: a suspect alone, none during another's trial."""
        if self.suspects.in_trial(under_way) and self.suspects.others_wait(under_way, now):
            return ()
        suspected = self.suspects.of_polling(batch)
        poison = [one for one in suspected if self.suspects.is_poison(one)]
        for one in poison:
            self._give_up(one, now)
        chosen = tuple(one for one in batch if one not in poison)
        tried = next((one for one in suspected if one not in poison), None)
        if tried is not None:
            if self.suspects.is_grave(tried.id) and under_way:
                return ()  # what is under way ends first, or a death would tell nothing
            self.suspects.begins(tried.id, now)
            chosen = (tried,)
        for one in chosen:
            self.store.begin_try(one.id, step_of(one))
        return chosen

    def _next_step(
        self, recording: Recording, now: datetime, barred: Collection[str]
    ) -> Step | None:
        """What a worker does next with it, written down as begun; None where nothing, or nothing yet."""
        if self.suspects.is_poison(recording):
            self._give_up(recording, now)
            return None
        step = self._chosen_step(recording, now, barred)
        if step is not None:
            self.store.begin_try(recording.id, step_of(step[0]))
        return step

    def _give_up(self, recording: Recording, now: datetime) -> None:
        """It has killed asrwatch often enough; a person looks at it, its neighbours go on."""
        self.suspects.acquit(recording.id)
        self.store.end_try(recording.id)
        if recording.state is State.SUBMITTED:
            failure = unfetchable(recording)
            parked = recording.park(failure, now=now)
            self._save(recording, parked, note=failure.message, outcome="lost")
            return
        money = recording.state is State.ASKING  # what was paid is a question of its own
        after = recording.park(POISON, now=now) if money else recording.fail(POISON, now=now)
        self._save(recording, after, note=POISON.message, outcome="lost" if money else "")

    def _chosen_step(
        self, recording: Recording, now: datetime, barred: Collection[str]
    ) -> Step | None:
        route = self.routes.get(recording.inbox)
        if route is None:
            # Its inbox left the configuration: it stays as it is until the inbox is back.
            self._save(recording, replace(recording, due=now + timedelta(hours=1)))
            return None
        match recording.state:
            case State.SETTLED if recording.reading is not None and self._paid_already(
                recording, now
            ):
                return None
            case State.SETTLED if recording.reading is not None and not self._has_room(
                recording, now
            ):
                return None
            case State.STAGED:
                return self._announce(self._probe(recording, now, barred), now)
            case State.TRANSCRIBED:
                recording = self._with_outputs(recording, route)
            case _:
                pass
        known = self.store.known_tickets() if recording.state is State.ASKING else frozenset()
        return recording, partial(journey.advance, recording, route, clock=self._clock, known=known)

    def _probe(self, recording: Recording, now: datetime, barred: Collection[str]) -> Recording:
        """A held engine is tried with the shortest recording that waits for it: the cheapest question there is."""
        engines = self.gate.probes(recording.reading.plan.engine if recording.reading else "")
        if not engines:
            return recording
        shortest = self.store.shortest_staged(
            now, engines=engines, inboxes=set(self.routes) - set(barred)
        )
        return shortest or recording

    def _announce(self, recording: Recording, now: datetime) -> Step | None:
        reading, staging = recording.reading, recording.staging
        route = self.routes[recording.inbox]
        if reading is None or staging is None:
            raise OurBug("a staged recording lacks its evidence")
        if not self.gate.is_open(reading.plan.engine, now) or self._paid_already(recording, now):
            return None
        if self._is_spent(now):
            return None
        if staging.url_expires is not None and staging.url_expires < now + URL_MARGIN:
            self._save(recording, recording.resettle(now=now), note="its URL is about to expire")
            return None
        if self._parked_already(recording, reading.purchase, now):
            return None
        if self.store.being_bought(reading.purchase):
            self._save(recording, replace(recording, due=now + SAME_PURCHASE))
            return None
        if self.store.perhaps_asked_before(recording):
            self._save(recording, recording.fail(_RESTORED, now=now), note=_RESTORED.message)
            return None
        if not self._has_room(recording, now):
            return None
        self.room.take(recording)
        self.gate.take(reading.plan.engine, now)
        announced = journey.announce(recording, route, now=now)
        self._save(recording, announced)
        if announced.asking is not None:
            self.fuse.announced(announced.asking)
        return announced, partial(journey.ask, announced, route, clock=self._clock)

    def _parked_already(self, recording: Recording, purchase: str, now: datetime) -> bool:
        """Whether this content was paid for is already a person's question: a copy does not answer it."""
        other = self.store.parked_with(purchase)
        if other is None or self._was_parked(recording):
            return False
        failure = Failure(
            error="AnswerLost",
            code="answer-lost",
            message=f"The same content is parked as {printable(other.path)}: whether it was paid is unknown.",
            advice=f"`asrwatch retry {printable(other.path)}` asks for it again, which may be paid a second "
            "time; after that a retry of this one is delivered from the answer, for nothing.",
        )
        self._save(recording, recording.fail(failure, now=now), note=failure.message)
        return True

    def _was_parked(self, recording: Recording) -> bool:
        """Whether a person has decided about this very recording: nothing else leads out of `parked`."""
        return any(event.after is State.PARKED for event in self.store.story(recording.id))

    def _paid_already(self, recording: Recording, now: datetime) -> bool:
        """The same content was transcribed before, with the same engine and options: never buy it again."""
        if recording.reading is None:
            return False
        answer = self.store.answer_for(recording.reading.purchase)
        if answer is None:
            return False
        self._save(
            recording,
            recording.hear(answer, now=now),
            note="the same content was transcribed before: delivered from that answer, not paid again",
        )
        return True

    def _with_outputs(self, recording: Recording, route: Route) -> Recording:
        """Decide once where the outputs go, and save it before the first is written."""
        if {output.format for output in recording.outputs} == set(route.formats):
            return recording
        decided = delivery.decide(recording, route.rules, owners_of=self.store.owners_of)
        owning = recording.owning(decided)
        self._save(recording, owning)
        return owning

    def nothing_left(self, now: datetime) -> bool:
        """Whether nothing is left to do, or all that is left waits for a key, money, a permission or a budget."""
        if self.store.left_to_do(self.routes) == 0:
            return True
        held = {hold.scope for hold in self.gate.holds if hold.trouble in _FOR_A_PERSON}
        if self.fuse.blown(now) is not None:
            held |= self.gate.engines
        return bool(held) and self.store.left_besides(self.routes, held) == 0

    def key_glanced(self, *, now: datetime) -> None:
        """Lift the holds of a key that has changed since."""
        for hold in self.gate.key_changed(self._key_digest()):
            self.store.release(hold.scope)
            log.info(
                "hold-lifted",
                scope=hold.scope,
                code=hold.code,
                reason="the key changed",
                at=now.isoformat(),
            )

    # The news.

    def take_news(self) -> list[Change]:
        """After the commit: log what changed, and hand it over for whoever listens."""
        news, self._news = self._news, []
        for recording_id in self._settled_anew:
            self._newer.pop(recording_id, None)
        self._settled_anew.clear()
        for memory in self._memories:
            memory.keep()
        self.gate.keep()
        to_log, self._to_log = self._to_log, []
        for write in to_log:
            write()
        for change in news:
            crash_point(f"saved:{change.after.state.value}")
            self._log(change)
        return news

    def discard_news(self) -> None:
        """After a commit that failed: nothing of it happened, and nothing of it is remembered."""
        self.fuse.read_again()
        self._news.clear()
        self._settled_anew.clear()
        self._to_log.clear()
        for memory in self._memories:
            memory.go_back()
        self.gate.go_back()

    @property
    def _memories(self) -> tuple[Remembered[Any, Any], ...]:
        return (
            self._newer,
            self._overdue,
            self._seen_path,
            self._unknown,
            self._barred,
            self._in_trouble,
        )

    def _log_saved(self, write: Callable[..., Any], event: str, **values: Any) -> None:
        """Log it once it is saved: what was not saved did not happen, and is said when it does."""
        self._to_log.append(partial(write, event, **values))

    def _save(
        self, before: Recording, after: Recording, *, note: str = "", outcome: str = ""
    ) -> None:
        self.store.save(before, after, note=note, outcome=outcome)
        if self.suspects.is_past(after):
            self.suspects.acquit(after.id)
            self.store.end_try(after.id)
        if outcome:
            self.fuse.ended(before.asking, after.answer.billed if after.answer else None)
        if before.trouble is not None or after.trouble is not None:
            self._tell_trouble(before, after)
        crash_point(f"saving:{after.state.value}")
        if after.state is not before.state or note:
            self._news.append(Change(before=before, after=after, note=note))

    @staticmethod
    def _log(change: Change) -> None:
        after = change.after
        write = log.error if after.state in {State.FAILED, State.PARKED} else log.info
        failure = after.failure
        planned = after.state is State.SETTLED and after.reading is not None
        write(
            "planned" if planned else after.state.value,
            recording=after.id,
            inbox=after.inbox,
            file=printable(after.path),
            **({"note": printable(change.note)} if change.note else {}),
            **({"code": failure.code, "advice": failure.advice} if failure else {}),
        )


_RESTORED = Failure(
    error="AnswerLost",
    code="restored",
    message="The state was restored from a backup that lacks requests made after it; this recording's may be one "
    "of them.",
    advice="Look whether its transcript is there: then `asrwatch forget`; else `asrwatch retry` asks, which may be "
    "paid for a second time.",
)
_ANOTHERS_TASK = AnswerLost(
    "The cloud answered with the number of a task that belongs to another recording.",
    code="duplicate-ticket",
    advice="What became of the request is looked for in the cloud's list of tasks.",
)
_ASKED_AGAIN = {
    "again": "its answer is lost: asked again, which may be paid a second time",
    "not_accepted": "the cloud's list holds nothing of it: it was never accepted, and is asked again",
}
_FOR_A_PERSON = frozenset({EngineTrouble.KEY, EngineTrouble.MONEY, EngineTrouble.FORBIDDEN})


def _ticket(recording: Recording) -> str:
    return recording.task.ticket if recording.task else ""
