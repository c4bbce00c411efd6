"""Recordings of up to twelve hours by URL, as tasks of the cloud, with times of sentences and words."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar

from pydantic import Field, JsonValue

from asrwatch.cloud import Cloud, results, tasks
from asrwatch.cloud.bodies import json_body
from asrwatch.cloud.desk import Answered, Visit
from asrwatch.cloud.refusals import NoSpeech
from asrwatch.cloud.spoken import lost
from asrwatch.cloud.wire import Reply
from asrwatch.engines import (
    Ask,
    Engine,
    EngineOptions,
    Found,
    Heard,
    NotThere,
    Pending,
    RemoteAudio,
    Sent,
    StillOut,
)
from asrwatch.engines._lookout import Lookout, refuses_lists
from asrwatch.engines._orphans import Orphanage
from asrwatch.engines._wishes import no_place_for, one_language
from asrwatch.errors import (
    AsrwatchError,
    EngineError,
    OurBug,
    RecordingError,
    TemporaryError,
    TicketLost,
)
from asrwatch.journey.evidence import Answer
from asrwatch.journey.plan import Wishes
from asrwatch.journey.transcript import Transcript
from asrwatch.values import Duration, Size

__all__ = ["FiletransOptions", "Qwen3AsrFlashFiletrans"]

_EARLY = timedelta(minutes=1)
"""A request announced so far in the future was announced by another clock than the one that goes now."""

_LIST_REACH = timedelta(hours=23)
"""The cloud lists and remembers 24 hours; an hour is kept clear of that edge."""


class FiletransOptions(EngineOptions):
    """Options of `qwen3-asr-flash-filetrans`; the limits are those of contract sections 4.1 and 8.

    `enable_itn`: spoken numbers are written as digits (Chinese and English only).
    `first_poll`: how long after submitting the task is asked about first.
    `list_delay`: how old a lost request must be before its absence from the cloud's list proves that
    it was never accepted.
    """

    model: str = "qwen3-asr-flash-filetrans"
    longest: Duration = timedelta(hours=12)
    largest: Size = 2_000_000_000
    requests_per_minute: int = Field(default=100, ge=1)
    read_timeout: Duration = timedelta(seconds=60)
    enable_itn: bool = False
    first_poll: Duration = timedelta(seconds=5)
    list_delay: Duration = timedelta(seconds=20)


class Qwen3AsrFlashFiletrans(Engine[FiletransOptions]):
    """Recordings of up to twelve hours by URL, with times, words and channels."""

    Options = FiletransOptions
    takes_bytes = False
    timestamps = True
    channels = True
    tasks = True
    regions: ClassVar[frozenset[str]] = frozenset({"beijing", "singapore"})
    prices: ClassVar[Mapping[str, Decimal]] = {
        "beijing": Decimal("0.00022"),
        "singapore": Decimal("0.000035"),
    }
    containers: ClassVar[frozenset[str]] = frozenset(
        {
            "aac",
            "amr",
            "avi",
            "flac",
            "flv",
            "m4a",
            "mkv",
            "mov",
            "mp3",
            "mp4",
            "mpeg",
            "ogg",
            "opus",
            "wav",
            "webm",
            "wma",
            "wmv",
        }
    )

    def __init__(self, options: FiletransOptions, cloud: Cloud) -> None:
        super().__init__(options, cloud)
        self._lookout = Lookout(options.model)
        self._orphanage = Orphanage(self._lookout, cloud.now)
        self._broke_off: set[str] = set()

    def sent(self, wishes: Wishes) -> Sent:
        """Language, ITN, words and channels go over the wire; all of it always, but the language."""
        model = self.options.model
        language, said = one_language(wishes, model)
        parameters: dict[str, JsonValue] = {
            "channel_id": list(wishes.channels) or [0],
            "enable_itn": self.options.enable_itn,
            # subtitles are cut at words, and sentences end at punctuation only with words
            "enable_words": wishes.words or wishes.timestamps,
        }
        if language is not None:
            parameters["language"] = language
        left_out = [*said, *no_place_for(wishes, model)]
        if wishes.context:
            left_out.append(f"context: {model} has no documented place for words to expect.")
        return Sent(options=parameters, left_out=tuple(left_out))

    def billed_channels(self, wishes: Wishes) -> int:
        """Each channel is billed (contract section 4.1)."""
        return len(wishes.channels) or 1

    def start(self, ask: Ask) -> Heard | Pending:
        """Submit the recording's URL as a task."""
        if not isinstance(ask.audio, RemoteAudio):
            msg = f"{self.name} was given bytes; it takes URLs only"
            raise OurBug(msg)
        headers = {"X-DashScope-Async": "enable"}
        if ask.audio.url.startswith("oss://"):
            headers["X-DashScope-OssResourceResolve"] = "enable"
        document = tasks.submit_document(
            model=self.options.model,
            url=ask.audio.url,
            parameters=self.sent(ask.wishes).options,
        )
        reply = self.cloud.ask(
            tasks.SUBMIT_PATH,
            json_body(document),
            ask_id=ask.id,
            read_timeout=self.options.read_timeout,
            headers=headers,
        )
        return self._pending(reply)

    def recall(self, ask_id: str) -> Heard | Pending | None:
        """See `Engine.recall`."""
        reply = self.cloud.recall(ask_id)
        return self._pending(reply) if reply is not None else None

    def read(self, answer: Answer) -> Transcript:
        """Sentences with times, words where they were asked for, by channel."""
        return results.transcript(answer)

    def check(
        self, tickets: Sequence[str]
    ) -> Iterator[tuple[str, Heard | StillOut | AsrwatchError]]:
        """Ask how far these tasks are, with as few requests as it takes; see `Engine.check`."""
        with self.cloud.tasks.visit() as visit:
            out = self._lookout.still_out(visit, tickets)
            for ticket, status in out.items():
                yield ticket, StillOut(status=status)
            unseen = [ticket for ticket in dict.fromkeys(tickets) if ticket not in out]
            # one that broke off an earlier round comes last, so that it cannot hide the others for ever
            for ticket in sorted(unseen, key=self._broke_off.__contains__):
                self._broke_off.add(ticket)
                news = self._news(visit, ticket)
                self._broke_off.discard(ticket)
                yield ticket, news

    def reconcile(
        self,
        ask_id: str,
        *,
        since: datetime,
        known: frozenset[str],
        url: str | None = None,
        sure: bool = True,
    ) -> Found | StillOut | NotThere:
        """Look for the lost request among the cloud's tasks; see `Engine.reconcile`.

        Raises:
            TicketLost: it is not to be found, and older than the cloud's memory, or nobody knows how old.
            EngineError: the key is at fault.
            TemporaryError: the cloud could not be asked.
        """
        age = self.cloud.now() - since
        of_another_clock = age < -_EARLY
        try:
            with self.cloud.tasks.visit() as visit:
                found = self._orphanage.look_for(
                    visit,
                    ask_id,
                    url=url,
                    since=since,
                    sure=sure and not of_another_clock,
                    known=known,
                )
        except (RecordingError, EngineError) as error:
            if not refuses_lists(error):
                raise
            raise TemporaryError(
                f"The cloud does not list its tasks: {error.message}",
                code=error.code,
                advice="Without the list nobody can tell whether the request was accepted.",
            ) from error
        if found is not None:
            return found
        if of_another_clock:
            raise TicketLost(
                f"The request was announced when this machine's clock said {since:%Y-%m-%d %H:%M}, which is still "
                "to come, and the cloud lists no task of it.",
                code="not-listed",
                advice="It may have been paid for. `asrwatch retry` asks and pays again.",
            )
        if age > _LIST_REACH:
            raise TicketLost(
                "The answer was lost so long ago that the cloud no longer lists the task.",
                code="not-listed",
                advice="It may have been paid for. `asrwatch retry` asks and pays again.",
            )
        if age < self.options.list_delay:
            return StillOut(status="waiting until the cloud's list must be complete")
        return NotThere()

    def _pending(self, reply: Reply) -> Pending:
        """The task that was accepted."""
        ticket = tasks.read_ticket(reply.body)
        if ticket is None:
            raise lost(reply)
        return Pending(ticket=ticket, wait=self.options.first_poll, raw=reply.body)

    def _news(self, visit: Visit, ticket: str) -> Heard | StillOut | AsrwatchError:
        """One task's state; its result is fetched in the same breath, as both are forgotten in a day."""
        try:
            answered = visit.query(ticket)
        except TicketLost as gone:
            return gone
        except RecordingError as refused:
            return StillOut(status=f"not told: {refused.message}")
        error = tasks.ended_badly(ticket, answered.poll)
        if isinstance(error, NoSpeech):
            return self._heard(ticket, answered, None)
        if error is not None:
            return error
        if answered.poll.result_url is None:
            return StillOut(status=answered.poll.status)
        try:
            result = visit.result(answered.poll.result_url)
        except TemporaryError as trouble:
            # it is paid for: only its fetching is repeated
            said = f"SUCCEEDED, its result is not here yet: {trouble.message}"
            return StillOut(status=said, trouble=trouble)
        return self._heard(ticket, answered, result)

    def _heard(self, ticket: str, answered: Answered, result: bytes | None) -> Heard:
        return Heard(
            answer=Answer(
                raw=results.joined(answered.raw, result),
                received_at=self.cloud.now(),
                billed=answered.poll.billed,
                ticket=ticket,
            )
        )
