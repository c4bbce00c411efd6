"""Writes the figures the way Prometheus reads them, by its own rules for names and units."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from asrwatch import __version__
from asrwatch.desk.reports.status import InboxHealth
from asrwatch.journey.recording import State
from asrwatch.journey.store.figures import BEYOND, STEPS, Waits
from asrwatch.metrics.measured import Measured, Spending

__all__ = ["CONTENT_TYPE", "exposition", "gone"]

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

WATCHED: Final = ("answered", "refused", "again", "bill_unknown")
"""Ends that somebody may be alarmed by, or waits for: they are told as 0 before the first, since Prometheus sees no
increase in a series that begins with its first one."""

PENDING: Final = frozenset({"open", "accepted", "lost"})
"""Outcomes that another one will follow: how many there are goes up and down."""


def exposition(measured: Measured, *, process: bool) -> bytes:
    """The text format.

    Args:
        measured: what is exported.
        process: whether with this process's memory, time and files; a node exporter has figures of these names itself.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(families(measured)))
    if process:
        ProcessCollector(registry=registry)
    return generate_latest(registry)


def gone() -> bytes:
    """What is left in a text file when asrwatch has ended in order."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected([_up(0)]))
    return generate_latest(registry)


class _Collected(Collector):
    """Figures that were taken already."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = tuple(found)

    def collect(self) -> Iterable[Metric]:
        """As Prometheus' registry asks."""
        return self._found


def families(measured: Measured) -> Iterator[Metric]:
    """Every figure with its name, its meaning and its labels."""
    health = measured.health
    yield _up(1)
    yield InfoMetricFamily(
        "asrwatch_build", "Which asrwatch this is.", value={"version": __version__}
    )
    if health.started_at is not None:
        yield GaugeMetricFamily(
            "asrwatch_start_time_seconds",
            "When the daemon was started, as seconds since 1970.",
            value=health.started_at.timestamp(),
        )
    yield from _recordings(measured)
    yield from _inboxes(measured)
    yield from _requests(measured)
    yield from _tasks(measured)
    yield from _spending(measured)
    yield _waits(measured)
    yield from _health(measured)


def _up(value: int) -> Metric:
    return GaugeMetricFamily("asrwatch_up", "1 while the daemon runs.", value=value)


def _recordings(measured: Measured) -> Iterator[Metric]:
    recordings = GaugeMetricFamily(
        "asrwatch_recordings", "Recordings by inbox and state.", labels=("inbox", "state")
    )
    names = {*measured.counts, *(inbox.name for inbox in measured.health.inboxes)}
    for inbox in sorted(names):
        for state in State:
            number = measured.counts.get(inbox, {}).get(state, 0)
            recordings.add_metric((_label(inbox), state.value), number)
    yield recordings
    yield GaugeMetricFamily(
        "asrwatch_steps_under_way",
        "Recordings that a worker is at now.",
        value=len(measured.health.under_way),
    )


def _inboxes(measured: Measured) -> Iterator[Metric]:
    def gauge(name: str, meaning: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"asrwatch_{name}", meaning, labels=("inbox",))

    well = gauge("inbox_healthy", "1 where the inbox is looked at and has no trouble, else 0.")
    settling = gauge("settling_files", "Files that have not settled yet.")
    oldest = gauge(
        "oldest_waiting_age_seconds",
        "Age of the oldest file or recording that is neither delivered nor with a person; 0 where none waits.",
    )
    event = gauge("last_event_age_seconds", "Seconds since the file system told of a change last.")
    scan = gauge("last_scan_age_seconds", "Seconds since a look at the whole inbox ended last.")
    took = gauge("scan_duration_seconds", "How long the last look at the whole inbox took.")
    lost = CounterMetricFamily(
        "asrwatch_events_lost",
        "How often events of the file system were lost since the start; a scan made up for it.",
        labels=("inbox",),
    )
    for inbox in measured.health.inboxes:
        name = (_label(inbox.name),)
        well.add_metric(name, inbox.health == "ok")
        oldest.add_metric(name, _oldest(measured, inbox).total_seconds())
        if inbox.settling is not None:
            settling.add_metric(name, inbox.settling)
        for family, moment in ((event, inbox.last_event_at), (scan, inbox.looked_at)):
            if moment is not None:
                family.add_metric(name, _age(moment, measured.at).total_seconds())
        if inbox.scan_took is not None:
            took.add_metric(name, inbox.scan_took.total_seconds())
        if inbox.events_lost is not None:
            lost.add_metric(name, inbox.events_lost)
    yield from (well, settling, oldest, event, scan, took, lost)


def _oldest(measured: Measured, inbox: InboxHealth) -> timedelta:
    since = measured.waiting_since.get(inbox.name)
    recording = _age(since, measured.at) if since else timedelta()
    return max(recording, inbox.settling_for or timedelta())


def _requests(measured: Measured) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "asrwatch_requests",
        "Requests that are billed, or may be, by engine and by what became of them.",
        labels=("engine", "outcome"),
    )
    pending = GaugeMetricFamily(
        "asrwatch_requests_pending",
        "Requests whose end is not known yet: under way, accepted by the cloud, or lost.",
        labels=("engine", "outcome"),
    )
    billed = CounterMetricFamily(
        "asrwatch_billed_seconds", "Audio billed, as the cloud's answers say.", labels=("engine",)
    )
    cost = CounterMetricFamily(
        "asrwatch_billed_cost",
        "What that costs by the price list, in the currency of the label.",
        labels=("engine", "currency"),
    )
    sent = CounterMetricFamily(
        "asrwatch_sent_bytes", "Audio sent to the cloud with requests.", labels=("engine",)
    )
    for engine in sorted({each.engine for each in measured.requests}):
        own = [each for each in measured.requests if each.engine == engine]
        numbers = dict.fromkeys(WATCHED, 0) | {each.outcome: each.number for each in own}
        for outcome, number in numbers.items():
            family = pending if outcome in PENDING else ended
            family.add_metric((engine, outcome), number)
        billed.add_metric((engine,), sum(each.billed.total_seconds() for each in own))
        cost.add_metric((engine, measured.currency), float(sum(each.cost for each in own)))
        left = [each.sent for each in own if each.outcome not in {*PENDING, "unsent"}]
        sent.add_metric((engine,), sum(left))
    yield from (ended, pending, billed, cost, sent)


def _tasks(measured: Measured) -> Iterator[Metric]:
    number = GaugeMetricFamily(
        "asrwatch_tasks_outstanding", "Tasks the cloud works on.", labels=("engine",)
    )
    oldest = GaugeMetricFamily(
        "asrwatch_oldest_task_age_seconds",
        "Age of the oldest of these tasks; 0 where there is none.",
        labels=("engine",),
    )
    there_are = {each.engine: each for each in measured.tasks}
    # also of engines that were asked before: a series that is gone is no zero to Prometheus
    for engine in sorted({*there_are, *(each.engine for each in measured.requests)}):
        task = there_are.get(engine)
        age = _age(task.oldest, measured.at) if task else timedelta()
        number.add_metric((engine,), task.number if task else 0)
        oldest.add_metric((engine,), age.total_seconds())
    yield from (number, oldest)


def _spending(measured: Measured) -> Iterator[Metric]:
    def money(name: str, meaning: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"asrwatch_{name}", meaning, labels=("period", "currency"))

    def audio(name: str, meaning: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"asrwatch_{name}_seconds", meaning, labels=("period",))

    spent = money("spent_money", "Money spent at most in the local day or month under way.")
    heard = audio("spent_audio", "Audio asked for at most in the local day or month under way.")
    budget = money("budget_money", "The budget's limit in money, where there is one.")
    hours = audio("budget_audio", "The budget's limit in audio, where there is one.")
    left = money("budget_left_money", "Money that may still be spent in this period.")
    rest = audio("budget_left_audio", "Audio that may still be asked for in this period.")
    for each in measured.spending:
        named = (each.period, measured.currency)
        spent.add_metric(named, float(each.money))
        heard.add_metric((each.period,), each.audio.total_seconds())
        if each.allowed.money is not None:
            budget.add_metric(named, float(each.allowed.money))
            left.add_metric(named, float(_left(each)))
        if each.allowed.audio is not None:
            hours.add_metric((each.period,), each.allowed.audio.total_seconds())
            over = max(each.allowed.audio - each.audio, timedelta())
            rest.add_metric((each.period,), over.total_seconds())
    yield from (spent, heard, budget, hours, left, rest)


def _left(spending: Spending) -> Decimal:
    return max((spending.allowed.money or Decimal(0)) - spending.money, Decimal(0))


def _waits(measured: Measured) -> Metric:
    family = HistogramMetricFamily(
        "asrwatch_delivery_seconds",
        "Time from the moment a recording's file was closed to its transcript.",
        labels=("inbox",),
    )
    never = {inbox.name: Waits(numbers={}, total=timedelta()) for inbox in measured.health.inboxes}
    for inbox, waits in sorted({**never, **measured.waits}.items()):
        family.add_metric(
            (_label(inbox),), buckets=list(_buckets(waits)), sum_value=waits.total.total_seconds()
        )
    return family


def _buckets(waits: Waits) -> Iterator[tuple[str, float]]:
    so_far = 0
    for step in STEPS:
        so_far += waits.numbers.get(step, 0)
        yield f"{step.total_seconds():.1f}", so_far
    yield "+Inf", so_far + waits.numbers.get(BEYOND, 0)


def _health(measured: Measured) -> Iterator[Metric]:
    health = measured.health
    holds = GaugeMetricFamily(
        "asrwatch_holds",
        "1 for each engine that is not asked now (* for all of them), with the reason.",
        labels=("engine", "reason"),
    )
    until = GaugeMetricFamily(
        "asrwatch_hold_remaining_seconds",
        "How long until it is asked again.",
        labels=("engine", "reason"),
    )
    for hold in health.holds:
        named = (hold.scope, hold.trouble)
        holds.add_metric(named, 1)
        until.add_metric(named, max(hold.until - measured.at, timedelta()).total_seconds())
    yield from (holds, until)
    for name, meaning, number in (
        ("stuck_threads", "Threads of the daemon that do not get on.", len(health.stuck)),
        ("folders_without_room", "Folders without room for results.", len(health.shortages)),
    ):
        yield GaugeMetricFamily(f"asrwatch_{name}", meaning, value=number)


def _age(moment: datetime, now: datetime) -> timedelta:
    return max(now - moment, timedelta())


def _label(name: str) -> str:
    """An inbox's name in UTF-8, whatever bytes its folder is called."""
    return name.encode("utf-8", "backslashreplace").decode()
