"""Looks things up in the store: transcripts by their words, and what happened lately."""

from datetime import timedelta

from asrwatch.bootstrap import build_parts
from asrwatch.desk.questions import AskLog, AskTranscripts
from asrwatch.desk.reports.lately import Log, LogLine, Piece, TranscriptLine, Transcripts
from asrwatch.desk.scene import Scene
from asrwatch.journey.filling import Filler
from asrwatch.journey.store import MOST_RANKED, Happened, Hit, Search

__all__ = ["MOST_LISTED", "lately", "line_of_hit", "transcripts"]

MOST_LISTED = 1000
"""Lines of one answer, whoever asks for more."""
_FILLS_IN = timedelta(seconds=5)


def transcripts(scene: Scene, question: AskTranscripts) -> Transcripts:
    """The transcripts in which the words stand.

    Raises:
        UsageError: there is no word in the search.
    """
    store = scene.store
    if scene.daemon is None and store.has_gaps:  # nobody else does it meanwhile
        Filler(store, build_parts(scene.settings).engines).fill(_FILLS_IN)
    found = store.find(
        Search(
            text=question.search,
            inbox=question.inbox,
            since=question.since,
            limit=min(max(question.limit, 1), MOST_LISTED),
        )
    )
    return Transcripts(
        transcripts=tuple(line_of_hit(hit) for hit in found.hits),
        count=found.count,
        counted_to=MOST_RANKED,
        ranked=found.ranked,
        missing=found.missing,
    )


def line_of_hit(hit: Hit) -> TranscriptLine:
    """A hit as it is told."""
    return TranscriptLine(
        id=hit.recording,
        inbox=hit.inbox,
        recording=hit.path,
        path=hit.original,
        transcript=hit.transcript,
        state=hit.state,
        found_at=hit.found_at,
        delivered_at=hit.delivered_at,
        begin=hit.excerpt.begin,
        excerpt=tuple(Piece(text=one.text, found=one.found) for one in hit.excerpt.fragments),
    )


def lately(scene: Scene, question: AskLog) -> Log:
    """What happened lately, oldest first; one line for each recording."""
    newest = scene.store.newest_event()
    happened = scene.store.lately(
        limit=min(max(question.limit, 1), MOST_LISTED),
        inbox=question.inbox,
        since=question.since,
        after=question.after,
    )
    lines = tuple(_log_line(each) for each in reversed(happened))
    return Log(lines=lines, newest=newest)


def _log_line(happened: Happened) -> LogLine:
    return LogLine(
        event=happened.event,
        at=happened.at,
        id=happened.recording,
        inbox=happened.inbox,
        path=happened.path,
        state=happened.state,
        what=happened.failure.message if happened.failure else happened.note,
        code=happened.failure.code if happened.failure else None,
    )
