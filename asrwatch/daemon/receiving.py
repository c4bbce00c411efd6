"""What each message of the mailbox comes to."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import assert_never

from asrwatch import logs
from asrwatch.daemon.household import Household
from asrwatch.daemon.mail import Answered, Call, Mail, PollingDone, StepDone, Stop, TakenAway
from asrwatch.daemon.upkeep import Upkeep
from asrwatch.errors import AsrwatchError, OurBug
from asrwatch.inbox.messages import (
    About,
    FileSettled,
    InboxHealed,
    InboxTrouble,
    PassKind,
    ScanDone,
)
from asrwatch.journey.poller import TaskNews
from asrwatch.journey.recording import Recording
from asrwatch.journey.room import RoomSeen
from asrwatch.news import Standstill

__all__ = ["Receiving"]

log = logs.get("daemon")


class Receiving:
    """See the module. `answer` has the daemon answer a person's question."""

    def __init__(
        self, household: Household, upkeep: Upkeep, *, answer: Callable[[Call], None]
    ) -> None:
        self._household = household
        self._keeper = household.keeper
        self._upkeep = upkeep
        self._answer = answer

    def receive(self, mail: Mail) -> None:
        """Do what a message asks for; in the daemon's main thread, inside a transaction.

        Raises:
            StoreTrouble: it cannot be saved now.
        """
        keeper, now = self._keeper, self._household.clock.now()
        match mail:
            case FileSettled():
                keeper.settled(mail, under_way=self._household.slots.working(), now=now)
            case StepDone():
                self._step_done(mail, now)
            case TaskNews():
                keeper.news(mail, now=now)
            case PollingDone():
                self._polling_done(mail, now)
            case InboxTrouble() | InboxHealed():
                self._inbox_seen(mail, now)
            case RoomSeen():
                keeper.room_seen(mail, now=now)
                keeper.herald.disk_seen(mail.folder)
                if not self._household.room.state_is_short(time.monotonic()):
                    self._household.reserve_is_given = False
            case Answered():
                self._household.courier.ended(mail.letter)
                keeper.herald.answered(mail.letter, mail.error, now=now)
            case TakenAway(recordings=recordings):
                keeper.gone(recordings)
            case ScanDone():
                self._scan_done(mail, now)
            case Stop(reason=reason):
                self._household.asked_to_stop = mail
                log.info("stopping", reason=reason, under_way=len(self._household.under_way))
            case Call():
                self._answer(mail)
            case _:
                assert_never(mail)

    def _step_done(self, mail: StepDone, now: datetime) -> None:
        """What a worker's step came to; its class, if it is an error, says what happens."""
        self._household.slots.ended.add(mail.before.id)
        before, outcome = self._household.clock_steps.carried_over(mail.before, mail.outcome)
        if isinstance(outcome, Recording):
            self._keeper.moved(before, outcome, now=now)
        elif isinstance(outcome, AsrwatchError) and not isinstance(outcome, OurBug):
            self._keeper.suffered(before, outcome, now=now)
            self._look_again(before, outcome)
        else:
            self._keeper.surprised(before, outcome, now=now)

    def _look_again(self, recording: Recording, error: AsrwatchError) -> None:
        """A file that is not the one that settled has to settle again, whatever its lookout remembers."""
        lookout = self._household.lookouts.get(recording.inbox)
        if lookout is not None and isinstance(error, self._keeper.SETTLE_AGAIN):
            lookout.look_again(recording.path)

    def _polling_done(self, mail: PollingDone, now: datetime) -> None:
        asked_about = self._household.rounds.under_way
        if mail.error is not None:
            log.error("polling-failed", exc_info=mail.error)
            self._keeper.postpone_polls(asked_about, now=now)
        self._keeper.broken_off(asked_about)
        self._household.rounds.ended()

    def _inbox_seen(self, mail: InboxTrouble | InboxHealed, now: datetime) -> None:
        """What is the matter with an inbox, or is not any more."""
        if isinstance(mail, InboxTrouble):
            log.error(
                "inbox-trouble",
                inbox=mail.inbox,
                code=mail.code,
                error=mail.message,
                advice=mail.advice,
            )
            if mail.about is About.ROOT:
                self._keeper.herald.inbox_seen(mail.inbox, _standstill(mail, now))
            return
        log.info("inbox-healed", inbox=mail.inbox, about=mail.about.value)
        if mail.about is About.ROOT:
            self._keeper.herald.inbox_seen(mail.inbox, None)
            self._keeper.inbox_back(mail.inbox, now=now)

    def _scan_done(self, mail: ScanDone, now: datetime) -> None:
        """A pass over an inbox ended: what hangs on having seen it whole."""
        if mail.kind is PassKind.WHOLE and mail.complete:
            self._keeper.seen_whole(mail.inbox, now=now)
            self._keeper.herald.inbox_known(mail.inbox)
            self._keeper.sweep(self._household.clock.monotonic())
            self._upkeep.look_after(mail.inbox)
        if mail.kind is not PassKind.LOOK:
            self._upkeep.look_after_notes(mail.inbox)
        log.debug("scanned", inbox=mail.inbox, files=mail.files, kind=mail.kind.value)


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
