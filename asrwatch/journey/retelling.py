"""Retells a move in words: what the ledger learns from it, what the log says of it."""

from collections.abc import Mapping

from asrwatch.journey.recording import Recording, State
from asrwatch.journey.request import is_ours
from asrwatch.journey.route import Route
from asrwatch.values import format_size, printable

__all__ = ["ASKED_AGAIN", "note", "outcome"]

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
        case State.STAGED if staging is not None and staging.url is not None:
            copy, size = staging.prepared, after.fingerprint.size
            if copy is None:
                return f"uploaded, {format_size(size)}"
            return f"uploaded as {copy.container}, {format_size(copy.size)} instead of {format_size(size)}"
        case State.PARKED if after.failure is not None:
            return after.failure.message
        case State.DELIVERED:
            written = ", ".join(printable(output.path) for output in after.outputs)
            left = after.delivery.left_alone if after.delivery else ""
            return f"{written}. {left}" if left else written
        case _:
            return ""
