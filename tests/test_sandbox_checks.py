from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from sandbox_helpers import (
    ASYNC,
    AUDIO_FILETRANS,
    AUDIO_SYNC,
    CHAT,
    FILETRANS,
    GENERATION,
    RESOLVE,
    SYNC,
    TRANSCRIPTION,
    URL,
    Customer,
    audio_family_body,
    chat_body,
    data_uri,
    many_body,
    native_body,
    order_body,
)

from asrwatch.sandbox import Knobs, Region, Said, Sandbox, Scripted

URL_ERROR = "url error, please check url！"  # noqa: RUF001 - the vendor's full-width mark
NO_URL = "The provided URL does not appear to be valid"


@pytest.fixture(scope="module")
def customer() -> Iterator[Customer]:
    """Somebody with an accepted key, at a sandbox that these tests share."""
    with Sandbox(
        recogniser=Scripted(
            {"long.wav": Said(text="Long.", seconds=300.001), "bad.wav": Said(unreadable=True)}
        ),
        knobs=Knobs(rate_limits=False),
    ) as sandbox:
        yield Customer(sandbox=sandbox)


def refusal(answer: requests.Response) -> tuple[int, str, str]:
    """Status, code and text, each path in its own envelope."""
    body = answer.json()
    assert body["request_id"]
    error = body.get("error", body)
    if answer.request.path_url.startswith("/compatible-mode"):
        assert set(body["error"]) == {"message", "type", "param", "code"}
    else:
        assert set(body) == {"code", "message", "request_id"}
    return answer.status_code, error["code"], error["message"]


@pytest.mark.parametrize("path", [CHAT, GENERATION, TRANSCRIPTION, "/api/v1/nowhere", "/nowhere"])
@pytest.mark.parametrize("key", ["", "sk-wrong"])
def test_key_before_all_else(customer: Customer, path: str, key: str) -> None:
    """Without a good key every path answers 401 in its dialect, whatever the body and the route."""
    status, code, message = refusal(customer.send("POST", path, key=key, data=b"no JSON"))
    assert status == 401
    if path == CHAT:
        assert (code, message[:34]) == ("invalid_api_key", "Incorrect API key provided. For de")
    else:
        assert code == "InvalidApiKey"
        assert message == ("Invalid API-key provided." if key else "No API-key provided.")


@pytest.mark.parametrize("path", [CHAT, GENERATION, TRANSCRIPTION])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe"])
def test_json_before_model(customer: Customer, path: str, body: bytes) -> None:
    """What is not a JSON object is 400 before anything in it is looked at."""
    status, code, message = refusal(customer.send("POST", path, data=body))
    assert status == 400
    assert code in {"BadRequest.IllegalInput", "invalid_request_error"}
    assert message == "The input parameter requires json format."


@pytest.mark.parametrize("path", [CHAT, GENERATION, TRANSCRIPTION])
def test_model_before_body(customer: Customer, path: str) -> None:
    """A model that does not exist is 404 even where the rest of the body is wrong too."""
    status, code, _ = refusal(customer.post(path, {"model": "qwen3.5-asr"}))
    assert (status, code) == (404, "model_not_found" if path == CHAT else "ModelNotFound")
    assert refusal(customer.post(path, {"input": {}}))[0] == 400


@pytest.mark.parametrize(
    ("region", "model", "path"),
    [
        (Region.US, FILETRANS, TRANSCRIPTION),
        (Region.SINGAPORE, "qwen-audio-asr", GENERATION),
        (Region.BEIJING, "qwen3-asr-flash-us", GENERATION),
    ],
)
def test_model_of_other_region(region: Region, model: str, path: str) -> None:
    """A model that exists elsewhere is 404 here."""
    with Sandbox(recogniser=Scripted(), knobs=Knobs(region=region)) as sandbox:
        answer = Customer(sandbox=sandbox).post(path, {"model": model}, headers=ASYNC)
    assert refusal(answer)[:2] == (404, "ModelNotFound")


def test_us_speaks_native_only() -> None:
    """In the US the model answers on the native path, and the OpenAI path does not know it."""
    with Sandbox(recogniser=Scripted(), knobs=Knobs(region=Region.US)) as sandbox:
        customer = Customer(sandbox=sandbox)
        assert refusal(customer.chat())[:2] == (404, "model_not_supported")
        assert customer.generate().status_code == 200


@pytest.mark.parametrize("model", [FILETRANS, AUDIO_SYNC, AUDIO_FILETRANS, "qwen-audio-asr"])
def test_compatible_path_serves_one_family(customer: Customer, model: str) -> None:
    """Only qwen3-asr-flash is served by the OpenAI path."""
    status, code, message = refusal(customer.chat(chat_body(model=model)))
    assert (status, code) == (404, "model_not_supported")
    assert message == f"Unsupported model {model} for OpenAI compatibility mode."


@pytest.mark.parametrize(
    ("path", "model", "headers", "expected"),
    [
        (GENERATION, FILETRANS, {}, (400, "InvalidParameter", URL_ERROR)),
        (TRANSCRIPTION, SYNC, {}, (400, "InvalidParameter", URL_ERROR)),
        (
            TRANSCRIPTION,
            SYNC,
            ASYNC,
            (403, "AccessDenied", "current user api does not support asynchronous calls."),
        ),
        (
            GENERATION,
            SYNC,
            ASYNC,
            (403, "AccessDenied", "current user api does not support asynchronous calls."),
        ),
        (
            TRANSCRIPTION,
            FILETRANS,
            {},
            (403, "AccessDenied", "current user api does not support synchronous calls."),
        ),
    ],
)
def test_protocol_before_shape(
    customer: Customer,
    path: str,
    model: str,
    headers: dict[str, str],
    expected: tuple[int, str, str],
) -> None:
    """Model and path, then the async header, are checked before the body's shape."""
    assert refusal(customer.post(path, {"model": model}, headers=headers)) == expected


def with_messages(*messages: Any) -> dict[str, Any]:
    """A chat body with these messages."""
    return chat_body() | {"messages": list(messages)}


USER = chat_body()["messages"][0]
SYSTEM = {"role": "system", "content": [{"text": ""}]}


@pytest.mark.parametrize(
    "body",
    [
        with_messages(),
        with_messages(USER, USER),
        with_messages(USER, SYSTEM),
        with_messages(SYSTEM, SYSTEM, USER),
        with_messages(SYSTEM),
        with_messages({"role": "assistant", "content": "no"}),
        with_messages({"role": "user", "content": URL}),
        with_messages({"role": "user", "content": []}),
        with_messages({"role": "user", "content": [*USER["content"], *USER["content"]]}),
        with_messages({"role": "user", "content": [{"type": "text", "text": "hi"}]}),
        with_messages({"role": "user", "content": [{"audio": URL}]}),
        with_messages({"role": "system", "content": [{"image": "x"}]}, USER),
        chat_body(stream="yes"),
        chat_body(stream_options={"include_usage": True}),
        chat_body(stream=False, stream_options={"include_usage": True}),
        chat_body(asr_options=[]),
        chat_body(asr_options={"language": "English"}),
        chat_body(asr_options={"language": ["en"]}),
        chat_body(asr_options={"enable_itn": "false"}),
    ],
)
def test_chat_shape(customer: Customer, body: dict[str, Any]) -> None:
    """A chat body that is not of the documented shape is 400."""
    assert refusal(customer.chat(body))[:2] == (400, "invalid_parameter_error")


@pytest.mark.parametrize("content", ["words", [{"text": ""}], [{"type": "text", "text": "words"}]])
def test_context_forms(customer: Customer, content: Any) -> None:
    """A system message may hold a string or text parts, empty ones too."""
    assert customer.chat(with_messages({"role": "system", "content": content}, USER)).ok


@pytest.mark.parametrize(
    "body",
    [
        native_body() | {"input": None},
        native_body() | {"input": {}},
        native_body() | {"input": {"messages": []}},
        native_body() | {"input": {"messages": [{"role": "user", "content": URL}]}},
        native_body() | {"input": {"messages": [USER]}},
        native_body(parameters={"asr_options": {"language": "xx"}}),
        native_body(parameters=[]),
        native_body(model="qwen-audio-asr", parameters={"asr_options": {}}),
        native_body(model="qwen-audio-asr")
        | {"input": {"messages": [SYSTEM, native_body()["input"]["messages"][0]]}},
        audio_family_body(parameters=None),
        audio_family_body(parameters={}),
        audio_family_body(parameters={"format": "wav", "language_hints": list("abcde")}),
        audio_family_body() | {"input": native_body()["input"]},
    ],
)
def test_native_shape(customer: Customer, body: dict[str, Any]) -> None:
    """A native body that is not of its family's shape is 400."""
    assert refusal(customer.generate(body))[0] == 400


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (many_body() | {"model": FILETRANS}, "input must contain file_url"),
        (order_body() | {"model": AUDIO_FILETRANS}, "input must contain file_urls"),
        (order_body() | {"input": {"input_audio": {"data": URL}}}, "input must contain file_url"),
        (many_body() | {"input": {"file_urls": [URL, URL]}}, "exactly one URL"),
        (order_body() | {"input": None}, '"input" is missing'),
        (order_body(parameters={"enable_words": 1}), "enable_words"),
        (order_body(parameters={"channel_id": 0}), "channel_id"),
        (order_body(parameters={"channel_id": []}), "channel_id"),
        (order_body(parameters={"channel_id": [0, 0]}), "channel_id"),
        (order_body(parameters={"language": "tl"}), "language"),
    ],
)
def test_task_shape(customer: Customer, body: dict[str, Any], message: str) -> None:
    """A submit that is not of its family's shape is 400 and says what is missing."""
    answer = customer.submit(body)
    assert answer.status_code == 400
    assert message in refusal(answer)[2]


@pytest.mark.parametrize("source", ["sample.wav", "ftp://a/b.wav", "QUJD", "file:///a.wav"])
def test_what_is_no_url(customer: Customer, source: str) -> None:
    """Paths, raw Base64 and other schemes are no URLs on any path."""
    prefix = f"InternalError.Algo.InvalidParameter: {NO_URL}"
    status, code, message = refusal(customer.chat(chat_body(source)))
    assert (status, code, message[: len(prefix)]) == (400, "invalid_parameter_error", prefix)
    for answer in (customer.generate(native_body(source)), customer.submit(order_body(source))):
        status, code, message = refusal(answer)
        assert (status, code, message[: len(NO_URL)]) == (400, "InvalidParameter", NO_URL)


def test_tasks_take_no_data_uri(customer: Customer) -> None:
    """A task takes URLs only."""
    assert refusal(customer.submit(order_body(data_uri(b"RIFF"))))[:2] == (400, "InvalidParameter")


def test_data_uri_limit(customer: Customer) -> None:
    """A data URI may have 10,485,760 characters and not one more; the other family takes twice that."""
    prefix = len("data:audio/wav;base64,")
    full = "data:audio/wav;base64," + "A" * (10_485_760 - prefix - 2)
    assert customer.chat(chat_body(full)).status_code == 200
    status, code, message = refusal(customer.chat(chat_body(full + "AAAA")))
    assert (status, code) == (400, "BadRequest.TooLarge")
    assert message == "Exceeded limit on max bytes per data-uri item : 10485760"
    assert customer.generate(audio_family_body(full + "AAAA")).status_code == 200


def test_broken_data_uri(customer: Customer) -> None:
    """A data URI whose Base64 is broken is 400."""
    assert refusal(customer.chat(chat_body("data:audio/wav;base64,???")))[0] == 400
    assert refusal(customer.chat(chat_body("data:audio/wav,text")))[0] == 400


def test_body_beyond_all_limits(customer: Customer) -> None:
    """A body that no limit allows is read to its end and refused."""
    answer = customer.chat(chat_body("data:audio/wav;base64," + "A" * 30_000_000))
    assert refusal(answer)[:2] == (400, "invalid_parameter_error")


def test_sync_duration_limit(customer: Customer) -> None:
    """A millisecond over 300 s is refused, in the words of each family."""
    with_fixture = customer.upload(b"long", SYNC, "long.wav")
    answer = customer.chat(chat_body(with_fixture), headers=RESOLVE)
    assert refusal(answer)[:2] == (400, "InvalidFile.AudioLengthError")
    assert refusal(answer)[2] == "Audio length must be between 1s and 300s."
    other = customer.upload(b"long", AUDIO_SYNC, "long.wav")
    answer = customer.generate(audio_family_body(other), headers=RESOLVE)
    assert refusal(answer) == (
        400,
        "AUDIO_DURATION_TOO_LONG",
        "audio duration (300001.0ms) over service process (300s)",
    )


def test_unreadable_media(customer: Customer) -> None:
    """What cannot be decoded is 400 at once, and a failed task later."""
    bad = customer.upload(b"bad", SYNC, "bad.wav")
    answer = customer.chat(chat_body(bad), headers=RESOLVE)
    assert refusal(answer)[1:] == (
        "invalid_parameter_error",
        "The file format is illegal and cannot be opened.",
    )
    bad = customer.upload(b"bad", FILETRANS, "bad.wav")
    poll = customer.finished(customer.submitted(order_body(bad), headers=RESOLVE))
    assert poll["output"]["code"] == poll["output"]["message"] == "DECODE_ERROR"


def test_account_in_trouble(customer: Customer) -> None:
    """A known key of an account in trouble is refused on paid routes only, until it is good again."""
    key = customer.sandbox.key
    customer.sandbox.knobs = Knobs(rate_limits=False, key_errors={key: "Arrearage"})
    assert refusal(customer.chat())[:2] == (400, "Arrearage")
    assert refusal(customer.submit())[:2] == (400, "Arrearage")
    assert customer.send("GET", "/api/v1/tasks/").status_code == 200
    customer.sandbox.knobs = Knobs(
        rate_limits=False, key_errors={key: "AllocationQuota.FreeTierOnly"}
    )
    assert refusal(customer.generate())[:2] == (403, "AllocationQuota.FreeTierOnly")
    customer.sandbox.knobs = Knobs(rate_limits=False)
    assert customer.chat().status_code == 200


def test_bad_key_made_good(customer: Customer) -> None:
    """A key becomes good while the sandbox runs."""
    assert customer.chat(key="sk-new").status_code == 401
    customer.sandbox.knobs = Knobs(rate_limits=False, keys={"sk-new": "2"})
    assert customer.chat(key="sk-new").status_code == 200
    customer.sandbox.knobs = Knobs(rate_limits=False)


def test_unknown_route(customer: Customer) -> None:
    """With a good key, a path that does not exist is 404 and a wrong method 405, in the path's envelope."""
    assert refusal(customer.post("/compatible-mode/v1/audio/transcriptions", {}))[0] == 404
    assert refusal(customer.send("GET", GENERATION))[0] == 405


def test_temporary_key(customer: Customer) -> None:
    """A temporary key works for its account until it expires."""
    answer = customer.send("POST", "/api/v1/tokens", params={"expire_in_seconds": 60})
    token = answer.json()["token"]
    assert token.startswith("st-")
    assert customer.chat(key=token).status_code == 200
    customer.sandbox.knobs = Knobs(rate_limits=False, clock_offset=timedelta(seconds=61))
    assert customer.chat(key=token).status_code == 401
    customer.sandbox.knobs = Knobs(rate_limits=False)
    assert customer.send("POST", "/api/v1/tokens?expire_in_seconds=1801").status_code == 400
