"""Looks how much room there is, each folder in a thread of its own that a dead share may hang."""

import time
from collections.abc import Callable, Mapping
from threading import Lock, Thread

from asrwatch.crew import begun
from asrwatch.errors import AsrwatchError
from asrwatch.files.room import Reserve, Space, space_at, try_to_write
from asrwatch.journey.room import RoomSeen

__all__ = ["Survey"]


class Survey:
    """Looks on demand, and posts what it saw. A folder whose last look has not ended is not looked at again.

    Args:
        state: the state folder, in which the reserve is.
        reserve: taken again whenever there is room for it.
        spare: bytes that must stay free beside the reserve's file.
        post: takes what was seen, from any thread.
    """

    def __init__(
        self, *, state: bytes, reserve: Reserve, spare: int, post: Callable[[RoomSeen], None]
    ) -> None:
        self._state = state
        self._reserve = reserve
        self._spare = spare
        self._post = post
        self._looking: set[bytes] = set()
        self._lock = Lock()

    def look(self, folders: Mapping[bytes, bool]) -> None:
        """Begin to look at these; where it is true, something is written on trial."""
        for folder, trial in folders.items():
            with self._lock:
                if folder in self._looking:
                    continue
                self._looking.add(folder)
            # Not of an executor: the interpreter would wait for its hung threads at the end.
            looker = Thread(target=self._look, args=(folder, trial), name="survey", daemon=True)
            if not begun(looker):  # it is looked at again before long
                with self._lock:
                    self._looking.discard(folder)

    def _look(self, folder: bytes, trial: bool) -> None:
        seen: Space | AsrwatchError
        try:
            seen = space_at(folder)
            if trial:
                try_to_write(folder)
            if folder == self._state and not self._reserve.is_whole():
                seen = self._with_reserve(seen)
        except AsrwatchError as error:
            seen = error
        finally:  # whatever it was: the next look may see more
            with self._lock:
                self._looking.discard(folder)
        self._post(RoomSeen(folder=folder, seen=seen, at=time.monotonic()))

    def _with_reserve(self, before: Space) -> Space:
        """The space once the reserve is whole again; as it is, where there is no room for it."""
        if before.free < self._reserve.size + self._spare:
            return Space(free=min(before.free, self._spare), files=before.files)
        self._reserve.take()
        return space_at(self._state)
