"""Runs the daemon for a command: signals, control socket, and an end that waits for no hurried worker."""

import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from asrwatch import logs
from asrwatch.bootstrap import Parts, build_daemon
from asrwatch.config import Settings
from asrwatch.control import ControlServer
from asrwatch.daemon import Daemon
from asrwatch.daemon.mail import Call, Stop
from asrwatch.desk import Desk
from asrwatch.errors import EngineError
from asrwatch.journey.book import Change
from asrwatch.journey.store import Store
from asrwatch.metrics.textfile import metrics_file
from asrwatch.web.bell import Bell
from asrwatch.web.serving import PageServer

__all__ = ["handled", "leave", "stoppable", "warn_without_key", "work"]

log = logs.get("daemon")

_ENDING = (signal.SIGTERM, signal.SIGINT)
_STDERR = 2


def work(
    settings: Settings,
    store: Store,
    built: Parts,
    *,
    until_quiet: bool = False,
    on_change: Sequence[Callable[[Change], None]] = (),
) -> Daemon:
    """Run the daemon until a signal, or with `until_quiet` until nothing is left; returns it as it ended."""
    bell = Bell()
    daemon = build_daemon(
        settings, store, built, until_quiet=until_quiet, on_change=(bell.ring, *on_change)
    )
    desk = Desk(settings, store, daemon)
    daemon.noting.try_again = desk.try_again
    with ExitStack() as around:
        around.enter_context(_stopped_by_signals(daemon))
        around.enter_context(ControlServer(settings.state_dir, daemon, desk.answer))
        if not until_quiet:
            around.enter_context(PageServer(settings, daemon, desk, bell))
            around.enter_context(metrics_file(settings, daemon, desk.answer))
        daemon.run()
    return daemon


def warn_without_key(built: Parts) -> None:
    """Say at once that the key is missing, and where it is looked for. Work waits for it, and is not lost."""
    try:
        built.cloud.keys.key()
    except EngineError as error:
        log.error("no-key", code=error.code, error=error.message, advice=error.advice)  # noqa: TRY400 - its traceback says nothing to a person


def leave(daemon: Daemon, code: int) -> None:
    """End the process without waiting for workers that a hurried stop left behind; returns if there are none.

    Whatever they were doing is repeated, or reconciled, at the next start.
    """
    if daemon.left_behind:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@contextmanager
def stoppable(code: int) -> Iterator[None]:
    """From the first line of a command on, a signal ends it in order: with `code` where nothing has begun yet.

    A crash of the interpreter, or systemd's watchdog, leaves every thread's stack on stderr.
    """
    faulthandler.enable(file=_STDERR, all_threads=True)

    def end(number: int, _: Any) -> None:
        log.info("stopping", reason=signal.Signals(number).name, under_way=0)
        raise SystemExit(code)

    with handled(dict.fromkeys(_ENDING, end)):
        yield


@contextmanager
def _stopped_by_signals(daemon: Daemon) -> Iterator[None]:
    """Signals ask the daemon to stop, a second one to hurry; SIGHUP asks it to look at everything again."""
    terminals = [number for number in range(3) if os.isatty(number)]

    def stop(number: int, _: Any) -> None:
        daemon.post(Stop(reason=signal.Signals(number).name))

    def look_around(number: int, _: Any) -> None:
        # The kernel sends the same signal when the terminal goes away, and with it whoever started this.
        if daemon.house.until_quiet or not all(os.isatty(each) for each in terminals):
            daemon.post(Stop(reason="SIGHUP: the terminal is gone"))
        else:
            reason = signal.Signals(number).name
            daemon.post(Call(answer=lambda daemon: daemon.look_around(reason)))

    with handled({**dict.fromkeys(_ENDING, stop), signal.SIGHUP: look_around}):
        yield


@contextmanager
def handled(handlers: Mapping[signal.Signals, Callable[[int, Any], None]]) -> Iterator[None]:
    """Meanwhile these signals do that, unless whoever started this process had them ignored."""
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        # nohup and background jobs of a shell ignore some
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)
