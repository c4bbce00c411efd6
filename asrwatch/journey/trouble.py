"""What an error does to a recording: fail, wait, start over, park. Pure; chance and time come in."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from asrwatch.audio.studio import DIED
from asrwatch.errors import (
    AnswerLost,
    AsrwatchError,
    BillUnknown,
    DoesNotFit,
    EngineError,
    Incomplete,
    RecordingError,
    SourceChanged,
    TemporaryError,
    TicketLost,
    UrlExpired,
)
from asrwatch.heartbeats import CALLED_OFF
from asrwatch.journey.evidence import Failure, Trouble
from asrwatch.journey.recording import Recording, State

__all__ = [
    "ASKED_AGAIN",
    "FIRST_WAIT",
    "LONGEST_WAIT",
    "NEVER_LEFT",
    "Suffered",
    "backoff",
    "met_again",
    "one_more_lost",
    "suffer",
    "unexpected",
]

FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=15)
FRESH_URLS = 3
"""How often the audio is published afresh before its URL counts as hopeless (contract section 7.3: few tries)."""
FAILED_TASKS = 1
"""How often a task that the cloud failed for a passing reason is submitted anew (section 7.3: resubmit once)."""
ASKED_AGAIN = 3
"""How many lost answers in a row of one recording, or errors whose bill is unknown, are asked again before a person
decides: a way that loses every answer would otherwise pay for it for days."""
READ_AGAIN = 3
"""How often asrwatch may stumble over what became of one request before a person looks."""
DEATHS = 3
"""How often the process that decodes a recording may die of it; then it is one that kills, and fails."""
LOOK_AGAIN = timedelta(seconds=60)
"""After this long a file that changed is read again, should no look have found it settled by then."""

NEVER_LEFT = frozenset({"not-sent", "no-key", "inbox-away", CALLED_OFF})
"""Codes of errors that happened before any byte of a request reached the cloud."""

_MAYBE_BILLED = (
    f"It was answered so {ASKED_AGAIN} times in a row, and nobody says whether that is billed. "
    "`asrwatch retry` asks again, which may be paid once more."
)

Chance = Callable[[], float]
"""A number from 0 up to 1."""

Suffered = tuple[Recording, str, str]
"""The recording, the note for its story, and the paid request's outcome for the ledger ("" where none ended)."""


def backoff(count: int, chance: Chance) -> timedelta:
    """How long to wait after the `count`-th failure in a row, from 1: doubling, bounded, with jitter.

    Half of the wait is fixed and half is chance, so that recordings which failed together do not return
    together (contract section 7.3: exponential backoff with jitter).
    """
    doublings = min(max(count - 1, 0), 20)
    whole = min(timedelta(seconds=FIRST_WAIT.total_seconds() * 2.0**doublings), LONGEST_WAIT)
    return whole * (0.5 + chance() / 2)


def suffer(
    recording: Recording,
    error: AsrwatchError,
    *,
    now: datetime,
    patience: timedelta,
    automatic: bool,
    chance: Chance,
    rest_within: timedelta = timedelta(hours=1),
) -> Suffered:
    """What the recording is after an error in the step that was under way.

    Args:
        recording: as it was when the step began; in `asking` where a paid request was made.
        error: what came instead of the next recording.
        now: aware, UTC.
        patience: how long temporary trouble may last.
        automatic: whether the dispatcher may choose another engine.
        chance: for jitter.
        rest_within: how long a file that is not whole may wait for its rest.
    """
    match error:
        case AnswerLost():
            return _lost(recording, error, now=now, patience=patience, chance=chance)
        case BillUnknown() if recording.state is State.ASKING:
            return _bill_unknown(recording, error, now=now, patience=patience, chance=chance)
        case TicketLost():
            return recording.park(Failure.of(error), now=now), error.message, "lost"
        case SourceChanged():
            return _start_over(recording, error, now=now, due=now + LOOK_AGAIN)
        case Incomplete() if recording.state is State.SETTLED:
            return _postpone(recording, error, now=now, patience=rest_within, chance=chance)
        case DoesNotFit() if automatic and _has_not_refused(recording):
            engine = recording.reading.plan.engine if recording.reading else ""
            again = recording.resettle(now=now, refused_by=engine)
            return again, f"{error.message} Another engine is tried.", _ended(recording, error)
        case RecordingError():
            return (
                recording.fail(Failure.of(error), now=now),
                error.message,
                _ended(recording, error),
            )
        case EngineError():
            return _unsend(recording, now=now, due=now), error.message, _ended(recording, error)
        case UrlExpired():
            return _url_expired(recording, error, now=now, patience=patience, chance=chance)
        case _:
            return _postpone(recording, error, now=now, patience=patience, chance=chance)


def unexpected(recording: Recording, error: Exception, *, now: datetime) -> Suffered:
    """An error nobody foresaw fails this one recording, or, with money under way, leaves it to be reconciled."""
    failure = Failure(
        error=type(error).__name__,
        code="unexpected",
        message=f"asrwatch ran into an error of its own ({type(error).__name__}).",
        advice="The log holds the traceback; please report it. `asrwatch retry` tries again.",
    )
    if recording.state is State.ASKING:
        trouble = one_more_lost(recording, failure, now=now)
        before = recording.trouble
        if before is not None and before.last == failure and trouble.count >= READ_AGAIN:
            return recording.park(_kept(failure), now=now), failure.message, "lost"
        waiting = recording.postpone(trouble, due=now + backoff(trouble.count, lambda: 0.5))
        return waiting, failure.message, "lost"
    return recording.fail(failure, now=now), failure.message, ""


def _kept(failure: Failure) -> Failure:
    return replace(
        failure,
        advice="What was answered may be kept in the folder `answers` of the state folder. The log holds the "
        "traceback; please report it. `asrwatch retry` reads it again, for nothing; if that fails, too, a second "
        "retry asks again, which may be paid a second time.",
    )


def one_more_lost(recording: Recording, last: Failure, *, now: datetime) -> Trouble:
    """The trouble after an answer was lost; however often one request's loss is told, it counts once."""
    trouble = _more(recording, last, now)
    if trouble.lost_at == recording.attempts:
        return trouble
    return replace(trouble, lost=trouble.lost + 1, lost_at=recording.attempts)


def met_again(recording: Recording, error: AsrwatchError, *, now: datetime) -> Trouble:
    """The trouble of a recording that stays as it is, with one more error counted."""
    return _more(recording, Failure.of(error), now)


def _has_not_refused(recording: Recording) -> bool:
    engine = recording.reading.plan.engine if recording.reading else ""
    return bool(engine) and engine not in recording.engines_refused


def _lost(
    recording: Recording,
    error: AnswerLost,
    *,
    now: datetime,
    patience: timedelta,
    chance: Chance,
) -> Suffered:
    """The recording stays in `asking`: unknown, to be reconciled, never aged into failure."""
    trouble = one_more_lost(recording, Failure.of(error), now=now)
    if now - trouble.since > patience:
        return (
            recording.park(Failure.of(error), now=now),
            "Patience ended; a person decides.",
            "lost",
        )
    due = now + backoff(trouble.count, chance)
    return recording.postpone(trouble, due=due), error.message, "lost"


def _bill_unknown(
    recording: Recording,
    error: BillUnknown,
    *,
    now: datetime,
    patience: timedelta,
    chance: Chance,
) -> Suffered:
    """Asked again as often as after a lost answer: each of these may have been paid for, too."""
    trouble = one_more_lost(recording, Failure.of(error), now=now)
    if trouble.lost >= ASKED_AGAIN:
        failure = replace(Failure.of(error), advice=_MAYBE_BILLED)
        return recording.park(failure, now=now), error.message, "bill_unknown"
    after, note, outcome = _postpone(recording, error, now=now, patience=patience, chance=chance)
    if after.trouble is not None:
        after = replace(after, trouble=trouble)
    return after, note, outcome


def _start_over(
    recording: Recording, error: SourceChanged, *, now: datetime, due: datetime
) -> Suffered:
    # The one case in which the cloud answered, and was paid, for content that is gone.
    outcome = "answered" if error.code == "changed-while-sent" else _ended(recording, error)
    return recording.resettle(now=now, due=due), error.message, outcome


def _url_expired(
    recording: Recording,
    error: UrlExpired,
    *,
    now: datetime,
    patience: timedelta,
    chance: Chance,
) -> Suffered:
    trouble = _more(recording, Failure.of(error), now)
    trouble = replace(trouble, urls=trouble.urls + 1)
    if trouble.urls > FRESH_URLS or now - trouble.since > patience:
        return recording.fail(Failure.of(error), now=now), error.message, _ended(recording, error)
    due = now + backoff(trouble.count, chance)
    over = (
        recording.resettle(now=now, due=due) if recording.state is not State.SETTLED else recording
    )
    return over.postpone(trouble, due=due), error.message, _ended(recording, error)


def _postpone(
    recording: Recording,
    error: AsrwatchError,
    *,
    now: datetime,
    patience: timedelta,
    chance: Chance,
) -> Suffered:
    trouble = _more(recording, Failure.of(error), now)
    if now - trouble.since > patience:
        return (
            recording.fail(Failure.of(error), now=now),
            "Patience ended.",
            _ended(recording, error),
        )
    if error.code == DIED and trouble.count >= DEATHS:
        failed = recording.fail(Failure.of(error), now=now)
        return failed, f"The process that decodes it died {DEATHS} times.", ""
    wait = backoff(trouble.count, chance)
    if isinstance(error, TemporaryError) and error.retry_after is not None:
        wait = min(max(wait, error.retry_after), LONGEST_WAIT)
    if recording.state is State.SUBMITTED:
        trouble = replace(trouble, tasks=trouble.tasks + 1)
        if trouble.tasks > FAILED_TASKS:
            return (
                recording.fail(Failure.of(error), now=now),
                error.message,
                _ended(recording, error),
            )
        over = recording.resettle(now=now, due=now + wait)
        return over.postpone(trouble, due=now + wait), error.message, _ended(recording, error)
    moved = _unsend(recording, now=now, due=now + wait)
    return moved.postpone(trouble, due=now + wait), error.message, _ended(recording, error)


def _unsend(recording: Recording, *, now: datetime, due: datetime) -> Recording:
    """Out of `asking`, since nothing was accepted; any other state stays."""
    if recording.state is State.ASKING:
        return recording.unsend(now=now, due=due)
    return recording


def _ended(recording: Recording, error: AsrwatchError) -> str:
    """A paid request that ended without being accepted, or never left, or a task that failed."""
    match recording.state:
        case State.ASKING if error.code in NEVER_LEFT:
            return "unsent"
        case State.ASKING if isinstance(error, BillUnknown):
            return "bill_unknown"
        case State.ASKING:
            return "refused"
        case State.SUBMITTED:
            return "bill_unknown"  # no page says whether a task that failed is billed
        case _:
            return ""


def _more(recording: Recording, last: Failure, now: datetime) -> Trouble:
    before = recording.trouble
    if before is None:
        return Trouble(since=now, count=1, last=last)
    return replace(before, count=before.count + 1, last=last)
