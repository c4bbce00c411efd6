"""Tells each kind of trouble that `once` meets on the way, once."""

from asrwatch.journey.book import Change
from asrwatch.journey.recording import DONE, State
from asrwatch.values import printable

__all__ = ["Setbacks"]


class Setbacks:
    """Tells each kind of trouble once: an outage meets every recording, again and again."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def line(self, change: Change) -> str:
        """A line for trouble that is new; empty for every other change."""
        trouble = change.after.trouble
        kind = trouble.last.code if trouble else change.note
        if not _is_setback(change) or kind in self._told:
            return ""
        self._told.add(kind)
        why = trouble.last.message if trouble else change.note
        return f"waits   {printable(change.after.path)}: {printable(why)}"


def _is_setback(change: Change) -> bool:
    """Whether a step was tried in vain and will be tried again."""
    before, after = change.before, change.after
    if before is None or not change.note or after.state in DONE:
        return False
    if after.trouble is not None and after.trouble != before.trouble:
        return True
    if before.state is State.ASKING:
        return after.state is State.STAGED
    # an engine that cannot be asked leaves the recording as it was
    return (after.state, after.reading, after.fingerprint) == (
        before.state,
        before.reading,
        before.fingerprint,
    )
