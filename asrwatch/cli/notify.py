"""`asrwatch notify`: how the notifiers do, a test message, and what could not be told."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from secrets import token_hex
from typing import Annotated, Any

import typer

from asrwatch.bootstrap import build_notifiers
from asrwatch.cli._finding import Finding, bad, good
from asrwatch.cli._house import consult, settings_for
from asrwatch.cli._options import AsJson, ConfigFile
from asrwatch.cli._printing import Named, Row, local, print_json, say, show
from asrwatch.config import Settings
from asrwatch.desk.questions import AskStatus, AskTellAgain
from asrwatch.desk.reports import to_json
from asrwatch.desk.reports.status import Status
from asrwatch.desk.reports.treatment import ToldAgain
from asrwatch.errors import AsrwatchError
from asrwatch.news import Message, News
from asrwatch.values import counted, printable

__all__ = ["notify"]


def notify(
    test: Annotated[
        bool, typer.Option("--test", help="Send a test message to every notifier, now.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Try again what was given up.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Throw away what was given up.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show how the notifiers do, and what could not be told.

    Ends with 1 if a test message could not be sent. Needs no running daemon.
    """
    if sum((test, again, drop)) > 1:
        raise typer.BadParameter("choose one of --test, --again and --drop")
    settings = settings_for(config)
    if test:
        _test(settings, as_json=as_json)
    elif again or drop:
        _treat(settings, drop=drop, as_json=as_json)
    else:
        report = consult(settings, AskStatus(), Status)
        if as_json:
            told = to_json(report)
            print_json({name: told[name] for name in ("notifiers", "untold")})
        elif report.notifiers:
            show(_rows(report))
        else:
            say("There are no notifiers; `notify:` of an inbox names them.")


def _test(settings: Settings, *, as_json: bool) -> None:
    found = list(_tested(settings))
    if as_json:
        print_json([asdict(each) for each in found])
    elif not found:
        say("There are no notifiers; `notify:` of an inbox names them.")
    else:
        for each in found:
            say(f"{each.about}: {each.said} {each.advice}".rstrip(), err=each.level != "ok")
    if any(each.level != "ok" for each in found):
        raise typer.Exit(1)


def _tested(settings: Settings) -> Iterator[Finding]:
    notifiers, _ = build_notifiers(settings)
    for notifier in notifiers.values():
        yield _sent(notifier)


def _sent(notifier: Any) -> Finding:
    news = News(kind="test", at=datetime.now(tz=UTC))
    try:
        notifier.send(Message(id=f"msg_{token_hex(16)}", news=news))
    except AsrwatchError as error:
        return bad(notifier.label, error.message, error.advice)
    return good(notifier.label, "the test message was taken")


def _treat(settings: Settings, *, drop: bool, as_json: bool) -> None:
    report = consult(settings, AskTellAgain(drop=drop), ToldAgain)
    if as_json:
        print_json(to_json(report))
    elif drop:
        say(f"{counted(report.messages, 'message')} thrown away.")
    else:
        say(f"{counted(report.messages, 'message')} will be tried again.")
        if report.messages and not report.running:
            say("asrwatch is not running; it goes on when it is started.")


def _rows(report: Status) -> Iterator[Row]:
    for line in report.notifiers:
        inboxes = ", ".join(line.inboxes)
        notifier = f"{line.notifier} ({inboxes})" if inboxes else line.notifier
        yield "notifier", Named(notifier, "" if inboxes else " (no inbox)")
        last = f"last told {local(line.told_at)}" if line.told_at else "nothing told yet"
        yield (
            "",
            f"{last}; {counted(line.waiting, 'message')} waiting, {counted(line.untold, 'message')} given up",
        )
        if line.trouble is not None:
            trouble = f"{line.trouble.message} {line.trouble.advice}".rstrip()
            tried = f" (next attempt {local(line.next_at)})" if line.next_at else ""
            yield "", f"failed {counted(line.failures, 'time')}: {trouble}{tried}"
    for number, each in enumerate(report.untold):
        about = f" of {printable(each.about)}" if each.about else ""
        more = f" and {each.count - 1} more" if each.count > 1 and each.about else ""
        told = f"{each.kind}{about}{more}, to {printable(each.notifier)}, {local(each.since)} ({each.given_up})"
        yield ("" if number else "given up"), told
    if report.untold:
        yield "", "next: asrwatch notify --again, or --drop"
