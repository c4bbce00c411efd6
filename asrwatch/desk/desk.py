"""Answers people's questions from the store and, where one runs, the daemon."""

import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from asrwatch.clock import utc_now
from asrwatch.cloud.regions import currency_of
from asrwatch.config import Settings
from asrwatch.daemon import Daemon
from asrwatch.desk.another import another
from asrwatch.desk.lookups import lately, transcripts
from asrwatch.desk.outbox import tell_again, untold_about
from asrwatch.desk.pieces import lines_of
from asrwatch.desk.questions import (
    AskAnother,
    AskBooked,
    AskExplain,
    AskForget,
    AskHealth,
    AskLog,
    AskRetry,
    AskStatus,
    AskTellAgain,
    AskTranscripts,
    Question,
)
from asrwatch.desk.reports import Report
from asrwatch.desk.reports.explanation import Explanation, Story
from asrwatch.desk.reports.treatment import Booked
from asrwatch.desk.scene import PageSeen, Scene, is_below
from asrwatch.desk.standing import LISTED, health, standing
from asrwatch.desk.story import Circumstances, story_of
from asrwatch.desk.treatment import forget, retry
from asrwatch.files import fingerprint_of
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import Store

__all__ = ["Desk"]


class Desk:
    """Answers questions: in the daemon's thread, or in a command that holds the lock.

    Args:
        settings: what the inboxes are.
        store: of the same state folder.
        daemon: in whose thread, and transaction, questions are answered; None where none runs.
    """

    def __init__(self, settings: Settings, store: Store, daemon: Daemon | None = None) -> None:
        self._scene = Scene(settings, store, daemon)

    def answer(self, question: Question) -> Report:
        """Do what is asked, and report.

        Raises:
            StoreTrouble: the database cannot be used now; nothing was changed.
        """
        daemon = self._scene.daemon
        now = daemon.clock.now() if daemon else utc_now()
        match question:
            case AskStatus():
                return standing(self._scene, now)
            case AskHealth():
                return health(self._scene, now)
            case AskExplain(path=path):
                return self.explain(path, now)
            case AskBooked(paths=paths):
                return self.booked(paths)
            case AskRetry():
                return retry(self._scene, question, now)
            case AskTellAgain():
                return tell_again(self._scene, question, now)
            case AskAnother():
                return another(self._scene, question, now)
            case AskForget():
                return forget(self._scene, question, now)
            case AskTranscripts():
                return transcripts(self._scene, question)
            case AskLog():
                return lately(self._scene, question)
            case _:
                assert_never(question)

    def tell_of_page(self, seen: PageSeen) -> None:
        """From now on, this is what is answered about the status page; from any thread."""
        self._scene.page = seen

    def try_again(self, recording: Recording) -> None:
        """A person deleted the note about a recording, which asks for what `retry` does."""
        daemon = self._scene.daemon
        now = daemon.clock.now() if daemon else utc_now()
        latest = self._scene.store.latest_at(recording.path)
        if latest is not None and latest.id == recording.id:
            retry(self._scene, AskRetry(paths=(recording.path,)), now)

    def explain(self, path: bytes, now: datetime) -> Explanation:
        """The story of a recording, by its path or that of its transcript; of a folder, what is below it."""
        scene = self._scene
        found = scene.at(path)
        below = scene.store.below(path, limit=LISTED)
        settling = [
            each for each in scene.settling() if each.path == path or is_below(each.path, path)
        ]
        return Explanation(
            path=path,
            running=scene.daemon is not None,
            story=self._story(found[0], now) if found else None,
            earlier=tuple(scene.line(each) for each in found[1 : LISTED + 1]),
            below=tuple(scene.line(each) for each in below),
            below_count=scene.store.count_below(path),
            settling=tuple(settling[:LISTED]),
            forgotten=path in scene.store.forgotten(path),
        )

    def booked(self, paths: Iterable[bytes]) -> Booked:
        """Which of these files, as they lie there now, nothing will be asked about any more."""
        return Booked(paths=tuple(path for path in paths if self._is_booked(path)))

    def _is_booked(self, path: bytes) -> bool:
        store = self._scene.store
        latest = store.latest_at(path)
        if latest is not None and latest.state in {State.SETTLED, State.STAGED}:
            return False
        known = store.forgotten_as(path) if latest is None else latest.fingerprint
        try:
            return known is not None and fingerprint_of(os.lstat(path)) == known
        except OSError:
            return False

    def _story(self, recording: Recording, now: datetime) -> Story:
        store, daemon = self._scene.store, self._scene.daemon
        holds = self._scene.holds()
        same_content = (
            recording.state is State.STAGED
            and recording.reading is not None
            and store.being_bought(recording.reading.purchase)
        )
        configured = {inbox.name for inbox in self._scene.settings.inboxes}
        around = Circumstances(
            now=now,
            running=daemon is not None,
            under_way=self._scene.is_under_way(recording),
            holds=holds,
            paced=daemon.gate.waiting(now) if daemon and not holds else frozenset(),
            inbox_is_configured=recording.inbox in configured,
            same_content_under_way=same_content,
            shortage=self._scene.lacks_room(recording),
            currency=currency_of(self._scene.settings.cloud.region),
            workers_busy=daemon is not None and len(daemon.under_way) >= daemon.house.workers,
        )
        told = story_of(
            recording,
            around,
            events=store.story(recording.id),
            bought=store.bought_for(recording.id),
            pieces=lines_of(self._scene, recording),
        )
        return replace(told, untold=untold_about(self._scene, recording.id))
