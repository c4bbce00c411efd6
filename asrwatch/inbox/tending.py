"""Keeps an inbox's events coming where they are worth anything, and says how it is watched now."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from asrwatch import logs
from asrwatch.clock import utc_now
from asrwatch.heartbeats import allow
from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.messages import Deafness
from asrwatch.inbox.mounts import Choice, WatchMode, choose, file_system_of
from asrwatch.inbox.nudges import Heard, Nudge

if TYPE_CHECKING:
    from asrwatch.inbox.watch import Watch

__all__ = ["Hearing", "Tended", "Tending"]

log = logs.get("inbox")

RETRY = timedelta(minutes=5)
"""How often folders that cannot be watched are tried once more: somebody may have raised the limit."""
# How long listening to a whole tree may take.
_LISTENING = timedelta(minutes=5)
_LIMITS = (
    Path("/proc/sys/fs/inotify/max_user_watches"),
    Path("/proc/sys/user/max_inotify_watches"),
)
_GRACE = 5
_GRACE_PAUSE = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Tended:
    """What was wrong with the events when somebody looked, and what is left of it after mending."""

    noticed: Deafness | None = None
    left: Deafness | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hearing:
    """How well events came so far: the kernel's queue ran over, a fault of ours swallowed one, armed afresh.

    `last_at` is when the last one came.
    """

    overflows: int = 0
    faults: int = 0
    rearmed: int = 0
    last_at: datetime | None = None


class Tending:
    """The events of one inbox over time: had, lost, had again, or not wanted.

    Attributes:
        mode: how the inbox is watched now, never `AUTO`.
        reason: why, in words.
    """

    def __init__(
        self,
        rule: IgnoreRule,
        *,
        recursive: bool,
        wish: WatchMode,
        nudge: Nudge,
        heard: Heard | None = None,
        inbox: str = "",
        retry: timedelta = RETRY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.mode = WatchMode.POLL
        self.reason = "not begun"
        self._rule = rule
        self._recursive = recursive
        self._wish = wish
        self._nudge = nudge
        self._file = heard
        self._inbox = inbox
        self._retry = retry.total_seconds()
        self._clock = clock
        self._watch: Watch | None = None
        self._past = Hearing()
        self._last_at: datetime | None = None
        self._overflows_told = 0
        self._unheard: frozenset[int] = frozenset()
        self._unheard_tried: frozenset[int] = frozenset()
        self._retry_at = 0.0
        self._limits_tried: tuple[str, ...] = ()
        self._chosen: Choice | None = None

    @property
    def hearing(self) -> Hearing:
        """The counts so far, from any thread."""
        watch = self._watch
        return Hearing(
            overflows=self._past.overflows + (watch.overflows if watch else 0),
            faults=self._past.faults + (watch.exceptions if watch else 0),
            rearmed=self._past.rearmed,
            last_at=self._last_at,
        )

    def _heard(self, folder: bytes, *, deep: bool) -> None:
        self._last_at = utc_now()
        self._nudge(folder, deep=deep)

    def _heard_of(self, path: bytes, *, moved: bool, at_once: bool) -> None:
        self._last_at = utc_now()
        if self._file is not None:
            self._file(path, moved=moved, at_once=at_once)

    def tend(self) -> Tended:
        """See to it that events come, if they are wanted here."""
        choice = choose(self._wish, file_system_of(self._rule.root))
        self._tell(choice)
        if choice.mode is WatchMode.POLL:
            self.end()
            self.reason = choice.reason
            return Tended()
        noticed = self._noticed()
        left = noticed if noticed and noticed.partial else None
        mends_itself = noticed is None or noticed.partial or noticed.lost
        if self._watch is None or not mends_itself or self._is_worth_a_try():
            left = self._listen()
        if left and not left.partial:
            self.end()
            self.reason = left.message
        else:
            self.mode, self.reason = choice.mode, choice.reason
        return Tended(noticed=noticed, left=left)

    def compare(self, folders: frozenset[int]) -> Deafness | None:
        """Hold what a whole pass has entered against what the kernel watches; why they are not the same.

        Args:
            folders: the inodes of the folders entered.
        """
        if self._watch is None:
            return None
        deafness = self._watch.deaf()
        self._unheard = self._not_watched(folders)
        for _ in range(_GRACE):
            if deafness or not self._unheard:
                break
            time.sleep(
                _GRACE_PAUSE
            )  # a folder made a moment ago gets its watch when its event is read
            self._unheard = self._not_watched(folders)
        if deafness is None and self._unheard:
            count = len(self._unheard)
            what = "one folder raises" if count == 1 else f"{count} folders raise"
            return Deafness(
                code="events-missing",
                message=f"{what} no events",
                advice="They are listened to afresh by themselves.",
                partial=True,
            )
        return deafness

    def _not_watched(self, folders: frozenset[int]) -> frozenset[int]:
        watched = self._watch.folders() if self._watch else None
        return frozenset() if watched is None else folders - watched

    def lost(self) -> bool:
        """Whether events came and no longer do, so that it is time for a whole pass."""
        deafness = self._watch.deaf() if self._watch else None
        return deafness is not None and not deafness.partial

    def end(self) -> None:
        """Do without events."""
        self._past = self.hearing
        self._overflows_told = self._past.overflows
        watch, self._watch = self._watch, None
        self.mode = WatchMode.POLL
        self.reason = "there is nothing to listen to"
        if watch is not None:
            watch.disarm()

    def _noticed(self) -> Deafness | None:
        """What is wrong with events that were had; for an overflow, what was wrong since this was last asked."""
        if self._watch is None:
            return None
        deafness = self._watch.deaf()
        overflows = self.hearing.overflows
        told, self._overflows_told = self._overflows_told, overflows
        if deafness is None and overflows > told:
            return Deafness(
                code="events-overflow",
                message="the kernel's queue of events ran over, and events were lost",
                advice="If it happens often: sysctl fs.inotify.max_queued_events=131072",
                lost=True,
            )
        return deafness

    def _is_worth_a_try(self) -> bool:
        """Whether folders that raise no events may do so if they are asked once more."""
        if not self._unheard:
            return False
        if self._clock() >= self._retry_at or _limits() != self._limits_tried:
            return True
        return self._unheard != self._unheard_tried

    def _listen(self) -> Deafness | None:
        again = self._watch is not None
        self.end()
        if again:
            past = self._past
            self._past = Hearing(
                overflows=past.overflows, faults=past.faults, rearmed=past.rearmed + 1
            )
        self._unheard_tried, self._retry_at = self._unheard, self._clock() + self._retry
        self._limits_tried = _limits()
        try:
            from asrwatch.inbox.watch import Watch  # noqa: PLC0415 - fails where there is no inotify
        except ImportError as error:
            return Deafness(code="events-unsupported", message=str(error), advice="")
        self._watch = Watch(
            self._rule.root,
            recursive=self._recursive,
            wants=self._rule.concerns,
            nudge=self._heard,
            heard=self._heard_of if self._file is not None else None,
            is_sign=self._rule.is_sign,
        )
        with allow(_LISTENING):
            return self._watch.arm()

    def _tell(self, choice: Choice) -> None:
        if choice != self._chosen:
            self._chosen = choice
            log.info("watching", inbox=self._inbox, by=choice.mode.value, reason=choice.reason)


def _limits() -> tuple[str, ...]:
    """The limits of watches that apply here, as far as they can be read."""
    found = []
    for place in _LIMITS:
        with suppress(OSError):
            found.append(place.read_text(encoding="utf-8"))
    return tuple(found)
