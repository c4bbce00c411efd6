"""`asrwatch status`: how things stand."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

import typer

from asrwatch.cli._house import consult, settings_for
from asrwatch.cli._options import AsJson, ConfigFile
from asrwatch.cli._printing import Named, Row, local, print_json, say, show
from asrwatch.cli._watching import can_watch, watch
from asrwatch.config import Settings
from asrwatch.control import NobodyThere, ask_daemon
from asrwatch.desk.questions import AskStatus
from asrwatch.desk.reports import to_json
from asrwatch.desk.reports.lines import ForAPerson, RecordingLine
from asrwatch.desk.reports.status import (
    BudgetLine,
    HoldLine,
    InboxHealth,
    Money,
    NotifierLine,
    Status,
)
from asrwatch.errors import StartupError
from asrwatch.journey.recording import State
from asrwatch.values import (
    counted,
    format_duration,
    format_hours,
    format_money,
    format_size,
    printable,
)

__all__ = ["rows_of_status", "status"]

_LONG_LOOK = timedelta(seconds=5)
_SHOWN = 5
"""How many of a list a person wants to see; --json has more."""


def status(
    config: ConfigFile = None,
    as_json: AsJson = False,
    watching: Annotated[
        bool, typer.Option("--watch", "-w", help="Stay, and show it anew each second; q to quit.")
    ] = False,
) -> None:
    """Show how things stand.

    Counts, what is under way, what waits and why, the inboxes' health, what was paid. Asks the running
    daemon; where none runs, reads the state itself.
    """
    if watching and as_json:
        raise typer.BadParameter("--watch is for people, --json for machines; choose one of them")
    settings = settings_for(config)
    report = consult(settings, AskStatus(), Status)
    if as_json:
        print_json(to_json(report))
    elif watching and can_watch():
        watch(_Latest(settings, report).rows)
    else:
        show(rows_of_status(report))
        if watching:
            say("This is no terminal: shown once.", err=True)


class _Latest:
    """How things stand now; what was known last where the daemon does not answer.

    The state is not opened for it: whoever holds its lock keeps a daemon from starting.
    """

    def __init__(self, settings: Settings, report: Status) -> None:
        self._settings = settings
        self._report = report

    def rows(self) -> Iterator[Row]:
        """Ask, and tell."""
        try:
            self._report = ask_daemon(self._settings.state_dir, AskStatus(), Status)
        except NobodyThere:
            yield "", f"No daemon runs; this is how things stood at {local(self._report.at)}."
        except StartupError as error:
            yield "", f"{error.message} This is how things stood at {local(self._report.at)}."
        yield from rows_of_status(self._report)


def rows_of_status(report: Status) -> Iterator[Row]:
    """The report as people read it."""
    yield "asrwatch", _who(report)
    for each in report.stuck:
        told = f"{each.doing}, for {format_duration(each.since)} (at most {format_duration(each.allowed)})"
        yield "STUCK", f"{each.thread}: {told}"
    yield "state", printable(report.state_dir)
    counted = [f"{number} {state.value}" for state, number in report.counts.items() if number]
    yield "recordings", ", ".join(counted) or "none yet"
    for number, line in enumerate(report.under_way):
        yield ("" if number else "under way"), f"{printable(line.path)}: {line.now}"
    if report.oldest_waiting is not None:
        line = report.oldest_waiting
        yield (
            "oldest",
            f"{printable(line.path)}: {line.now} ({line.state.value} since {local(line.since)})",
        )
        yield from _trouble(line)
    yield from _for_a_person(report, State.FAILED, report.failed)
    yield from _for_a_person(report, State.PARKED, report.parked)
    yield from _settling(report)
    for inbox in report.inboxes:
        yield from _inbox(inbox)
    yield from _tasks(report)
    if report.page is not None:
        yield "page", report.page
    if report.page_trouble is not None:
        yield "page", f"NOT SERVED: {report.page_trouble.message} {report.page_trouble.advice}"
    if report.backup_at is not None:
        yield "backup", f"of {local(report.backup_at)}"
    if report.backup_trouble is not None:
        trouble = report.backup_trouble
        yield "backup", f"FAILED: {trouble.message} {trouble.advice}".rstrip()
    yield from _notifiers(report)
    for number, short in enumerate(report.shortages):
        yield ("" if number else "no room"), f"{short.message} {short.advice}"
    for number, hold in enumerate(report.holds):
        yield ("" if number else "held"), _hold(hold)
    for label, money in (
        ("today", report.today),
        ("this month", report.this_month),
        ("ever", report.ever),
    ):
        yield label, _money(money, report.currency)
    for number, period in enumerate(report.budget):
        yield ("" if number else "budget"), _budget(period, report.currency)
    if report.doubts:
        yield (
            "",
            "the requests in doubt, to be looked for on the cloud's bill: asrwatch status --json, `doubts`",
        )


def _who(report: Status) -> str:
    if not report.running:
        return f"{report.version}, not running"
    since = f" since {local(report.started_at)}" if report.started_at else ""
    watched = (
        f"systemd starts it anew if it hangs for {format_duration(report.watchdog)}"
        if report.watchdog
        else "nobody starts it anew if it hangs"
    )
    return f"{report.version}, running{since} (process {report.process}; {watched})"


def _trouble(line: RecordingLine) -> Iterator[Row]:
    """What keeps the oldest from going on: an outage shows here first."""
    if line.trouble is None or line.trouble_since is None:
        return
    told = f"trouble {counted(line.trouble_count, 'time')} since {local(line.trouble_since)}: "
    told += f"{line.trouble.message} {line.trouble.advice}".rstrip()
    if line.next_at is not None:
        told += f" (next attempt {local(line.next_at)})"
    yield "", told


def _for_a_person(report: Status, state: State, listed: tuple[ForAPerson, ...]) -> Iterator[Row]:
    """The first of what waits for a person, and the commands that go on with it."""
    if not listed:
        return
    for number, each in enumerate(listed[:_SHOWN]):
        path, why = printable(each.path), each.reason.message
        yield ("" if number else state.value), why if why.startswith(path) else f"{path}: {why}"
    more = report.counts[state] - min(len(listed), _SHOWN)
    if more:
        yield "", f"and {more} more"
    again = listed[0].next
    if report.counts[state] > 1:
        again = f"asrwatch retry FILE, or all of them: asrwatch retry --{state.value}"
    twice = " (may be paid for a second time)" if state is State.PARKED else ""
    yield "", f"next: asrwatch explain FILE tells what to do; {again}{twice}"


def _settling(report: Status) -> Iterator[Row]:
    for number, file in enumerate(report.settling[:_SHOWN]):
        told = f"{file.why}, {format_size(file.size)}, for {format_duration(file.waits_for)}"
        yield ("" if number else "settling"), f"{printable(file.path)}: {told}"
    if report.settling_count > _SHOWN:
        yield "", f"and {report.settling_count - _SHOWN} more"


def _inbox(inbox: InboxHealth) -> Iterator[Row]:
    told = [printable(inbox.path)]
    if inbox.health == "degraded":
        told.append("DEGRADED")
    if inbox.watching is not None:
        told.append(f"watched by {inbox.watching} ({inbox.watching_reason})")
    if inbox.files is not None:
        told.append(counted(inbox.files, "file"))
    if inbox.empty:
        told.append(f"{inbox.empty} without any bytes")
    if inbox.unreadable:
        told.append(f"{counted(inbox.unreadable, 'place')} cannot be read")
    if inbox.scan_took is not None and inbox.scan_took > _LONG_LOOK:
        told.append(f"a look at it takes {format_duration(inbox.scan_took)}")
    if inbox.alive is False:
        told.append("nobody looks at it at this moment")
    yield "inbox", Named(f"{inbox.name}: ", ", ".join(told))
    for trouble in inbox.troubles:
        since = f" (since {local(trouble.since)})" if trouble.since else ""
        yield "", f"{trouble.message}{since} {trouble.advice}".rstrip()


def _tasks(report: Status) -> Iterator[Row]:
    for number, task in enumerate(report.tasks[:_SHOWN]):
        told = f"for {format_duration(task.age)}, asked about next at {local(task.next_question)}"
        yield (
            "" if number else "at the cloud",
            f"{printable(task.path)}: {told} (task {task.ticket})",
        )
    if report.task_count > _SHOWN:
        yield "", f"and {report.task_count - _SHOWN} more"


def _notifiers(report: Status) -> Iterator[Row]:
    for line in report.notifiers:
        yield from _notifier(line)


def _notifier(line: NotifierLine) -> Iterator[Row]:
    """What waits for it and what it failed with; one that does well needs no line."""
    told = [f"{counted(line.waiting, 'message')} waiting"] if line.waiting else []
    told += [f"{counted(line.untold, 'message')} given up"] if line.untold else []
    if line.failures or line.gone or line.untold:
        yield "notifier", f"{printable(line.notifier)}: {', '.join(told) or 'failed'}"
        if line.trouble is not None:
            trouble = f"{line.trouble.message} {line.trouble.advice}".rstrip()
            next_at = f" (next attempt {local(line.next_at)})" if line.next_at else ""
            yield "", trouble + next_at
        if line.untold or line.gone:
            yield "", "next: asrwatch notify --again"


def _hold(hold: HoldLine) -> str:
    scope = "every engine" if hold.scope == "*" else hold.scope
    told = f"{scope} until {local(hold.until)}: {hold.reason.message} {hold.reason.advice}"
    return told.rstrip()


def _budget(line: BudgetLine, currency: str) -> str:
    told = []
    if line.audio_allowed is not None:
        told.append(f"{format_hours(line.audio)} of {format_hours(line.audio_allowed)}")
    if line.money_allowed is not None:
        limit = format_money(line.money_allowed, currency)
        told.append(f"{format_money(line.money, currency)} of {limit}")
    state = "spent, waits until" if line.spent else "until"
    return f"{', '.join(told)} in this {line.period} ({state} {local(line.until)})"


def _money(money: Money, currency: str) -> str:
    told = (
        f"{counted(money.asked, 'request')}, {money.answered} answered, {money.refused} refused, "
    )
    told += f"{format_duration(money.billed)} billed"
    if money.unknown:
        told += f", {money.unknown} of unknown fate"
    if money.bill_unknown:
        told += f", {money.bill_unknown} answered with an error of the cloud's (bill unknown)"
    if money.perhaps_twice:
        told += f", {money.perhaps_twice} perhaps paid twice"
    if money.unsent:
        told += f", {money.unsent} not sent"
    return (
        f"{told}; spent at most {format_hours(money.audio)}, {format_money(money.money, currency)}"
    )
