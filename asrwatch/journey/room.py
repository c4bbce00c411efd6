"""Whether there is room for what a request will bring, before it is made. Pure; looks come in.

No request is announced, and nothing uploaded for one, unless the state folder and the folder of its transcripts
have room for the result and for the reserve besides. What is not known, or was looked at too long ago, counts as
no room. `survey.py` does the looking.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from asrwatch.audio.diet import copy_size
from asrwatch.audio.orders import Codec
from asrwatch.errors import AsrwatchError
from asrwatch.files.room import Space
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.remembered import Remembered
from asrwatch.values import format_size, printable

__all__ = ["NO_ROOM", "RESERVE_AT_ONCE", "Change", "Room", "RoomSeen", "Shortage", "result_size"]

GLANCE = 2.0
"""Seconds after which it is looked again, while there is something to ask."""
FRESH = 15.0
"""Seconds for which a look is believed."""
SILENT = 60.0
"""Seconds after which a folder is said not to answer, also while nothing waits for it and few looks are made."""
RESERVE_AT_ONCE = 4
"""This part of the reserve in the state folder is a file that holds its room for paid results alone."""

BYTES_PER_SECOND = 400
"""Of a raw answer per second and channel: four words or characters with their times, and their sentences."""
LEAST = 65_536
LONGEST = timedelta(hours=12)
"""What a recording of unknown length is taken for: the longest that an engine takes."""
PACKED = 2
"""A raw answer takes half its size in the state, compressed, in the write-ahead log and in the database."""
WRITTEN = 4
"""Its transcripts take up to four times its size: every format, the JSON with the raw answer in it."""
LEAST_FILES = 16
"""So many more files than transcripts must fit: drafts, folders, SQLite's own."""

NO_ROOM = frozenset(
    {"disk-full", "quota", "file-too-large", "read-only", "no-permission", "io-error", "share-gone"}
)
"""Codes of errors that say: nothing can be written there now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RoomSeen:
    """How much room a folder has, or why nothing can be written there."""

    folder: bytes
    seen: Space | AsrwatchError
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Shortage:
    """Why requests wait: something about a folder, and what to do."""

    folder: bytes
    code: str
    message: str
    advice: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A shortage began, became another, or is over."""

    folder: bytes
    begun: Shortage | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Folder:
    """What is known of a folder; `refused` since something written there was, until a trial succeeds."""

    look: RoomSeen | None = None
    shortage: Shortage | None = None
    refused: AsrwatchError | None = None


def result_size(recording: Recording) -> int:
    """About how many bytes the raw answer to a recording will have, rather too many."""
    facts = recording.reading.facts if recording.reading else None
    span = facts.duration if facts and facts.duration is not None else LONGEST
    return LEAST + round(span.total_seconds() * BYTES_PER_SECOND)


def copies_size(recording: Recording) -> int:
    """About how many bytes the copies of its pieces will have, of a recording that is about to be cut."""
    reading = recording.reading
    cut = reading.plan.cut if reading else None
    if recording.state is not State.SETTLED or reading is None or cut is None:
        return 0
    channels = len(cut.channels or reading.plan.channels or (0,))
    return copy_size(Codec.FLAC, reading.facts.duration or LONGEST, channels)


class Room:
    """Knows every folder that results go to. Used in the daemon's main thread.

    Args:
        state: the state folder.
        outputs: by inbox, the folder in or below which its transcripts go.
        reserve: bytes that must stay free besides; None: room is not looked at, there is always enough.
    """

    def __init__(self, *, state: bytes, outputs: Mapping[str, bytes], reserve: int | None) -> None:
        self._state = state
        self._outputs = dict(outputs)
        self._reserve = reserve or 0
        looked_at = () if reserve is None else (state, *outputs.values())
        self._folders: Remembered[bytes, _Folder] = Remembered()
        self._folders.update((folder, _Folder()) for folder in looked_at)
        self._promised = 0
        self.keep()
        self._asked = 0.0

    def keep(self) -> None:
        """What was seen, and promised, is saved."""
        self._folders.keep()
        self._kept = self._promised

    def go_back(self) -> None:
        """A commit failed: what was seen is seen again, and nothing was promised to anybody."""
        self._folders.go_back()
        self._promised = self._kept

    @property
    def folders(self) -> Mapping[bytes, bool]:
        """Every folder to be looked at, and whether something must be written there on trial."""
        return {folder: known.refused is not None for folder, known in self._folders.items()}

    @property
    def shortages(self) -> tuple[Shortage, ...]:
        """Every shortage there is."""
        return tuple(known.shortage for known in self._folders.values() if known.shortage)

    def hindrances(self, clock: float) -> tuple[Shortage, ...]:
        """Every shortage, and every folder that was looked at once and does not answer any more."""
        silent = tuple(
            _no_answer(folder)
            for folder, known in self._folders.items()
            if not known.shortage and known.look is not None and clock - known.look.at > SILENT
        )
        return (*self.shortages, *silent)

    def due(self, clock: float) -> bool:
        """Whether it is time to look again; said once, the looking counts as begun."""
        if clock - self._asked < GLANCE:
            return False
        self._asked = clock
        return True

    def saw(self, look: RoomSeen, *, promised: int) -> Change | None:
        """Somebody looked; `promised` is the size of all results that are still to come."""
        before = self._folders.get(look.folder)
        if before is None:
            return None
        if look.folder == self._state:
            self._promised = promised
        short = self._shortage(look)
        self._folders[look.folder] = _Folder(
            look=look, shortage=short, refused=before.refused if short else None
        )
        if (short and short.code) == (before.shortage and before.shortage.code):
            return None
        return Change(folder=look.folder, begun=short)

    def refused(self, inbox: str, error: AsrwatchError) -> Change | None:
        """A transcript could not be written where this inbox wants it: nothing more is asked until one could."""
        folder = self._outputs.get(inbox)
        known = self._folders.get(folder) if folder else None
        if folder is None or known is None or error.code not in NO_ROOM:
            return None
        short = known.shortage or Shortage(
            folder=folder, code=error.code, message=error.message, advice=error.advice
        )
        self._folders[folder] = replace(known, refused=error, shortage=short)
        return None if known.shortage else Change(folder=folder, begun=short)

    def inboxes_of(self, folder: bytes) -> tuple[str, ...]:
        """The inboxes whose transcripts go to a folder."""
        return tuple(inbox for inbox, goes in self._outputs.items() if goes == folder)

    def state_is_short(self, clock: float) -> bool:
        """Whether the state folder may take nothing but what is paid for."""
        return not self._is_open(self._state, clock)

    def barred(self, clock: float) -> frozenset[str]:
        """The inboxes for which nothing is asked or uploaded now."""
        if self.state_is_short(clock):
            return frozenset(self._outputs)
        return frozenset(
            inbox for inbox, folder in self._outputs.items() if not self._is_open(folder, clock)
        )

    def take(self, recording: Recording) -> bool:
        """Whether there is room for this recording's result; where there is, it is promised to it."""
        if self.lacks(recording) is not None:
            return False
        self._promised += result_size(recording) // PACKED
        return True

    def lacks(self, recording: Recording) -> Shortage | None:
        """What this recording's request waits for, if it waits for room."""
        size = result_size(recording)
        needs = [(self._state, size // PACKED + self._promised + copies_size(recording))]
        if output := self._outputs.get(recording.inbox):
            needs.append((output, size * WRITTEN))
        for folder, need in needs:
            known = self._folders.get(folder, _Folder())
            if known.shortage is not None:
                return known.shortage
            seen = known.look.seen if known.look else None
            if isinstance(seen, Space) and seen.free < need + self._reserve:
                return _no_room(folder, seen.free, need + self._reserve)
        return None

    def waits(self, recording: Recording, clock: float) -> Shortage | None:
        """What this recording waits for before anything is done for it; that nobody answers counts, too."""
        if (lacks := self.lacks(recording)) is not None or recording.inbox not in self.barred(
            clock
        ):
            return lacks
        output = self._outputs[recording.inbox]
        folder = self._state if self.state_is_short(clock) else output
        return _no_answer(folder)

    def _is_open(self, folder: bytes, clock: float) -> bool:
        known = self._folders.get(folder)
        if known is None:
            return True
        return known.shortage is None and known.look is not None and clock - known.look.at <= FRESH

    def _shortage(self, look: RoomSeen) -> Shortage | None:
        match look.seen:
            case AsrwatchError() as error:
                return Shortage(
                    folder=look.folder,
                    code=error.code,
                    message=error.message,
                    advice="Nothing is asked for until it can be written to; work then goes on by itself.",
                )
            case Space(free=free) if free < self._reserve + LEAST:
                return _no_room(look.folder, free, self._reserve + LEAST)
            case Space(files=int(files)) if files < LEAST_FILES:
                return Shortage(
                    folder=look.folder,
                    code="no-files-left",
                    message=f"Only {files} more files fit on the file system of {printable(look.folder)}.",
                    advice="Delete files there (df -i); nothing is asked for until then, and work then goes on "
                    "by itself.",
                )
            case _:
                return None


def _no_room(folder: bytes, free: int, wanted: int) -> Shortage:
    return Shortage(
        folder=folder,
        code="no-room",
        message=f"{format_size(free)} are free in {printable(folder)}, {format_size(wanted)} must be before "
        "anything is asked for.",
        advice="Make room there; work then goes on by itself. `reserve` in the configuration is what must stay free.",
    )


def _no_answer(folder: bytes) -> Shortage:
    return Shortage(
        folder=folder,
        code="no-answer",
        message=f"How much room there is in {printable(folder)} cannot be found out: it does not answer.",
        advice="Look whether the share is there; work then goes on by itself.",
    )


def promised_for(spans: Iterable[timedelta | None]) -> int:
    """The room in the state for results that are still to come, by the lengths of their recordings."""
    return sum(
        (LEAST + round((LONGEST if span is None else span).total_seconds() * BYTES_PER_SECOND))
        // PACKED
        for span in spans
    )
