"""`asrwatch check`: whether everything is there that the daemon needs."""

from dataclasses import asdict
from typing import Annotated

import typer

from asrwatch.bootstrap import build_notifiers, build_parts
from asrwatch.cli._finding import Finding, Level, bad
from asrwatch.cli._findings import findings
from asrwatch.cli._house import settings_for
from asrwatch.cli._options import AsJson, ConfigFile, Folders
from asrwatch.cli._printing import print_json, safe
from asrwatch.errors import ConfigError
from asrwatch.words import shown

__all__ = ["check"]

BAD_CONFIG = 78
_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


def check(
    folders: Folders,
    config: ConfigFile = None,
    online: Annotated[
        bool, typer.Option("--online", help="Also ask the cloud one question that costs nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check configuration, key, folders, space and limits.

    Writes and removes a small file in every folder that transcripts go to. Ends with 1 if something
    fails, with 78 if the configuration cannot be used at all.
    """
    try:
        settings = settings_for(config, folders)
        built = build_parts(settings)
        build_notifiers(settings)
    except ConfigError as error:
        if not as_json:
            raise
        print_json([asdict(bad("config", f"{error.source}: {each}")) for each in error.problems])
        raise typer.Exit(BAD_CONFIG) from None
    found: list[Finding] = []
    for finding in findings(settings, built, online=online):
        found.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print_json([asdict(finding) for finding in found])
    if any(finding.level is Level.FAIL for finding in found):
        raise typer.Exit(1)


def _print(finding: Finding) -> None:
    level = typer.style(f"{finding.level.value:<4}", fg=_COLOURS[finding.level])
    typer.echo(f"{level}  {shown(safe(finding.about))}: {shown(safe(finding.said))}")
    if finding.advice:
        typer.echo(f"      {shown(safe(finding.advice))}")
