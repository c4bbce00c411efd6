"""Tells how the inboxes are doing: what their lookouts say, and what these cannot say, because they hang."""

import time
from collections.abc import Iterator
from datetime import datetime

from asrwatch.desk.reports.status import Ailment, InboxHealth
from asrwatch.desk.scene import Scene
from asrwatch.inbox.lookout import Snapshot
from asrwatch.inbox.looks import Why
from asrwatch.journey.recording import Recording

__all__ = ["inboxes"]


def inboxes(scene: Scene, now: datetime) -> Iterator[InboxHealth]:
    """The health of every inbox."""
    snapshots, clock = scene.snapshots(), time.monotonic()
    for inbox in scene.settings.inboxes:
        snapshot = snapshots.get(inbox.name)
        if snapshot is None:
            yield InboxHealth(name=inbox.name, path=inbox.root)
            continue
        last, whole = snapshot.last, snapshot.last_whole
        troubles = (*_hanging(scene, inbox.name, now), *_told(snapshot))
        yield InboxHealth(
            name=inbox.name,
            path=inbox.root,
            alive=snapshot.alive,
            watching=last.watching.value if last else None,
            watching_reason=last.watching_reason if last else None,
            files=snapshot.known + len(last.waiting) if last else None,
            settling=last.settling if last else None,
            settling_for=max((each.age(clock) for each in last.waiting), default=None)
            if last
            else None,
            empty=sum(each.why is Why.EMPTY for each in last.waiting) if last else None,
            unreadable=whole.trouble_count if whole else None,
            scan_took=whole.took if whole else None,
            health="degraded" if troubles or not snapshot.alive else "ok",
            looked_at=snapshot.looked_at,
            scanning_since=snapshot.busy_since,
            events_lost=snapshot.hearing.overflows + snapshot.hearing.faults,
            events_rearmed=snapshot.hearing.rearmed,
            last_event_at=snapshot.hearing.last_at,
            troubles=troubles,
        )


def _told(snapshot: Snapshot) -> Iterator[Ailment]:
    for each in snapshot.troubles:
        yield Ailment(code=each.code, message=each.message, advice=each.advice, since=each.since)


def _hanging(scene: Scene, inbox: str, now: datetime) -> Iterator[Ailment]:
    """Threads that went to this inbox and do not come back, as a share does whose server is away."""
    for late in scene.daemon.supervision.late if scene.daemon else ():
        whose = late.key.inbox if isinstance(late.key, Recording) else late.key
        if whose == inbox:
            yield Ailment(
                code="inbox-hangs",
                message=f"Inbox {inbox} does not answer: {late.doing} does not get on.",
                advice="Look whether the share it lies on and its server are up; other inboxes go on meanwhile.",
                since=now - late.since,
            )
