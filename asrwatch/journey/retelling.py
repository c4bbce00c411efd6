"""Retells a move in words: what the ledger learns from it, what the log says of it."""

from collections.abc import Mapping

from asrwatch.journey.evidence import Staging
from asrwatch.journey.plan import Preparation
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.request import is_ours
from asrwatch.journey.route import Route
from asrwatch.values import format_duration, format_size, printable

__all__ = ["ASKED_AGAIN", "lacks", "note", "outcome"]

ASKED_AGAIN = {
    "again": "its answer is lost: asked again, which may be paid a second time",
    "not_accepted": "the cloud's list holds nothing of it: it was never accepted, and is asked again",
}


def outcome(before: Recording, after: Recording, routes: Mapping[str, Route]) -> str:
    """What the ledger learns from this move."""
    if before.state not in {State.ASKING, State.SUBMITTED} or after.state is before.state:
        return ""
    match after.state:
        case State.SUBMITTED:
            return "accepted"
        case State.TRANSCRIBED:
            return "answered"
        case State.STAGED:
            engine = after.reading.plan.engine if after.reading else ""
            route = routes.get(after.inbox)
            has_tasks = (
                route is not None and engine in route.engines and route.engines[engine].tasks
            )
            return "not_accepted" if has_tasks else "again"
        case State.PARKED:
            return "lost"
        case _:
            return ""


def lacks(staging: Staging) -> str:
    """What is told of a recording that cannot be decoded all through, to be put behind what became of it."""
    missing = staging.lacks
    return f"; no sound could be decoded for {format_duration(missing)} of it" if missing else ""


def note(before: Recording, after: Recording, outcome: str) -> str:
    """What the log says of this move."""
    reading, staging = after.reading, after.staging
    match after.state:
        case State.SETTLED | State.STAGED if before.reading is None and reading is not None:
            return "; ".join((*reading.plan.reasons, *reading.plan.left_out))
        case State.SUBMITTED if after.task is not None:
            how = "adopted: " if not is_ours(before) else ""
            return f"{how}task {after.task.ticket}"
        case State.STAGED if before.state is State.ASKING:
            return ASKED_AGAIN[outcome]
        case State.STAGED if staging is not None:
            return _staged(after, staging)
        case State.PARKED if after.failure is not None:
            return after.failure.message
        case State.DELIVERED:
            written = ", ".join(printable(output.path) for output in after.outputs)
            left = after.delivery.left_alone if after.delivery else ""
            return f"{written}. {left}" if left else written
        case _:
            return ""


def _staged(recording: Recording, staging: Staging) -> str:
    """What is sent of a recording, which is not always what was planned."""
    copy, size = staging.prepared, recording.fingerprint.size
    if copy is not None:
        how = "re-encoded" if staging.url is None else "uploaded"
        sizes = f"{format_size(copy.size)} instead of {format_size(size)}"
        return f"{how} as {copy.container}, {sizes}{lacks(staging)}"
    if staging.url is None:
        return ""
    plan = recording.reading.plan if recording.reading else None
    if plan is not None and plan.preparation is Preparation.DIET:
        return f"uploaded as it is, {format_size(size)}: no smaller copy came of it"
    return f"uploaded, {format_size(size)}"
