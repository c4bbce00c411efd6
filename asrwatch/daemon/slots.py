"""Counts the worker slots: what is under way, and how much more of which kind may begin."""

from collections.abc import Collection
from datetime import datetime

from asrwatch.clock import is_set
from asrwatch.journey.crowd import Crowd
from asrwatch.journey.recording import Recording, State
from asrwatch.supervision import Supervision

__all__ = ["ASKS", "CHORES", "MOST_CHORES", "Slots"]

ASKS = (State.ASKING, State.STAGED)
CHORES = (State.TRANSCRIBED, State.SETTLED)
"""Requests and everything else have slots of their own, so that no request waits behind a reading or an upload."""
MOST_CHORES = 8
"""Readings, uploads and deliveries at once: they share this machine's cores, disk and uplink."""


class Slots:
    """See the module. `workers` is how many requests may be under way, `inboxes` how many share the rest."""

    def __init__(self, *, workers: int, inboxes: int, supervision: Supervision) -> None:
        self._workers = workers
        self._inboxes = inboxes
        self._supervision = supervision
        self.under_way: dict[int, Recording] = {}
        self.ended: set[int] = set()
        """What this turn's messages ended, under way until that is committed."""

    def let_go(self) -> None:
        """After the commit: what ended is no longer under way."""
        for recording_id in self.ended:
            self.under_way.pop(recording_id, None)
        self.ended.clear()

    @staticmethod
    def kinds(now: datetime) -> tuple[tuple[State, ...], ...]:
        """The kinds of steps that may begin: before the clock was set, none that need the cloud."""
        return (ASKS, CHORES) if is_set(now) else (CHORES,)

    def open_kinds(self, now: datetime) -> list[tuple[list[State], frozenset[str]]]:
        """States whose recordings could be handed out, and the inboxes that could not; one question if it will do."""
        free = [kind for kind in self.kinds(now) if self.free(kind) > 0]
        barred, full = self.barred(), self.crowd(CHORES).full
        if full:
            return [(list(kind), barred | full if kind is CHORES else barred) for kind in free]
        return [([state for kind in free for state in kind], barred)] if free else []

    def free(self, kind: Collection[State]) -> int:
        """How many more steps of a kind may begin."""
        stuck = self.stuck()
        working = [one for one in self.working().values() if one.id not in stuck]
        busy = sum(recording.state in kind for recording in working)
        slots = self._workers if kind is ASKS else min(self._workers, MOST_CHORES)
        return slots - busy

    def crowd(self, kind: Collection[State]) -> Crowd:
        """No inbox may have all the slots for chores where there are others: its share might not answer."""
        if kind is ASKS or self._inboxes == 1:
            return Crowd()
        inboxes = [one.inbox for one in self.working().values() if one.state in kind]
        return Crowd(inboxes, most=max(1, min(self._workers, MOST_CHORES) // 2))

    def working(self) -> dict[int, Recording]:
        """What is under way, less what this turn's messages ended."""
        return {n: one for n, one in self.under_way.items() if n not in self.ended}

    def stuck(self) -> frozenset[int]:
        """Recordings whose steps are beyond their deadlines: nobody waits for those, they hold no slot."""
        late = self._supervision.late
        return frozenset(each.key.id for each in late if isinstance(each.key, Recording))

    def hanging(self) -> frozenset[int]:
        """Those of them whose steps hang asrwatch itself: they burn time, or are requests that never end."""
        return frozenset(
            each.key.id
            for each in self._supervision.late
            if isinstance(each.key, Recording) and (each.vital or each.computing)
        )

    def barred(self) -> frozenset[str]:
        """Inboxes whose files do not answer: what else is tried with them would only get stuck, too."""
        stuck = [late.key for late in self._supervision.late if not late.vital]
        return frozenset(
            key.inbox if isinstance(key, Recording) else key
            for key in stuck
            if isinstance(key, Recording | str)
        )
