"""Options and arguments that several commands take."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["AsJson", "ConfigFile", "Folders", "LogLevel", "LogLevels"]

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
