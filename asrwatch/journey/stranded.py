"""What of the work left cannot go on before something outside changes: `asrwatch once` does not wait for it.

Pure. That it has lasted a while is for the caller to see: room, shares and disks also fail for a moment.
"""

from collections.abc import Collection
from datetime import datetime

from asrwatch.journey.recording import UNPAID, Recording, State
from asrwatch.journey.room import NO_ROOM, Room

__all__ = ["is_stranded"]


def is_stranded(
    recording: Recording,
    *,
    room: Room,
    silent: Collection[str],
    away: Collection[str],
    now: datetime,
    clock: float,
) -> bool:
    """Whether nobody but a person brings this recording on.

    Args:
        recording: with steps left.
        room: what room there is.
        silent: inboxes that do not answer: nothing is tried with their files.
        away: inboxes that cannot be read; what was tried with their files and failed waits for them.
        now: the date.
        clock: monotonic seconds, as the room knows them.
    """
    if recording.state is State.SUBMITTED:
        return False  # the cloud works on it
    if recording.inbox in silent:
        return True
    trouble = recording.trouble
    if trouble is not None and recording.due > now:
        if recording.inbox in away:
            return True
        if recording.state is State.TRANSCRIBED and trouble.last.code in NO_ROOM:
            return True
    return recording.state in UNPAID and room.waits(recording, clock) is not None
