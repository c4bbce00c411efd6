"""`asrwatch transcripts`: where something was said."""

import sys
from datetime import timedelta
from typing import Annotated

import typer

from asrwatch.cli._house import consult, settings_for
from asrwatch.cli._options import AsJson, ConfigFile, Inbox, checked_inbox
from asrwatch.cli._printing import local, print_json, safe, say
from asrwatch.cli._since import Since, moment_of
from asrwatch.desk.questions import AskTranscripts
from asrwatch.desk.reports import to_json
from asrwatch.desk.reports.lately import TranscriptLine, Transcripts
from asrwatch.errors import UsageError
from asrwatch.journey.store.searching import phrases
from asrwatch.values import counted, printable
from asrwatch.words import shown

__all__ = ["transcripts"]


def transcripts(
    *,
    search: Annotated[
        list[str],
        typer.Argument(
            metavar="SEARCH",
            help="Words that were all said; a phrase in quote marks: '\"good day\"'.",
        ),
    ],
    inbox: Inbox = None,
    since: Since = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many at most.")] = 20,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Search all transcripts.

    Tells the recordings in which all the words were said, the best first: a part of the text, when in the recording,
    and where transcript and recording lie. Chinese, Japanese and Thai are found by any characters in a row. Ends with 1
    where nothing was found.
    """
    settings = settings_for(config)
    wanted = " ".join(search)
    try:
        phrases(wanted)
    except UsageError as error:
        raise typer.BadParameter(f"{error.message} {error.advice}", param_hint="SEARCH") from error
    question = AskTranscripts(
        search=wanted, inbox=checked_inbox(settings, inbox), since=moment_of(since), limit=limit
    )
    found = consult(settings, question, Transcripts)
    if as_json:
        print_json(to_json(found))
    else:
        _tell(found)
    if not found.transcripts:
        raise typer.Exit(1)


def _tell(found: Transcripts) -> None:
    bold = sys.stdout.isatty()
    for line in found.transcripts:
        typer.echo(_head(line))
        typer.echo(f"    {_excerpt(line, bold=bold)}")
        for label, path in (
            (shown("transcript"), line.transcript),
            (shown("recording"), line.path),
        ):
            if path is not None:
                typer.echo(f"    {label}: {printable(path)}")
    for sentence in _rest(found):
        say(sentence, err=True)


def _head(line: TranscriptLine) -> str:
    told = f"{local(line.found_at)}  {line.inbox}  {printable(line.recording.rpartition(b'/')[2])}"
    return told if line.begin is None else f"{told}  {_clock(line.begin)}"


def _excerpt(line: TranscriptLine, *, bold: bool) -> str:
    told = ""
    for piece in line.excerpt:
        text = safe(piece.text.replace("\n", " "))  # the end of a sentence is no sign to be shown
        told += typer.style(text, bold=True) if piece.found and bold else text
    return told


def _rest(found: Transcripts) -> list[str]:
    told = []
    if not found.transcripts:
        told.append("Nothing was found.")
    elif found.count > len(found.transcripts):
        number = (
            str(found.count) if found.count <= found.counted_to else f"more than {found.counted_to}"
        )
        how = "the best" if found.ranked else "the newest"
        told.append(f"These are {how} {len(found.transcripts)} of {number}; --limit shows more.")
    if found.missing:
        missing = counted(found.missing, "older transcript")
        told.append(f"{missing} cannot be searched yet: the daemon is still reading them.")
    return told


def _clock(begin: timedelta) -> str:
    minutes, seconds = divmod(int(begin.total_seconds()), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
