"""`asrwatch retry`: take recordings up again."""

from pathlib import Path
from typing import Annotated

import typer

from asrwatch.cli._house import absolute, consult, settings_for
from asrwatch.cli._options import AsJson, ConfigFile
from asrwatch.cli._treating import tell_treatment
from asrwatch.desk.questions import AskRetry
from asrwatch.desk.reports.treatment import Treatment

__all__ = ["retry"]


def retry(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Recordings, or folders of them.", show_default=False),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed.")] = False,
    parked: Annotated[
        bool, typer.Option("--parked", help="All that are parked; they may be paid for twice.")
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Take recordings up again.

    Those at or below PATH, or all that failed or are parked (below PATH, if given). A recording that is
    transcribed already is delivered again from the stored answer, for nothing. A held engine is tried
    at once. Needs no running daemon.
    """
    if not paths and not failed and not parked:
        raise typer.BadParameter("name recordings, or use --failed or --parked")
    question = AskRetry(paths=absolute(paths or ()), failed=failed, parked=parked)
    report = consult(settings_for(config), question, Treatment)
    tell_treatment(report, verb="taken up again", later=True, as_json=as_json)
