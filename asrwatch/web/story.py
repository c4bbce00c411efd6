"""One recording's page: its story with times, its transcript beside a player, what it cost, what a person can do."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from asrwatch.cloud.regions import currency_of
from asrwatch.desk.another import Offer, offers
from asrwatch.desk.pieces import lines_of
from asrwatch.desk.reports.explanation import Story
from asrwatch.desk.reports.status import Health
from asrwatch.desk.scene import Scene
from asrwatch.desk.story import Circumstances, story_of
from asrwatch.errors import AsrwatchError, EngineTrouble
from asrwatch.journey.evidence import Answer
from asrwatch.journey.hearing import heard
from asrwatch.journey.recording import DONE, Recording, State
from asrwatch.journey.store import Hold, Place, Reader
from asrwatch.web.asked import recording_in
from asrwatch.web.rendering import Rendering
from asrwatch.web.sight import Sight
from asrwatch.web.sound import is_playable
from asrwatch.web.transcript import Said, chunks, said, times

__all__ = ["Seen", "routes"]

_Read = Callable[[Recording], tuple[tuple[Said, ...], str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """Everything the page of a recording shows.

    `may_act` is False where the file holds another recording by now, or a worker may be on it; `unread` says why an
    answer in hand cannot be shown.
    """

    recording: Recording
    place: Place
    story: Story
    earlier: tuple[Recording, ...]
    sentences: tuple[Said, ...]
    unread: str
    is_newest: bool
    under_way: bool
    offers: tuple[Offer, ...]
    currency: str

    @property
    def may_act(self) -> bool:
        """Whether a person can do something with it."""
        waits = self.recording.state in {State.SETTLED, State.STAGED}
        # of what is done no step is left: a worker that still counts as under way has only to report
        return self.is_newest and (self.is_done or (waits and not self.under_way))

    @property
    def is_done(self) -> bool:
        """Whether nothing happens to it by itself any more."""
        return self.recording.state in DONE

    @property
    def has_sound(self) -> bool:
        """Whether its file should be there to be played."""
        delivery = self.recording.delivery
        return delivery is None or delivery.original is not None

    @property
    def is_playable(self) -> bool:
        """Whether a browser may be able to play it."""
        return is_playable(self.place)


def routes(sight: Sight, rendering: Rendering) -> list[BaseRoute]:
    """What is served."""
    # Twelve hours take a second and 90 MB to read: one at a time, and a page hands what it has read to the question
    # for its words, which follows it.
    one_at_a_time = Lock()
    handed: dict[int, tuple[Answer | None, tuple[Said, ...]]] = {}

    def read(recording: Recording) -> tuple[tuple[Said, ...], str]:
        with one_at_a_time:
            return _sentences(sight, recording)

    def show(request: Request) -> Response:
        seen = _seen(sight, recording_in(request), read)
        handed.clear()
        handed[seen.recording.id] = (seen.recording.answer, seen.sentences)
        return rendering.page(
            request,
            "story.html",
            seen=seen,
            story=seen.story,
            chunks=tuple(chunks(seen.sentences)),
            notice=sight.notices.take(request.query_params.get("told", "")),
        )

    def words(request: Request) -> Response:
        with sight.readers.one() as reader:
            recording = reader.get(recording_in(request))
        if recording is None:
            raise HTTPException(404, "There is no such recording.")
        answer, sentences = handed.pop(recording.id, (None, ()))
        if answer is None or answer != recording.answer:
            sentences, _ = read(recording)
        return JSONResponse(times(sentences))

    return [
        Route("/recordings/{id}", show, methods=["GET"]),
        Route("/recordings/{id}/words", words, methods=["GET"]),
    ]


def _seen(sight: Sight, number: int, read: _Read) -> Seen:
    health = sight.health()
    currency = currency_of(sight.settings.cloud.region)
    with sight.readers.one() as reader, reader.transaction():
        recording, place = reader.get(number), reader.place(number)
        if recording is None or place is None:
            raise HTTPException(404, "There is no such recording. It may have been forgotten.")
        at_path = reader.all_at(recording.path)
        route = sight.routes.get(recording.inbox)
        may_be_asked = recording.state in DONE and route is not None
        story = story_of(
            recording,
            _circumstances(sight, reader, recording, health),
            events=reader.story(number),
            bought=reader.bought_for(number),
            pieces=lines_of(Scene(sight.settings, reader), recording),
        )
        found = tuple(offers(recording, route, reader)) if may_be_asked and route else ()
    sentences, unread = read(recording)
    return Seen(
        recording=recording,
        place=place,
        story=story,
        earlier=tuple(each for each in at_path if each.id != number),
        sentences=sentences,
        unread=unread,
        is_newest=at_path[0].id == number,
        under_way=number in health.under_way,
        offers=found,
        currency=currency,
    )


def _circumstances(
    sight: Sight, reader: Reader, recording: Recording, health: Health
) -> Circumstances:
    reading = recording.reading
    return Circumstances(
        now=health.at,
        running=True,
        under_way=recording.id in health.under_way,
        holds=tuple(
            Hold(
                scope=each.scope,
                since=each.since,
                until=each.until,
                count=each.count,
                trouble=EngineTrouble(each.trouble),
                code=each.reason.code,
                message=each.reason.message,
                advice=each.reason.advice,
            )
            for each in health.holds
        ),
        paced=frozenset(health.paced) if not health.holds else frozenset(),
        inbox_is_configured=recording.inbox in sight.routes,
        same_content_under_way=recording.state is State.STAGED
        and reading is not None
        and reader.being_bought(reading.purchase),
        currency=currency_of(sight.settings.cloud.region),
        workers_busy=health.workers_busy,
    )


def _sentences(sight: Sight, recording: Recording) -> tuple[tuple[Said, ...], str]:
    """What was heard, or why that cannot be shown."""
    route = sight.routes.get(recording.inbox)
    if recording.answer is None or recording.reading is None:
        return (), ""
    if route is None:
        return (), "Its inbox is not in the configuration, so its answer is not read."
    engine = recording.reading.plan.engine
    if engine not in route.engines:
        return (), f"This version has no engine called {engine}, so its answer is not read."
    try:
        return said(heard(recording, route)), ""
    except AsrwatchError as error:
        return (), error.message
