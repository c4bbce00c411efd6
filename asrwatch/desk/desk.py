"""Answers people's questions from the store and, where one runs, the daemon."""

import os
from collections.abc import Iterator
from datetime import datetime
from typing import assert_never

from asrwatch import __version__
from asrwatch.config import Settings
from asrwatch.daemon import Daemon
from asrwatch.desk.reports import (
    AskExplain,
    AskForget,
    AskRetry,
    AskStatus,
    Explanation,
    HoldLine,
    InboxHealth,
    Money,
    Question,
    Reason,
    RecordingLine,
    Report,
    Status,
    Story,
    TaskLine,
)
from asrwatch.desk.scene import Scene, is_below
from asrwatch.desk.story import Circumstances, line_of, story_of
from asrwatch.desk.treatment import forget, retry
from asrwatch.inbox.looks import Why
from asrwatch.journey.journey import utc_now
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import Hold, Ledger, Store

__all__ = ["Desk"]

LISTED = 50
"""How many of many are listed; the counts beside a list are of all."""


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
        now = utc_now()
        match question:
            case AskStatus():
                return self.status(now)
            case AskExplain(path=path):
                return self.explain(path, now)
            case AskRetry():
                return retry(self._scene, question, now)
            case AskForget():
                return forget(self._scene, question, now)
            case _:
                assert_never(question)

    def status(self, now: datetime) -> Status:
        """How things stand."""
        scene, store, daemon = self._scene, self._scene.store, self._scene.daemon
        oldest = store.oldest_waiting()
        outstanding = store.outstanding()
        settling = tuple(scene.settling())
        under_way = tuple(daemon.under_way.values()) if daemon else ()
        return Status(
            version=__version__,
            at=now,
            state_dir=os.fsencode(scene.settings.state_dir),
            running=daemon is not None,
            process=os.getpid() if daemon else None,
            started_at=daemon.started_at if daemon else None,
            counts=store.count_by_state(),
            under_way=tuple(line_of(each, under_way=True) for each in under_way),
            oldest_waiting=self._line(oldest) if oldest else None,
            settling=settling[:LISTED],
            settling_count=len(settling),
            inboxes=tuple(self._inboxes()),
            holds=tuple(_hold_line(hold) for hold in scene.holds()),
            tasks=tuple(_task_line(each, now) for each in outstanding[:LISTED]),
            task_count=len(outstanding),
            today=_money(store.ledger(since=_midnight(now))),
            this_month=_money(store.ledger(since=_midnight(now, day=1))),
            ever=_money(store.ledger()),
        )

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
            earlier=tuple(self._line(each) for each in found[1 : LISTED + 1]),
            below=tuple(self._line(each) for each in below),
            below_count=scene.store.count_below(path),
            settling=tuple(settling[:LISTED]),
            forgotten=path in scene.store.forgotten(path),
        )

    def _line(self, recording: Recording) -> RecordingLine:
        return line_of(recording, under_way=self._scene.is_under_way(recording))

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
            workers_busy=daemon is not None and len(daemon.under_way) >= daemon.house.workers,
        )
        return story_of(
            recording,
            around,
            events=store.story(recording.id),
            bought=store.bought_for(recording.id),
        )

    def _inboxes(self) -> Iterator[InboxHealth]:
        snapshots = self._scene.snapshots()
        for inbox in self._scene.settings.inboxes:
            snapshot = snapshots.get(inbox.name)
            if snapshot is None:
                yield InboxHealth(name=inbox.name, path=inbox.root)
                continue
            last, whole = snapshot.last, snapshot.last_whole
            yield InboxHealth(
                name=inbox.name,
                path=inbox.root,
                alive=snapshot.alive,
                watching=last.watching.value if last else None,
                watching_reason=last.watching_reason if last else None,
                files=whole.files if whole else None,
                settling=last.settling if last else None,
                empty=sum(each.why is Why.EMPTY for each in last.waiting) if last else None,
                unreadable=whole.trouble_count if whole else None,
                scan_took=whole.took if whole else None,
                troubles=tuple(
                    Reason(code=each.code, message=each.message, advice=each.advice)
                    for each in snapshot.troubles
                ),
            )


def _midnight(now: datetime, day: int | None = None) -> datetime:
    """The last local midnight, or that with which a day of this month began."""
    local = now.astimezone().replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    return local.replace(day=day or local.day).astimezone()


def _hold_line(hold: Hold) -> HoldLine:
    return HoldLine(
        scope=hold.scope,
        trouble=hold.trouble.value,
        since=hold.since,
        until=hold.until,
        count=hold.count,
        reason=Reason(code=hold.code, message=hold.message, advice=hold.advice),
    )


def _task_line(recording: Recording, now: datetime) -> TaskLine:
    task, reading = recording.task, recording.reading
    submitted_at = task.submitted_at if task else recording.changed_at
    return TaskLine(
        ticket=task.ticket if task else "",
        engine=reading.plan.engine if reading else "",
        path=recording.path,
        submitted_at=submitted_at,
        age=now - submitted_at,
        next_question=recording.due,
    )


def _money(ledger: Ledger) -> Money:
    return Money(
        asked=ledger.asked,
        answered=ledger.answered,
        billed=ledger.billed,
        unknown=ledger.unknown,
        perhaps_twice=ledger.perhaps_twice,
    )
