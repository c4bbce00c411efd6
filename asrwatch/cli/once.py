"""`asrwatch once`: everything there is, then the end."""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import typer
from rich.console import Console

from asrwatch import logs
from asrwatch.bootstrap import Parts, build_parts, open_store
from asrwatch.cli._ending import Ended, Leftover, tell_end
from asrwatch.cli._house import settings_for, with_inboxes
from asrwatch.cli._options import AsJson, ConfigFile, Folders, LogLevel, LogLevels
from asrwatch.cli._progress import Bar, Lines, Shown, Tally
from asrwatch.cli._secrecy import guard_memory
from asrwatch.cli._working import leave, stoppable, work
from asrwatch.clock import utc_now
from asrwatch.config import Settings
from asrwatch.daemon import Daemon
from asrwatch.errors import EngineError
from asrwatch.inbox.looks import Why
from asrwatch.journey.book import Change
from asrwatch.journey.recording import UNFINISHED, Recording, State
from asrwatch.journey.store import EVERY_ENGINE, Hold, Store
from asrwatch.values import counted
from asrwatch.words import shown as in_words

__all__ = ["once"]


@stoppable(1)
def once(
    folders: Folders,
    config: ConfigFile = None,
    as_json: AsJson = False,
    log_level: LogLevel = LogLevels.CRITICAL,
) -> None:
    """Transcribe everything there is, then end.

    Waits until files have settled, and ends when every transcript is in its place. Ends with 1 if any
    recording of these folders failed, now or before, is parked, or has to wait for a person (a missing
    key, no money, no room on a disk, a share that does not answer).
    """
    guard_memory()
    settings = with_inboxes(settings_for(config, folders))
    logs.configure(log_level)
    built = _without_waiting(build_parts(settings))
    delivered: list[Recording] = []
    names = {inbox.name for inbox in settings.inboxes}

    def note(change: Change) -> None:
        if change.after.state is State.DELIVERED:
            delivered.append(change.after)

    with open_store(settings) as store:
        _warn_without_key(built)
        left = [each for each in store.in_state(*UNFINISHED) if each.inbox in names]
        tally = Tally(left=left)
        shown = _shown(tally, as_json=as_json)
        with shown.running():
            daemon = work(
                settings,
                store,
                built,
                until_quiet=True,
                on_change=(note, tally.take, shown.tell),
            )
        leftovers = (*_troubled_inboxes(daemon), *_left_over(settings, store, daemon))
    ended = Ended(
        delivered=tuple(delivered),
        leftovers=leftovers,
        empty=tuple(_held(daemon, Why.EMPTY)),
        unmarked=tuple(_held(daemon, Why.UNMARKED)),
        unfinished=tuple(_held(daemon, Why.UNFINISHED)),
        stopped=daemon.stopping,
    )
    tell_end(ended, as_json=as_json)
    code = 1 if leftovers or daemon.stopping else 0
    leave(daemon, code)
    raise typer.Exit(code)


def _without_waiting(built: Parts) -> Parts:
    """A file that is not whole is looked at twice, and not waited for: nobody is there when its rest comes."""
    routes = {
        name: replace(route, rest_within=timedelta(0)) for name, route in built.routes.items()
    }
    return replace(built, routes=routes)


def _shown(tally: Tally, *, as_json: bool) -> Shown:
    """A bar for a person who watches, lines for anybody else."""
    if as_json or not sys.stdout.isatty():
        return Lines(ends=not as_json)
    return Bar(tally, Console())


def _warn_without_key(built: Parts) -> None:
    """Say it before anything is read; what is told at the end would be late."""
    try:
        built.cloud.keys.key()
    except EngineError as error:
        typer.echo(f"asrwatch: {in_words(str(error))}", err=True)


def _troubled_inboxes(daemon: Daemon) -> Iterator[Leftover]:
    """Inboxes, and folders in them, that could not be read."""
    for name, lookout in daemon.lookouts.items():
        snapshot = lookout.snapshot()
        if name in daemon.silent:
            why = "It does not answer. Look whether the share is there, then run this again."
            yield Leftover(path=os.fsencode(name), state="inbox", code="no-answer", why=why)
        for trouble in snapshot.troubles:
            if trouble.about == "root":
                why = f"{trouble.message} {trouble.advice}".rstrip()
                yield Leftover(path=os.fsencode(name), state="inbox", code=trouble.code, why=why)
        whole = snapshot.last_whole
        for unread in whole.troubles if whole and not snapshot.troubles else ():
            why = f"It could not be looked at: {os.strerror(unread.errno)}."
            yield Leftover(path=unread.path, state="inbox", code="unreadable", why=why)


def _left_over(settings: Settings, store: Store, daemon: Daemon) -> Iterator[Leftover]:
    """Every recording of these inboxes that has not arrived, with what it waits for."""
    names = {inbox.name for inbox in settings.inboxes}
    holds = daemon.keeper.holds(utc_now())
    for recording in reversed(store.in_state(State.FAILED, State.PARKED, *UNFINISHED)):
        if recording.inbox not in names:
            continue
        if recording.failure is not None:
            failure = recording.failure
            why = f"{failure.message} {failure.advice}".rstrip()
            yield _leftover(recording, failure.code, why)
            continue
        hold = _hold_over(recording, holds)
        shortage = daemon.room.lacks(recording)
        if shortage is None and not daemon.stopping:  # an end that took its time has no fresh look
            shortage = daemon.room.waits(recording, time.monotonic())
        if shortage is not None and recording.state in (State.SETTLED, State.CUT, State.STAGED):
            why = f"{shortage.message} {shortage.advice}".rstrip()
            yield _leftover(recording, shortage.code, why, state="waits")
        elif hold is not None:
            why = f"{hold.message} {hold.advice}".rstrip()
            yield _leftover(recording, hold.code, why, state="held")
        elif recording.trouble is not None:
            last = recording.trouble.last
            times = counted(recording.trouble.count, "time")
            why = f"It met trouble {times}: {last.message} {last.advice}".rstrip()
            yield _leftover(recording, last.code, why)
        elif recording.inbox in daemon.silent:
            yield _leftover(recording, "no-answer", "Its inbox does not answer.", state="waits")
        else:
            yield _leftover(recording, "unfinished", "asrwatch was stopped before it was done.")


def _leftover(recording: Recording, code: str, why: str, *, state: str | None = None) -> Leftover:
    return Leftover(path=recording.path, state=state or recording.state.value, code=code, why=why)


def _hold_over(recording: Recording, holds: tuple[Hold, ...]) -> Hold | None:
    engine = recording.reading.plan.engine if recording.reading else ""
    return next((hold for hold in holds if hold.scope in {engine, EVERY_ENGINE}), None)


def _held(daemon: Daemon, why: Why) -> Iterator[bytes]:
    """Files that lack something for which nothing waits, since it may never come."""
    for lookout in daemon.lookouts.values():
        last = lookout.snapshot().last
        yield from (each.path for each in (last.waiting if last else ()) if each.why is why)
