"""The daemon: one mailbox for everything that happens, worker slots, the clock, the clean stop.

Only this thread writes the database. Workers, lookouts, the control socket and signal handlers put messages
into the mailbox; this thread saves what they say, several messages in one synced transaction, and hands out
the next steps. A step under way is a member of `_under_way`, rightly forgotten by a crash.
"""

import os
import queue
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, assert_never

from asrwatch import crew, logs
from asrwatch.clock import SYSTEM, Clock, Steady, is_set
from asrwatch.clock import Step as ClockStep
from asrwatch.cloud import KeyRing
from asrwatch.crash import crash_point
from asrwatch.engines import Engine
from asrwatch.errors import AsrwatchError, NeedsPerson, OurBug, OutOfOrder, TemporaryError
from asrwatch.files.room import Reserve
from asrwatch.heartbeats import Heartbeats, allow, beat, called_off
from asrwatch.inbox.lookout import Lookout, Snapshot
from asrwatch.inbox.messages import (
    About,
    FileSettled,
    InboxHealed,
    InboxTrouble,
    PassKind,
    ScanDone,
)
from asrwatch.inbox.presence import Presence
from asrwatch.journey import timeshift
from asrwatch.journey.away import is_gone
from asrwatch.journey.backups import BackupRules, Backups
from asrwatch.journey.book import Change
from asrwatch.journey.budget import Budget, Fuse
from asrwatch.journey.filling import REST, Filler
from asrwatch.journey.gate import Gate
from asrwatch.journey.herald import Wish
from asrwatch.journey.journey import Route, awaits_its_answer, is_ours, tidy_up
from asrwatch.journey.keeper import Keeper
from asrwatch.journey.next_step import Step
from asrwatch.journey.noting import Noting, Task
from asrwatch.journey.poller import TaskNews
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.room import RESERVE_AT_ONCE, Room, RoomSeen
from asrwatch.journey.store import RESERVE, Letter, Store, StoreTrouble
from asrwatch.journey.survey import Survey
from asrwatch.journey.tidings import standing
from asrwatch.mail import (
    LATER,
    Answered,
    Call,
    Mail,
    PollingDone,
    StepDone,
    Stop,
    TakenAway,
    is_paid_for,
    urgency,
)
from asrwatch.news import Standstill
from asrwatch.notifiers import Notifier as MessageNotifier
from asrwatch.polling import Rounds
from asrwatch.slots import MOST_CHORES, Slots
from asrwatch.supervision import Supervision
from asrwatch.systemd import Notifier
from asrwatch.telling import Courier
from asrwatch.values import format_duration, printable

__all__ = ["Daemon", "House"]

log = logs.get("daemon")

LONGEST_SLEEP = timedelta(seconds=20)
KEY_GLANCE = timedelta(seconds=2)
STORE_PAUSE = timedelta(seconds=2)
ONCE_WAITS = timedelta(seconds=5)
"""So long `asrwatch once` waits for room or a share, once nothing else is left to do."""
ONCE_WAITS_FOR_STORE = timedelta(seconds=20)
"""So long it waits for a database that cannot be written."""
ONCE_WAITS_TO_TELL = timedelta(seconds=15)
"""So long it waits for notifiers, once nothing else is left to do."""
LOCKED = "database-locked"
ROOM_GLANCE = timedelta(seconds=2)
TURN = timedelta(seconds=60)
"""How long this thread may take over what it does between two waits: a slow disk's commits, nothing else."""
STEP = timedelta(minutes=2)
"""How long a step may go without a sign that it moves; what takes longer by its nature says so itself."""
WHILE_ENDING = timedelta(milliseconds=250)
MORE_TIME = timedelta(seconds=30)
"""What systemd is asked for, again and again, while an end waits for a request: it may take longer than
`TimeoutStopSec`, and what was paid for is worth waiting for."""
LOOKOUTS_END, CHORES_END, DELIVERIES_END, UNSAVED_END = 1.0, 1.0, 3.0, 120.0
"""Seconds that an end waits for these. Readings and uploads are free, and begun anew by the next start."""
REPLACED_AGAIN = timedelta(seconds=10)
"""A lookout that dies at once, again and again, is not replaced in a busy loop."""
AT_ONCE = 32
"""How many messages are saved in one transaction at most."""


@dataclass(frozen=True, kw_only=True)
class House:
    """Everything the daemon works with, as objects (built by `bootstrap`).

    `workers` is how many paid requests are under way at once; at most as many other steps run beside them.
    `lookouts` makes an inbox's lookout from what is known already; `until_quiet` ends the daemon once
    everything there is has been dealt with (`asrwatch once`). `budget` is what may be asked for, in `currency`;
    `notifiers`, by key, are told what the `wishes` of the inboxes say; `reserve` is what must stay free on
    disks, None looks at none. `on_change` is told of recordings, `on_every_change` also of pieces of them.
    """

    store: Store
    routes: Mapping[str, Route]
    engines: Mapping[str, Engine[Any]]
    lookouts: Mapping[str, Callable[..., Lookout]]
    keys: KeyRing
    workers: int
    notifier: Notifier
    reserve: int | None = None
    backup: BackupRules | None = None
    budget: Budget = field(default=Budget())
    currency: str = ""
    until_quiet: bool = False
    on_change: Sequence[Callable[[Change], None]] = field(default=())
    on_every_change: Sequence[Callable[[Change], None]] = field(default=())
    notifiers: Mapping[str, MessageNotifier[Any]] = field(default_factory=dict)
    wishes: Sequence[Wish] = ()
    clock: Clock = SYSTEM


class Daemon:
    """Runs until it is told to stop. Create it, `run` it in the main thread, `post` to it from any other."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.clock = house.clock
        self.hearts = Heartbeats(house.clock.monotonic)
        self.supervision = Supervision(self.hearts, house.notifier)
        self.mailbox: queue.SimpleQueue[Mail] = queue.SimpleQueue()
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
        self.room, self._reserve, self._survey = self._room_of(house)
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
        self.lookouts: dict[str, Lookout] = {}
        self.slots = Slots(
            workers=house.workers, inboxes=len(house.routes), supervision=self.supervision
        )
        self.under_way = self.slots.under_way
        self.started_at = self.clock.now()
        self._workers = ThreadPoolExecutor(
            # twice what is ever busy: a thread that is stuck is made up for by another
            2 * (house.workers + MOST_CHORES),
            thread_name_prefix="worker",
        )
        self.rounds = Rounds(
            house.store,
            house.engines,
            clock=self.clock,
            hearts=self.hearts,
            usual=STEP,
            post=self.post,
        )
        self._on_trial = False
        self._stop: Stop | None = None
        self._ending = False
        self._unsaved: list[Mail] = []
        self._store_trouble: StoreTrouble | None = None
        self._standstills: tuple[Standstill, ...] = ()
        self._reserve_is_given = False
        self._aside: set[str] = set()
        self._next_glance = self.clock.monotonic()
        self._next_replacement = self._next_glance
        self._waiting_since: float | None = None
        self._steady = Steady(self.clock, house.store.offset())
        self._steps: list[ClockStep] = []
        self._steps_meanwhile: dict[int, list[ClockStep]] = {}

    def _room_of(self, house: House) -> tuple[Room, Reserve, Survey]:
        state = os.fsencode(house.store.state_dir)
        outputs = {name: route.rules.outputs_root for name, route in house.routes.items()}
        room = Room(state=state, outputs=outputs, reserve=house.reserve)
        size = (house.reserve or 0) // RESERVE_AT_ONCE
        reserve = Reserve(house.store.state_dir / RESERVE, size)
        survey = Survey(state=state, reserve=reserve, spare=house.reserve or 0, post=self.post)
        return room, reserve, survey

    @property
    def stopping(self) -> bool:
        """Whether the end was asked for: another `Stop` would hurry it."""
        return self._stop is not None

    @property
    def trouble(self) -> StoreTrouble | None:
        """What keeps the database from being written, as of the last try; any thread may look."""
        return self._store_trouble

    @property
    def standstills(self) -> tuple[Standstill, ...]:
        """What kept recordings waiting when the last turn ended; any thread may look."""
        return self._standstills

    def post(self, mail: Mail) -> None:
        """Put something into the mailbox; any thread, any signal handler, never blocks."""
        self.mailbox.put(mail)

    def look_around(self, reason: str) -> None:
        """Look at every inbox again, soon; in the daemon's own thread (post a `Call`)."""
        for lookout in self.lookouts.values():
            lookout.nudge()
        log.info("looking-around", reason=reason, inboxes=len(self.lookouts))

    def run(self) -> None:
        """Work until stopped or, with `until_quiet`, until nothing is left to do."""
        with self.hearts.pulse("the turns of the daemon", usual=TURN, vital=True):
            self._open_up()
            self.house.notifier.ready()
            crash_point("ready")
            self.supervision.start()
            try:
                while not self.stopping and not self._is_quiet():
                    self._turn()
                self._wind_up()
            except (NeedsPerson, OutOfOrder):
                self._break_off()
                raise
            except BaseException:
                self._wind_up()
                raise
            finally:
                self.supervision.stop()

    def _open_up(self) -> None:
        house = self.house
        if stepped := self._steady.look():
            with house.store.transaction():
                self.keeper.clock_stepped(stepped, now=self.clock.now())
        self.keeper.open_up(self.clock.now())
        self.noting.open_up()
        house.store.keep_offset(self._steady.offset)
        crash_point("opened-up")
        self._saved()
        for inbox, interrupted in self.keeper.interrupted().items():
            self._tidy_up(inbox, interrupted)
        for name in house.lookouts:
            self._look_at(name)
        crash_point("lookouts-started")
        watchdog = house.notifier.watchdog
        log.info(
            "started",
            inboxes=len(self.lookouts),
            workers=house.workers,
            watchdog=format_duration(watchdog) if watchdog else "none: nobody starts it anew",
        )

    def _tidy_up(self, inbox: str, interrupted: Sequence[tuple[Recording, Route]]) -> None:
        """Remove drafts that a killed process left; by a worker, since a share may not answer."""

        def work() -> None:
            for recording, route in interrupted:
                tidy_up(recording, route)
                beat()
            crash_point("tidied")

        self._beside(f"tidying up {inbox}", inbox, work)

    def _beside(self, doing: str, inbox: str, work: Callable[[], None]) -> None:
        """Have a worker do something with an inbox that is no recording's step; one such thing at a time."""
        if doing in self._aside:
            return
        self._aside.add(doing)

        def watched() -> None:
            try:
                with self.hearts.pulse(doing, usual=STEP, vital=False, key=inbox):
                    work()
            finally:
                self._aside.discard(doing)

        if not crew.handed(self._workers, watched):
            self._aside.discard(doing)
            _unmanned()

    def _look_at(self, inbox: str) -> None:
        """Begin to look at an inbox, or begin anew where whoever looked has died."""
        known = self.house.store.known(inbox)
        lookout = self.house.lookouts[inbox](known=known, post=self.post, hearts=self.hearts)
        self.lookouts[inbox] = lookout
        lookout.start()

    def _replace_the_dead(self) -> None:
        """A lookout lives as long as the daemon, unless a fault of ours has ended it."""
        for inbox, lookout in list(self.lookouts.items()):
            if not lookout.alive and self.clock.monotonic() >= self._next_replacement:
                self._next_replacement = self.clock.monotonic() + REPLACED_AGAIN.total_seconds()
                log.error(
                    "lookout-died",
                    inbox=inbox,
                    advice="Another one has taken over. Please report this with the log.",
                )
                try:
                    self._look_at(inbox)
                except RuntimeError:  # what threading raises where no more threads are to be had
                    _unmanned()

    def begin(self, step: Callable[[], Recording], recording: Recording) -> None:
        """Give a step to a worker; its end arrives as `StepDone`."""
        self.under_way[recording.id] = recording
        self._steps_meanwhile.pop(recording.id, None)

        def work() -> None:
            name = printable(recording.path)
            pulse = self.hearts.pulse(
                f"{_DOING[recording.state]} {name}",
                usual=STEP,
                vital=False,  # but for the request itself: a share that is dead is no reason to end
                key=recording,
            )
            with logs.bound(recording=recording.id, file=name), pulse as mine:
                outcome: Recording | Exception
                try:
                    outcome = step()
                except Exception as error:  # noqa: BLE001 - the one place: a step's failure is that recording's
                    outcome = error
                crash_point("step-done")
                if mine.goes_on():
                    self.post(StepDone(before=recording, outcome=outcome))
                else:
                    self._aside.discard(_hanging(recording))

        if not crew.handed(self._workers, work):
            self.post(StepDone(before=recording, outcome=_unmanned()))

    def _call_off(self) -> None:
        """A request that has not left, as its file does not answer, holds up neither its engine nor its copies."""
        for late in self.supervision.late:
            asking = late.key
            if (
                not isinstance(asking, Recording)
                or self.under_way.get(asking.id) is not asking
                or not awaits_its_answer(asking)
                or _hanging(asking) in self._aside
            ):
                continue
            self._aside.add(_hanging(asking))  # nobody waits for its thread at the end
            if self.hearts.call_off(asking):
                self.post(StepDone(before=asking, outcome=called_off()))
            else:
                self._aside.discard(_hanging(asking))

    def _goes_on(self) -> bool:
        """Whether new work may begin."""
        return self._stop is None and not self._ending

    # One turn of the wheel.

    def _turn(self) -> None:
        beat()
        if self._reserve_is_given or (self._store_trouble is not None and self._unsaved):
            self._receive_one_by_one()
            return
        try:
            self._call_off()
            self._unsaved = self._unsaved or self._wait()
            if stepped := self._steady.look():
                self._steps.append(stepped)
            with self.house.store.transaction():
                self._mind_clock()
                for piece in self._unsaved:
                    self._receive(piece)
                tasks = self._notes() if self._goes_on() else []
                steps = self._hand_out() if self._goes_on() else []
                batch = self._due_for_polling(steps) if self._goes_on() else ()
                letters = self._letters()
                standstills = self._what_stands_still()
        except StoreTrouble as error:
            self._undo()
            self._tell_store_trouble(error)
            self._receive_one_by_one()
            return
        except (NeedsPerson, OutOfOrder):
            raise
        except Exception:  # whatever it is, no message that is paid for may be lost to it
            self._undo()
            log.exception("unexpected-error")
            self._receive_one_by_one()
            return
        self._unsaved = []
        self._steps = []
        self._standstills = standstills
        crash_point("handed-out")
        self._tell_store_trouble(None)
        self._saved()
        for recording, step in steps:
            self.begin(step, recording)
        for letter in letters:
            self.courier.begin(letter)
        if not self.rounds.begin(batch, go_on=self._goes_on):
            self.post(PollingDone(error=_unmanned()))
        if self._goes_on():
            self._replace_the_dead()
            self.house.store.remark()
            self._back_up()
            self._fill_in()
            self._see_to_notes(tasks)

    def _mind_clock(self) -> None:
        """Dates move with the clock, also those of what is under way, whose steps hold them as they were."""
        for step in self._steps:
            self.keeper.clock_stepped(step, now=self.clock.now())
            self.house.store.keep_offset(self._steady.offset)
            for recording_id in self.under_way:
                meanwhile = self._steps_meanwhile.setdefault(recording_id, [])
                if step not in meanwhile:
                    meanwhile.append(step)

    def _receive_one_by_one(self) -> None:
        """When not all can be saved: what can is, what is paid for first, and what cannot is kept for later.

        So no message spoils another, and neither a question nor the end has to wait for a disk.
        """
        mail, self._unsaved = sorted([*self._unsaved, *self._arrived()], key=urgency), []
        self._look_for_room()
        failed: StoreTrouble | None = None
        for piece in mail:
            locked = failed is not None and failed.code == LOCKED and not isinstance(piece, Stop)
            later = self._reserve_is_given and urgency(piece) == LATER
            try:
                if locked or later:
                    self._keep(piece, failed)
                else:
                    self._receive_alone(piece)
            except StoreTrouble as error:
                self._undo()
                failed = error
                self._tell_store_trouble(error)
                self._keep(piece, error)
            except (NeedsPerson, OutOfOrder):
                raise
            except Exception as error:
                self._undo()
                log.exception("message-dropped", message=type(piece).__name__)
                if isinstance(piece, StepDone):
                    self._give_up(piece, error)
                if isinstance(piece, FileSettled):
                    self.lookouts[piece.inbox].look_again(piece.path)
            beat()
        if failed is None and mail:
            self._tell_store_trouble(None)
        self._rest()

    def _rest(self) -> None:
        """Not a busy loop, should the trouble lie in handing out."""
        pause = STORE_PAUSE if self._goes_on() else WHILE_ENDING
        time.sleep(pause.total_seconds())

    def _keep(self, piece: Mail, error: StoreTrouble | None) -> None:
        """Save it later; but who asks is told now."""
        if isinstance(piece, Call) and error is not None:
            piece.spoiled(error)
        else:
            self._unsaved.append(piece)

    def _receive_alone(self, piece: Mail) -> None:
        """Save one message; the room of the reserve is given up for one that is paid for."""
        if isinstance(piece, Stop):
            self._receive(piece)
            return
        try:
            self._receive_in_one(piece)
        except StoreTrouble as error:
            if error.code == LOCKED or not is_paid_for(piece) or not self._reserve.give_up():
                raise
            self._undo()
            self._reserve_is_given = True
            log.error("reserve-given-up", error=str(error))  # noqa: TRY400 - its traceback says nothing to a person
            self._receive_in_one(piece)

    def _receive_in_one(self, piece: Mail) -> None:
        with self.house.store.transaction():
            self._receive(piece)
        self._saved()

    def _tell_store_trouble(self, error: StoreTrouble | None) -> None:
        """One line when the database becomes unusable, and one when it is usable again."""
        before, self._store_trouble = self._store_trouble, error
        if error is not None and (before is None or before.code != error.code):
            log.error("database-trouble", code=error.code, error=str(error))
        if error is None and before is not None:
            log.info("database-trouble-over", code=before.code)

    def _give_up(self, done: StepDone, error: Exception) -> None:
        """A step whose end cannot be saved fails its recording; with money under way it is reconciled."""
        try:
            with self.house.store.transaction():
                self.keeper.surprised(done.before, error, now=self.clock.now())
            self._saved()
        except (NeedsPerson, OutOfOrder):
            raise
        except Exception:  # same
            self._undo()
            log.exception("unexpected-error")
        self.under_way.pop(done.before.id, None)

    def _saved(self) -> None:
        """After a commit: what it ended is no longer under way, and whoever listens is told."""
        self.slots.let_go()
        for change in self.keeper.take_news():
            listeners = self.house.on_change if change.after.part_of is None else ()
            for tell in (*self.house.on_every_change, *listeners):
                try:
                    tell(change)
                except Exception:  # a listener's trouble is not the recordings'
                    log.exception("listener-failed")

    def _undo(self) -> None:
        """After a commit that failed: nothing of it happened."""
        self.slots.ended.clear()
        self.keeper.discard_news()
        self.noting.undo()

    def _wait(self) -> list[Mail]:
        """The next messages, as many as are there; none if something falls due first."""
        mail: list[Mail] = []
        try:
            rest = max(self._sleep(), timedelta(milliseconds=1))
            with allow(rest + TURN):
                mail.append(self.mailbox.get(timeout=rest.total_seconds()))
            while len(mail) < AT_ONCE:
                mail.append(self.mailbox.get_nowait())
        except queue.Empty:
            pass
        return mail

    def _arrived(self) -> list[Mail]:
        """Every message that is there."""
        mail: list[Mail] = []
        with suppress(queue.Empty):
            while True:
                mail.append(self.mailbox.get_nowait())
        return mail

    def _sleep(self) -> timedelta:
        """How long nothing falls due, at most `LONGEST_SLEEP`: the clock may be set meanwhile."""
        now = self.clock.now()
        longest = LONGEST_SLEEP if self._goes_on() else WHILE_ENDING
        if self.gate.holds or self.keeper.suspects.ids:
            longest = min(longest, KEY_GLANCE)
        if self.filler.has_work or self.noting.has_work:
            longest = min(longest, REST)
        barred, clock = self.room.barred(time.monotonic()), time.monotonic()
        if barred or self.room.shortages:
            longest = min(longest, ROOM_GLANCE)
        apart = (*self.under_way, *self.keeper.suspects.ids)
        dates = [self.keeper.opens(now)]
        if self._goes_on():  # nothing is told while it ends
            dates.append(self.keeper.herald.opens(now, busy=self.courier.busy))
        dates += [
            self.house.store.next_due(
                states=self.keeper.may_begin(states, clock),
                waiting_inboxes=barred,
                waiting_engines=self.keeper.waiting(now),
                under_way=apart,
                barred_inboxes=shut,
            )
            for states, shut in ([] if self._on_trial else self.slots.open_kinds(now))
        ]
        if not self.rounds.under_way and not self._on_trial and is_set(now):
            dates.append(self.house.store.next_poll())
        waits = [max(date - now, timedelta(0)) for date in dates if date is not None]
        return min([longest, *waits])

    def _receive(self, mail: Mail) -> None:  # noqa: C901, PLR0912 - one short case per kind of message
        now = self.clock.now()
        match mail:
            case FileSettled():
                self.keeper.settled(mail, under_way=self.slots.working(), now=now)
            case StepDone():
                self._step_done(mail, now)
            case TaskNews():
                self.keeper.news(mail, now=now)
            case PollingDone(error=error):
                if error is not None:
                    log.error("polling-failed", exc_info=error)
                    self.keeper.postpone_polls(self.rounds.under_way, now=now)
                self.keeper.broken_off(self.rounds.under_way)
                self.rounds.ended()
            case InboxTrouble():
                log.error(
                    "inbox-trouble",
                    inbox=mail.inbox,
                    code=mail.code,
                    error=mail.message,
                    advice=mail.advice,
                )
                if mail.about is About.ROOT:
                    self.keeper.herald.inbox_seen(mail.inbox, _standstill(mail, now))
            case InboxHealed():
                log.info("inbox-healed", inbox=mail.inbox, about=mail.about.value)
                if mail.about is About.ROOT:
                    self.keeper.herald.inbox_seen(mail.inbox, None)
                    self.keeper.inbox_back(mail.inbox, now=now)
            case RoomSeen():
                self.keeper.room_seen(mail, now=now)
                self.keeper.herald.disk_seen(mail.folder)
                if not self.room.state_is_short(time.monotonic()):
                    self._reserve_is_given = False
            case Answered():
                self.courier.ended(mail.letter)
                self.keeper.herald.answered(mail.letter, mail.error, now=now)
            case TakenAway(recordings=recordings):
                self.keeper.gone(recordings)
            case ScanDone():
                if mail.kind is PassKind.WHOLE and mail.complete:
                    self.keeper.seen_whole(mail.inbox, now=now)
                    self.keeper.herald.inbox_known(mail.inbox)
                    self.keeper.sweep(self.clock.monotonic())
                    self._look_after(mail.inbox)
                if mail.kind is not PassKind.LOOK:
                    self._look_after_notes(mail.inbox)
                log.debug("scanned", inbox=mail.inbox, files=mail.files, kind=mail.kind.value)
            case Stop(reason=reason):
                self._stop = mail
                log.info("stopping", reason=reason, under_way=len(self.under_way))
            case Call(answer=answer):
                answer(self)
            case _:
                assert_never(mail)

    def _step_done(self, mail: StepDone, now: datetime) -> None:
        """What a worker's step came to; its class, if it is an error, says what happens."""
        before, outcome = mail.before, mail.outcome
        self.slots.ended.add(before.id)
        for step in self._steps_meanwhile.get(before.id, ()):
            as_it_is = timeshift.moved(before, step)
            if isinstance(outcome, Recording):
                outcome = timeshift.carried_over(before, as_it_is, outcome)
            before = as_it_is
        if isinstance(outcome, Recording):
            self.keeper.moved(before, outcome, now=now)
        elif isinstance(outcome, AsrwatchError) and not isinstance(outcome, OurBug):
            self.keeper.suffered(before, outcome, now=now)
            self._look_again(before, outcome)
        else:
            self.keeper.surprised(before, outcome, now=now)

    def _look_again(self, recording: Recording, error: AsrwatchError) -> None:
        """A file that is not the one that settled has to settle again, whatever its lookout remembers."""
        lookout = self.lookouts.get(recording.inbox)
        if lookout is not None and isinstance(error, self.keeper.SETTLE_AGAIN):
            lookout.look_again(recording.path)

    def _look_after(self, inbox: str) -> None:
        """After a complete pass: failed recordings whose files were taken away need nobody any more."""
        failed = self.keeper.hopeless(inbox)
        if not failed:
            return

        def work() -> None:
            gone = [one for one in failed if is_gone(one, self._presence(one))]
            if gone:
                self.post(TakenAway(recordings=tuple(gone)))

        self._beside(f"looking after failed recordings of {inbox}", inbox, work)

    def _presence(self, recording: Recording) -> Presence | None:
        route = self.house.routes.get(recording.inbox)
        return route.presence if route else None

    def _hand_out(self) -> list[Step]:
        """Steps to begin once the transaction is committed, as many as there are free slots."""
        now = self.clock.now()
        self._glance_at_key(now)
        self._look_for_room()
        barred = self.slots.barred()
        busy = self.slots.working().keys() - self.slots.stuck()
        kinds = self.slots.kinds(now)
        alone = self.keeper.trial(
            [state for kind in kinds for state in kind],
            under_way=busy | self.rounds.under_way,
            barred_inboxes=barred,
            now=now,
        )
        self._on_trial = alone is not None
        if alone is not None:
            return alone
        steps: list[Step] = []
        for kind in kinds:
            steps += self.keeper.hand_out(
                kind,
                limit=self.slots.free(kind),
                under_way=self.slots.working(),
                barred_inboxes=barred,
                crowd=self.slots.crowd(kind),
                now=now,
            )
        return steps

    def _letters(self) -> list[Letter]:
        """What is to be told now; what is the matter, and what is not any more, is seen first."""
        if not self.house.wishes:
            return []
        now = self.clock.now()
        herald = self.keeper.herald
        herald.look(now, holds=self.keeper.holds(now), shortages=self.room.shortages)
        return herald.letters(now, busy=self.courier.busy) if self._goes_on() else []

    def _what_stands_still(self) -> tuple[Standstill, ...]:
        now, hindrances = self.clock.now(), self.room.hindrances(time.monotonic())
        return tuple(each for _, each in standing(self.keeper.holds(now), hindrances, now))

    def _due_for_polling(self, begun: list[Step]) -> tuple[Recording, ...]:
        """The tasks to ask about now; a suspect's alone."""
        batch = self.rounds.due()
        if not batch:
            return ()
        busy = self.slots.working().keys() - self.slots.stuck()
        busy |= {recording.id for recording, _ in begun}
        return self.keeper.round_of(batch, under_way=busy, now=self.clock.now())

    def _back_up(self) -> None:
        """Copy the database if a backup is due, between two transactions; a worker verifies the copy."""
        finish = self.backups.begin(self.clock.now(), busy=bool(self.under_way))
        if finish is None:
            return

        def work() -> None:
            error = finish()
            self.post(Call(answer=lambda daemon: daemon.backups.ended(error, self.clock.now())))

        if not crew.handed(self._workers, work):
            self.backups.ended(_unmanned(), self.clock.now())

    def _notes(self) -> list[Task]:
        """What is to be done about the notes in folders."""
        self.noting.refresh(self.clock.now())
        busy = [name for name in self.house.routes if _noting_in(name) in self._aside]
        return self.noting.begin(self.clock.monotonic(), busy=busy)

    def _see_to_notes(self, tasks: Sequence[Task]) -> None:
        """Have notes written and removed; a folder that does not answer holds up its own notes only."""
        for task in tasks:

            def work(task: Task = task) -> None:
                done = task.work()
                self.post(
                    Call(
                        answer=lambda daemon: daemon.noting.ended(
                            task.inbox,
                            done,
                            clock=daemon.clock.monotonic(),
                            now=daemon.clock.now(),
                        )
                    )
                )

            self._beside(_noting_in(task.inbox), task.inbox, work)

    def _look_after_notes(self, inbox: str) -> None:
        """After a pass: a note that a person deleted says "try again"."""
        look = self.noting.watched(inbox)
        if look is None:
            return

        def work() -> None:
            gone = look()
            if gone:
                self.post(
                    Call(answer=lambda daemon: daemon.noting.deleted(gone, now=daemon.clock.now()))
                )

        self._beside(_looking_after_notes(inbox), inbox, work)

    def _fill_in(self) -> None:
        """Put transcripts of earlier versions into the search, while nothing else is to be done."""
        if self.mailbox.empty() and self.filler.is_due(self.clock.monotonic()):
            self.post(Call(answer=lambda daemon: daemon.filler.fill()))

    def _look_for_room(self) -> None:
        """Have somebody look how much room there is, if that was not done lately."""
        if self.room.due(time.monotonic()):
            self._survey.look(self.room.folders)

    def _glance_at_key(self, now: datetime) -> None:
        """A corrected key ends the holds that the old one was the reason for."""
        if not self.gate.holds or self.clock.monotonic() < self._next_glance:
            return
        self._next_glance = self.clock.monotonic() + KEY_GLANCE.total_seconds()
        self.keeper.key_glanced(now=now)

    # The end.

    def _is_quiet(self) -> bool:
        """With `until_quiet`: nothing is left to do, or nothing that goes on without a person."""
        if not self.house.until_quiet:
            return False
        if self._store_trouble is not None:
            return self._has_lasted(ONCE_WAITS_FOR_STORE)
        try:
            if self._is_done():
                return self._is_told()
            if self._is_stranded():
                return self._has_lasted(ONCE_WAITS) and self.mailbox.empty()
        except StoreTrouble:
            return self._has_lasted(ONCE_WAITS_FOR_STORE)
        self._waiting_since = None
        return False

    def _has_lasted(self, span: timedelta) -> bool:
        clock = self.clock.monotonic()
        if self._waiting_since is None:
            self._waiting_since = clock
        return clock - self._waiting_since >= span.total_seconds()

    def _is_done(self) -> bool:
        """Every inbox was scanned whole, nothing settles, nothing moves or could."""
        if self.under_way or self.rounds.under_way or self._unsaved or self._has_notes_to_see_to:
            return False
        if any(not _is_settled(lookout.snapshot()) for lookout in self.lookouts.values()):
            return False
        return self.mailbox.empty() and self.keeper.nothing_left(self.clock.now())

    def _is_told(self) -> bool:
        """Whether everybody was told what there is to tell, or it takes too long: the next start goes on with it."""
        if not self.house.wishes:
            return True
        now = self.clock.now()
        with self.house.store.transaction():
            self.keeper.herald.release(now)
            due = self.keeper.herald.opens(now, busy=self.courier.busy)
        waits = bool(self.courier.busy) or (due is not None and due <= now)
        return not waits or self._has_lasted(ONCE_WAITS_TO_TELL)

    @property
    def _has_notes_to_see_to(self) -> bool:
        return self.noting.has_work or any(
            not self._aside.isdisjoint({_noting_in(name), _looking_after_notes(name)})
            for name in self.lookouts
        )

    def _is_stranded(self) -> bool:
        """Whether all that is left waits for room, or for files of inboxes that do not answer or are away."""
        if (
            self.slots.working().keys() - self.slots.stuck()
            or self.rounds.under_way
            or self._unsaved
        ):
            return False
        silent, away = self.slots.barred(), set()
        for name, lookout in self.lookouts.items():
            snapshot = lookout.snapshot()
            if name not in silent and not _is_settled(snapshot):
                return False
            if any(trouble.about is About.ROOT for trouble in snapshot.troubles):
                away.add(name)
        return self.keeper.is_stranded(
            silent=silent, away=away, now=self.clock.now(), clock=time.monotonic()
        )

    @property
    def silent(self) -> frozenset[str]:
        """Inboxes that do not answer."""
        return self.slots.barred()

    @property
    def left_behind(self) -> bool:
        """Whether threads are still at what an end did not wait for; the next start repeats it."""
        return bool(self.under_way or self.rounds.under_way or self._aside or self.courier.busy)

    def _wind_up(self) -> None:
        """No new steps; requests finish and are saved; what is free is left to the next start.

        A second `Stop` waits for nothing: a request that is out then is unknown, and its row says so.
        """
        self.house.notifier.stopping()
        crash_point("stopping")
        self._stop_looking()
        begun = self.clock.monotonic()
        self._ending = True
        asked = self._stop
        while self._stop is asked and self._awaited(self.clock.monotonic() - begun):
            self.house.notifier.extend_timeout(MORE_TIME)
            self._turn()
        crash_point("wound-up")
        left = self.left_behind
        try:
            self.keeper.broken_off(self._left_in_order())
        except StoreTrouble:
            self.house.store.note_left(self._left_in_order())
        self._workers.shutdown(wait=not left, cancel_futures=True)
        self.rounds.shut_down(wait=not left)
        self.courier.shut_down(wait=not left)
        log.info("stopped", left_under_way=len(self.under_way), hurried=self._stop is not asked)
        crash_point("stopped")

    def _stop_looking(self) -> None:
        for lookout in self.lookouts.values():
            lookout.stop(timedelta(0))
        end = self.clock.monotonic() + LOOKOUTS_END
        for lookout in self.lookouts.values():
            lookout.stop(timedelta(seconds=max(end - self.clock.monotonic(), 0)))

    def _awaited(self, waited: float) -> bool:
        """Whether the end waits for something: for requests to their own ends, for the rest only a moment."""
        paid_for = any(is_paid_for(piece) for piece in self._unsaved)
        if self._unsaved and waited < (UNSAVED_END if paid_for else DELIVERIES_END):
            return True
        stuck = self.slots.stuck()
        stuck |= {one.before.id for one in self._unsaved if isinstance(one, StepDone)}
        if any(is_ours(one) for one in self.under_way.values() if one.id not in stuck):
            return True
        delivers = any(one.state is State.TRANSCRIBED for one in self.under_way.values())
        return self.left_behind and waited < (DELIVERIES_END if delivers else CHORES_END)

    def _left_in_order(self) -> frozenset[int]:
        """What is no suspect, though it was under way at the end: all but what hangs asrwatch itself."""
        return (self.rounds.under_way | self.under_way.keys()) - self.slots.hanging()

    def _break_off(self) -> None:
        """Nothing may be written any more: end at once, and let who starts next find out what is true."""
        for lookout in self.lookouts.values():
            lookout.stop(timedelta(0))
        self._workers.shutdown(wait=False, cancel_futures=True)
        self.rounds.shut_down(wait=False)
        self.courier.shut_down(wait=False)
        self.house.store.note_left(self._left_in_order())
        log.error("broken-off", left_under_way=len(self.under_way))


def _standstill(trouble: InboxTrouble, now: datetime) -> Standstill:
    """An inbox's trouble as it is told to people."""
    return Standstill(
        what="inbox",
        which=trouble.inbox,
        since=trouble.since or now,
        code=trouble.code,
        message=trouble.message,
        advice=trouble.advice,
    )


def _looking_after_notes(inbox: str) -> str:
    return f"looking after the notes of {inbox}"


def _noting_in(inbox: str) -> str:
    return f"seeing to the notes of {inbox}"


def _hanging(asking: Recording) -> str:
    return f"request {asking.attempts} of {asking.id}, called off"


def _unmanned() -> TemporaryError:
    """Nobody was to be had for some work; it is said, and the work handed out again later."""
    error = crew.no_threads()
    log.error("no-threads", error=error.message, advice=error.advice)
    return error


_DOING = {
    State.SETTLED: "reading",
    State.ASKING: "asking about",
    State.TRANSCRIBED: "delivering",
    State.CUT: "",
    State.STAGED: "staging",
    State.SUBMITTED: "polling",
    State.DELIVERED: "",
    State.FAILED: "",
    State.PARKED: "",
}


def _is_settled(inbox: Snapshot) -> bool:
    """Whether an inbox was scanned whole, and nothing in it settles."""
    return inbox.last_whole is not None and inbox.last is not None and inbox.last.quiet
