"""The threads that take recordings' steps, and do what else must not hold up the daemon."""

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import timedelta

from asrwatch import crew, logs
from asrwatch.crash import crash_point
from asrwatch.daemon.mail import StepDone
from asrwatch.daemon.slots import MOST_CHORES, Slots
from asrwatch.errors import TemporaryError
from asrwatch.heartbeats import Heartbeats, called_off
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.request import awaits_its_answer
from asrwatch.supervision import Supervision
from asrwatch.values import printable

__all__ = ["STEP", "Workers", "unmanned"]

log = logs.get("daemon")

STEP = timedelta(minutes=2)
"""How long a step may go without a sign that it moves; what takes longer by its nature says so itself."""

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


class Workers:
    """See the module. Used in the daemon's main thread; a step's end arrives by `post`.

    `requests` is how many paid requests are under way at once; `aside` names what is done beside recordings' steps.
    """

    def __init__(
        self,
        requests: int,
        *,
        slots: Slots,
        supervision: Supervision,
        hearts: Heartbeats,
        post: Callable[[StepDone], None],
    ) -> None:
        self._slots = slots
        self._supervision = supervision
        self._hearts = hearts
        self._post = post
        self.aside: set[str] = set()
        self.pool: Executor = ThreadPoolExecutor(
            # twice what is ever busy: a thread that is stuck is made up for by another
            2 * (requests + MOST_CHORES),
            thread_name_prefix="worker",
        )

    def begin(self, step: Callable[[], Recording], recording: Recording) -> None:
        """Give a step to a worker; its end arrives as `StepDone`."""
        self._slots.under_way[recording.id] = recording

        def work() -> None:
            name = printable(recording.path)
            pulse = self._hearts.pulse(
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
                    self._post(StepDone(before=recording, outcome=outcome))
                else:
                    self.aside.discard(_hanging(recording))

        if not crew.handed(self.pool, work):
            self._post(StepDone(before=recording, outcome=unmanned()))

    def beside(self, doing: str, inbox: str, work: Callable[[], None]) -> None:
        """Have a worker do something with an inbox that is no recording's step; one such thing at a time."""
        if doing in self.aside:
            return
        self.aside.add(doing)

        def watched() -> None:
            try:
                with self._hearts.pulse(doing, usual=STEP, vital=False, key=inbox):
                    work()
            finally:
                self.aside.discard(doing)

        def surprised(error: BaseException) -> None:
            advice = "Please report this with the log."
            log.error("work-broke-off", doing=doing, advice=advice, exc_info=error)

        if not crew.handed(self.pool, watched, surprised):
            self.aside.discard(doing)
            unmanned()

    def call_off(self) -> None:
        """A request that has not left, as its file does not answer, holds up neither its engine nor its copies."""
        for late in self._supervision.late:
            asking = late.key
            if (
                not isinstance(asking, Recording)
                or self._slots.under_way.get(asking.id) is not asking
                or not awaits_its_answer(asking)
                or _hanging(asking) in self.aside
            ):
                continue
            self.aside.add(_hanging(asking))  # nobody waits for its thread at the end
            if self._hearts.call_off(asking):
                self._post(StepDone(before=asking, outcome=called_off()))
            else:
                self.aside.discard(_hanging(asking))

    def shut_down(self, *, wait: bool) -> None:
        """Nothing is begun any more."""
        self.pool.shutdown(wait=wait, cancel_futures=True)


def unmanned() -> TemporaryError:
    """Nobody was to be had for some work; it is said, and the work handed out again later."""
    error = crew.no_threads()
    log.error("no-threads", error=error.message, advice=error.advice)
    return error


def _hanging(asking: Recording) -> str:
    return f"request {asking.attempts} of {asking.id}, called off"
