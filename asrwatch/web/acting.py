"""What a person does from the page: retry, forget, another engine.

The daemon's own thread does it, as for commands.
"""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from asrwatch.desk.questions import AskAnother, AskForget, AskRetry, Question
from asrwatch.desk.reports.treatment import Treatment
from asrwatch.errors import AsrwatchError
from asrwatch.files import open_recording
from asrwatch.journey.store import Place
from asrwatch.web.asked import recording_in
from asrwatch.web.rendering import Rendering
from asrwatch.web.sight import Sight

__all__ = ["routes"]


def routes(sight: Sight, rendering: Rendering) -> list[BaseRoute]:
    """What is served; the gate has seen to it that the form is ours."""
    del rendering

    def retry(request: Request) -> Response:
        place = _newest(sight, request)
        return _done(sight, request, AskRetry(paths=(place.path,)))

    def forget(request: Request) -> Response:
        place = _newest(sight, request)
        return _done(sight, request, AskForget(paths=(place.path,)), then="/recordings")

    def another(request: Request) -> Response:
        place = _newest(sight, request)
        engine = request.state.form.get("engine", "")
        _must_lie_there(sight, place)
        number = recording_in(request)
        return _done(sight, request, AskAnother(recording=number, engine=engine))

    def retry_all(request: Request) -> Response:
        which = request.state.form.get("all", "")
        if which not in {"failed", "parked"}:
            raise HTTPException(400, "Retry which?")
        question = AskRetry(failed=which == "failed", parked=which == "parked")
        return _done(sight, request, question, then="/recordings")

    return [
        Route("/recordings/{id}/retry", retry, methods=["POST"]),
        Route("/recordings/{id}/forget", forget, methods=["POST"]),
        Route("/recordings/{id}/another", another, methods=["POST"]),
        Route("/retry", retry_all, methods=["POST"]),
    ]


def _newest(sight: Sight, request: Request) -> Place:
    """Where the recording lies, if it is the newest there: commands go by path."""
    number = recording_in(request)
    with sight.readers.one() as reader, reader.transaction():
        place = reader.place(number)
        if place is None:
            raise HTTPException(404, "There is no such recording. It may have been forgotten.")
        newest = reader.newest_at(place.path)
    if newest != number:
        raise HTTPException(
            409, "Its file holds other content by now, which is a recording of its own."
        )
    return place


def _must_lie_there(sight: Sight, place: Place) -> None:
    """Another engine hears the file from its beginning: it must be the same, and where it was."""
    inbox = next((each for each in sight.settings.inboxes if each.name == place.inbox), None)
    if inbox is None:
        raise HTTPException(409, "Its inbox is not in the configuration any more.")
    try:
        open_recording(place.path, place.fingerprint, root=inbox.root).close()
    except AsrwatchError as error:
        raise HTTPException(
            409, f"{error.message} It can be transcribed again only where it was found."
        ) from error


def _done(sight: Sight, request: Request, question: Question, *, then: str = "") -> Response:
    told = sight.notices.keep(sight.asked(question, Treatment))
    place = then or request.url.path.rpartition("/")[0]
    return RedirectResponse(f"{place}?told={told}", status_code=303)
