"""Take recordings to the cloud and back for somebody who waits, all of them wanting the same."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import JsonValue

from asrwatch import engines, formats, parts
from asrwatch.bootstrap import build_cloud, build_engine, build_format, build_storage
from asrwatch.cloud import loose
from asrwatch.config import AUTOMATIC, PartChoice, Settings
from asrwatch.engines import Engine
from asrwatch.errors import OurBug, RecordingError, UsageError
from asrwatch.journey.channels import wished, with_speakers
from asrwatch.journey.delivery import Rules
from asrwatch.journey.errand import Errand, bring_home, send_out, sleep_for, ticket_holder
from asrwatch.journey.plan import AudioFacts, Plan, Wishes
from asrwatch.journey.provenance import parsed, provenance_of
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.route import Route
from asrwatch.journey.transcript import Provenance, Transcript
from asrwatch.transcription.advice import Situation, advising
from asrwatch.transcription.request import Wanted, check_workflow, family_of, no_tasks, unknown
from asrwatch.values import printable

__all__ = ["Transcriber", "Transcription", "name_of"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_FETCHED = frozenset({"http", "https", "oss"})
_URL_SAFE = "%/:?#[]@!$&'()*+,;=~"


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcription:
    """A transcript in the normalized response's words.

    Args:
        text: what was said; empty for silence, and while `status` is not SUCCEEDED.
        status: SUCCEEDED, or the submission's status.
        raw: the API's response as it came.
        task_id: of an asynchronous recognition.
        left_out: a sentence for every option that the model does not honour.
        transcript: sentences and words in one shape for every model; None until there is an answer.
        provenance: where it comes from; None until there is an answer.
    """

    text: str
    status: str
    raw: JsonValue
    task_id: str | None = None
    left_out: tuple[str, ...] = ()
    transcript: Transcript | None = field(default=None, repr=False)
    provenance: Provenance | None = field(default=None, repr=False)

    def as_dict(self) -> dict[str, JsonValue]:
        """The normalized response: `text`, `task_id` if there is one, `status`, `raw`."""
        task: dict[str, JsonValue] = {} if self.task_id is None else {"task_id": self.task_id}
        return {"text": self.text, **task, "status": self.status, "raw": self.raw}

    def render(self, name: str) -> str:
        """The transcript in one of the formats: txt, json, srt, vtt, md.

        Raises:
            UsageError: no such format, or no answer yet.
            RecordingError: the format needs times, and the model gave none.
        """
        if self.transcript is None or self.provenance is None:
            raise UsageError(
                f"There is no transcript yet: the task is {self.status}.",
                code="no-transcript",
                advice="Collect it first.",
            )
        if name not in parts.names(formats):
            raise unknown("format", name, parts.names(formats))
        with advising(Situation()):
            return build_format(PartChoice(use=name)).render(self.transcript, self.provenance)


class Transcriber:
    """One way to the cloud for any number of recordings that want the same.

    Args:
        settings: region, key, storage and engines; inboxes are not looked at.
        wanted: of every recording.
        on_left_out: told a sentence for each option the model does not honour, before anything is sent.
        on_bill: told, before anything is sent, that each of several channels is paid for.
        on_ticket: told each task's id as soon as there is one.
        pause: lets time pass between two questions about a task.

    Raises:
        UsageError: no such model, or one that cannot do what is wanted.
        ConfigError: the cloud's settings cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        wanted: Wanted,
        *,
        on_left_out: Callable[[str], None],
        on_bill: Callable[[str], None] = lambda _sentence: None,
        on_ticket: Callable[[str], None] = lambda _ticket: None,
        pause: Callable[[timedelta], None] = sleep_for,
    ) -> None:
        self._wanted = wanted
        self._on_left_out = on_left_out
        self._on_bill = on_bill
        route = _route(settings, wanted)
        self._errand = Errand(route=route, on_plan=self._tell, on_ticket=on_ticket, pause=pause)

    def transcribe(self, audio: str | os.PathLike[str]) -> Transcription:
        """As the function `transcribe`."""
        source = _source(audio)
        with advising(self._situation(url=isinstance(source, str))):
            submitted = send_out(source, self._errand)
            recording = submitted.recording
            if recording.state is State.SUBMITTED and not self._wanted.wait:
                return self._accepted(recording, submitted.raw)
            heard = bring_home(recording, self._errand, timeout=self._wanted.timeout)
            return self._heard(heard, audio)

    def collect(self, task_id: str) -> Transcription:
        """As the function `collect`."""
        self.check_collects()
        recording = ticket_holder(task_id, self._errand)
        timeout = self._wanted.timeout if self._wanted.wait else timedelta(0)
        with advising(self._situation(collecting=True)):
            return self._heard(bring_home(recording, self._errand, timeout=timeout), None)

    def check_collects(self) -> None:
        """See whether the model has tasks to collect.

        Raises:
            UsageError: it has none.
        """
        if self._engine is None or not self._engine.tasks:
            raise no_tasks(self._wanted.model)

    def _situation(self, *, url: bool = False, collecting: bool = False) -> Situation:
        return Situation(
            named=self._errand.route.engine is not None,
            url=url,
            collecting=collecting,
            language=self._wanted.wishes.language,
        )

    @property
    def _engine(self) -> Engine[Any] | None:
        route = self._errand.route
        return route.engines[route.engine] if route.engine else None

    def _tell(self, plan: Plan) -> None:
        for sentence in self._left_out(plan):
            self._on_left_out(sentence)
        route = self._errand.route
        billed = route.engines[plan.engine].billed_channels(wished(route.wishes, plan))
        if billed > 1:
            self._on_bill(f"{billed} channels are transcribed, and each of them is billed.")

    def _left_out(self, plan: Plan) -> tuple[str, ...]:
        engine = self._errand.route.engines[plan.engine]
        return engine.sent(self._wanted.wishes).left_out

    def _accepted(self, recording: Recording, raw: bytes) -> Transcription:
        plan, ticket = _plan(recording), recording.task.ticket if recording.task else None
        document = loose.mapping(loose.parse(raw))
        status = loose.text(loose.mapping(document.get("output")).get("task_status"))
        return Transcription(
            text="",
            status=status or "PENDING",
            raw=dict(document),
            task_id=ticket,
            left_out=self._left_out(plan),
        )

    def _heard(self, recording: Recording, audio: str | os.PathLike[str] | None) -> Transcription:
        plan, answer = _plan(recording), recording.answer
        if answer is None:
            msg = "a transcribed recording without an answer"
            raise OurBug(msg)
        route = self._errand.route
        engine = route.engines[plan.engine]
        facts = recording.reading.facts if recording.reading else AudioFacts()
        transcript = with_speakers(
            engine.read(answer), route.wishes, facts, plan, tells_apart=engine.channels
        )
        provenance = provenance_of(recording, transcript, region=route.region)
        left_out = self._left_out(plan) if audio is not None else ()
        told = replace(provenance, left_out=left_out)
        if recording.reading is not None and not recording.reading.sha256:
            told = replace(
                told, sha256=None, recorded_at=None, source=name_of(audio, answer.ticket)
            )
        if audio is None:  # only the ticket is known; when it was asked for, the raw answer says
            told = replace(told, found_at=None, asked_at=None)
        return Transcription(
            text=transcript.text,
            status=told.status,
            raw=parsed(answer),
            task_id=told.task_id,
            left_out=left_out,
            transcript=transcript,
            provenance=told,
        )


def name_of(audio: str | os.PathLike[str] | None, ticket: str | None = None) -> str:
    """How a recording is called: its file name, the last part of its URL, else its task's id."""
    if audio is None:
        return ticket or "recording"
    text = os.fspath(audio)
    if _SCHEME.match(text):
        return Path(unquote(urlsplit(text).path)).name or "recording"
    return Path(text).name or "recording"


def _route(settings: Settings, wanted: Wanted) -> Route:
    cloud = build_cloud(settings)
    there_are = {
        name: build_engine(settings, cloud, PartChoice(use=name)) for name in parts.names(engines)
    }
    named = None
    if wanted.model != AUTOMATIC:
        named = family_of(wanted.model, there_are)
        if wanted.model != named:
            own = PartChoice(use=named, options={"model": wanted.model})
            there_are[named] = build_engine(settings, cloud, own)
        check_workflow(there_are[named], wanted)
    tasks_only = wanted.asynchronous is True or not wanted.wait
    return Route(
        inbox="",
        region=cloud.region,
        wishes=_honoured(wanted.wishes, there_are[named]) if named else wanted.wishes,
        engine=named,
        engines={
            name: engine
            for name, engine in there_are.items()
            if named
            or (engine.tasks if tasks_only else wanted.asynchronous is None or not engine.tasks)
        },
        storage=build_storage(settings, cloud),
        formats={},
        rules=Rules(inbox=b"/", output="beside", formats=(), after="keep"),
        patience=timedelta(0),
        park_unknown=True,
    )


def _honoured(wishes: Wishes, engine: Engine[Any]) -> Wishes:
    """Without those that would make the dispatcher refuse an engine somebody named: they are warned about."""
    return replace(
        wishes,
        words=wishes.words and engine.timestamps,
        timestamps=wishes.timestamps and engine.timestamps,
        channels=wishes.channels if engine.channels else (0,),
        split=wishes.split and engine.channels,
        speakers=wishes.speakers if engine.channels else (),
    )


def _source(audio: str | os.PathLike[str]) -> bytes | str:
    """The path of a file, links followed, as bytes; or a URL as text, in ASCII.

    Raises:
        UsageError: a URL the cloud cannot fetch.
        RecordingError: no such file.
    """
    text = os.fspath(audio)
    scheme = _SCHEME.match(text)
    if scheme and (name := scheme[1].lower()) != "file":
        if name in _FETCHED:
            return quote(text, safe=_URL_SAFE)
        raise UsageError(
            f"The cloud cannot fetch {name}:// addresses.",
            code="bad-url",
            advice="Give http://, https://, oss:// or a local file.",
        )
    path = os.path.expanduser(unquote(urlsplit(text).path) if scheme else text)  # noqa: PTH111 - never raises
    if not os.path.exists(path):  # noqa: PTH110 - same
        raise RecordingError(
            f"There is no file {printable(os.fsencode(path))}.", code="no-such-file"
        )
    return os.path.realpath(os.fsencode(path))


def _plan(recording: Recording) -> Plan:
    if recording.reading is None:
        msg = "a recording that was sent without being read"
        raise OurBug(msg)
    return recording.reading.plan
