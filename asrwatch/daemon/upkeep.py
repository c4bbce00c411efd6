"""What is done beside recordings' steps: drafts, notes, backups, the search, failed recordings."""

from collections.abc import Sequence

from asrwatch import crew
from asrwatch.crash import crash_point
from asrwatch.daemon.household import Household
from asrwatch.daemon.mail import Call, TakenAway
from asrwatch.daemon.workers import unmanned
from asrwatch.heartbeats import beat
from asrwatch.inbox.presence import Presence
from asrwatch.journey.away import is_gone
from asrwatch.journey.leftovers import tidy_up
from asrwatch.journey.noting import Task
from asrwatch.journey.recording import Recording
from asrwatch.journey.route import Route

__all__ = ["Upkeep"]


class Upkeep:
    """See the module. Used in the daemon's main thread; what takes its time is done by workers."""

    def __init__(self, household: Household) -> None:
        self._household = household
        self._clock = household.clock
        self._noting = household.noting
        self._beside = household.workers.beside

    def tidy_up(self) -> None:
        """At start: remove drafts that a killed process left; by workers, since a share may not answer."""
        for inbox, interrupted in self._household.keeper.interrupted().items():
            self._tidy_up(inbox, interrupted)

    def _tidy_up(self, inbox: str, interrupted: Sequence[tuple[Recording, Route]]) -> None:
        def work() -> None:
            for recording, route in interrupted:
                tidy_up(recording, route)
                beat()
            crash_point("tidied")

        self._beside(f"tidying up {inbox}", inbox, work)

    def look_after(self, inbox: str) -> None:
        """After a complete pass: failed recordings whose files were taken away need nobody any more."""
        failed = self._household.keeper.hopeless(inbox)
        if not failed:
            return

        def work() -> None:
            gone = [one for one in failed if is_gone(one, self._presence(one))]
            if gone:
                self._household.post(TakenAway(recordings=tuple(gone)))

        self._beside(f"looking after failed recordings of {inbox}", inbox, work)

    def _presence(self, recording: Recording) -> Presence | None:
        route = self._household.house.routes.get(recording.inbox)
        return route.presence if route else None

    def back_up(self) -> None:
        """Copy the database if a backup is due, between two transactions; a worker verifies the copy."""
        finish = self._household.backups.begin(
            self._clock.now(), busy=bool(self._household.under_way)
        )
        if finish is None:
            return

        def work() -> None:
            error = finish()
            self._household.post(
                Call(answer=lambda daemon: daemon.backups.ended(error, self._clock.now()))
            )

        if not crew.handed(self._household.workers.pool, work):
            self._household.backups.ended(unmanned(), self._clock.now())

    def fill_in(self) -> None:
        """Put transcripts of earlier versions into the search, while nothing else is to be done."""
        if self._household.mailbox.empty() and self._household.filler.is_due(
            self._clock.monotonic()
        ):
            self._household.post(Call(answer=lambda daemon: daemon.filler.fill()))

    def notes(self) -> list[Task]:
        """What is to be done about the notes in folders; inside a transaction."""
        self._noting.refresh(self._clock.now())
        aside = self._household.workers.aside
        busy = [name for name in self._household.house.routes if _noting_in(name) in aside]
        return self._noting.begin(self._clock.monotonic(), busy=busy)

    def see_to_notes(self, tasks: Sequence[Task]) -> None:
        """Have notes written and removed; a folder that does not answer holds up its own notes only."""
        for task in tasks:

            def work(task: Task = task) -> None:
                done = task.work()
                self._household.post(
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

    def look_after_notes(self, inbox: str) -> None:
        """After a pass: a note that a person deleted says "try again"."""
        look = self._noting.watched(inbox)
        if look is None:
            return

        def work() -> None:
            gone = look()
            if gone:
                self._household.post(
                    Call(answer=lambda daemon: daemon.noting.deleted(gone, now=daemon.clock.now()))
                )

        self._beside(_looking_after_notes(inbox), inbox, work)

    @property
    def has_notes_to_see_to(self) -> bool:
        """Whether notes are being seen to, or are to be."""
        aside = self._household.workers.aside
        return self._noting.has_work or any(
            not aside.isdisjoint({_noting_in(name), _looking_after_notes(name)})
            for name in self._household.lookouts
        )


def _looking_after_notes(inbox: str) -> str:
    return f"looking after the notes of {inbox}"


def _noting_in(inbox: str) -> str:
    return f"seeing to the notes of {inbox}"
