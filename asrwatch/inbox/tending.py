"""Keeps an inbox's events coming where they are worth anything, and says how it is watched now."""

from typing import TYPE_CHECKING

from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.messages import Deafness
from asrwatch.inbox.mounts import WatchMode, choose, file_system_of
from asrwatch.inbox.nudges import Nudge

if TYPE_CHECKING:
    from asrwatch.inbox.watch import Watch

__all__ = ["Tending"]


class Tending:
    """The events of one inbox over time: had, lost, had again, or not wanted.

    Attributes:
        mode: how the inbox is watched now, never `AUTO`.
        reason: why, in words.
    """

    def __init__(self, rule: IgnoreRule, *, recursive: bool, wish: WatchMode, nudge: Nudge) -> None:
        self.mode = WatchMode.POLL
        self.reason = "not begun"
        self._rule = rule
        self._recursive = recursive
        self._wish = wish
        self._nudge = nudge
        self._watch: Watch | None = None

    def tend(self) -> Deafness | None:
        """See to it that events come, if they are wanted here; returns why they do not, or not all."""
        choice = choose(self._wish, file_system_of(self._rule.root))
        if choice.mode is WatchMode.POLL:
            self.end()
            self.reason = choice.reason
            return None
        deafness = self._watch.deaf() if self._watch else None
        if self._watch is None or (deafness and not deafness.partial):
            deafness = self._listen()
        if deafness and not deafness.partial:
            self.end()
            self.reason = deafness.message
        else:
            self.mode, self.reason = choice.mode, choice.reason
        return deafness

    def lost(self) -> bool:
        """Whether events came and no longer do, so that it is time for a whole pass."""
        deafness = self._watch.deaf() if self._watch else None
        return deafness is not None and not deafness.partial

    def end(self) -> None:
        """Do without events."""
        watch, self._watch = self._watch, None
        self.mode = WatchMode.POLL
        self.reason = "there is nothing to listen to"
        if watch is not None:
            watch.disarm()

    def _listen(self) -> Deafness | None:
        self.end()
        try:
            from asrwatch.inbox.watch import Watch  # noqa: PLC0415 - fails where there is no inotify
        except ImportError as error:
            return Deafness(code="events-unsupported", message=str(error), advice="")
        self._watch = Watch(
            self._rule.root,
            recursive=self._recursive,
            wants=self._rule.concerns,
            nudge=self._nudge,
        )
        return self._watch.arm()
