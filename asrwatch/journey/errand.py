"""One recording's journey for somebody who waits for it: the daemon's own steps, without store, inbox or lock.

Nothing is remembered between two errands: whoever sends the same recording twice pays twice.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from asrwatch.clock import utc_now
from asrwatch.engines import Engine, Heard, Pending, StillOut
from asrwatch.errors import (
    AnswerLost,
    AsrwatchError,
    DoesNotFit,
    EngineError,
    EngineTrouble,
    TaskOutstanding,
    TemporaryError,
)
from asrwatch.files import fingerprint_of, open_recording
from asrwatch.journey.evidence import Asking, Fingerprint, Reading, Staging, Task, proven
from asrwatch.journey.journey import advance, announce
from asrwatch.journey.plan import AudioFacts, Plan
from asrwatch.journey.planning import plan_for
from asrwatch.journey.poller import next_wait
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.request import answered, send
from asrwatch.journey.route import Route

__all__ = ["Errand", "Submitted", "bring_home", "send_out", "sleep_for", "ticket_holder"]

RECONCILE_EVERY = timedelta(seconds=10)
RECONCILE_FOR = timedelta(minutes=3)
"""How long a lost answer is looked for; a task that is not finished by then proves nothing yet."""

TROUBLE_FOR = timedelta(minutes=15)
"""How long the cloud may be out of reach before somebody who waits is told so."""

_PASSING = frozenset({EngineTrouble.THROTTLED, EngineTrouble.DOWN})
_NOWHERE = Fingerprint(device=0, inode=0, size=0, mtime_ns=0)


def sleep_for(span: timedelta) -> None:
    """Let time pass."""
    time.sleep(span.total_seconds())


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """The route, who is told of the plan (before anything is sent) and of the ticket, and how time passes."""

    route: Route
    on_plan: Callable[[Plan], None] = lambda _plan: None
    on_ticket: Callable[[str], None] = lambda _ticket: None
    now: Callable[[], datetime] = utc_now
    pause: Callable[[timedelta], None] = sleep_for


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitted:
    """What came of the one request: a recording transcribed or submitted, and the raw acceptance if any."""

    recording: Recording
    raw: bytes = b""


def send_out(source: bytes | str, errand: Errand) -> Submitted:
    """Read, dispatch, publish where it takes a URL, and make the one paid request.

    A refusal for length or size goes on to the next engine that fits, where the choice is automatic.

    Args:
        source: the path of a file as bytes, or a URL as text.
        errand: how.

    Raises:
        AnswerLost: it may have been accepted, and what could be found out for nothing was.
        AsrwatchError: certainly not accepted.
    """
    refused: tuple[str, ...] = ()
    while True:
        staged = _staged(source, errand, refused)
        asking = announce(staged, errand.route, now=errand.now())
        try:
            outcome = send(asking, errand.route)
        except DoesNotFit:
            engine = _plan(asking).engine
            if errand.route.engine is not None or engine in refused:
                raise
            refused = (*refused, engine)
            continue
        except AnswerLost as lost:
            found = _looked_for(asking, errand, lost)
            errand.on_ticket(proven(found.task).ticket)
            return Submitted(recording=found)
        recording = answered(asking, outcome, now=errand.now())
        if isinstance(outcome, Pending):
            errand.on_ticket(outcome.ticket)
            return Submitted(recording=recording, raw=outcome.raw)
        return Submitted(recording=recording)


def ticket_holder(ticket: str, errand: Errand) -> Recording:
    """A submitted recording of which only the ticket is known; its engine is the route's."""
    engine = errand.route.engines[proven(errand.route.engine)]
    now = errand.now()
    plan = Plan(engine=engine.name, model=engine.options.model)
    staged = _found(ticket.encode(), _NOWHERE, errand).read(
        Reading(sha256="", facts=AudioFacts(), plan=plan), now=now
    )
    asking = staged.stage(Staging(ask_id=ticket), now=now).announce(
        Asking(asked_at=now, who=""), now=now
    )
    return asking.submit(Task(ticket=ticket, submitted_at=now), now=now, due=now)


def bring_home(
    recording: Recording, errand: Errand, *, timeout: timedelta | None = None
) -> Recording:
    """Ask about a submitted recording until it is answered, 5 to 20 seconds apart.

    Args:
        recording: submitted, or transcribed already.
        errand: how.
        timeout: how long to wait at most; zero asks once.

    Raises:
        TaskOutstanding: no answer in time, or the cloud could not be asked; nothing is lost.
        AsrwatchError: the task is over and has no transcript.
    """
    if recording.state is State.TRANSCRIBED:
        return recording
    task = proven(recording.task)
    engine = errand.route.engine_of(recording)
    try:
        return _waited_for(recording, engine, errand, timeout)
    except BaseException as error:
        error.add_note(f"It is task {task.ticket}: `asrwatch transcribe --task {task.ticket}`.")
        raise


def _waited_for(
    recording: Recording, engine: Engine[Any], errand: Errand, timeout: timedelta | None
) -> Recording:
    task = proven(recording.task)
    start = errand.now()
    give_up = None if timeout is None else start + timeout
    heard_of, status, due = start, "PENDING", recording.due
    while True:
        until = due if give_up is None else min(due, give_up)
        if (rest := until - errand.now()) > timedelta(0):
            errand.pause(rest)
        now = errand.now()
        wait = next_wait(now - task.submitted_at)
        try:
            news = _news(engine, task.ticket)
        except (EngineError, TemporaryError) as trouble:
            if not _passes(trouble) or now - heard_of > TROUBLE_FOR:
                raise _outstanding(task.ticket, status, trouble.code, trouble.message) from trouble
            wait = max(wait, trouble.retry_after or timedelta(0))
        else:
            match news:
                case Heard(answer=answer):
                    return recording.hear(answer, now=now)
                case StillOut(trouble=TemporaryError(code="foreign-host") as barrier):
                    said = f"{barrier.message} {barrier.advice}"
                    raise _outstanding(task.ticket, status, barrier.code, said) from barrier
                case StillOut():
                    heard_of, status = now, news.status
                case AsrwatchError():
                    raise news
        if give_up is not None and now >= give_up:
            raise _outstanding(task.ticket, status, "still-out", f"It is {status}.")
        due = now + wait


def _news(engine: Engine[Any], ticket: str) -> Heard | StillOut | AsrwatchError:
    for told, news in engine.check([ticket]):
        if told == ticket:
            return news
    return StillOut(status="not mentioned")


def _passes(trouble: EngineError | TemporaryError) -> bool:
    return isinstance(trouble, TemporaryError) or trouble.trouble in _PASSING


def _outstanding(ticket: str, status: str, code: str, why: str) -> TaskOutstanding:
    return TaskOutstanding(
        f"Task {ticket} has no answer yet. {why}",
        code=code,
        task_id=ticket,
        status=status,
        advice=f"It is paid for and kept for 24 hours: collect it with `asrwatch transcribe --task {ticket}`.",
    )


def _staged(source: bytes | str, errand: Errand, refused: tuple[str, ...]) -> Recording:
    """A recording that can be asked about; the plan was told before anything was uploaded."""
    if isinstance(source, str):
        read = _read_url(source, errand, refused)
        errand.on_plan(_plan(read))
        return read.stage(Staging(ask_id=uuid4().hex, url=source), now=errand.now())
    with open_recording(source) as stream:
        fingerprint = fingerprint_of(os.fstat(stream.fileno()))
    found = _found(source, fingerprint, errand)
    for engine in refused:
        found = found.resettle(now=errand.now(), refused_by=engine)
    recording = advance(found, errand.route, clock=errand.now)
    errand.on_plan(_plan(recording))
    if recording.state is State.SETTLED:
        recording = advance(recording, errand.route, clock=errand.now)
    return recording


def _read_url(url: str, errand: Errand, refused: tuple[str, ...]) -> Recording:
    """Of a URL nothing is known: the cloud fetches it, we do not."""
    route = errand.route
    question = route.question(AudioFacts(), None, refused=refused)
    reading = Reading(sha256="", facts=AudioFacts(), plan=plan_for(question, route))
    return _found(url.encode(), _NOWHERE, errand).read(reading, now=errand.now())


def _found(path: bytes, fingerprint: Fingerprint, errand: Errand) -> Recording:
    return Recording.found(inbox="", path=path, fingerprint=fingerprint, now=errand.now())


def _looked_for(asking: Recording, errand: Errand, lost: AnswerLost) -> Recording:
    """The task of a request whose answer was lost, found without paying.

    Only a URL that carries the ask id proves anything, so a URL of the user's own is not looked for.

    Raises:
        TemporaryError: it was certainly not accepted.
        AnswerLost: still unknown.
    """
    staging = proven(asking.staging)
    tasks = errand.route.engine_of(asking).tasks
    if not tasks or staging.ask_id not in (staging.url or ""):
        raise _unknown(lost) from lost
    recording, give_up = asking, errand.now() + RECONCILE_FOR
    while errand.now() < give_up:
        errand.pause(RECONCILE_EVERY)
        try:
            recording = advance(recording, errand.route, clock=errand.now)
        except AnswerLost:
            continue
        if recording.state is State.SUBMITTED:
            return recording
        if recording.state is State.STAGED:
            raise TemporaryError(
                "The request got lost on its way; the cloud's list shows that it was not accepted.",
                code="not-accepted",
                advice="Nothing was paid: ask again.",
            ) from lost
    raise _unknown(lost) from lost


def _unknown(lost: AnswerLost) -> AnswerLost:
    return AnswerLost(
        lost.message,
        code=lost.code,
        advice="Whether the request was accepted, and so paid, is unknown: asking again may be paid a second time.",
    )


def _plan(recording: Recording) -> Plan:
    return proven(recording.reading).plan
