"""Engines and storages against the sandbox, which was written from the same contract by somebody else."""

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cloud_helpers import engine_named, key_ring

from asrwatch.cloud import Cloud
from asrwatch.cloud.pacer import Pacer
from asrwatch.engines import (
    Ask,
    Engine,
    EngineOptions,
    Found,
    Heard,
    LocalAudio,
    NotThere,
    Pending,
    RemoteAudio,
    StillOut,
)
from asrwatch.engines.qwen3_asr_flash_filetrans import FiletransOptions, Qwen3AsrFlashFiletrans
from asrwatch.errors import (
    AnswerLost,
    AsrwatchError,
    BillUnknown,
    DoesNotFit,
    EngineError,
    EngineTrouble,
    RecordingError,
    TicketLost,
    UrlExpired,
)
from asrwatch.journey.plan import Wishes
from asrwatch.sandbox import Fault, Knobs, Route, Said, Sandbox, Scripted, Wire
from asrwatch.storages import Source
from asrwatch.storages.dashscope_temp import DashscopeTemp, DashscopeTempOptions

SOUND = b"RIFF" + bytes(4000)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that does not listen, without rate limits and queues."""
    knobs = Knobs(rate_limits=False, queue_time=timedelta(0), work_time=timedelta(0))
    with Sandbox(recogniser=Scripted(otherwise="Hello world."), knobs=knobs) as started:
        yield started


def cloud_of(sandbox: Sandbox, **changes: Any) -> Cloud:
    """A cloud that talks to the sandbox."""
    settings: dict[str, Any] = {
        "region": "beijing",
        "keys": key_ring(sandbox.key),
        "pacer": Pacer(1e6),
        **changes,
    }
    return Cloud(base_url=sandbox.url, **settings)


def flash(sandbox: Sandbox, **options: Any) -> Engine[EngineOptions]:
    """The synchronous engine."""
    return engine_named("qwen3-asr-flash", cloud_of(sandbox), **options)


def filetrans(sandbox: Sandbox) -> Qwen3AsrFlashFiletrans:
    """The engine of tasks, not waiting for lists."""
    options = FiletransOptions(list_delay=timedelta(0))
    return Qwen3AsrFlashFiletrans(options, cloud_of(sandbox))


def local(content: bytes = SOUND, *, ask_id: str = "ask-1", **wishes: Any) -> Ask:
    """An ask with the bytes in it."""
    audio = LocalAudio(stream=io.BytesIO(content), size=len(content), mime="audio/wav")
    return Ask(id=ask_id, audio=audio, wishes=Wishes(**wishes))


def uploaded(sandbox: Sandbox, *, ask_id: str = "ask-1", model: str, **wishes: Any) -> Ask:
    """An ask with the file in the temporary space."""
    source = Source(
        path=b"/x/a.wav",
        stream=io.BytesIO(SOUND),
        size=len(SOUND),
        extension="wav",
        mime="audio/wav",
    )
    space = DashscopeTemp(DashscopeTempOptions(), cloud_of(sandbox))
    published = space.publish(source, ask_id=ask_id, model=model)
    return Ask(id=ask_id, audio=RemoteAudio(url=published.url), wishes=Wishes(**wishes))


def submitted(sandbox: Sandbox, engine: Qwen3AsrFlashFiletrans, ask_id: str) -> str:
    """The ticket of an accepted task."""
    outcome = engine.start(uploaded(sandbox, ask_id=ask_id, model=engine.options.model))
    assert isinstance(outcome, Pending)
    return outcome.ticket


def finished(engine: Qwen3AsrFlashFiletrans, *tickets: str) -> dict[str, Any]:
    """The news once every task has ended."""
    for _ in range(100):
        news = dict(engine.check(tickets))
        if not any(isinstance(item, StillOut) for item in news.values()):
            return news
    pytest.fail("the tasks never ended")


@pytest.mark.parametrize("dialect", ["compat", "native"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_short_recording_is_heard(sandbox: Sandbox, dialect: str, stream: bool) -> None:
    """Both dialects, whole and streamed, with every option on."""
    engine = flash(sandbox, dialect=dialect, stream=stream, enable_itn=True)
    outcome = engine.start(local(language="en", context="Kubelet"))
    assert isinstance(outcome, Heard)
    transcript = engine.read(outcome.answer)
    assert transcript.text == "Hello world."
    assert transcript.language == "en"
    assert transcript.billed is not None
    assert sandbox.bill.paid


@pytest.mark.parametrize("dialect", ["compat", "native"])
def test_an_uploaded_recording_is_heard_at_once(sandbox: Sandbox, dialect: str) -> None:
    """The synchronous model takes the temporary space's URL, too."""
    engine = flash(sandbox, dialect=dialect)
    outcome = engine.start(uploaded(sandbox, model="qwen3-asr-flash"))
    assert isinstance(outcome, Heard)
    assert engine.read(outcome.answer).text == "Hello world."


def test_the_retired_model_answers_by_name(sandbox: Sandbox) -> None:
    """qwen-audio-asr still works when it is asked."""
    engine = engine_named("qwen-audio-asr", cloud_of(sandbox))
    outcome = engine.start(local())
    assert isinstance(outcome, Heard)
    assert engine.read(outcome.answer).text == "Hello world."


@pytest.mark.parametrize("dialect", ["compat", "native"])
def test_silence(dialect: str) -> None:
    """Silence is an empty transcript."""
    with Sandbox(recogniser=Scripted(otherwise=""), knobs=Knobs(rate_limits=False)) as sandbox:
        engine = flash(sandbox, dialect=dialect)
        outcome = engine.start(local())
        assert isinstance(outcome, Heard)
        assert engine.read(outcome.answer).no_speech
        tasks = filetrans(sandbox)
        sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(0), work_time=timedelta(0))
        ticket = submitted(sandbox, tasks, "ask-1")
        news = finished(tasks, ticket)[ticket]
        assert isinstance(news, Heard)
        assert tasks.read(news.answer).no_speech


def test_a_long_recording_becomes_a_task(sandbox: Sandbox) -> None:
    """Upload, submit, poll, result: words and times arrive."""
    engine = filetrans(sandbox)
    ask = uploaded(sandbox, model=engine.options.model, words=True)
    outcome = engine.start(ask)
    assert isinstance(outcome, Pending)
    news = finished(engine, outcome.ticket)[outcome.ticket]
    assert isinstance(news, Heard)
    transcript = engine.read(news.answer)
    assert transcript.text == "Hello world."
    assert transcript.sentences[0].begin is not None
    assert transcript.sentences[0].words
    assert news.answer.ticket == outcome.ticket
    assert news.answer.billed is not None


def test_thirty_tasks_cost_few_questions(sandbox: Sandbox) -> None:
    """While thirty tasks wait, a round of asking is one or two requests."""
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(hours=1))
    engine = filetrans(sandbox)
    tickets = [submitted(sandbox, engine, f"ask-{number}") for number in range(30)]
    before = len(sandbox.requests)
    news = dict(engine.check(tickets))
    assert all(isinstance(item, StillOut) for item in news.values())
    assert len(news) == 30
    assert len(sandbox.requests) - before <= 2
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(0))
    assert all(isinstance(item, Heard) for item in finished(engine, *tickets).values())


@pytest.mark.parametrize("what", [Wire.HANG_UP, Wire.TRUNCATED, Wire.BAD_GATEWAY, Wire.NOT_JSON])
def test_a_lost_acceptance_is_found_again(sandbox: Sandbox, what: Wire) -> None:
    """The task was accepted and billed, its answer spoilt: the list and the result prove it."""
    engine = filetrans(sandbox)
    since = engine.cloud.now()
    ask = uploaded(sandbox, model=engine.options.model)
    sandbox.fault(Fault(what=what, route=Route.TRANSCRIPTION, after_work=True))
    with pytest.raises(AnswerLost):
        engine.start(ask)
    found: Any = StillOut(status="")
    for _ in range(100):
        found = engine.reconcile(ask.id, since=since, known=frozenset())
        if not isinstance(found, StillOut):
            break
    assert isinstance(found, Found)
    news = finished(engine, found.ticket)[found.ticket]
    assert isinstance(news, Heard)
    assert len(sandbox.bill.paid) == 1
    assert engine.reconcile("ask-other", since=since, known=frozenset()) == NotThere()


HOUR = timedelta(hours=1)


def lost_at(sandbox: Sandbox, engine: Qwen3AsrFlashFiletrans) -> Ask:
    """A request that was accepted and paid for, whose answer is lost."""
    ask = uploaded(sandbox, model=engine.options.model)
    sandbox.fault(Fault(what=Wire.HANG_UP, route=Route.TRANSCRIPTION, after_work=True))
    with pytest.raises(AnswerLost):
        engine.start(ask)
    return ask


def looked_for(
    engine: Qwen3AsrFlashFiletrans, ask: Ask, since: datetime, *, sure: bool = True
) -> Any:
    """What became of it, once that is known."""
    for _ in range(100):
        found = engine.reconcile(ask.id, since=since, known=frozenset(), sure=sure)
        if not isinstance(found, StillOut):
            return found
    pytest.fail("it was looked for in vain")


@pytest.mark.parametrize("offset", [HOUR, -HOUR, 30 * 24 * HOUR], ids=str)
def test_a_wrong_clock_hides_no_task(sandbox: Sandbox, offset: timedelta) -> None:
    """This machine's clock is wrong throughout: a lost request is found by the cloud's own Date [A11, T01]."""
    sandbox.knobs = replace(sandbox.knobs, clock_offset=offset)
    engine = filetrans(sandbox)
    since = engine.cloud.now()
    ask = lost_at(sandbox, engine)
    assert isinstance(looked_for(engine, ask, since), Found)
    assert len(sandbox.bill.paid) == 1


@pytest.mark.parametrize("offset", [HOUR, -HOUR], ids=str)
def test_a_clock_set_right_since_hides_no_task(sandbox: Sandbox, offset: timedelta) -> None:
    """The clock was wrong when it was asked and is right now: the date is doubted, the task found [T01]."""
    engine = filetrans(sandbox)
    since = engine.cloud.now() + offset
    ask = lost_at(sandbox, engine)
    assert isinstance(looked_for(engine, ask, since, sure=False), Found)


@pytest.mark.parametrize("ahead", [HOUR, 3650 * 24 * HOUR], ids=str)
def test_a_request_of_the_future_is_not_waited_for(sandbox: Sandbox, ahead: timedelta) -> None:
    """Asked under a clock years ahead: found if it is there, else a person is asked; never waited for [T01]."""
    engine = filetrans(sandbox)
    since = engine.cloud.now() + ahead
    with pytest.raises(TicketLost) as raised:
        engine.reconcile("ask-1", since=since, known=frozenset())
    assert "paid" in raised.value.advice
    ask = lost_at(sandbox, engine)
    assert isinstance(looked_for(engine, ask, since), Found)


def test_a_clock_that_spoils_uploads_is_named(sandbox: Sandbox) -> None:
    """A refused upload under a clock an hour off holds the engine, and says whose clock is wrong [A11]."""
    sandbox.knobs = replace(sandbox.knobs, clock_offset=HOUR)
    sandbox.fault(
        Fault(what=Wire.REFUSE, route=Route.OSS_UPLOAD, code="RequestTimeTooSkewed", status=403)
    )
    engine = filetrans(sandbox)
    with pytest.raises(EngineError) as raised:
        uploaded(sandbox, model=engine.options.model)
    assert raised.value.code == "clock-wrong"
    assert "behind the cloud's" in raised.value.message
    assert "NTP" in raised.value.advice


def test_a_lost_request_that_never_arrived_is_not_there(sandbox: Sandbox) -> None:
    """A connection cut before the task was made leaves nothing in the list."""
    engine = filetrans(sandbox)
    since = engine.cloud.now()
    ask = uploaded(sandbox, model=engine.options.model)
    sandbox.fault(Fault(what=Wire.RESET, route=Route.TRANSCRIPTION))
    with pytest.raises(AnswerLost):
        engine.start(ask)
    assert engine.reconcile(ask.id, since=since, known=frozenset()) == NotThere()
    assert not sandbox.bill.paid


@pytest.mark.parametrize("what", [Wire.HANG_UP, Wire.RESET, Wire.BAD_GATEWAY, Wire.TRUNCATED])
def test_a_lost_transcript_is_unknown(sandbox: Sandbox, what: Wire) -> None:
    """However a synchronous answer is spoilt, it is lost, and asked once."""
    engine = flash(sandbox)
    sandbox.fault(Fault(what=what, route=Route.CHAT))
    with pytest.raises(AnswerLost):
        engine.start(local())
    assert sum(seen.route is Route.CHAT for seen in sandbox.requests) == 1


@pytest.mark.parametrize("what", [Wire.NOT_JSON, Wire.HUGE, Wire.ENDLESS])
def test_what_is_no_answer_is_kept(sandbox: Sandbox, what: Wire) -> None:
    """A page, or more than an answer can be, is kept as far as is sensible, and asked for once [A05]."""
    engine = flash(sandbox)
    sandbox.fault(Fault(what=what, route=Route.CHAT, size=20_000_000))
    heard = engine.start(local())
    assert isinstance(heard, Heard)
    assert 0 < len(heard.answer.raw) <= 2**20
    with pytest.raises(RecordingError, match="no transcript"):
        engine.read(heard.answer)
    assert sum(seen.route is Route.CHAT for seen in sandbox.requests) == 1


def test_a_redirected_recording_goes_nowhere(sandbox: Sandbox) -> None:
    """A redirect holds the engine."""
    sandbox.fault(Fault(what=Wire.REDIRECT, route=Route.CHAT))
    with pytest.raises(EngineError) as raised:
        flash(sandbox).start(local())
    assert raised.value.trouble is EngineTrouble.DOWN
    assert not sandbox.bill.paid


REFUSALS: list[tuple[str, type[AsrwatchError]]] = [
    ("InvalidApiKey", EngineError),
    ("Arrearage", EngineError),
    ("Throttling.RateQuota", EngineError),
    ("InternalError", BillUnknown),
    ("AUDIO_DURATION_TOO_LONG", DoesNotFit),
    ("InvalidFile.DownloadFailed", UrlExpired),
]


@pytest.mark.parametrize(("code", "kind"), REFUSALS)
@pytest.mark.parametrize("dialect", ["compat", "native"])
def test_refusals_by_code(
    sandbox: Sandbox, code: str, kind: type[AsrwatchError], dialect: str
) -> None:
    """The sandbox's refusals mean what the table says, in either dialect."""
    sandbox.fault(Fault(what=Wire.REFUSE, code=code))
    with pytest.raises(AsrwatchError) as raised:
        flash(sandbox, dialect=dialect).start(local())
    assert type(raised.value) is kind


def test_a_wrong_key_and_its_correction(sandbox: Sandbox) -> None:
    """A bad key is told as such; the right one works without anything being made anew."""
    environment = {"DASHSCOPE_API_KEY": "sk-wrong"}
    keys = key_ring().__class__(environment=environment, home=None)
    engine = engine_named("qwen3-asr-flash", cloud_of(sandbox, keys=keys))
    with pytest.raises(EngineError) as raised:
        engine.start(local())
    assert raised.value.trouble is EngineTrouble.KEY
    with pytest.raises(EngineError):
        engine.cloud.probe()
    environment["DASHSCOPE_API_KEY"] = sandbox.key
    engine.cloud.probe()
    assert isinstance(engine.start(local()), Heard)


def test_too_long_and_unknown_models(sandbox: Sandbox) -> None:
    """Length is about the recording, an unknown model about the engine."""
    with (
        Sandbox(
            recogniser=Scripted(otherwise="x", script=lambda _: Said(text="x", seconds=301.0)),
            knobs=Knobs(rate_limits=False),
        ) as strict,
        pytest.raises(DoesNotFit),
    ):
        flash(strict).start(local())
    with pytest.raises(EngineError) as raised:
        flash(sandbox, model="qwen9-asr").start(local())
    assert raised.value.trouble is EngineTrouble.FORBIDDEN


def test_a_forgotten_task_is_lost(sandbox: Sandbox) -> None:
    """After a day the cloud knows neither the task nor its result."""
    engine = filetrans(sandbox)
    ticket = submitted(sandbox, engine, "ask-1")
    finished(engine, ticket)
    sandbox.knobs = replace(sandbox.knobs, clock_offset=timedelta(hours=25))
    (news,) = dict(engine.check([ticket])).values()
    assert isinstance(news, TicketLost)


def test_a_waiting_task_can_be_cancelled(sandbox: Sandbox) -> None:
    """Cancelled tasks are told as such."""
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(hours=1))
    engine = filetrans(sandbox)
    ticket = submitted(sandbox, engine, "ask-1")
    engine.cloud.tasks.cancel(ticket)
    (news,) = dict(engine.check([ticket])).values()
    assert isinstance(news, AsrwatchError)
    assert news.code == "CANCELED"
