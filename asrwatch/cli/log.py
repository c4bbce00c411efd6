"""`asrwatch log`: what happened lately."""

import json
import sys
import time
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Final

import typer

from asrwatch.cli._house import consult, settings_for
from asrwatch.cli._options import ConfigFile, Inbox, checked_inbox
from asrwatch.cli._printing import local, safe
from asrwatch.cli._since import Since, moment_of
from asrwatch.config import Settings
from asrwatch.control import NobodyThere, ask_daemon
from asrwatch.desk.questions import AskLog
from asrwatch.desk.reports import to_json
from asrwatch.desk.reports.lately import Log, LogLine
from asrwatch.errors import StartupError
from asrwatch.values import printable
from asrwatch.words import shown
from asrwatch.words.widths import padded

__all__ = ["log"]

_LOOKS_EVERY: Final = 1.0
_AT_ONCE: Final = 1000


def log(
    *,
    number: Annotated[
        int, typer.Option("-n", "--number", min=1, help="How many recordings at most.")
    ] = 20,
    inbox: Inbox = None,
    since: Since = None,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on telling what happens, until Ctrl-C.")
    ] = False,
    config: ConfigFile = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one line for each, for machines.")
    ] = False,
) -> None:
    """Tell what happened lately.

    One line for each recording, with what happened to it last; the newest at the end. `asrwatch explain FILE` tells
    one recording's whole story, `asrwatch run` prints the daemon's own log.
    """
    settings = settings_for(config)
    question = AskLog(inbox=checked_inbox(settings, inbox), since=moment_of(since), limit=number)
    told = consult(settings, question, Log)
    _tell(told, as_json=as_json)
    if follow:
        _follow(settings, replace(question, limit=_AT_ONCE), told.newest, as_json=as_json)


def _follow(settings: Settings, question: AskLog, newest: int, *, as_json: bool) -> None:
    """Ask the daemon again and again; one that is not there, starting or ending is waited for.

    The state is never opened here: whoever holds its lock keeps a daemon from starting.
    """
    while True:
        time.sleep(_LOOKS_EVERY)
        with suppress(NobodyThere, StartupError):
            news = ask_daemon(settings.state_dir, replace(question, after=newest), Log)
            _tell(news, as_json=as_json)
            newest = news.newest


def _tell(report: Log, *, as_json: bool) -> None:
    for line, written in zip(report.lines, to_json(report)["lines"], strict=True):
        typer.echo(json.dumps(written, ensure_ascii=True) if as_json else _told(line))
    sys.stdout.flush()


def _told(line: LogLine) -> str:
    what = f": {shown(safe(line.what))}" if line.what else ""
    name = printable(line.path)
    what = what.replace(f": {name}: ", ": ", 1)  # messages often begin with the name
    return f"{local(line.at)}  {padded(shown(line.state.value), 11)}  {line.inbox}  {name}{what}"
