"""The list of recordings: by state, by inbox, by a part of their path; one page after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from asrwatch.desk.questions import AskTranscripts
from asrwatch.desk.reports.lately import Transcripts
from asrwatch.errors import UsageError
from asrwatch.journey.recording import State
from asrwatch.journey.store import SEARCH_DAMAGED, Fragment, Search, StoreTrouble, Wanted
from asrwatch.values import printable
from asrwatch.web.asked import number_in
from asrwatch.web.overview import counts_of
from asrwatch.web.rendering import Rendering
from asrwatch.web.sight import Sight

__all__ = ["GROUPS", "routes"]

GROUPS = {
    "waiting": (
        State.SETTLED,
        State.CUT,
        State.STAGED,
        State.ASKING,
        State.SUBMITTED,
        State.TRANSCRIBED,
    ),
    "person": (State.FAILED, State.PARKED),
}
"""States that are asked for together."""
LONGEST_SEARCH = 200
MOST_SAID = 10


def routes(sight: Sight, rendering: Rendering) -> list[BaseRoute]:
    """What is served."""

    def show(request: Request) -> Response:
        asked = request.query_params
        state, inbox = asked.get("state", ""), asked.get("inbox", "")
        named = asked.get("q", "").replace("\0", "\x01").strip()[:LONGEST_SEARCH]
        before = asked.get("before", "")
        wanted = Wanted(states=states_of(state), inbox=inbox, named=named)
        with sight.readers.one() as reader, reader.transaction():
            page = reader.page(wanted, before=number_in(before))
        counts = counts_of(sight)
        chosen = {"state": state, "inbox": inbox, "q": named}
        kept = {name: value for name, value in chosen.items() if value}
        return rendering.page(
            request,
            "recordings.html",
            page=page,
            chosen=chosen,
            chosen_states=" ".join(wanted.states),
            notice=sight.notices.take(asked.get("told", "")),
            said=_said(sight, named, inbox) if named and not before else Said(),
            is_first=not before,
            inboxes=sorted({*counts, *(each.name for each in sight.settings.inboxes)}),
            total={state: sum(each.get(state, 0) for each in counts.values()) for state in State},
            older=f"?{urlencode({**kept, 'before': page.older})}" if page.older else "",
            newest=f"?{urlencode(kept)}" if kept else "/recordings",
        )

    return [Route("/recordings", show, methods=["GET"])]


@dataclass(frozen=True, kw_only=True, slots=True)
class SaidIn:
    """A transcript in which the words stand: what it is of, where in it (seconds), and the words around them."""

    id: int
    name: str
    at: float | None
    pieces: Sequence[Fragment]


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """The transcripts in which the words stand; `missing` so many cannot be searched yet, `trouble` none can."""

    hits: Sequence[SaidIn] = ()
    missing: int = 0
    trouble: str = ""


def _said(sight: Sight, words: str, inbox: str) -> Said:
    """The best of the transcripts that hold these words."""
    search = Search(text=words, inbox=inbox or None, limit=MOST_SAID)
    try:
        with sight.readers.one() as reader:
            found = reader.find(search)
    except UsageError:  # signs alone, which a name may hold
        return Said()
    except StoreTrouble as error:
        if error.code != SEARCH_DAMAGED:
            return Said(trouble=error.message)
        # the daemon's own thread meets the damage, too, and builds the index anew
        mended = sight.asked(AskTranscripts(search=words, limit=1), Transcripts)
        return Said(missing=mended.missing)
    hits = tuple(
        SaidIn(
            id=hit.recording,
            name=printable(hit.path.rpartition(b"/")[2]),
            at=hit.excerpt.begin.total_seconds() if hit.excerpt.begin is not None else None,
            pieces=hit.excerpt.fragments,
        )
        for hit in found.hits
    )
    return Said(hits=hits, missing=found.missing)


def states_of(asked: str) -> tuple[State, ...]:
    """The states that a filter names; none for all, also where it names nothing there is."""
    if asked in GROUPS:
        return GROUPS[asked]
    return (State(asked),) if asked in set(State) else ()
