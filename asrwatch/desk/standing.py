"""Tells how things stand: counts, what waits and why, the inboxes, the money."""

import os
import shlex
from datetime import datetime

from asrwatch import __version__
from asrwatch.cloud.regions import currency_of
from asrwatch.desk.health import inboxes
from asrwatch.desk.outbox import notifiers_of, untold_of
from asrwatch.desk.reports.lines import ForAPerson, Reason
from asrwatch.desk.reports.status import (
    BudgetLine,
    Doubt,
    Health,
    HoldLine,
    Money,
    Status,
    Stuck,
    TaskLine,
)
from asrwatch.desk.scene import Scene
from asrwatch.desk.story import line_of, reason_of
from asrwatch.journey.backups import Backups
from asrwatch.journey.budget import Period, day_of, month_of
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import Bought, Hold, Ledger
from asrwatch.values import printable

__all__ = ["LISTED", "health", "standing"]

LISTED = 50
"""How many of many are listed; the counts beside a list are of all."""


def standing(scene: Scene, now: datetime) -> Status:
    """How things stand."""
    store, daemon = scene.store, scene.daemon
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
        watchdog=daemon.house.notifier.watchdog if daemon else None,
        stuck=_stuck(scene),
        counts=store.count_by_state(),
        under_way=tuple(line_of(each, under_way=True) for each in under_way),
        oldest_waiting=scene.line(oldest) if oldest else None,
        failed=_for_a_person(scene, State.FAILED),
        parked=_for_a_person(scene, State.PARKED),
        settling=settling[:LISTED],
        settling_count=len(settling),
        inboxes=tuple(inboxes(scene, now)),
        backup_at=Backups(store, None).newest,
        backup_trouble=Reason.of(daemon.backups.trouble)
        if daemon and daemon.backups.trouble
        else None,
        page=scene.page.url,
        page_trouble=scene.page.trouble,
        shortages=_shortages(scene),
        holds=tuple(_hold_line(hold) for hold in scene.holds()),
        tasks=tuple(_task_line(each, now) for each in outstanding[:LISTED]),
        task_count=len(outstanding),
        today=_money(store.ledger(since=day_of(now)[0])),
        this_month=_money(store.ledger(since=month_of(now)[0])),
        ever=_money(store.ledger()),
        budget=tuple(_budget_line(each) for each in scene.fuse.periods(now)),
        currency=currency_of(scene.settings.cloud.region),
        notifiers=notifiers_of(scene),
        untold=untold_of(scene, limit=LISTED),
        doubts=tuple(_doubt(each) for each in store.doubts(limit=LISTED)),
    )


def health(scene: Scene, now: datetime) -> Health:
    """How the daemon and its inboxes are doing at this moment, from memory."""
    daemon = scene.daemon
    settling = tuple(scene.settling())
    return Health(
        at=now,
        running=daemon is not None,
        started_at=daemon.started_at if daemon else None,
        inboxes=tuple(inboxes(scene, now)),
        settling=settling[:LISTED],
        settling_count=len(settling),
        holds=tuple(_hold_line(hold) for hold in scene.holds()),
        shortages=_shortages(scene),
        stuck=_stuck(scene),
        under_way=tuple(daemon.under_way) if daemon else (),
        paced=tuple(sorted(daemon.gate.waiting(now))) if daemon else (),
        workers_busy=daemon is not None and len(daemon.under_way) >= daemon.house.workers,
        page=scene.page.url,
        page_trouble=scene.page.trouble,
    )


def _shortages(scene: Scene) -> tuple[Reason, ...]:
    return tuple(
        Reason(code=each.code, message=each.message, advice=each.advice)
        for each in scene.shortages()
    )


def _stuck(scene: Scene) -> tuple[Stuck, ...]:
    late = scene.daemon.supervision.late if scene.daemon else ()
    return tuple(
        Stuck(thread=each.thread, doing=each.doing, since=each.since, allowed=each.allowed)
        for each in late
    )


def _for_a_person(scene: Scene, state: State) -> tuple[ForAPerson, ...]:
    """The newest of what is in a state that only a person ends."""
    return tuple(
        ForAPerson(
            inbox=recording.inbox,
            path=recording.path,
            since=recording.changed_at,
            reason=reason_of(recording.failure),
            next=f"asrwatch retry {shlex.quote(printable(recording.path))}",
        )
        for recording in scene.store.in_state(state, limit=LISTED)
        if recording.failure is not None
    )


def _budget_line(period: Period) -> BudgetLine:
    return BudgetLine(
        period=period.name,
        until=period.end,
        audio=period.audio,
        audio_allowed=period.allowed.audio,
        money=period.money,
        money_allowed=period.allowed.money,
        spent=period.is_spent,
    )


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
        unsent=ledger.unsent,
        refused=ledger.refused,
        bill_unknown=ledger.bill_unknown,
        audio=ledger.audio,
        money=ledger.money,
    )


def _doubt(bought: Bought) -> Doubt:
    return Doubt(
        ask_id=bought.ask_id,
        path=bought.path,
        sha256=bought.sha256,
        asked_at=bought.asked_at,
        engine=bought.engine,
        model=bought.model,
        outcome=bought.outcome,
        audio=bought.expected,
        cost=bought.cost,
    )
