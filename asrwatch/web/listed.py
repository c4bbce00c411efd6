"""The list of recordings: by state, by inbox, by a part of their path; one page after the other."""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from asrwatch.journey.recording import State
from asrwatch.journey.store import Wanted
from asrwatch.web.rendering import Rendering
from asrwatch.web.sight import Sight

__all__ = ["GROUPS", "routes"]

GROUPS = {
    "waiting": (State.SETTLED, State.STAGED, State.ASKING, State.SUBMITTED, State.TRANSCRIBED),
    "person": (State.FAILED, State.PARKED),
}
"""States that are asked for together."""
LONGEST_SEARCH = 200


def routes(sight: Sight, rendering: Rendering) -> list[BaseRoute]:
    """What is served."""

    def show(request: Request) -> Response:
        asked = request.query_params
        state, inbox = asked.get("state", ""), asked.get("inbox", "")
        named = asked.get("q", "").strip()[:LONGEST_SEARCH]
        before = asked.get("before", "")
        wanted = Wanted(states=states_of(state), inbox=inbox, named=named)
        with sight.readers.one() as reader, reader.transaction():
            page = reader.page(wanted, before=int(before) if before.isdecimal() else None)
            counts = reader.counts()
        chosen = {"state": state, "inbox": inbox, "q": named}
        kept = {name: value for name, value in chosen.items() if value}
        return rendering.page(
            request,
            "recordings.html",
            page=page,
            chosen=chosen,
            is_first=not before,
            inboxes=sorted({*counts, *(each.name for each in sight.settings.inboxes)}),
            total={state: sum(each.get(state, 0) for each in counts.values()) for state in State},
            older=f"?{urlencode({**kept, 'before': page.older})}" if page.older else "",
            newest=f"?{urlencode(kept)}" if kept else "/recordings",
        )

    return [Route("/recordings", show, methods=["GET"])]


def states_of(asked: str) -> tuple[State, ...]:
    """The states that a filter names; none for all, also where it names nothing there is."""
    if asked in GROUPS:
        return GROUPS[asked]
    return (State(asked),) if asked in set(State) else ()
