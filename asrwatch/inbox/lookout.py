"""One inbox's thread: decides when to look and where, and tells the daemon what it found.

The folder is the truth, events only hurry things up: everything is looked at when the thread starts,
every `scan_every`, and whenever the events may have been deaf. Files that still settle are looked at one
by one when their quiet time is over. A share that hangs holds up this thread and nobody else's.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from asrwatch.crash import crash_point
from asrwatch.heartbeats import Heartbeats, idle
from asrwatch.inbox.evidence import Evidence, Witness
from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.looks import Look
from asrwatch.inbox.messages import (
    About,
    FileSettled,
    InboxTrouble,
    Message,
    PassKind,
    ScanDone,
)
from asrwatch.inbox.mounts import WatchMode
from asrwatch.inbox.nudges import Errands, Nudges
from asrwatch.inbox.presence import Presence
from asrwatch.inbox.rounds import Round, Rounds
from asrwatch.inbox.settle import Settler
from asrwatch.inbox.tending import Hearing, Tending
from asrwatch.inbox.troubles import Troubles, root_trouble
from asrwatch.journey.evidence import Fingerprint

__all__ = ["InboxView", "Lookout", "Snapshot"]

# A pass over dirty folders is followed by a pause of this many times its length, and at least of the
# second figure in seconds, so that a burst of events costs a fifth of a core at most.
_PAUSE_FACTOR = 4.0
_PAUSE_LEAST = 0.2
# Files that may be whole are looked at at once; a burst of them is gathered, too.
_FILES_LEAST = 0.02
# Rounds of single looks are gathered, or a burst of files would have a round, and a report, each.
_LOOKS_PAUSE = 0.1
# How long a thread sleeps at most before it asks whether its events still come, in seconds; and before it
# asks whether an inbox that was away is back.
_LONGEST_SLEEP = 60.0
_AWAY_SLEEP = 5.0
_TROUBLES_TOLD = 100
_NOTHING_HEARD = Hearing()
# How long one look may take before its share counts as hanging.
_STUCK = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class InboxView:
    """What the lookout needs to know of an inbox; `ignore.root` is its folder, absolute.

    `settle` is the quiet time, `scan_every` the time between passes over everything, `presence` what tells an
    empty inbox from one that is away (shared with whoever else needs to know). After `empty_for` a file without
    any bytes is reported as it is. `at_once`: what is proven whole is reported without a quiet time.
    """

    name: str
    ignore: IgnoreRule
    recursive: bool = True
    watch: WatchMode = WatchMode.AUTO
    settle: timedelta = timedelta(seconds=5)
    scan_every: timedelta = timedelta(seconds=60)
    empty_for: timedelta = timedelta(hours=1)
    presence: Presence | None = None
    at_once: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """How a lookout is doing: its last passes, its troubles, how many files it knows, how its events come.

    `alive` is False before it was started, after it has stopped, and if its thread died of a bug. `busy_since`
    is when it began what it is doing now, None where it sleeps. `looked_at` is when the last pass over
    everything ended.
    """

    inbox: str
    alive: bool
    known: int
    last: ScanDone | None
    last_whole: ScanDone | None
    troubles: tuple[InboxTrouble, ...]
    busy_since: datetime | None = None
    looked_at: datetime | None = None
    hearing: Hearing = _NOTHING_HEARD


class Lookout:
    """Watches one inbox in a thread of its own.

    Args:
        view: the inbox.
        known: paths, oldest first, each with the fingerprint under which the store has it already; such a
            file is not reported until its fingerprint changes.
        post: takes every message, in the lookout's thread; must neither block for long nor raise.
        clock: monotonic seconds.
        hearts: where its thread's heartbeat is counted.
    """

    def __init__(
        self,
        view: InboxView,
        *,
        known: Iterable[tuple[bytes, Fingerprint]],
        post: Callable[[Message], None],
        clock: Callable[[], float] = time.monotonic,
        hearts: Heartbeats | None = None,
    ) -> None:
        self._view = view
        self._post = post
        self._clock = clock
        self._hearts = hearts or Heartbeats()
        self._nudges = Nudges()
        # Only what the rule wants, so that a pass need not ask it about known files again.
        wanted = (each for each in known if view.ignore.wants_file(each[0]))
        self._settler = Settler(settle=view.settle, empty_for=view.empty_for, known=wanted)
        self._rounds = Rounds(
            rule=view.ignore,
            recursive=view.recursive,
            settler=self._settler,
            settled=self._settled,
            clock=clock,
            witness=Witness(view.ignore.root, name=view.name) if view.at_once else None,
            rest_within=view.empty_for.total_seconds(),
            presence=view.presence,
            stopping=lambda: self._nudges.stopping,
        )
        self._troubles = Troubles(view.name, post)
        self._tending = Tending(
            view.ignore,
            recursive=view.recursive,
            wish=view.watch,
            nudge=self._nudge,
            heard=self._heard,
            inbox=view.name,
        )
        self._errands = Errands(everything=True)
        self._whole_due = 0.0
        self._part_due = 0.0
        self._looks_due = 0.0
        self._files_due = 0.0
        self._last: ScanDone | None = None
        self._last_whole: ScanDone | None = None
        self._known_count = 0
        self._busy_since: datetime | None = None
        self._looked_at: datetime | None = None
        self._thread = threading.Thread(target=self._run, name=f"lookout {view.name}", daemon=True)

    def start(self) -> None:
        """Begin, with a pass over everything."""
        self._thread.start()

    def nudge(self, folder: bytes | None = None, *, deep: bool = True) -> None:
        """Look again soon, from any thread: at one folder, or at the whole inbox if None."""
        if folder is None:
            self._nudges.everything()
        else:
            self._nudge(os.path.normpath(folder), deep=deep)

    def look_again(self, path: bytes) -> None:
        """Forget a file, from any thread, so that it settles and is reported once more if it is there."""
        self._nudges.again(os.path.normpath(path))

    def stop(self, timeout: timedelta) -> bool:
        """End the thread; False if it did not end in time, as on a share that hangs: it is left behind."""
        self._nudges.stop()
        if self._thread.ident is not None:
            self._thread.join(timeout.total_seconds())
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def snapshot(self) -> Snapshot:
        """How it is doing, from any thread and without waiting."""
        return Snapshot(
            inbox=self._view.name,
            alive=self._thread.is_alive(),
            known=self._known_count,
            last=self._last,
            last_whole=self._last_whole,
            troubles=self._troubles.now,
            busy_since=self._busy_since,
            looked_at=self._looked_at,
            hearing=self._tending.hearing,
        )

    def _run(self) -> None:
        looking = f"looking at inbox {self._view.name}"
        # Not vital: a share that does not answer stops nobody else's inbox.
        with self._hearts.pulse(looking, usual=_STUCK, vital=False, key=self._view.name):
            try:
                while not self._nudges.stopping:
                    self._busy_since = datetime.now(tz=UTC)
                    self._turn()
                    self._busy_since = None
                    self._sleep()
            finally:
                self._tending.end()

    def _turn(self) -> None:
        """Do the widest of what is due; a wider round covers the narrower ones."""
        now = self._clock()
        if self._errands.everything or now >= self._whole_due or self._tending.lost():
            self._whole()
        else:
            if self._errands.at_once and now >= self._files_due:
                self._heard_of()
            if (self._errands.folders or self._errands.files) and now >= self._part_due:
                self._part()
        next_look = self._settler.next_look()
        if next_look is not None and self._clock() >= max(next_look, self._looks_due):
            started = self._clock()
            self._end_round(self._rounds.looks(), started=started)
            self._looks_due = self._clock() + _LOOKS_PAUSE

    def _whole(self) -> None:
        self._errands = Errands()
        started = self._clock()
        tended = self._tending.tend()  # before the pass, so that no file falls between the two
        if tended.noticed or tended.left:
            self._troubles.events(tended.left or tended.noticed)
        found = self._rounds.whole()
        crash_point("scanned")
        if self._nudges.stopping:
            return
        trouble = root_trouble(self._view.name, self._view.ignore.root, found.troubles)
        if trouble is None:
            self._troubles.healed(About.ROOT)
            self._troubles.below(found.troubles, self._view.ignore.root)
            self._troubles.events(self._tending.compare(found.folders) or tended.left)
        else:
            self._tending.end()  # an inbox that is away is listened to afresh when it is back
            self._troubles.begin(trouble)
        self._end_round(found, started=started)
        pause = self._view.scan_every.total_seconds()
        self._whole_due = self._clock() + (pause if trouble is None else min(pause, _AWAY_SLEEP))

    def _heard_of(self) -> None:
        """Look at single files, since one of them may be whole; what else is to be done may wait."""
        files, self._errands.files, self._errands.at_once = self._errands.files, {}, False
        if not files:
            return
        started = self._clock()
        self._end_round(self._rounds.heard_of(files), started=started)
        ended = self._clock()
        self._files_due = ended + max(_FILES_LEAST, _PAUSE_FACTOR * (ended - started))

    def _part(self) -> None:
        todo, self._errands = self._errands, Errands()
        started = self._clock()
        if todo.files:
            self._end_round(self._rounds.heard_of(todo.files), started=started)
        if todo.folders:
            found = self._rounds.part(todo.folders)
            if self._nudges.stopping:
                return
            self._end_round(found, started=started)
        ended = self._clock()
        self._part_due = ended + max(_PAUSE_LEAST, _PAUSE_FACTOR * (ended - started))

    def _end_round(self, found: Round, *, started: float) -> None:
        self._known_count = self._settler.known_count
        done = ScanDone(
            inbox=self._view.name,
            kind=found.kind,
            complete=found.complete,
            files=found.files,
            took=timedelta(seconds=self._clock() - started),
            troubles=found.troubles[:_TROUBLES_TOLD],
            trouble_count=len(found.troubles),
            waiting=self._settler.waiting(),
            gone=found.gone,
            watching=self._tending.mode,
            watching_reason=self._tending.reason,
        )
        self._last = done
        if found.kind is PassKind.WHOLE:
            self._last_whole = done
            self._looked_at = datetime.now(tz=UTC)
        self._post(done)

    def _sleep(self) -> None:
        now = self._clock()
        wake = min(self._whole_due, now + _LONGEST_SLEEP)
        next_look = self._settler.next_look()
        if next_look is not None:
            wake = min(wake, max(next_look, self._looks_due))
        if now < self._part_due:
            wake = min(wake, self._part_due)
        if now < self._files_due:
            wake = min(wake, self._files_due)
        with idle():
            new = self._nudges.wait(
                wake - now, for_folders=now >= self._part_due, for_files=now >= self._files_due
            )
        self._take_on(new)

    def _take_on(self, new: Errands) -> None:
        for path in new.again:
            self._settler.settle_again(path)
            self._rounds.be_wary(path)
            new.add_folder(path.rpartition(b"/")[0] or b"/", deep=False)
        if new.everything:
            self._errands = Errands(everything=True)
        for folder, deep in new.folders.items():
            self._errands.add_folder(folder, deep=deep)
        self._errands.crowded |= new.crowded
        for path, moved in new.files.items():
            self._errands.add_file(path, moved=moved)
        self._errands.at_once |= new.at_once and bool(self._errands.files)

    def _nudge(self, folder: bytes, *, deep: bool) -> None:
        root = self._view.ignore.root
        if folder == root and deep:
            self._nudges.everything()
        elif folder == root or folder.startswith(root.rstrip(b"/") + b"/"):
            self._nudges.folder(folder, deep=deep)

    def _heard(self, path: bytes, *, moved: bool, at_once: bool) -> None:
        if self._view.ignore.wants_file(path):
            self._nudges.file(path, moved=moved, at_once=at_once)
        else:  # a marker
            self._nudge(path.rpartition(b"/")[0] or b"/", deep=False)

    def _settled(self, look: Look, evidence: Evidence) -> None:
        self._post(
            FileSettled(
                inbox=self._view.name,
                path=look.path,
                fingerprint=look.signature.fingerprint,
                evidence=evidence,
            )
        )
        crash_point("settled-told")
