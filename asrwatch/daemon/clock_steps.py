"""What the clock did while steps were under way: their dates move with it."""

from asrwatch.clock import Clock, Steady
from asrwatch.clock import Step as ClockStep
from asrwatch.daemon.slots import Slots
from asrwatch.journey import timeshift
from asrwatch.journey.keeper import Keeper
from asrwatch.journey.recording import Recording
from asrwatch.journey.store import Store

__all__ = ["ClockSteps"]


class ClockSteps:
    """See the module. Used in the daemon's main thread."""

    def __init__(self, clock: Clock, *, store: Store, keeper: Keeper, slots: Slots) -> None:
        self._clock = clock
        self._store = store
        self._keeper = keeper
        self._slots = slots
        self._steady = Steady(clock, store.offset())
        self._unsaved: list[ClockStep] = []
        self._meanwhile: dict[int, list[ClockStep]] = {}

    def open_up(self) -> None:
        """At start: what the clock did while nobody looked."""
        if stepped := self._steady.look():
            with self._store.transaction():
                self._keeper.clock_stepped(stepped, now=self._clock.now())

    def keep_offset(self) -> None:
        """Remember how the wall's clock stands to the machine's own."""
        self._store.keep_offset(self._steady.offset)

    def look(self) -> None:
        """See whether the clock was set, or the machine slept."""
        if stepped := self._steady.look():
            self._unsaved.append(stepped)

    def save(self) -> None:
        """Dates move with the clock, also those of what is under way, whose steps hold them as they were."""
        for step in self._unsaved:
            self._keeper.clock_stepped(step, now=self._clock.now())
            self.keep_offset()
            for recording_id in self._slots.under_way:
                meanwhile = self._meanwhile.setdefault(recording_id, [])
                if step not in meanwhile:
                    meanwhile.append(step)

    def saved(self) -> None:
        """What was saved is committed."""
        self._unsaved = []

    def begun(self, recording: Recording) -> None:
        """A recording's step begins with the dates that it has now."""
        self._meanwhile.pop(recording.id, None)

    def carried_over(
        self, before: Recording, outcome: Recording | Exception
    ) -> tuple[Recording, Recording | Exception]:
        """A step's beginning and its outcome, with the dates as they are now."""
        for step in self._meanwhile.get(before.id, ()):
            as_it_is = timeshift.moved(before, step)
            if isinstance(outcome, Recording):
                outcome = timeshift.carried_over(before, as_it_is, outcome)
            before = as_it_is
        return before, outcome
