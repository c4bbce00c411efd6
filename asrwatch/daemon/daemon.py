"""The daemon: its beginning, its turns and its end, in one thread.

Only this thread writes the database. Workers, lookouts, the control socket and signal handlers put messages
into the mailbox; this thread saves what they say, several messages in one synced transaction, and hands out
the next steps. A step under way is a member of `under_way`, rightly forgotten by a crash.
"""

import queue
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from asrwatch import logs
from asrwatch.crash import crash_point
from asrwatch.daemon.due import WHILE_ENDING, Due
from asrwatch.daemon.ending import Ending
from asrwatch.daemon.house import House
from asrwatch.daemon.household import Household
from asrwatch.daemon.mail import Mail, PollingDone
from asrwatch.daemon.quiet import Quiet
from asrwatch.daemon.receiving import Receiving
from asrwatch.daemon.saving import Saving
from asrwatch.daemon.upkeep import Upkeep
from asrwatch.daemon.workers import unmanned
from asrwatch.errors import NeedsPerson, OutOfOrder
from asrwatch.heartbeats import allow, beat
from asrwatch.journey.recording import Recording
from asrwatch.journey.store import StoreTrouble
from asrwatch.news import Standstill
from asrwatch.values import format_duration

__all__ = ["Daemon"]

log = logs.get("daemon")

TURN = timedelta(seconds=60)
"""How long this thread may take over what it does between two waits: a slow disk's commits, nothing else."""
STORE_PAUSE = timedelta(seconds=2)
AT_ONCE = 32
"""How many messages are saved in one transaction at most."""


class Daemon:
    """Runs until it is told to stop. Create it, `run` it in the main thread, `post` to it from any other."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.household = Household(house)
        self.upkeep = Upkeep(self.household)
        self.due = Due(self.household)
        self.receiving = Receiving(
            self.household, self.upkeep, answer=lambda call: call.answer(self)
        )
        self.saving = Saving(self.household, receive=self.receiving.receive)
        self.quiet = Quiet(self.household, saving=self.saving, upkeep=self.upkeep)
        self.ending = Ending(self.household, saving=self.saving)

        # Whom people's questions are answered by, and what moves.
        self.clock = self.household.clock
        self.mailbox = self.household.mailbox
        self.hearts = self.household.hearts
        self.supervision = self.household.supervision
        self.gate = self.household.gate
        self.keeper = self.household.keeper
        self.room = self.household.room
        self.backups = self.household.backups
        self.noting = self.household.noting
        self.filler = self.household.filler
        self.lookouts = self.household.lookouts
        self.rounds = self.household.rounds
        self.workers = self.household.workers
        self.under_way = self.household.under_way
        self.started_at = self.clock.now()
        self._standstills: tuple[Standstill, ...] = ()

    @property
    def stopping(self) -> bool:
        """Whether the end was asked for: another `Stop` would hurry it."""
        return self.household.asked_to_stop is not None

    @property
    def trouble(self) -> StoreTrouble | None:
        """What keeps the database from being written, as of the last try; any thread may look."""
        return self.saving.trouble

    @property
    def standstills(self) -> tuple[Standstill, ...]:
        """What kept recordings waiting when the last turn ended; any thread may look."""
        return self._standstills

    @property
    def silent(self) -> frozenset[str]:
        """Inboxes that do not answer."""
        return self.household.slots.barred()

    @property
    def left_behind(self) -> bool:
        """Whether threads are still at what an end did not wait for; the next start repeats it."""
        return self.household.left_behind

    def post(self, mail: Mail) -> None:
        """Put something into the mailbox; any thread, any signal handler, never blocks."""
        self.household.post(mail)

    def look_around(self, reason: str) -> None:
        """Look at every inbox again, soon; in the daemon's own thread (post a `Call`)."""
        self.lookouts.nudge()
        log.info("looking-around", reason=reason, inboxes=len(self.lookouts))

    def begin(self, step: Callable[[], Recording], recording: Recording) -> None:
        """Give a step to a worker; its end arrives as `StepDone`."""
        self.household.clock_steps.begun(recording)
        self.workers.begin(step, recording)

    def run(self) -> None:
        """Work until stopped or, with `until_quiet`, until nothing is left to do.

        Raises:
            NeedsPerson: nothing may be written any more, and a person has to see to it.
            OutOfOrder: nothing may be written any more; the next start reads what is true.
        """
        with self.hearts.pulse("the turns of the daemon", usual=TURN, vital=True):
            self._open_up()
            self.house.notifier.ready()
            crash_point("ready")
            self.supervision.start()
            try:
                while not self.stopping and not self.quiet.is_quiet():
                    self._turn()
                self.ending.wind_up(self._turn)
            except (NeedsPerson, OutOfOrder):
                self.ending.break_off()
                raise
            except BaseException:
                self.ending.wind_up(self._turn)
                raise
            finally:
                self.supervision.stop()

    def _open_up(self) -> None:
        self.household.clock_steps.open_up()
        self.keeper.open_up(self.clock.now())
        self.noting.open_up()
        self.household.clock_steps.keep_offset()
        crash_point("opened-up")
        self.saving.saved()
        self.upkeep.tidy_up()
        self.lookouts.begin()
        crash_point("lookouts-started")
        watchdog = self.house.notifier.watchdog
        log.info(
            "started",
            inboxes=len(self.lookouts),
            workers=self.house.workers,
            watchdog=format_duration(watchdog) if watchdog else "none: nobody starts it anew",
        )

    def _turn(self) -> None:
        """Wait for messages, save what they say, begin what is due."""
        beat()
        every, saving = self.household, self.saving
        if saving.is_hampered:
            self._save_one_by_one()
            return
        try:
            self.workers.call_off()
            saving.unsaved = saving.unsaved or self._wait()
            every.clock_steps.look()
            with every.store.transaction():
                every.clock_steps.save()
                for mail in saving.unsaved:
                    self.receiving.receive(mail)
                tasks = self.upkeep.notes() if every.goes_on() else []
                steps = self.due.steps() if every.goes_on() else []
                batch = self.due.tasks(steps) if every.goes_on() else ()
                letters = self.due.letters()
                standstills = self.due.standstills()
        except StoreTrouble as error:
            saving.undo()
            saving.tell_trouble(error)
            self._save_one_by_one()
            return
        except (NeedsPerson, OutOfOrder):
            raise
        except Exception:  # whatever it is, no message that is paid for may be lost to it
            saving.undo()
            log.exception("unexpected-error")
            self._save_one_by_one()
            return
        saving.unsaved = []
        every.clock_steps.saved()
        self._standstills = standstills
        crash_point("handed-out")
        saving.tell_trouble(None)
        saving.saved()
        for recording, step in steps:
            self.begin(step, recording)
        for letter in letters:
            every.courier.begin(letter)
        if not self.rounds.begin(batch, go_on=every.goes_on):
            self.post(PollingDone(error=unmanned()))
        if every.goes_on():
            self.lookouts.replace_the_dead()
            every.store.remark()
            self.upkeep.back_up()
            self.upkeep.fill_in()
            self.upkeep.see_to_notes(tasks)

    def _save_one_by_one(self) -> None:
        self.saving.one_by_one(self._arrived())
        self._rest()

    def _rest(self) -> None:
        """Not a busy loop, should the trouble lie in handing out."""
        pause = STORE_PAUSE if self.household.goes_on() else WHILE_ENDING
        time.sleep(pause.total_seconds())

    def _wait(self) -> list[Mail]:
        """The next messages, as many as are there; none if something falls due first."""
        mail: list[Mail] = []
        try:
            rest = max(self.due.wait(), timedelta(milliseconds=1))
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
