"""Finds out what became of a paid request whose answer was lost."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from asrwatch.crash import crash_point
from asrwatch.engines import Engine, Found, Heard, NotThere, Pending, StillOut
from asrwatch.errors import AnswerLost, EngineError, TemporaryError
from asrwatch.journey.evidence import Asking, Failure, Task, proven
from asrwatch.journey.recording import Recording
from asrwatch.journey.request import answered, uptime
from asrwatch.journey.route import Clock, Route
from asrwatch.journey.spool import UNREADABLE
from asrwatch.journey.trouble import ASKED_AGAIN, one_more_lost

__all__ = ["UNKNOWN_ANSWER", "reconcile"]

RECONCILE_AGAIN = timedelta(seconds=30)

SAME_CLOCK = timedelta(minutes=1)
"""Two clocks that differ by no more than this tell the same time of a request."""

UNKNOWN_ANSWER = Failure(
    error="AnswerLost",
    code="answer-lost",
    message="A paid request was under way when its answer was lost; whether it was accepted is unknown.",
    advice="`asrwatch retry` asks again, which may be paid a second time; `asrwatch forget` leaves it.",
)


def reconcile(recording: Recording, route: Route, clock: Clock, known: frozenset[str]) -> Recording:
    """Find out what became of a request whose answer was lost, without paying for it again unasked.

    Raises:
        AnswerLost: still unknown, as the cloud could not be asked.
        TicketLost: nobody can tell any more.
    """
    staging, asking = proven(recording.staging), proven(recording.asking)
    engine = route.engine_of(recording)
    crash_point("reconciling")
    recalled = _recalled(engine, staging.ask_id)
    if recalled is not None:
        return answered(recording, recalled, now=clock())
    if not engine.tasks:
        trouble = recording.trouble
        if trouble is None or trouble.lost_at != recording.attempts:
            # nobody lived to tell: a request that kills asrwatch must not be paid for at every start
            trouble = one_more_lost(recording, UNKNOWN_ANSWER, now=clock())
        if route.park_unknown or trouble.lost >= ASKED_AGAIN:
            return recording.park(UNKNOWN_ANSWER, now=clock())
        return recording.unsend(now=clock(), due=clock()).postpone(trouble, due=clock())
    try:
        outcome = engine.reconcile(
            staging.ask_id,
            since=asking.asked_at,
            sure=_is_of_this_clock(asking, clock()),
            known=known,
            url=staging.url,
        )
    except (EngineError, TemporaryError) as error:
        # of a request these say "not accepted"; of the question what became of one they say nothing
        raise AnswerLost(
            f"What became of a paid request cannot be found out now: {error.message}",
            code=error.code,
            advice=error.advice,
        ) from error
    crash_point("reconciled")
    match outcome:
        case Found(ticket=ticket):
            task = Task(ticket=ticket, submitted_at=min(asking.asked_at, clock()))
            return recording.submit(task, now=clock(), due=clock())
        case NotThere():
            return recording.unsend(now=clock(), due=clock())
        case StillOut():
            return replace(recording, due=clock() + RECONCILE_AGAIN)
        case _:
            assert_never(outcome)


def _recalled(engine: Engine[Any], ask_id: str) -> Heard | Pending | None:
    """The answer that came before a crash, or that a fault of ours kept from being read, if it was kept.

    Raises:
        AsrwatchError: what the answer means, as for `ask`; or it cannot be read now.
    """
    try:
        return engine.recall(ask_id)
    except AnswerLost as lost:
        if lost.code == UNREADABLE:
            raise
        return None  # what was kept is no whole answer


def _is_of_this_clock(asking: Asking, now: datetime) -> bool:
    """Whether as much time went by since then by the wall's clock as by the machine's own, which nobody sets.

    After another boot it did not, and whether the wall's clock was right before, nobody can tell.
    """
    if asking.uptime is None:
        return False
    return abs((now - asking.asked_at) - (uptime() - asking.uptime)) <= SAME_CLOCK
