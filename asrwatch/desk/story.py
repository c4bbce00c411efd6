"""Tells a recording's story in words: what is true of it, why it waits, when it goes on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from asrwatch.desk.hearing import sound_of
from asrwatch.desk.reports.explanation import EventLine, OutputLine, Paid, PieceLine, Story
from asrwatch.desk.reports.lines import Reason, RecordingLine
from asrwatch.journey.cutting_up import name_of
from asrwatch.journey.evidence import Failure, Trouble
from asrwatch.journey.recording import DONE, Recording, State
from asrwatch.journey.room import Shortage
from asrwatch.journey.store import EVERY_ENGINE, Bought, Event, Hold
from asrwatch.values import counted, format_duration

__all__ = ["Circumstances", "in_words", "line_of", "reason_of", "story_of", "waits"]

_BEFORE_A_REQUEST = frozenset({State.SETTLED, State.CUT, State.STAGED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """What a recording's waiting depends on besides itself.

    Args:
        now: aware, UTC.
        running: whether a daemon works on it at all.
        under_way: whether a worker is on it at this moment.
        holds: all there are.
        paced: engines that are not asked now although nothing holds them: their pace does.
        inbox_is_configured: whether its inbox is still in the configuration.
        same_content_under_way: whether the same content is being transcribed for another recording.
        workers_busy: whether every worker has something to do.
        currency: of what was paid.
        shortage: where there is no room for what its request would bring.
    """

    now: datetime
    running: bool
    under_way: bool = False
    holds: Sequence[Hold] = field(default=())
    paced: frozenset[str] = frozenset()
    inbox_is_configured: bool = True
    same_content_under_way: bool = False
    workers_busy: bool = False
    currency: str = ""
    shortage: Shortage | None = None


def in_words(recording: Recording, *, under_way: bool) -> str:
    """What is true of a recording now, as a sentence."""
    engine = recording.reading.plan.engine if recording.reading else ""
    cut = recording.reading.plan.cut if recording.reading and not recording.piece else None
    match recording.state:
        case State.SETTLED if recording.reading is None:
            now, next_step = "It is being read.", "The file stopped changing; next it is read."
        case State.SETTLED if cut is not None:
            now = f"It is being cut for {engine}."
            next_step = f"It was read; next it is cut for {engine}."
        case State.SETTLED:
            now = f"It is being uploaded for {engine}."
            next_step = f"It was read; next it is uploaded for {engine}."
        case State.CUT:
            now = next_step = f"It was cut; its pieces are on their way to {engine}."
        case State.STAGED:
            now = next_step = f"It is ready to be sent to {engine}."
        case State.ASKING:
            now = f"A paid request to {engine} is under way."
            next_step = f"A paid request to {engine} was made and its answer is lost; " + (
                "what became of it is found out before anything else is paid."
                if recording.staging is not None and recording.staging.url is not None
                else "nobody can find out whether it was paid: it is asked again, a few times at most, "
                "or parked where the inbox says `unknown: park`."
            )
        case State.SUBMITTED:
            now = next_step = f"The cloud is working on it ({engine})."
        case State.TRANSCRIBED:
            now = "The answer is in hand; the transcript is being written."
            next_step = "The answer is in hand; next the transcript is written."
        case State.DELIVERED:
            now = next_step = "It is done: the transcript is in its place."
        case State.FAILED:
            now = next_step = "It failed and waits for a person."
        case State.PARKED:
            now = next_step = "It is parked: a person must decide about money."
        case _:
            assert_never(recording.state)
    return now if under_way else next_step


def waits(recording: Recording, around: Circumstances) -> tuple[str, ...]:
    """Why nothing happens with a recording at this moment; empty where something does, or it is done."""
    if recording.state in DONE or around.under_way:
        return ()
    return tuple(_reasons_to_wait(recording, around))


def _reasons_to_wait(recording: Recording, around: Circumstances) -> Iterable[str]:
    if not around.inbox_is_configured:
        yield f"Its inbox {recording.inbox!r} is not in the configuration; it stays as it is until it is back."
    engine = recording.reading.plan.engine if recording.reading else ""
    if recording.trouble is not None and recording.due > around.now:
        yield _troubled(recording.trouble)
    if recording.state is State.SUBMITTED and recording.task is not None:
        age = format_duration(around.now - recording.task.submitted_at)
        yield f"The cloud has had it for {age} (task {recording.task.ticket})."
    if recording.state in _BEFORE_A_REQUEST and around.shortage is not None:
        yield f"{around.shortage.message} {around.shortage.advice}"
    if recording.state in _BEFORE_A_REQUEST and engine:
        for hold in around.holds:
            if hold.scope in {engine, EVERY_ENGINE}:
                held = "Every engine is" if hold.scope == EVERY_ENGINE else f"{engine} is"
                yield f"{held} held: {hold.message} {hold.advice}".rstrip()
        if around.same_content_under_way:
            yield "The same content is being transcribed for another recording; its answer serves both."
        if engine in around.paced:
            yield f"{engine} is asked no faster than its requests_per_minute allow."
    if not around.running:
        yield "asrwatch is not running; it goes on when it is started."
    elif around.workers_busy and recording.state is not State.SUBMITTED:
        yield "Every worker is busy; its turn comes."


def _troubled(trouble: Trouble) -> str:
    times = "once" if trouble.count == 1 else counted(trouble.count, "time")
    return f"It met trouble {times}: {trouble.last.message}"


def line_of(recording: Recording, *, under_way: bool, holds: Sequence[Hold] = ()) -> RecordingLine:
    """A recording in one line."""
    trouble = recording.trouble
    said = in_words(recording, under_way=under_way)
    if recording.piece is not None:
        said = f"{name_of(recording.piece)}: {said}"
    if recording.failure is not None:
        said = f"{said} {recording.failure.message}"
    return RecordingLine(
        id=recording.id,
        inbox=recording.inbox,
        path=recording.path,
        state=recording.state,
        since=recording.changed_at,
        now=said,
        next_at=_next_at(recording, under_way=under_way, holds=holds),
        trouble=reason_of(trouble.last) if trouble else None,
        trouble_since=trouble.since if trouble else None,
        trouble_count=trouble.count if trouble else 0,
    )


def story_of(
    recording: Recording,
    around: Circumstances,
    *,
    events: Iterable[Event],
    bought: Iterable[Bought],
    pieces: Sequence[PieceLine] = (),
) -> Story:
    """Everything there is to tell of a recording."""
    reading, failure, trouble = recording.reading, recording.failure, recording.trouble
    facts = reading.facts if reading else None
    plan = reading.plan if reading else None
    return Story(
        id=recording.id,
        inbox=recording.inbox,
        path=recording.path,
        state=recording.state,
        now=in_words(recording, under_way=around.under_way),
        waits=waits(recording, around),
        next_at=_next_at(recording, under_way=around.under_way, holds=around.holds),
        found_at=recording.found_at,
        size=recording.fingerprint.size,
        sha256=reading.sha256 if reading else None,
        container=facts.container if facts else None,
        codec=facts.codec if facts else None,
        duration=facts.duration if facts else None,
        channels=facts.channels if facts else None,
        engine=plan.engine if plan else None,
        model=plan.model if plan else None,
        options=dict(plan.options) if plan else {},
        reasons=plan.reasons if plan else (),
        left_out=plan.left_out if plan else (),
        ticket=recording.task.ticket if recording.task else None,
        attempts=recording.attempts,
        failure=reason_of(failure) if failure else None,
        trouble=reason_of(trouble.last) if trouble else None,
        trouble_since=trouble.since if trouble else None,
        trouble_count=trouble.count if trouble else 0,
        outputs=tuple(
            OutputLine(format=output.format, path=output.path, written=bool(output.sha256))
            for output in recording.outputs
        ),
        original=recording.delivery.original if recording.delivery else None,
        paid=tuple(_paid(each, around.currency) for each in bought),
        sound=sound_of(facts) if facts else None,
        pieces=tuple(pieces),
        events=tuple(EventLine(at=each.at, state=each.after, note=each.note) for each in events),
    )


def _next_at(recording: Recording, *, under_way: bool, holds: Iterable[Hold]) -> datetime | None:
    """When something may happen next; None where nothing will by itself, or it is happening."""
    if recording.state in DONE or under_way:
        return None
    engine = recording.reading.plan.engine if recording.reading else ""
    dates = [recording.due]
    if recording.state in _BEFORE_A_REQUEST and engine:
        dates += [hold.until for hold in holds if hold.scope in {engine, EVERY_ENGINE}]
    return max(dates)


def reason_of(failure: Failure) -> Reason:
    """A recording's failure, or the last it met on its way, as a reason."""
    return Reason(code=failure.code, message=failure.message, advice=failure.advice)


def _paid(bought: Bought, currency: str) -> Paid:
    return Paid(
        ask_id=bought.ask_id,
        asked_at=bought.asked_at,
        engine=bought.engine,
        model=bought.model,
        outcome=bought.outcome,
        billed=bought.billed,
        cost=bought.cost,
        currency=currency,
        piece=bought.piece,
    )
