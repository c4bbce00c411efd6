"""Prints what `retry` and `forget` did, and chooses the exit code."""

import typer

from asrwatch.cli._printing import print_json, safe, say
from asrwatch.desk.reports import to_json
from asrwatch.desk.reports.treatment import Treatment
from asrwatch.values import printable

__all__ = ["tell_treatment"]


def tell_treatment(report: Treatment, *, verb: str, later: bool, as_json: bool) -> None:
    """Print it; ends the command with 1 if something was refused.

    Args:
        report: what was done.
        verb: what was done to recordings, such as "forgotten".
        later: whether the daemon has something to do now.
        as_json: for machines.
    """
    if as_json:
        print_json(to_json(report))
    else:
        for each in report.treated:
            say(f"{printable(each.path)}: {safe(each.what)}", err=not each.done)
        unlisted = report.done + report.refused - len(report.treated)
        more = f" ({unlisted} of them not listed)" if unlisted else ""
        refused = f", {report.refused} refused" if report.refused else ""
        say(f"{report.done} {verb}{refused}{more}.")
        if later and report.done and not report.running:
            say("asrwatch is not running; it goes on when it is started.")
    if report.refused:
        raise typer.Exit(1)
