"""What a recording does while the share it lies on is away: it waits, and goes on when the share is back."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from asrwatch.errors import TemporaryError, Vanished
from asrwatch.inbox.presence import Presence
from asrwatch.inbox.troubles import root_trouble
from asrwatch.journey.recording import Recording, State

__all__ = ["AWAY", "WAIT_FOR_IT", "come_home", "is_gone", "must_not_be_away", "patient"]

AWAY = "inbox-away"
"""The code of the trouble that a recording has while its inbox is away."""

_WENT_WITH_THE_SHARE = frozenset(
    {AWAY, "share-gone", "io-error", "etimedout", "ehostunreach", "no-permission"}
)
_WAITING_STATES = (State.SETTLED, State.STAGED, State.TRANSCRIBED)
WAIT_FOR_IT = (*_WAITING_STATES, State.FAILED)
"""States in which recordings may have waited for their inbox."""


@contextmanager
def patient(recording: Recording, presence: Presence | None) -> Iterator[None]:
    """Inside, a file that is gone together with its share is one to wait for.

    Raises:
        TemporaryError: instead of `Vanished`, where the inbox is away.
    """
    try:
        yield
    except Vanished:
        must_not_be_away(recording, presence)
        raise


def must_not_be_away(recording: Recording, presence: Presence | None) -> None:
    """To be called where a recording's file is not found.

    Raises:
        TemporaryError: the whole inbox is away, and so nothing is known about the file.
    """
    if presence is None:
        return
    found = presence.away(recording.path, recording.fingerprint.device)
    if found is None:
        return
    about = root_trouble(recording.inbox, found.path, (found,))
    raise TemporaryError(
        about.message if about else str(found),
        code=AWAY,
        advice="Nothing was paid for it meanwhile; it goes on by itself when the inbox is back.",
    )


def is_gone(recording: Recording, presence: Presence | None) -> bool:
    """Whether the file was really taken away: neither unreadable just now, nor away with its share."""
    try:
        os.lstat(recording.path)
    except (FileNotFoundError, NotADirectoryError):
        return presence is None or not presence.away(recording.path, recording.fingerprint.device)
    except OSError:  # a share that does not answer says nothing about its files
        return False
    return False


def come_home(recording: Recording, *, now: datetime) -> Recording | None:
    """What a recording is once its inbox is back; None where that changes nothing for it."""
    failure = recording.failure
    if recording.state is State.FAILED and failure is not None and failure.code == AWAY:
        if recording.answer is not None:
            return recording.retry(now=now)
        return recording.resettle(now=now, fingerprint=recording.fingerprint)
    trouble = recording.trouble
    waits = recording.state in _WAITING_STATES and recording.due > now
    if waits and trouble is not None and trouble.last.code in _WENT_WITH_THE_SHARE:
        return replace(recording, due=now)
    return None
