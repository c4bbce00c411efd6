"""Runs the daemon for a command: signals, control socket, and an end that waits for no hurried worker."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from asrwatch import logs
from asrwatch.bootstrap import Parts, build_daemon
from asrwatch.config import Settings
from asrwatch.control import ControlServer
from asrwatch.daemon import Daemon, Stop
from asrwatch.desk import Desk
from asrwatch.errors import EngineError
from asrwatch.journey.keeper import Change
from asrwatch.journey.store import Store

__all__ = ["leave", "warn_without_key", "work"]

log = logs.get("daemon")

_ENDING = tuple(
    number
    for name in ("SIGTERM", "SIGINT", "SIGHUP")
    if (number := getattr(signal, name, None)) is not None
)


def work(
    settings: Settings,
    store: Store,
    built: Parts,
    *,
    until_quiet: bool = False,
    on_change: Sequence[Callable[[Change], None]] = (),
) -> Daemon:
    """Run the daemon until a signal, or with `until_quiet` until nothing is left; returns it as it ended."""
    daemon = build_daemon(settings, store, built, until_quiet=until_quiet, on_change=on_change)
    desk = Desk(settings, store, daemon)
    with _stopped_by_signals(daemon), ControlServer(settings.state_dir, daemon, desk.answer):
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
def _stopped_by_signals(daemon: Daemon) -> Iterator[None]:
    """Signals ask the daemon to stop; a second one asks it to hurry."""

    def stop(number: int, _: Any) -> None:
        daemon.post(Stop(reason=signal.Signals(number).name))

    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup and background jobs of a shell ignore some
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
