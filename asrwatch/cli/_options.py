"""Options and arguments that several commands take."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from asrwatch.cli._completing import inboxes_there_are
from asrwatch.cli._printing import say
from asrwatch.config import Settings
from asrwatch.values import printable

__all__ = ["AsJson", "ConfigFile", "Folders", "Inbox", "LogLevel", "LogLevels", "checked_inbox"]

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "-c",
        "--config",
        metavar="FILE",
        help="Configuration file. Default: $ASRWATCH_CONFIG, ./asrwatch.yaml, "
        "asrwatch.yaml in the user's configuration folder, /etc/asrwatch/asrwatch.yaml.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Inbox = Annotated[
    str | None,
    typer.Option(
        "--inbox",
        metavar="NAME",
        help="Only of this inbox.",
        show_default=False,
        autocompletion=inboxes_there_are,
    ),
]
Folders = Annotated[
    list[Path],
    typer.Argument(
        default_factory=list,
        metavar="DIR",
        help="Folders to watch instead of the configuration's inboxes.",
        exists=True,
        file_okay=False,
        show_default=False,
    ),
]


class LogLevels(StrEnum):
    """How much the log says."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


LogLevel = Annotated[
    LogLevels, typer.Option("--log-level", help="The least that is logged, on stderr.")
]


def checked_inbox(settings: Settings, name: str | None) -> str | None:
    """The name; where no inbox has it, that is said, as an inbox that left the configuration has its recordings."""
    names = [inbox.name for inbox in settings.inboxes]
    if name is not None and names and name not in names:
        there_are = ", ".join(names)
        say(f"The configuration has no inbox {printable(name)}; it has: {there_are}.", err=True)
    return name
