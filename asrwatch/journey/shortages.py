"""Keeps work from disks that lack room, until they have some."""

import time
from dataclasses import replace
from datetime import datetime, timedelta

from asrwatch import logs
from asrwatch.errors import AsrwatchError
from asrwatch.journey.book import Book
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.room import NO_ROOM, Room, RoomSeen, Shortage, promised_for
from asrwatch.values import printable

__all__ = ["Shortages"]

log = logs.get("journey")

ROOM_AGAIN = timedelta(seconds=10)
"""How long a recording waits whose result is too large for the room there is."""


class Shortages:
    """See the module. Every method is called inside a transaction."""

    def __init__(self, book: Book, room: Room) -> None:
        self._book = book
        self._room = room
        book.remembers(room)

    def refused(self, recording: Recording, error: AsrwatchError) -> None:
        """A delivery failed: where it was for lack of room, that is told at once."""
        change = self._room.refused(recording.inbox, error)
        if change is not None and change.begun is not None:
            self._tell_shortage(change.begun)

    def room_seen(self, look: RoomSeen, *, now: datetime) -> None:
        """Somebody looked how much room there is: an alarm when it is too little, and work when it is enough."""
        ours = self._book.store.still_to_come()
        change = self._room.saw(look, promised=promised_for(ours))
        if change is None:
            return
        if change.begun is not None:
            self._tell_shortage(change.begun)
            return
        self._book.log_saved(log.info, "room-back", folder=printable(change.folder))
        for inbox in self._room.inboxes_of(change.folder):
            self._deliver_now(inbox, now)

    def _tell_shortage(self, shortage: Shortage) -> None:
        self._book.log_saved(
            log.error,
            "no-room",
            code=shortage.code,
            folder=printable(shortage.folder),
            error=shortage.message,
            advice=shortage.advice,
        )

    def _deliver_now(self, inbox: str, now: datetime) -> None:
        """What could not be written for lack of room is tried at once."""
        for recording in self._book.store.in_state(State.TRANSCRIBED):
            trouble = recording.trouble
            if recording.inbox == inbox and trouble is not None and trouble.last.code in NO_ROOM:
                self._book.save(recording, recording.postpone(trouble, due=min(recording.due, now)))

    def has_room(self, recording: Recording, now: datetime) -> bool:
        """Whether there is room for what it will bring; if not, it waits."""
        if recording.inbox in self._room.barred(time.monotonic()):
            return False
        if self._room.lacks(recording) is None:
            return True
        self._book.save(recording, replace(recording, due=now + ROOM_AGAIN))
        return False
