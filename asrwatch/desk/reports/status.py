"""How things stand: the daemon, its inboxes, what waits, what was paid."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from asrwatch.desk.forms import FileName, Span, Sum
from asrwatch.desk.reports.lines import ForAPerson, Reason, RecordingLine, Settling, Untold
from asrwatch.journey.recording import State

__all__ = [
    "Ailment",
    "BudgetLine",
    "Doubt",
    "Health",
    "HoldLine",
    "InboxHealth",
    "Money",
    "NotifierLine",
    "Status",
    "Stuck",
    "TaskLine",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ailment(Reason):
    """What is wrong with an inbox, what to do about it, and since when."""

    since: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class InboxHealth:
    """How an inbox is doing. Everything but name and path is unknown (None) where no daemon runs.

    `health` is `ok` or `degraded`, which has its `troubles`. `files` counts what may be a recording, whatever
    became of it, as of the last look; what has not settled longest waits `settling_for`. `looked_at` is when the
    last pass over everything ended, `scanning_since` when the one under way began. Of the events: how often some
    were lost (`events_lost`), how often they were armed afresh (`events_rearmed`), when the last one came.
    """

    name: str
    path: FileName
    alive: bool | None = None
    watching: str | None = None
    watching_reason: str | None = None
    files: int | None = None
    settling: int | None = None
    settling_for: Span | None = None
    empty: int | None = None
    unreadable: int | None = None
    scan_took: Span | None = None
    health: Literal["ok", "degraded"] | None = None
    looked_at: datetime | None = None
    scanning_since: datetime | None = None
    events_lost: int | None = None
    events_rearmed: int | None = None
    last_event_at: datetime | None = None
    troubles: tuple[Ailment, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldLine:
    """Why and until when an engine is not asked; `scope` is `*` for all engines."""

    scope: str
    trouble: str
    since: datetime
    until: datetime
    count: int
    reason: Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskLine:
    """A task the cloud is working on, and when it is asked about next."""

    ticket: str
    engine: str
    path: FileName
    submitted_at: datetime
    age: Span
    next_question: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Money:
    """What was asked of the cloud in a span of time, in requests, in audio and in money.

    `unsent` requests never reached the cloud; `asked` leaves them out. `billed` is what the answers say;
    `audio` and `money` also count what may be billed for requests whose answer is not known (see `Ledger`).
    """

    asked: int
    answered: int
    billed: Span
    unknown: int
    perhaps_twice: int
    unsent: int = 0
    refused: int = 0
    bill_unknown: int = 0
    audio: Span = timedelta(0)
    money: Sum = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetLine:
    """A limit for the day or month under way: what was asked for in it at most, of how much, and its end."""

    period: str
    until: datetime
    audio: Span
    audio_allowed: Span | None
    money: Sum
    money_allowed: Sum | None
    spent: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """A request of which nobody knows whether it was paid, and what that would be; to be looked for on the bill."""

    ask_id: str
    path: FileName
    sha256: str | None
    asked_at: datetime
    engine: str
    model: str
    outcome: str
    audio: Span | None
    cost: Sum | None


@dataclass(frozen=True, kw_only=True, slots=True)
class NotifierLine:
    """How a notifier does: messages that wait for it and that it never took (`untold`), and what it failed with.

    `told_at` is when it last took one; `gone` since when it wants none.
    """

    notifier: str
    inboxes: tuple[str, ...]
    waiting: int
    untold: int
    told_at: datetime | None = None
    failures: int = 0
    next_at: datetime | None = None
    gone: datetime | None = None
    trouble: Reason | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Stuck:
    """A thread beyond its deadline: what it does, and for how long it has not moved."""

    thread: str
    doing: str
    since: Span
    allowed: Span


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """How things stand. Lists hold the first of many; the counts beside them are of all."""

    version: str
    at: datetime
    state_dir: FileName
    running: bool
    process: int | None
    started_at: datetime | None
    watchdog: Span | None
    stuck: tuple[Stuck, ...]
    counts: Mapping[State, int]
    under_way: tuple[RecordingLine, ...]
    oldest_waiting: RecordingLine | None
    failed: tuple[ForAPerson, ...]
    parked: tuple[ForAPerson, ...]
    settling: tuple[Settling, ...]
    settling_count: int
    inboxes: tuple[InboxHealth, ...]
    holds: tuple[HoldLine, ...]
    tasks: tuple[TaskLine, ...]
    task_count: int
    today: Money
    this_month: Money
    ever: Money
    currency: str
    doubts: tuple[Doubt, ...] = ()
    shortages: tuple[Reason, ...] = ()
    backup_at: datetime | None = None
    backup_trouble: Reason | None = None
    page: str | None = None
    page_trouble: Reason | None = None
    budget: tuple[BudgetLine, ...] = ()
    notifiers: tuple[NotifierLine, ...] = ()
    untold: tuple[Untold, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What only the running daemon knows. `under_way` are the recordings that workers are on.

    `paced` engines are not asked now although nothing holds them: their pace does. `page` is where the status
    page is served, None without one; `page_trouble` why it cannot be.
    """

    at: datetime
    running: bool
    started_at: datetime | None
    inboxes: tuple[InboxHealth, ...]
    settling: tuple[Settling, ...]
    settling_count: int
    holds: tuple[HoldLine, ...]
    shortages: tuple[Reason, ...]
    stuck: tuple[Stuck, ...]
    under_way: tuple[int, ...] = ()
    paced: tuple[str, ...] = ()
    workers_busy: bool = False
    page: str | None = None
    page_trouble: Reason | None = None
