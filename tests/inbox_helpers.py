"""What the tests of the inbox share: a rule, a place that collects messages, a hand-moved clock."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.lookout import InboxView, Lookout
from asrwatch.inbox.looks import Look, Signature
from asrwatch.inbox.messages import FileSettled, Message, ScanDone
from asrwatch.inbox.mounts import WatchMode
from asrwatch.journey.evidence import Fingerprint

CONTAINERS = frozenset({"wav", "mp3", "flac", "m4a"})
PATIENCE = 60.0


def raw(path: Path) -> bytes:
    """The path as the kernel has it."""
    return os.fsencode(path)


def rule_for(root: Path, **wishes: object) -> IgnoreRule:
    """A rule that takes a few containers, with whatever else a test wishes."""
    return IgnoreRule(root=raw(root), containers=CONTAINERS, **wishes)  # type: ignore[arg-type]


def look(
    path: bytes = b"/in/a.wav", *, size: int = 1, mtime: int = 0, ctime: int = 0, inode: int = 1
) -> Look:
    """One look at a file that looks like this."""
    return Look(path, Signature(1, inode, size, (size + 511) // 512, mtime, ctime), 1)


@contextmanager
def not_root() -> Iterator[None]:
    """Be nobody for a while, where tests run as root, whom permissions do not stop."""
    if os.geteuid() != 0:
        yield
        return
    nobody = 65534
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that nobody can reach, too: pytest's own is closed to everybody but its owner."""
    with TemporaryDirectory(prefix="asrwatch-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@dataclass
class HandClock:
    """Time that moves when the test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now

    def forward(self, seconds: float) -> float:
        """Let time pass."""
        self.now += seconds
        return self.now


@dataclass
class Collector:
    """Takes messages from any thread and lets a test wait for what they add up to."""

    messages: list[Message] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def post(self, message: Message) -> None:
        """Take a message, as the daemon's mailbox would."""
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    def wait_for(self, come_true: Callable[["Collector"], bool]) -> None:
        """Wait until it is so, or fail with what there is."""
        with self.changed:
            if not self.changed.wait_for(lambda: come_true(self), timeout=PATIENCE):
                msg = f"it did not come true; messages: {self.messages}"
                raise AssertionError(msg)

    @property
    def settled(self) -> list[bytes]:
        """The paths of settled files, in the order they came."""
        return [each.path for each in self.messages if isinstance(each, FileSettled)]

    @property
    def fingerprints(self) -> list[tuple[bytes, Fingerprint]]:
        """Settled files as a store would give them back."""
        return [
            (each.path, each.fingerprint) for each in self.messages if isinstance(each, FileSettled)
        ]

    @property
    def scans(self) -> list[ScanDone]:
        """The rounds that ended."""
        return [each for each in self.messages if isinstance(each, ScanDone)]


@contextmanager
def lookout_over(
    root: Path,
    collector: Collector,
    *,
    known: list[tuple[bytes, Fingerprint]] | None = None,
    rule: IgnoreRule | None = None,
    recursive: bool = True,
    watch: WatchMode = WatchMode.EVENTS,
    settle: timedelta = timedelta(milliseconds=50),
    scan_every: timedelta = timedelta(hours=1),
) -> Iterator[Lookout]:
    """A lookout at work, stopped at the end; by default so that only events can hurry it."""
    lookout = Lookout(
        InboxView(
            name="in",
            ignore=rule or rule_for(root),
            recursive=recursive,
            watch=watch,
            settle=settle,
            scan_every=scan_every,
        ),
        known=known or [],
        post=collector.post,
    )
    lookout.start()
    try:
        yield lookout
    finally:
        assert lookout.stop(timedelta(seconds=10))
