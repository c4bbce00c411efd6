"""What questions are about: the settings, the store and, where one runs, the daemon, looked at together."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from asrwatch.bootstrap import budget_of, build_parts
from asrwatch.clock import utc_now
from asrwatch.cloud.regions import currency_of
from asrwatch.config import Settings
from asrwatch.daemon import Daemon
from asrwatch.desk.reports.lines import Reason, RecordingLine, Settling
from asrwatch.desk.story import line_of
from asrwatch.errors import RecordingError
from asrwatch.inbox.lookout import Lookout, Snapshot
from asrwatch.journey.budget import Fuse
from asrwatch.journey.planning import plan_for
from asrwatch.journey.recording import Recording
from asrwatch.journey.room import Shortage
from asrwatch.journey.store import Hold, Store
from asrwatch.journey.timeshift import unset

__all__ = ["PageSeen", "Scene", "is_below"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PageSeen:
    """Where the status page is served (`url`), or why it cannot be; neither where there is none."""

    url: str | None = None
    trouble: Reason | None = None


class Scene:
    """Look-ups that several answers need.

    Args:
        settings: what the inboxes are.
        store: of the same state folder.
        daemon: in whose thread this runs; None where no daemon runs and a command holds the lock.
    """

    def __init__(self, settings: Settings, store: Store, daemon: Daemon | None = None) -> None:
        self.settings = settings
        self.store = store
        self.daemon = daemon
        self.page = PageSeen()
        currency = currency_of(settings.cloud.region)
        self.fuse = (
            daemon.keeper.fuse if daemon else Fuse(budget_of(settings), store, currency=currency)
        )

    def at(self, path: bytes) -> tuple[Recording, ...]:
        """The recordings at a path, newest first; or the one whose output or moved original lies there."""
        found = self.store.all_at(path)
        if found:
            return found
        owner = self.store.owner_of(path)
        recording = self.store.get(owner) if owner is not None else self.store.resting_at(path)
        return (recording,) if recording else ()

    def is_under_way(self, recording: Recording) -> bool:
        """Whether a worker is on it at this moment."""
        return self.daemon is not None and recording.id in self.daemon.under_way

    def line(self, recording: Recording) -> RecordingLine:
        """A recording in one line."""
        under_way = self.is_under_way(recording)
        return line_of(recording, under_way=under_way, holds=self.holds())

    def holds(self) -> tuple[Hold, ...]:
        """Every hold there is."""
        now = self.daemon.clock.now() if self.daemon else utc_now()
        holds = self.daemon.gate.holds if self.daemon else self.store.holds()
        return (*holds, *(hold for hold in (self.fuse.blown(now), unset(now)) if hold))

    def another_takes(self, recording: Recording) -> bool:
        """Whether an engine takes a recording that was not asked about it yet."""
        routes = self.daemon.house.routes if self.daemon else build_parts(self.settings).routes
        route, reading = routes.get(recording.inbox), recording.reading
        if route is None or reading is None or route.engine is not None:
            return False
        question = route.question(
            reading.facts,
            recording.fingerprint.size,
            refused=(*recording.engines_refused, reading.plan.engine),
        )
        try:
            plan_for(question, route)
        except RecordingError:
            return False
        return True

    def shortages(self) -> tuple[Shortage, ...]:
        """Where there is no room for what a request would bring."""
        return self.daemon.room.shortages if self.daemon else ()

    def lacks_room(self, recording: Recording) -> Shortage | None:
        """What a recording's request waits for, if it waits for room."""
        return self.daemon.room.lacks(recording) if self.daemon else None

    def snapshots(self) -> dict[str, Snapshot]:
        """How every lookout is doing; empty where no daemon runs."""
        if self.daemon is None:
            return {}
        return {name: lookout.snapshot() for name, lookout in self.daemon.lookouts.items()}

    def settling(self) -> Iterator[Settling]:
        """The files that have not settled yet."""
        clock = time.monotonic()
        for name, snapshot in self.snapshots().items():
            for waiting in snapshot.last.waiting if snapshot.last else ():
                yield Settling(
                    inbox=name,
                    path=waiting.path,
                    size=waiting.size,
                    why=waiting.why.value,
                    waits_for=waiting.age(clock),
                )

    def lookout_of(self, path: bytes) -> Lookout | None:
        """The lookout in whose inbox a path lies, where a daemon runs."""
        if self.daemon is None:
            return None
        for inbox in self.settings.inboxes:
            if is_below(path, inbox.root):
                return self.daemon.lookouts.get(inbox.name)
        return None


def is_below(path: bytes, folder: bytes) -> bool:
    """Whether a path lies in a folder, at any depth; both absolute."""
    return path.startswith(folder.rstrip(b"/") + b"/")
