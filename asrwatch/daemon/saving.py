"""Saves what messages say: one by one, what is paid for first, where not all can be saved at once."""

from collections.abc import Callable

from asrwatch import logs
from asrwatch.daemon.household import Household
from asrwatch.daemon.mail import LATER, Call, Mail, StepDone, Stop, is_paid_for, urgency
from asrwatch.errors import NeedsPerson, OutOfOrder
from asrwatch.heartbeats import beat
from asrwatch.inbox.messages import FileSettled
from asrwatch.journey.store import StoreTrouble

__all__ = ["Saving"]

log = logs.get("daemon")

LOCKED = "database-locked"


class Saving:
    """See the module. `receive` does what a message asks for; `trouble` keeps the database from being written."""

    def __init__(self, household: Household, *, receive: Callable[[Mail], None]) -> None:
        self._household = household
        self._keeper = household.keeper
        self._receive = receive
        self.unsaved: list[Mail] = []
        self.trouble: StoreTrouble | None = None

    @property
    def is_hampered(self) -> bool:
        """Whether what there is had better be saved one by one."""
        return self._household.reserve_is_given or (self.trouble is not None and bool(self.unsaved))

    def one_by_one(self, arrived: list[Mail]) -> None:
        """When not all can be saved: what can is, what is paid for first, and what cannot is kept for later.

        So no message spoils another, and neither a question nor the end has to wait for a disk.
        """
        mail, self.unsaved = sorted([*self.unsaved, *arrived], key=urgency), []
        self._household.look_for_room()
        failed: StoreTrouble | None = None
        for piece in mail:
            locked = failed is not None and failed.code == LOCKED and not isinstance(piece, Stop)
            later = self._household.reserve_is_given and urgency(piece) == LATER
            try:
                if locked or later:
                    self._keep(piece, failed)
                else:
                    self._alone(piece)
            except StoreTrouble as error:
                self.undo()
                failed = error
                self.tell_trouble(error)
                self._keep(piece, error)
            except (NeedsPerson, OutOfOrder):
                raise
            except Exception as error:
                self.undo()
                log.exception("message-dropped", message=type(piece).__name__)
                if isinstance(piece, StepDone):
                    self._give_up(piece, error)
                if isinstance(piece, FileSettled):
                    self._household.lookouts[piece.inbox].look_again(piece.path)
            beat()
        if failed is None and mail:
            self.tell_trouble(None)

    def _keep(self, piece: Mail, error: StoreTrouble | None) -> None:
        """Save it later; but who asks is told now."""
        if isinstance(piece, Call) and error is not None:
            piece.spoiled(error)
        else:
            self.unsaved.append(piece)

    def _alone(self, piece: Mail) -> None:
        """Save one message; the room of the reserve is given up for one that is paid for."""
        if isinstance(piece, Stop):
            self._receive(piece)
            return
        try:
            self._in_one(piece)
        except StoreTrouble as error:
            if (
                error.code == LOCKED
                or not is_paid_for(piece)
                or not self._household.reserve.give_up()
            ):
                raise
            self.undo()
            self._household.reserve_is_given = True
            log.error("reserve-given-up", error=str(error))  # noqa: TRY400 - its traceback says nothing to a person
            self._in_one(piece)

    def _in_one(self, piece: Mail) -> None:
        with self._household.store.transaction():
            self._receive(piece)
        self.saved()

    def _give_up(self, done: StepDone, error: Exception) -> None:
        """A step whose end cannot be saved fails its recording; with money under way it is reconciled."""
        try:
            with self._household.store.transaction():
                self._keeper.surprised(done.before, error, now=self._household.clock.now())
            self.saved()
        except (NeedsPerson, OutOfOrder):
            raise
        except Exception:  # same
            self.undo()
            log.exception("unexpected-error")
        self._household.under_way.pop(done.before.id, None)

    def tell_trouble(self, error: StoreTrouble | None) -> None:
        """One line when the database becomes unusable, and one when it is usable again."""
        before, self.trouble = self.trouble, error
        if error is not None and (before is None or before.code != error.code):
            log.error("database-trouble", code=error.code, error=str(error))
        if error is None and before is not None:
            log.info("database-trouble-over", code=before.code)

    def saved(self) -> None:
        """After a commit: what it ended is no longer under way, and whoever listens is told."""
        house = self._household.house
        self._household.slots.let_go()
        for change in self._keeper.take_news():
            listeners = house.on_change if change.after.part_of is None else ()
            for tell in (*house.on_every_change, *listeners):
                try:
                    tell(change)
                except Exception:  # a listener's trouble is not the recordings'
                    log.exception("listener-failed")

    def undo(self) -> None:
        """After a commit that failed: nothing of it happened."""
        self._household.slots.ended.clear()
        self._keeper.discard_news()
        self._household.noting.undo()
