"""Sees to the notes in folders: which are wanted, who writes and removes them, what a deleted one means.

What is wanted of a note is saved before a worker touches the folder, and what became of it afterwards: a crash in
between repeats the work, which finds what is there. A folder that cannot be written delays notes, and nothing else.
"""

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from asrwatch import logs
from asrwatch.files import sweep
from asrwatch.heartbeats import beat
from asrwatch.journey import notes
from asrwatch.journey.notes import Done, Outcome
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.route import Route
from asrwatch.journey.store import Store
from asrwatch.journey.store.notes import Note, sha256_of
from asrwatch.values import printable

__all__ = ["Noting", "Task"]

log = logs.get("notes")

AGAIN = timedelta(minutes=1)
"""After a folder that could not be written."""
MOST_AT_START = 10_000
MOST_AT_ONCE = 100
MOST_WATCHED = 1000
"""Notes of an inbox that are looked after; of more than these, the newest."""
MOST_BELIEVED = 3
"""Deleted notes of a recording in a day: what deletes more often is a program that tidies up, and may cost money."""
A_LOOK_MORE = timedelta(seconds=1)
"""Until then a note must still be missing: who deletes a folder takes the recording away, too."""
ASKED_AGAIN = "a person asked for it again"
"""So the story begins to tell a `retry`, also one that a deleted note asked for."""
MOST_WAITING = 50
"""Notes of an inbox about recordings that only wait: an outage of the network is no reason for thousands."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What a worker is to do in an inbox's folders: its name, and the work, which answers with what it did."""

    inbox: str
    work: Callable[[], tuple[Done, ...]]


class Noting:
    """Used in the daemon's main thread, inside its transactions; only a task's work runs in a worker.

    Args:
        store: where notes are kept.
        routes: of the inboxes, which say whether notes are wanted.
        try_again: called with a recording whose note a person deleted.
    """

    def __init__(
        self,
        store: Store,
        routes: Mapping[str, Route],
        try_again: Callable[[Recording], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._routes = routes
        self.try_again = try_again
        self._taken: frozenset[int] = frozenset()
        self._perhaps_due = True
        self._resting: dict[str, float] = {}
        self._troubles: dict[str, str] = {}
        self._to_sweep: set[bytes] = set()

    def open_up(self) -> None:
        """At a start: what may have happened to notes, and to their recordings, meanwhile."""
        self._store.note_news.update(self._store.notes_in_question(limit=MOST_AT_START))
        due = self._store.notes_due(limit=MOST_AT_START)
        self._to_sweep = {os.path.dirname(note.path) for note in due}  # noqa: PTH120 - bytes

    @property
    def has_work(self) -> bool:
        """Whether something is to be written or removed at once."""
        return bool(self._perhaps_due or self._store.note_news)

    def refresh(self, now: datetime) -> None:
        """Decide what is wanted about the recordings that were changed."""
        news = self._store.note_news
        self._taken = frozenset(sorted(news)[:MOST_AT_ONCE])
        news -= self._taken
        for number in self._taken:
            self._refresh(number, now)

    def undo(self) -> None:
        """After a commit that failed: what was decided was not."""
        self._store.note_news.update(self._taken)
        self._taken = frozenset()
        self._perhaps_due = True

    def _refresh(self, number: int, now: datetime) -> None:
        note, recording = self._store.note_of(number), self._store.get(number)
        route = self._routes.get(recording.inbox) if recording else None
        wanted = None
        if recording is not None and route is not None and route.error_notes:
            wanted = notes.text_about(recording, now=now)
        if wanted is None or recording is None or route is None:
            # where its inbox has left the configuration, a note says what it said
            if note is not None and (route or not recording):
                self._keep(replace(note, content=None))
            return
        if note is None:
            if wanted.waits and self._store.count_waiting_notes(recording.inbox) >= MOST_WAITING:
                return
            note = Note(
                recording=number,
                inbox=recording.inbox,
                path=self._place(recording, route),
                content=None,
                wanted="",
            )
        if note.content != wanted.content:
            digest = sha256_of(wanted.content)
            self._keep(replace(note, content=wanted.content, wanted=digest, waits=wanted.waits))

    def _place(self, recording: Recording, route: Route) -> bytes:
        """The best place that no other recording's note has."""
        places = notes.places_for(recording, route.rules)
        return next(place for place in places if self._store.owner_of_note(place) is None)

    def _keep(self, note: Note) -> None:
        self._store.keep_note(note)
        self._perhaps_due = True

    # What is to be done in folders.

    def begin(self, clock: float, *, busy: Collection[str]) -> list[Task]:
        """What workers are to do now, by monotonic seconds: one task for each inbox but the busy ones."""
        resting = {inbox for inbox, until in self._resting.items() if until > clock}
        if not self._perhaps_due and len(resting) == len(self._resting):
            return []
        aside = {*resting, *busy}
        due = self._store.notes_due(limit=MOST_AT_ONCE, without=tuple(aside))
        self._resting = {name: until for name, until in self._resting.items() if until > clock}
        self._perhaps_due = bool(due)
        tasks = []
        for inbox in dict.fromkeys(note.inbox for note in due):
            folders = {os.path.dirname(note.path) for note in due if note.inbox == inbox}  # noqa: PTH120 - bytes
            drafts = tuple(self._to_sweep & folders)
            self._to_sweep -= folders
            mine = tuple(
                (note, self._store.get(note.recording)) for note in due if note.inbox == inbox
            )
            self._resting[inbox] = clock + AGAIN.total_seconds()  # until it is heard of
            tasks.append(Task(inbox=inbox, work=self._work(mine, self._routes.get(inbox), drafts)))
        return tasks

    @staticmethod
    def _work(
        mine: Sequence[tuple[Note, Recording | None]], route: Route | None, drafts: Iterable[bytes]
    ) -> Callable[[], tuple[Done, ...]]:
        def work() -> tuple[Done, ...]:
            done = []
            for folder in drafts:  # which a process that was killed at a note has left
                sweep(folder)
            for note, recording in mine:
                if note.content is None or recording is None or route is None:
                    done.append(notes.take_away(note, route.rules if route else None))
                else:
                    done.append(notes.put(note, recording, route.rules, route.presence))
                beat()
            return tuple(done)

        return work

    def ended(self, inbox: str, done: Iterable[Done], *, clock: float, now: datetime) -> None:
        """A worker has done what it could."""
        self._resting.pop(inbox, None)
        self._perhaps_due = True
        trouble = None
        for each in done:
            trouble = each.error or trouble
            current = self._store.note_of(each.before.recording)
            if current is None or each.error is not None:
                continue
            self._settle(current, each, now)
        if trouble is not None:
            self._resting[inbox] = clock + AGAIN.total_seconds()
        code = trouble.code if trouble else ""
        if code and self._troubles.get(inbox) != code:
            log.warning("notes-not-written", inbox=inbox, code=code, error=str(trouble))
        self._troubles[inbox] = code

    def _settle(self, current: Note, done: Done, now: datetime) -> None:
        match done.outcome:
            case Outcome.DELETED:
                self.deleted((current,), now=now)
            case Outcome.REMOVED | Outcome.THEIRS if (
                current.content is None and done.before.content is None
            ):
                if done.outcome is Outcome.THEIRS:
                    log.info("note-left", file=printable(current.path), why="somebody edited it")
                self._store.drop_note(current.recording)
                self._store.note_news.add(current.recording)
            case Outcome.REMOVED:  # wanted again meanwhile: it is written anew
                self._store.keep_note(replace(current, sha256="", device=0))
            case _:
                after = done.after
                self._store.keep_note(
                    replace(current, path=after.path, sha256=after.sha256, device=after.device)
                )

    # What people do.

    def watched(self, inbox: str) -> Callable[[], tuple[Note, ...]] | None:
        """What a worker looks at after a pass over an inbox: the notes that a person deleted; None: there are none."""
        route = self._routes.get(inbox)
        written = self._store.notes_written(inbox, limit=MOST_WATCHED) if route else ()
        mine = [(note, self._store.get(note.recording)) for note in written]
        if not mine or route is None:
            return None

        def work() -> tuple[Note, ...]:
            found = mine
            for patience in (0.0, A_LOOK_MORE.total_seconds()):
                if found:
                    time.sleep(patience)
                found = [each for each in found if is_gone(*each)]
            return tuple(note for note, _ in found)

        def is_gone(note: Note, recording: Recording | None) -> bool:
            beat()
            return recording is not None and notes.is_deleted(
                note, recording, route.rules, route.presence
            )

        return work

    def deleted(self, gone: Collection[Note], *, now: datetime) -> None:
        """A person deleted these notes: their recordings are tried again at once.

        Programs delete, too: a sync tool that knows no notes, a share that was restored. They are not to pay for it
        time and again, nor twice for what is parked: then the note is written anew, and only `retry` tries again.
        """
        for note in gone:
            current = self._store.note_of(note.recording)
            if current is None or current.content is None or current.path != note.path:
                continue
            recording = self._store.get(note.recording)
            if recording is not None and not self._is_believed(recording, len(gone), now):
                log.warning(
                    "note-written-anew",
                    recording=recording.id,
                    file=printable(recording.path),
                    advice="Its note was deleted, perhaps by a program. To try again: asrwatch retry.",
                )
                self._store.keep_note(replace(current, sha256="", device=0))
                self._perhaps_due = True
                continue
            self._store.drop_note(note.recording)
            if recording is not None:
                log.info("note-deleted", recording=recording.id, file=printable(recording.path))
                self.try_again(recording)

    def _is_believed(self, recording: Recording, together: int, now: datetime) -> bool:
        """Whether a deleted note is a person's wish, as far as money goes."""
        asked = [
            each.at for each in self._store.story(recording.id) if each.note.startswith(ASKED_AGAIN)
        ]
        if recording.state is State.PARKED:
            return together == 1 and not asked
        return sum(each > now - timedelta(days=1) for each in asked) < MOST_BELIEVED
