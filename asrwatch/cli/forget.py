"""`asrwatch forget`: drop what is known of recordings."""

from pathlib import Path
from typing import Annotated

import typer

from asrwatch.cli._house import absolute, consult, settings_for
from asrwatch.cli._options import AsJson, ConfigFile
from asrwatch.cli._treating import tell_treatment
from asrwatch.desk.questions import AskForget
from asrwatch.desk.reports.treatment import Treatment

__all__ = ["forget"]


def forget(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Recordings, or folders of them."),
    ],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Drop what is known of recordings.

    The files stay, and are left alone until they change. What was paid stays in the books, and its
    answer is kept: should the same content come again, it is delivered from there. `asrwatch retry
    PATH` undoes it.
    """
    report = consult(settings_for(config), AskForget(paths=absolute(paths)), Treatment)
    tell_treatment(report, verb="forgotten", later=False, as_json=as_json)
