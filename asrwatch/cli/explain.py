"""`asrwatch explain`: one file's whole story, or what would happen to it."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from asrwatch.bootstrap import build_parts
from asrwatch.cli._hearing import rows_of_sound
from asrwatch.cli._house import absolute, consult, settings_for
from asrwatch.cli._options import AsJson, ConfigFile
from asrwatch.cli._pieces import rows_of_pieces
from asrwatch.cli._printing import Named, Row, local, print_json, show
from asrwatch.config import Settings
from asrwatch.desk.foresight import foresee
from asrwatch.desk.hearing import with_sound
from asrwatch.desk.questions import AskExplain
from asrwatch.desk.reports import to_json
from asrwatch.desk.reports.explanation import Explanation, Foresight, Paid, Story
from asrwatch.desk.reports.lines import Reason, RecordingLine, Untold
from asrwatch.journey.preparing import Preparer
from asrwatch.journey.route import Route
from asrwatch.values import counted, format_duration, format_money, format_size, printable
from asrwatch.words import shown
from asrwatch.words.widths import padded

__all__ = ["explain", "explanation_of", "rows_of_explanation"]

_OUTCOMES = {
    "open": "not yet known",
    "accepted": "accepted, answer outstanding",
    "answered": "answered",
    "refused": "refused, nothing paid",
    "unsent": "not sent, nothing paid",
    "lost": "answer lost, perhaps paid",
    "not_accepted": "never accepted, nothing paid",
    "bill_unknown": "answered with an error of the cloud's own, bill unknown",
    "again": "answer lost and asked again, perhaps paid twice",
}

_LACKS = {
    "empty": "it has no bytes yet",
    "unmarked": "its marker has not come",
    "unfinished": "its writer has not finished it and still has it open",
}


def explain(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A recording, its transcript, or a folder.")
    ],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell a file's story, or what would happen to it.

    Costs nothing. Also says why a file waits, which engine it goes to and for what reasons, and what
    was paid for it. Ends with 1 if nothing is there and nothing is known.
    """
    report = explanation_of(settings_for(config), absolute([path])[0])
    if as_json:
        print_json(to_json(report))
    else:
        show(rows_of_explanation(report))
    if _is_nothing(report):
        raise typer.Exit(1)


def _is_nothing(report: Explanation) -> bool:
    known = report.story or report.below or report.forgotten
    return not known and not os.path.lexists(report.path)


def explanation_of(settings: Settings, path: bytes) -> Explanation:
    """What is known of a path and, where that is nothing, what would happen to it."""
    report = consult(settings, AskExplain(path=path), Explanation)

    def routes() -> Mapping[str, Route]:
        return build_parts(settings).routes

    def preparer() -> Preparer | None:
        return next((route.preparer for route in routes().values()), None)

    if report.story is not None:
        return replace(report, story=with_sound(report.story, preparer))
    foreseen = foresee(path, settings, routes, forgotten=report.forgotten)
    return replace(report, foresight=foreseen)


def rows_of_explanation(report: Explanation) -> Iterator[Row]:
    """The report as people read it."""
    story = report.story
    yield "path", printable(report.path)
    if story is not None:
        if story.path != report.path:
            yield "belongs to", printable(story.path)
        yield from _story(story)
    for file in report.settling:
        why = _LACKS.get(file.why, "it is still changing or just seen")
        yield "settling", f"{printable(file.path)}: {why}, for {format_duration(file.waits_for)}"
    if report.foresight is not None:
        yield from _foresight(report, report.foresight)
    yield from _lines("earlier", report.earlier)
    yield from _lines("below", report.below)
    if report.below_count > len(report.below):
        yield "", f"and {report.below_count - len(report.below)} more"


def _story(story: Story) -> Iterator[Row]:
    yield "inbox", Named(story.inbox)
    yield "state", f"{story.state.value}: {story.now}"
    if story.failure is not None:
        yield "because", _reason(story.failure)
    for number, why in enumerate(story.waits):
        yield ("" if number else "waits"), why
    if story.next_at is not None:
        yield "goes on", local(story.next_at)
    if story.trouble is not None and story.trouble_since is not None:
        yield (
            "trouble",
            f"{counted(story.trouble_count, 'time')} since {local(story.trouble_since)}: {_reason(story.trouble)}",
        )
    yield from rows_of_sound(story.sound, format_size(story.size))
    yield from _plan(story)
    if story.ticket is not None:
        yield "task", story.ticket
    yield from rows_of_pieces(story.pieces)
    for number, output in enumerate(story.outputs):
        yield (
            "" if number else "transcript",
            printable(output.path) + ("" if output.written else " (to be written)"),
        )
    if story.original is not None and story.original != story.path:
        yield "moved to", printable(story.original)
    for number, paid in enumerate(story.paid):
        yield ("" if number else "asked"), _paid(paid)
    for number, each in enumerate(story.untold):
        yield ("" if number else "not told"), _untold(each)
    for number, event in enumerate(story.events):
        said = f"{local(event.at)}  {padded(shown(event.state.value), 11)}  {shown(event.note)}"
        yield ("" if number else "story"), said.rstrip()


def _foresight(report: Explanation, foresight: Foresight) -> Iterator[Row]:
    if foresight.inbox is not None:
        yield "inbox", Named(foresight.inbox)
    if report.forgotten:
        yield "state", "forgotten: a person had it forgotten."
    elif foresight.taken:
        yield "state", "asrwatch has not taken it up."
    else:
        yield "state", "not a recording of asrwatch's"
    yield "verdict", foresight.verdict
    if foresight.advice:
        yield "", foresight.advice
    if foresight.sound is not None:
        yield from rows_of_sound(foresight.sound)
    yield from _plan(foresight)
    if foresight.taken and not report.running:
        yield "waits", "asrwatch is not running; it is taken up when it is started."


def _plan(told: Story | Foresight) -> Iterator[Row]:
    if told.engine is not None:
        model = f" (model {told.model})" if told.model != told.engine else ""
        yield "engine", f"{told.engine}{model}"
    for number, reason in enumerate(told.reasons):
        yield ("" if number else "why"), reason
    if told.options:
        yield "options", _options(told.options)
    for number, left_out in enumerate(told.left_out):
        yield ("" if number else "left out"), left_out


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in options.items())


def _lines(label: str, lines: tuple[RecordingLine, ...]) -> Iterator[Row]:
    for number, line in enumerate(lines):
        yield (
            "" if number else label,
            f"{printable(line.path)}: {line.state.value} since {local(line.since)}. {line.now}",
        )


def _untold(each: Untold) -> str:
    told = f"{each.kind}, to {each.notifier}, {counted(each.attempts, 'attempt')}"
    if each.given_up:
        return f"{told}; given up ({each.given_up}): asrwatch notify --again"
    return f"{told}; next attempt {local(each.next_at)}" if each.next_at else told


def _paid(paid: Paid) -> str:
    billed = f", {format_duration(paid.billed)} billed" if paid.billed is not None else ""
    outcome = _OUTCOMES.get(paid.outcome, paid.outcome)
    cost = f" ({format_money(paid.cost, paid.currency)})" if paid.cost is not None else ""
    piece = f", piece {paid.piece}" if paid.piece is not None else ""
    return f"{local(paid.asked_at)}  {paid.model}{piece}: {outcome}{billed}{cost}"


def _reason(reason: Reason) -> str:
    return f"{reason.message} {reason.advice}".rstrip()
