"""Knows a file that settled: as a new recording, or as one there was already."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from asrwatch import logs
from asrwatch.inbox.messages import FileSettled
from asrwatch.journey import away
from asrwatch.journey.book import Book
from asrwatch.journey.evidence import Fingerprint
from asrwatch.journey.recording import SUPERSEDED, UNFINISHED, UNPAID, VANISHED, Recording, State
from asrwatch.journey.remembered import Remembered
from asrwatch.journey.route import Route
from asrwatch.values import printable

__all__ = ["Arrivals"]

log = logs.get("journey")

FAILED_LOOKED_AFTER = 1000
"""How many of the newest failed recordings a pass checks for files that were taken away."""


class Arrivals:
    """See the module. Every method is called inside a transaction."""

    def __init__(self, book: Book, routes: Mapping[str, Route]) -> None:
        self._book = book
        self._routes = routes
        self._newer: Remembered[int, Fingerprint] = book.memory()
        self._seen_path: Remembered[int, None] = book.memory()
        self._seen_whole: Remembered[str, None] = book.memory()

    def seen(self, recordings: Iterable[Recording]) -> None:
        """These lie at paths where something may have lain before: reading tells whether it is the same."""
        self._seen_path.update((each.id, None) for each in recordings)

    def bring_home(self, now: datetime) -> None:
        """Unfinished recordings of an inbox that was renamed go on, also where their files are gone."""
        for recording in self._book.store.in_state(*UNFINISHED, pieces=True):
            if recording.inbox in self._routes:
                continue
            for name, route in self._routes.items():
                if recording.path.startswith(route.rules.inbox.rstrip(b"/") + b"/"):
                    self._at_home(recording, name, now)
                    break

    def settled(
        self, found: FileSettled, *, under_way: Mapping[int, Recording], now: datetime
    ) -> None:
        """A file stopped changing: it is new, or known, or known with other content."""
        latest = self._book.store.latest_at(found.path)
        if latest is None:
            self._add(found, now)
        elif latest.id in under_way:
            # The step under way is with the old content: what to do is clear when it ends.
            if latest.fingerprint != found.fingerprint:
                self._newer[latest.id] = found.fingerprint
        else:
            self._found_again(latest, found, now)

    def _found_again(self, latest: Recording, found: FileSettled, now: datetime) -> None:
        latest = self._at_home(latest, found.inbox, now)
        same = latest.fingerprint == found.fingerprint
        if latest.state in UNPAID:
            again = latest.resettle(now=now, fingerprint=None if same else found.fingerprint)
            if not same or latest.trouble is not None:
                self._book.save(
                    latest,
                    again,
                    note="" if same else f"the file changed and settled again: {found.evidence}",
                )
        elif latest.state is State.FAILED and latest.answer is None:
            returned = latest.failure is not None and latest.failure.code == VANISHED
            if not same or returned:
                again = latest.resettle(now=now, fingerprint=found.fingerprint)
                note = "the file is back" if same else "the file changed"
                self._book.save(latest, again, note=note)
        elif same and _is_elsewhere(latest) and latest.answer is not None:
            # its transcripts have their names already; a new recording would write them a second time
            self._book.save(latest, latest.retry(now=now), note="the file is back")
        elif (
            not same
            or _is_elsewhere(latest)
            or (latest.failure is not None and latest.failure.code == SUPERSEDED)
        ):
            self._add(found, now, latest=latest)

    def _at_home(self, recording: Recording, inbox: str, now: datetime) -> Recording:
        """A recording whose folder now belongs to an inbox of another name goes on there."""
        if recording.inbox == inbox:
            return recording
        moved = replace(recording, inbox=inbox, due=min(recording.due, now))
        self._book.save(recording, moved, note=f"its inbox is now called {printable(inbox)}")
        return moved

    def _add(self, found: FileSettled, now: datetime, *, latest: Recording | None = None) -> None:
        recording = self._book.add(
            Recording.found(
                inbox=found.inbox, path=found.path, fingerprint=found.fingerprint, now=now
            ),
            note=f"settled: {found.evidence}",
        )
        if latest is not None:
            self._seen_path[recording.id] = None

    def absorbed(self, before: Recording, after: Recording, now: datetime) -> bool:
        """The same content at the same path under a new fingerprint is the same recording (design section 3)."""
        if after.id not in self._seen_path or after.reading is None or before.reading is not None:
            return False
        del self._seen_path[after.id]
        # Only what lay there last: after other content, the same once more is no touch, and what is known
        # of a path must be what lies there.
        older = next(
            (one for one in self._book.store.all_at(after.path) if one.id != after.id), None
        )
        if older is None or older.state is State.FAILED:
            return False
        same_content = older.reading is not None and older.reading.sha256 == after.reading.sha256
        # Delivered and moved away, it cannot be lying here touched: somebody dropped it again.
        if same_content and not _is_elsewhere(older):
            self._book.store.drop(after)
            refreshed = older.refreshed(after.fingerprint)
            self._book.save(older, refreshed, note="touched or remounted, with the same content")
            self._settle_newer(after.id, refreshed, now)
            return True
        return False

    def settle_newer(self, recording: Recording, now: datetime) -> None:
        """The file changed while a step was under way, and settled again meanwhile."""
        self._settle_newer(recording.id, recording, now)

    def _settle_newer(self, under_way: int, recording: Recording, now: datetime) -> None:
        newer = self._newer.pop(under_way, None)
        if newer is not None:
            found = FileSettled(inbox=recording.inbox, path=recording.path, fingerprint=newer)
            self._found_again(recording, found, now)

    def hopeless(self, inbox: str) -> tuple[Recording, ...]:
        """Failed recordings of an inbox for which nothing was paid: without their files they are nothing."""
        return tuple(
            recording
            for recording in self._book.store.in_state(State.FAILED, limit=FAILED_LOOKED_AFTER)
            if recording.inbox == inbox and recording.answer is None
        )

    def gone(self, recordings: Sequence[Recording]) -> None:
        """The files of these failed recordings were taken away: nothing is left to say about them."""
        for recording in recordings:
            current = self._book.store.get(recording.id)
            if current is None or self._book.store.in_flight(current.id):
                continue
            if current.state is State.FAILED and current.answer is None:
                self._book.store.drop(current)
                log.info("taken-away", recording=current.id, file=printable(current.path))

    def seen_whole(self, inbox: str, *, now: datetime) -> None:
        """An inbox was looked through whole: the first time, it may be back since before this start."""
        if inbox not in self._seen_whole:
            self._seen_whole[inbox] = None
            self.inbox_back(inbox, now=now)

    def inbox_back(self, inbox: str, *, now: datetime) -> None:
        """An inbox that was away is back: what waited for it goes on."""
        for recording in self._book.store.in_state(*away.WAIT_FOR_IT, pieces=True):
            home = away.come_home(recording, now=now) if recording.inbox == inbox else None
            if home is not None:
                self._book.save(recording, home, note="its inbox is back")


def _is_elsewhere(recording: Recording) -> bool:
    """Whether its original was moved or deleted once it was delivered: what lies at its path came after that."""
    return recording.delivery is not None and recording.delivery.original != recording.path
