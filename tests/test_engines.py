"""What every engine keeps to, found by itself: a new file in engines/ is tested as it stands."""

import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from cloud_helpers import NOW, Answer, Server, cloud_at, engine_named, json_answer
from hypothesis import given
from hypothesis import strategies as st

from asrwatch import engines, parts
from asrwatch.engines import Ask, Engine, EngineOptions, Heard, LocalAudio, Pending, RemoteAudio
from asrwatch.errors import (
    AnswerLost,
    BillUnknown,
    DoesNotFit,
    EngineError,
    EngineTrouble,
    OurBug,
    RecordingError,
    UrlExpired,
)
from asrwatch.journey.evidence import Answer as RawAnswer
from asrwatch.journey.plan import Wishes

NAMES = parts.names(engines)

GOOD = {
    "output": {
        "task_id": "task-1",
        "task_status": "PENDING",
        "choices": [{"finish_reason": "stop", "message": {"content": [{"text": "Hello."}]}}],
    },
    "choices": [{"finish_reason": "stop", "message": {"content": "Hello."}}],
    "usage": {"seconds": 2},
}
"""An answer every engine can live with."""

WISHES = st.builds(
    Wishes,
    language=st.none() | st.sampled_from(["en", "zh"]),
    language_hints=st.lists(st.sampled_from(["en", "zh", "de"]), unique=True).map(tuple),
    context=st.sampled_from(["", "Kubelet"]),
    words=st.booleans(),
    timestamps=st.booleans(),
    channels=st.sampled_from([(0,), (1,), (0, 1)]),
    sample_rate=st.none() | st.just(16000),
    vocabulary_id=st.none() | st.just("vocab-1"),
    disfluency_removal=st.none() | st.booleans(),
)


def ask(tested: Engine[EngineOptions], content: bytes = b"RIFF....", **wishes: Any) -> Ask:
    """An ask of the kind this engine takes."""
    audio: LocalAudio | RemoteAudio = RemoteAudio(url="oss://dir/ask-1.wav")
    if tested.takes_bytes:
        audio = LocalAudio(stream=io.BytesIO(content), size=len(content), mime="audio/wav")
    return Ask(id="ask-1", audio=audio, wishes=Wishes(**wishes))


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """The name of each engine there is."""
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture
def somewhere() -> Iterator[Server]:
    """A server that says yes to everything."""
    with Server(lambda _: json_answer(GOOD)) as server:
        yield server


def test_the_three_models_of_the_seed_are_there() -> None:
    """Each model of the seed interface is an engine by its exact name."""
    assert {"qwen3-asr-flash", "qwen-audio-asr", "qwen3-asr-flash-filetrans"} <= set(NAMES)


def test_an_engine_describes_itself(name: str) -> None:
    """Defaults suffice, the model is its name, and people can read what it is for."""
    tested = engine_named(name, cloud_at(None))
    assert tested.name == name
    assert tested.options.model == name
    assert tested.options.longest > timedelta(seconds=60)
    assert type(tested).__doc__
    assert type(tested).Options.__doc__
    assert tested.containers
    for container in tested.containers:
        assert container == container.lower().strip(".")
    assert tested.takes_bytes or not tested.base64


def test_limits_may_be_changed(name: str) -> None:
    """The vendor changes limits, so the config may."""
    options = {"longest": "10m", "largest": "1MB", "requests_per_minute": 5}
    changed = engine_named(name, cloud_at(None), **options).options
    assert changed.longest == timedelta(minutes=10)
    assert changed.largest == 1_000_000


@given(wishes=WISHES)
@pytest.mark.parametrize("name", NAMES)
def test_every_wish_is_sent_or_explained(name: str, wishes: Wishes) -> None:
    """A wish goes over the wire or is named in a sentence: none is dropped silently."""
    sent = engine_named(name, cloud_at(None)).sent(wishes)
    said = " ".join(sent.left_out)
    wanted = {
        "language": wishes.language is not None and "language" not in sent.options,
        "language_hints": bool(wishes.language_hints)
        and wishes.language_hints != (wishes.language,),
        "context": bool(wishes.context) and "context" not in sent.options,
        "words": wishes.words and not sent.options.get("enable_words"),
        "timestamps": wishes.timestamps and not engine_named(name, cloud_at(None)).timestamps,
        "channels": wishes.channels != (0,) and "channel_id" not in sent.options,
        "sample_rate": wishes.sample_rate is not None,
        "vocabulary_id": wishes.vocabulary_id is not None,
        "disfluency_removal_enabled": wishes.disfluency_removal is not None,
    }
    for wish, must_be_said in wanted.items():
        if must_be_said:
            assert f"{wish}:" in said
    for sentence in sent.left_out:
        assert sentence.endswith(".")


def test_one_paid_request_and_its_answer(name: str, somewhere: Server) -> None:
    """A good answer is one POST, and what comes of it can be read again from the raw bytes."""
    tested = engine_named(name, cloud_at(somewhere.url))
    outcome = tested.start(ask(tested))
    assert len(somewhere.asked) == 1
    assert somewhere.asked[0].headers["idempotency-key"] == "ask-1"
    if tested.tasks:
        assert isinstance(outcome, Pending)
        assert outcome.ticket == "task-1"
        assert outcome.wait > timedelta(0)
    else:
        assert isinstance(outcome, Heard)
        assert outcome.answer.billed == timedelta(seconds=2)
        assert outcome.answer.received_at == NOW
        assert tested.read(outcome.answer).text == "Hello."


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (json_answer({"code": "InvalidApiKey", "message": "m"}, 401), EngineError),
        (json_answer({"error": {"code": "limit_requests", "message": "m"}}, 429), EngineError),
        (json_answer({"code": "InvalidFile.DownloadFailed", "message": "m"}, 400), UrlExpired),
        (json_answer({"code": "AUDIO_DURATION_TOO_LONG", "message": "m"}, 400), DoesNotFit),
        (json_answer({"code": "DataInspectionFailed", "message": "m"}, 400), RecordingError),
        (json_answer({"code": "InternalError", "message": "m"}, 500), BillUnknown),
        (Answer(status=502, body=b"<html>"), AnswerLost),
        (Answer(status=200, body=b'{"output": {"ta'), AnswerLost),
        (Answer(status=204, body=b""), AnswerLost),
    ],
)
def test_outcomes_of_a_start(name: str, answer: Answer, meaning: type[Exception]) -> None:
    """Every engine tells refused, temporary, held and lost apart, and asks once."""
    with Server(lambda _: answer) as server:
        tested = engine_named(name, cloud_at(server.url))
        with pytest.raises(meaning) as raised:
            tested.start(ask(tested))
        assert type(raised.value) is meaning
        assert len(server.asked) == 1


def test_a_start_without_a_key_asks_nobody(name: str, somewhere: Server) -> None:
    """No key, no request."""
    cloud = cloud_at(somewhere.url, keys=cloud_at(None).keys.__class__(environment={}, home=None))
    tested = engine_named(name, cloud)
    with pytest.raises(EngineError) as raised:
        tested.start(ask(tested))
    assert raised.value.trouble is EngineTrouble.KEY
    assert somewhere.asked == []


@given(raw=st.binary(max_size=200))
@pytest.mark.parametrize("name", NAMES)
def test_reading_never_stumbles(name: str, raw: bytes) -> None:
    """A stored answer of any content gives a transcript or a RecordingError."""
    try:
        engine_named(name, cloud_at(None)).read(RawAnswer(raw=raw, received_at=NOW))
    except RecordingError as error:
        assert error.code  # noqa: PT017 - both ends are right


def test_only_engines_with_tasks_check(name: str) -> None:
    """Asking a synchronous engine about tickets is our bug, loudly."""
    tested = engine_named(name, cloud_at(None))
    if not tested.tasks:
        with pytest.raises(NotImplementedError):
            tested.check(["t"])
        with pytest.raises(NotImplementedError):
            tested.reconcile("a", since=NOW, known=frozenset())


# What is particular to the synchronous engines.


@pytest.mark.parametrize("name", ["qwen3-asr-flash", "qwen-audio-asr"])
def test_too_large_is_known_before_anything_is_sent(name: str, somewhere: Server) -> None:
    """The limit counts Base64, and is checked before the paid request."""
    tested = engine_named(name, cloud_at(somewhere.url), largest="1KB")
    with pytest.raises(DoesNotFit, match=r"1\.0 KB"):
        tested.start(ask(tested, bytes(751)))
    assert somewhere.asked == []
    tested.start(ask(tested, bytes(750)))
    assert len(somewhere.asked) == 1


@pytest.mark.parametrize(
    ("region", "dialect", "path"),
    [
        ("beijing", "auto", "/compatible-mode/v1/chat/completions"),
        ("singapore", "auto", "/compatible-mode/v1/chat/completions"),
        ("us", "auto", "/api/v1/services/aigc/multimodal-generation/generation"),
        ("us", "compat", "/compatible-mode/v1/chat/completions"),
        ("beijing", "native", "/api/v1/services/aigc/multimodal-generation/generation"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_flash_takes_its_regions_path(
    region: str, dialect: str, path: str, stream: bool, somewhere: Server
) -> None:
    """The US has the native path only; streams are asked for in each dialect's way."""
    cloud = cloud_at(somewhere.url, region=region)
    tested = engine_named("qwen3-asr-flash", cloud, dialect=dialect, stream=stream)
    tested.start(ask(tested, language="en", context="Kubelet"))
    (asked,) = somewhere.asked
    assert asked.path == path
    document = asked.json()
    if "aigc" in path:
        assert document["parameters"]["asr_options"] == {"enable_itn": False, "language": "en"}
        assert document["parameters"].get("incremental_output", False) is stream
        assert (asked.headers.get("x-dashscope-sse") == "enable") is stream
    else:
        assert document["asr_options"] == {"enable_itn": False, "language": "en"}
        assert document["stream"] is stream
        assert ("stream_options" in document) is stream


def test_flash_sends_urls_as_they_are(somewhere: Server) -> None:
    """An oss URL takes the resolve header, an https URL none; a snapshot is a model."""
    tested = engine_named(
        "qwen3-asr-flash", cloud_at(somewhere.url), model="qwen3-asr-flash-2026-02-10"
    )
    for url in ("https://x/a.wav?sig=%3A", "oss://dir/a.wav"):
        tested.start(Ask(id="a", audio=RemoteAudio(url=url), wishes=Wishes()))
    plain, oss = somewhere.asked
    assert plain.json()["model"] == "qwen3-asr-flash-2026-02-10"
    assert plain.json()["messages"][0]["content"][0]["input_audio"]["data"].endswith("sig=%3A")
    assert "x-dashscope-ossresourceresolve" not in plain.headers
    assert oss.headers["x-dashscope-ossresourceresolve"] == "enable"


def test_flash_takes_a_single_hint_as_the_language() -> None:
    """One hint is as good as a language; several are not, and the given language wins."""
    tested = engine_named("qwen3-asr-flash", cloud_at(None))
    one = tested.sent(Wishes(language_hints=("en",)))
    assert one.options["language"] == "en"
    assert "sent as it" in one.left_out[0]
    several = tested.sent(Wishes(language_hints=("en", "zh")))
    assert "language" not in several.options
    assert "en, zh" in several.left_out[0]
    given = tested.sent(Wishes(language="de", language_hints=("en",)))
    assert given.options["language"] == "de"


def test_flash_hears_silence_in_a_refusal() -> None:
    """A no-speech code is an answer, kept as it came."""
    body = {"code": "ASR_RESPONSE_HAVE_NO_WORDS", "message": "m", "request_id": "r"}
    with Server(lambda _: json_answer(body, 400)) as server:
        tested = engine_named("qwen3-asr-flash", cloud_at(server.url))
        outcome = tested.start(ask(tested))
    assert isinstance(outcome, Heard)
    assert b"ASR_RESPONSE_HAVE_NO_WORDS" in outcome.answer.raw
    assert tested.read(outcome.answer).no_speech


def test_the_retired_engine_is_never_chosen_unasked(somewhere: Server) -> None:
    """qwen-audio-asr works by name, sends no options, and says that it is retired."""
    tested = engine_named("qwen-audio-asr", cloud_at(somewhere.url))
    assert not tested.automatic
    assert "Retired" in (type(tested).__doc__ or "")
    tested.start(ask(tested, language="en", context="x"))
    document = somewhere.asked[0].json()
    assert document["parameters"] == {}
    assert [message["role"] for message in document["input"]["messages"]] == ["user"]


def test_filetrans_takes_no_bytes(somewhere: Server) -> None:
    """Giving filetrans a file's bytes is our bug: the dispatcher publishes the file first."""
    tested = engine_named("qwen3-asr-flash-filetrans", cloud_at(somewhere.url))
    audio = LocalAudio(stream=io.BytesIO(b"x"), size=1, mime="audio/wav")
    with pytest.raises(OurBug):
        tested.start(Ask(id="a", audio=audio, wishes=Wishes()))


def test_filetrans_request(somewhere: Server) -> None:
    """Parameters are always sent, words for subtitles too, with both headers."""
    tested = engine_named("qwen3-asr-flash-filetrans", cloud_at(somewhere.url), enable_itn=True)
    tested.start(ask(tested, timestamps=True, channels=(0, 1), language="en"))
    tested.start(ask(tested))
    first, second = somewhere.asked
    assert first.path == "/api/v1/services/audio/asr/transcription"
    assert first.headers["x-dashscope-async"] == "enable"
    assert first.headers["x-dashscope-ossresourceresolve"] == "enable"
    assert first.json() == {
        "model": "qwen3-asr-flash-filetrans",
        "input": {"file_url": "oss://dir/ask-1.wav"},
        "parameters": {
            "channel_id": [0, 1],
            "enable_itn": True,
            "enable_words": True,
            "language": "en",
        },
    }
    assert second.json()["parameters"] == {
        "channel_id": [0],
        "enable_itn": True,
        "enable_words": False,
    }


def test_filetrans_without_a_ticket_is_lost() -> None:
    """An acceptance that names no task leaves it unknown: the list will tell [A07]."""
    with Server(lambda _: json_answer({"output": {"task_status": "PENDING"}})) as server:
        tested = engine_named("qwen3-asr-flash-filetrans", cloud_at(server.url))
        with pytest.raises(AnswerLost):
            tested.start(ask(tested))
