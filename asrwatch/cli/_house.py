"""What commands begin with: the settings, and somebody to answer questions."""

import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from asrwatch.bootstrap import open_store
from asrwatch.config import Settings, find_file, load
from asrwatch.control import NobodyThere, ReportT, ask_daemon
from asrwatch.desk import Desk
from asrwatch.desk.questions import (
    AskBooked,
    AskExplain,
    AskLog,
    AskStatus,
    AskTranscripts,
    Question,
)
from asrwatch.errors import ConfigError, Problem, StartupError
from asrwatch.journey.store import Store

__all__ = ["absolute", "consult", "settings_for", "with_inboxes"]

_ONLY_LOOK: Final = AskStatus | AskExplain | AskBooked | AskTranscripts | AskLog
_PATIENCE: Final = 5.0
"""Seconds in which a daemon that has just taken the lock opens its socket."""


def settings_for(config: Path | None, folders: Sequence[Path] | None = None) -> Settings:
    """The settings of a command.

    Raises:
        ConfigError: every problem at once.
    """
    return load(find_file(config), tuple(folders or ()))


def with_inboxes(settings: Settings) -> Settings:
    """The same settings, certain to have an inbox.

    Raises:
        ConfigError: there is none; it says what to do.
    """
    if not settings.inboxes:
        what = (
            "there is no folder to watch; name one (asrwatch run ~/Recordings), "
            "or list some in a configuration file (inboxes: [{path: ~/Recordings}])"
        )
        source = "The configuration" if settings.source == "the command line" else settings.source
        raise ConfigError([Problem(where="inboxes", what=what)], source=source)
    return settings


def absolute(paths: Iterable[Path]) -> tuple[bytes, ...]:
    """Paths as the store knows them: absolute, without `..`, symbolic links as they are."""
    return tuple(os.path.abspath(os.fsencode(path)) for path in paths)  # noqa: PTH100 - bytes; and resolve() would follow links


def consult(settings: Settings, question: Question, kind: type[ReportT]) -> ReportT:
    """Have a question answered: by the running daemon, else here, with the lock taken meanwhile.

    Raises:
        StartupError: neither is possible.
        AsrwatchError: what came instead of an answer.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return ask_daemon(settings.state_dir, question, kind)
        except NobodyThere:
            pass
        try:
            return _answer_here(settings, question, kind)
        except StartupError as error:
            if error.code != "locked" or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _answer_here(settings: Settings, question: Question, kind: type[ReportT]) -> ReportT:
    harmless = isinstance(question, _ONLY_LOOK)
    if harmless and not (settings.state_dir / "asrwatch.db").exists():
        # Nothing has happened yet, and looking must not leave a state folder behind.
        with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as empty:
            return _checked(Desk(settings, empty).answer(question), kind)
    with open_store(settings) as store:
        return _checked(Desk(settings, store).answer(question), kind)


def _checked(report: Any, kind: type[ReportT]) -> ReportT:
    assert isinstance(report, kind)  # noqa: S101 - each question has its report
    return report
