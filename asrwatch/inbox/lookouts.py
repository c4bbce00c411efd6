"""All lookouts of a daemon: started, watched over, stopped; one that hangs or dies is told and, if dead, replaced.

A share whose server is away can hold a thread in the kernel for as long as it likes. Nothing here waits for
one: threads that do not answer are left behind, and end with the process.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from asrwatch.inbox.lookout import Lookout, Snapshot
from asrwatch.inbox.messages import About, InboxHealed, InboxTrouble, Message

__all__ = ["HANGS_AFTER", "Lookouts"]

HANGS_AFTER = timedelta(seconds=30)
"""A lookout that sees no further file or folder for so long is not at work, it waits for a share."""


@dataclass
class _Watched:
    """What was seen of a lookout at the last glances."""

    progress: tuple[object, ...]
    since: float
    trouble: InboxTrouble | None = None


class Lookouts(Mapping[str, Lookout]):
    """The lookouts by the names of their inboxes. For the daemon's thread; lookouts have their own.

    Args:
        make: makes an inbox's lookout, with what the store knows at that moment.
        post: takes the messages.
        clock: monotonic seconds.
        hangs_after: how long without progress counts as hanging.
    """

    def __init__(
        self,
        make: Mapping[str, Callable[[], Lookout]],
        *,
        post: Callable[[Message], None],
        clock: Callable[[], float] = time.monotonic,
        hangs_after: timedelta = HANGS_AFTER,
    ) -> None:
        self._make = make
        self._post = post
        self._clock = clock
        self._hangs_after = hangs_after.total_seconds()
        self._lookouts: dict[str, Lookout] = {}
        self._watched: dict[str, _Watched] = {}

    def __getitem__(self, inbox: str) -> Lookout:
        return self._lookouts[inbox]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lookouts)

    def __len__(self) -> int:
        return len(self._lookouts)

    def start(self) -> None:
        """Begin to look at every inbox."""
        for inbox in self._make:
            self._start(inbox)

    def glance(self) -> None:
        """See whether every lookout lives and gets on; to be called every few seconds, never blocks."""
        for inbox, lookout in list(self._lookouts.items()):
            snapshot = lookout.snapshot()
            if not snapshot.alive:
                self._replace(inbox)
            else:
                self._does_it_hang(inbox, snapshot)

    def snapshot(self, inbox: str) -> Snapshot:
        """How a lookout is doing, with what it cannot say itself: that it hangs."""
        snapshot = self._lookouts[inbox].snapshot()
        watched = self._watched.get(inbox)
        if watched is None or watched.trouble is None:
            return snapshot
        return replace(snapshot, troubles=(watched.trouble, *snapshot.troubles))

    def hanging(self) -> frozenset[str]:
        """The inboxes that do not answer: whoever touches their files now would not come back either."""
        return frozenset(
            inbox
            for inbox, watched in self._watched.items()
            if watched.trouble is not None and watched.trouble.code == "inbox-hangs"
        )

    def stop(self, timeout: timedelta) -> bool:
        """End all threads, together within `timeout`; False if some did not end and were left behind."""
        for lookout in self._lookouts.values():
            lookout.stop(timedelta(0))
        end = self._clock() + timeout.total_seconds()
        left = [
            lookout
            for lookout in self._lookouts.values()
            if not lookout.stop(timedelta(seconds=max(0.0, end - self._clock())))
        ]
        return not left

    def _start(self, inbox: str) -> None:
        lookout = self._make[inbox]()
        self._lookouts[inbox] = lookout
        lookout.start()

    def _replace(self, inbox: str) -> None:
        """A lookout that died of a bug: another one takes over, and begins with a look at everything."""
        self._start(inbox)
        trouble = InboxTrouble(
            inbox=inbox,
            about=About.LOOKOUT,
            code="lookout-died",
            message=f"Inbox {inbox}: its lookout died of a fault in asrwatch. Another one has taken over.",
            advice="Please report it with the log.",
            since=datetime.now(tz=UTC),
        )
        self._watched[inbox] = _Watched(progress=(), since=self._clock(), trouble=trouble)
        self._post(trouble)

    def _does_it_hang(self, inbox: str, snapshot: Snapshot) -> None:
        now = self._clock()
        progress = (snapshot.busy_since, snapshot.progress)
        watched = self._watched.setdefault(inbox, _Watched(progress=progress, since=now))
        trouble = watched.trouble
        if trouble is not None and trouble.code == "lookout-died":
            if snapshot.last_whole is not None:
                self._well_again(inbox, watched)
        elif snapshot.busy_since is None or progress != watched.progress:
            if trouble is not None:
                self._well_again(inbox, watched)
            watched.progress, watched.since = progress, now
        elif trouble is None and now - watched.since >= self._hangs_after:
            since = snapshot.busy_since.astimezone().strftime("%H:%M:%S")
            watched.trouble = InboxTrouble(
                inbox=inbox,
                about=About.LOOKOUT,
                code="inbox-hangs",
                message=f"Inbox {inbox} does not answer: the look at it that began at {since} does not get on.",
                advice="Look whether the share it lies on and its server are up; other inboxes go on meanwhile.",
                since=snapshot.busy_since,
            )
            self._post(watched.trouble)

    def _well_again(self, inbox: str, watched: _Watched) -> None:
        watched.trouble = None
        self._post(InboxHealed(inbox=inbox, about=About.LOOKOUT))
