"""A lookout under observation: what goes wrong with its events, what it says of it, and that it heals."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from inbox_helpers import Collector, raw, rule_for

pytest.importorskip("watchdog.observers.inotify_c", reason="events need inotify")

from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, Mask, WatchDescriptor

from asrwatch.inbox.lookout import InboxView, Lookout
from asrwatch.inbox.messages import InboxHealed, InboxTrouble, Message
from asrwatch.inbox.mounts import WatchMode
from asrwatch.inbox.presence import Presence
from asrwatch.inbox.watch import Watch
from asrwatch.journey.evidence import Fingerprint

INTERVAL = timedelta(seconds=1)


@dataclass
class Ward:
    """One lookout, everything it said, and its health at the moment it said so."""

    root: Path
    collector: Collector = field(default_factory=Collector)
    degraded: list[tuple[float, str]] = field(default_factory=list)
    lookout: Lookout | None = None

    def post(self, message: Message) -> None:
        """Take a message; trouble must stand in the health by then."""
        if isinstance(message, InboxTrouble) and self.lookout is not None:
            codes = [trouble.code for trouble in self.lookout.snapshot().troubles]
            assert message.code in codes
            self.degraded.append((time.monotonic(), message.code))
        self.collector.post(message)

    @property
    def watch(self) -> Watch:
        """What listens now."""
        assert self.lookout is not None
        watch = self.lookout._tending._watch
        assert watch is not None
        return watch

    def wait_for_start(self) -> None:
        """Until the first pass is over and events come."""
        self.collector.wait_for(lambda so_far: bool(so_far.scans))

    def codes(self) -> list[str]:
        """The troubles so far."""
        return [code for _, code in self.degraded]

    def wait_degraded(self, code: str) -> float:
        """Until the health says so, by a code that begins so; when that was."""
        self.collector.wait_for(lambda _: any(each.startswith(code) for each in self.codes()))
        return next(at for at, each in self.degraded if each.startswith(code))

    def finds(self, name: str) -> None:
        """A file dropped now is found."""
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        self.collector.wait_for(lambda so_far: raw(path) in so_far.settled)

    def wait_ok(self) -> None:
        """Until nothing is wrong any more, without a restart."""
        lookout = self.lookout
        assert lookout is not None
        self.collector.wait_for(
            lambda so_far: self._healed(so_far) and not lookout.snapshot().troubles
        )

    def hears(self, name: str) -> None:
        """Events come again: a file dropped now is found by one, and no pass over everything was needed."""
        self.finds(name)
        assert self.lookout is not None
        assert self.lookout.snapshot().last is not None
        assert self.collector.scans[-1].watching is WatchMode.EVENTS

    @staticmethod
    def _healed(collector: Collector) -> bool:
        told = [each for each in collector.messages if isinstance(each, InboxTrouble | InboxHealed)]
        return bool(told) and isinstance(told[-1], InboxHealed)


@contextmanager
def ward_over(
    root: Path,
    *,
    known: list[tuple[bytes, Fingerprint]] | None = None,
    watch: WatchMode = WatchMode.EVENTS,
    interval: timedelta = INTERVAL,
    marker: str | None = None,
    stays: bool = True,
) -> Iterator[Ward]:
    """A lookout at work, stopped at the end."""
    ward = Ward(root)
    ward.lookout = Lookout(
        InboxView(
            name="in",
            ignore=rule_for(root),
            watch=watch,
            settle=timedelta(milliseconds=50),
            scan_every=interval,
            presence=Presence(root=os.fsencode(root), marker=marker, stays=stays),
        ),
        known=known or [],
        post=ward.post,
    )
    ward.lookout.start()
    try:
        yield ward
    finally:
        assert ward.lookout.stop(timedelta(seconds=20))


Injury = Callable[[Ward], str]
"""Makes a watcher deaf, and says which trouble it must notice."""


def overflow(ward: Ward) -> str:
    """More events than the kernel's queue holds, while nobody reads them."""
    reader = ward.watch._reader
    assert reader is not None
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with reader._lock:
        here, there = ward.root / "one.txt", ward.root / "other.txt"
        here.touch()
        # a rename is two events, and cheaper than a file; the reader may have taken some before it was held
        for _ in range(limit // 2 + 5_000):
            here.rename(there)
            here, there = there, here
    return "events-overflow"


def told_of_overflow(ward: Ward) -> str:
    """What the kernel says when its queue has run over, without the thousands of events before it."""
    reader = ward.watch._reader
    assert reader is not None
    overflowed = Mask(InotifyConstants.IN_Q_OVERFLOW)
    reader.handle_event(InotifyEvent(WatchDescriptor(-1), overflowed, 0, b""))
    return "events-overflow"


def dead_emitter(ward: Ward) -> str:
    """The thread between the reader and the observer ends."""
    observer = ward.watch._observer
    assert observer is not None
    for emitter in list(observer.emitters):
        emitter.stop()
    return "events-stopped"


def dead_observer(ward: Ward) -> str:
    """The thread that hands events to the handler ends."""
    observer = ward.watch._observer
    assert observer is not None
    observer.stop()
    return "events-stopped"


def dead_reader(ward: Ward) -> str:
    """The thread that reads the kernel's events ends."""
    reader = ward.watch._reader
    assert reader is not None
    reader.stop()
    return "events-stopped"


def recreated(ward: Ward) -> str:
    """The inbox is deleted, with what is in it, and made anew before anybody looks."""
    with _unseen(ward):
        for file in ward.root.iterdir():
            file.unlink()
        ward.root.rmdir()
        ward.root.mkdir()
    return "events-"  # some file systems give the new folder the old one's inode


def renamed(ward: Ward) -> str:
    """The inbox is renamed away, and a new one takes its place."""
    with _unseen(ward):
        ward.root.rename(ward.root.with_name("old"))
        ward.root.mkdir()
    return "events-replaced"


def closed_to_us(ward: Ward) -> str:
    """Somebody takes the right to read the inbox away."""
    ward.root.chmod(0o000)
    return "inbox-unreadable"


def missing(ward: Ward) -> str:
    """The inbox goes away for a while."""
    ward.root.rename(ward.root.with_name("away"))
    return "inbox-missing"


@contextmanager
def _unseen(ward: Ward) -> Iterator[None]:
    """Inside, no event of the kernel is read: the next look has to notice by itself."""
    reader = ward.watch._reader
    assert reader is not None
    with reader._lock:
        yield
