from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests
from sandbox_helpers import (
    AUDIO_SYNC,
    GENERATION,
    SYNC,
    Customer,
    audio_family_body,
    chat_body,
    customer,
    data_uri,
    events_of,
    native_body,
    sandbox,
    sha256,
)

from asrwatch.sandbox import Knobs, Layout, Said, Sandbox, Scripted, SilentSync

__all__ = ["customer", "sandbox"]

TEXT = "Guten Tag, 你好。Ça va? 🎧 Everything is fine."
SSE = {"X-DashScope-SSE": "enable"}


@pytest.fixture
def speaker() -> Iterator[Customer]:
    """Somebody whose recordings hold a text in several scripts, in German."""
    said = Said(text=TEXT, seconds=12.2, language="de")
    silence = {sha256(b"silence"): Said(text="", seconds=5), sha256(b"empty"): Said(seconds=0)}
    with Sandbox(
        recogniser=Scripted(silence, otherwise=said), knobs=Knobs(rate_limits=False)
    ) as running:
        yield Customer(sandbox=running)


def test_chat_answer(speaker: Customer) -> None:
    """The OpenAI dialect answers with text, annotations and whole seconds of usage."""
    body = speaker.chat(chat_body(data_uri(b"x"), stream=False)).json()
    assert body["id"].startswith("chatcmpl-")
    assert (body["object"], body["model"]) == ("chat.completion", SYNC)
    annotation = {"type": "audio_info", "language": "de", "emotion": "neutral"}
    assert body["choices"] == [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": TEXT, "annotations": [annotation]},
        }
    ]
    assert body["usage"]["seconds"] == 13
    assert body["usage"]["total_tokens"] == (
        body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    )


def test_language_is_echoed(speaker: Customer) -> None:
    """The language that was asked for comes back in the annotations."""
    body = speaker.chat(chat_body(data_uri(b"x"), asr_options={"language": "fr"})).json()
    assert body["choices"][0]["message"]["annotations"][0]["language"] == "fr"


@pytest.mark.parametrize("include_usage", [False, True])
def test_chat_stream_order(speaker: Customer, include_usage: bool) -> None:
    """A stream brings the role, the pieces, the end, the usage if asked for, and [DONE], in that order."""
    answer = speaker.chat(
        chat_body(data_uri(b"x"), stream=True, stream_options={"include_usage": include_usage})
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    answer.encoding = "utf-8"
    *chunks, done = events_of(answer)
    assert done == "[DONE]"
    if include_usage:
        usage = chunks.pop()
        assert usage["choices"] == []
        assert usage["usage"]["seconds"] == 13
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    assert all(chunk["usage"] is None for chunk in chunks)
    first, *pieces, last = (chunk["choices"][0] for chunk in chunks)
    assert first == {"index": 0, "logprobs": None, "delta": {"role": "assistant", "content": ""}}
    assert last == {"index": 0, "finish_reason": "stop", "delta": {"role": None}}
    assert len(pieces) > 1
    assert all(set(piece) == {"index", "delta"} for piece in pieces)
    assert "".join(piece["delta"]["content"] for piece in pieces) == TEXT


def test_native_answer(speaker: Customer) -> None:
    """The native dialect answers with a list of texts and its own usage."""
    body = speaker.generate(native_body(data_uri(b"x"))).json()
    assert body["output"]["choices"][0]["message"]["content"] == [{"text": TEXT}]
    assert body["output"]["choices"][0]["finish_reason"] == "stop"
    assert set(body["usage"]) == {"seconds", "input_tokens_details", "output_tokens_details"}


@pytest.mark.parametrize("incremental", [False, True])
def test_native_stream(speaker: Customer, incremental: bool) -> None:
    """A native stream is framed by id, event, status and data; increments only if asked for."""
    parameters = {"incremental_output": incremental}
    answer = speaker.generate(native_body(data_uri(b"x"), parameters=parameters), headers=SSE)
    answer.encoding = "utf-8"
    blocks = answer.text.strip().split("\n\n")
    for number, block in enumerate(blocks, start=1):
        identity, event, status, data = block.split("\n")
        assert (identity, event, status) == (f"id:{number}", "event:result", ":HTTP_STATUS/200")
        assert data.startswith("data:{")
    texts = [
        event["output"]["choices"][0]["message"]["content"][0]["text"]
        for event in events_of(answer)
    ]
    assert "[DONE]" not in answer.text
    assert ("".join(texts) if incremental else texts[-1]) == TEXT
    assert len(texts) > 1


def silent(speaker: Customer, how: SilentSync) -> tuple[requests.Response, requests.Response]:
    """Both dialects' answers to silence."""
    speaker.sandbox.knobs = replace(speaker.sandbox.knobs, silent_sync=how)
    source = data_uri(b"silence")
    return speaker.chat(chat_body(source)), speaker.generate(native_body(source))


def test_silence_is_empty_content(speaker: Customer) -> None:
    """Silence answers 200 with empty content, and is billed."""
    chat, native = silent(speaker, SilentSync.EMPTY_CONTENT)
    assert chat.json()["choices"][0]["message"]["content"] == ""
    assert native.json()["output"]["choices"][0]["message"]["content"] == []
    assert [line.seconds for line in speaker.sandbox.bill.paid] == [5, 5]


def test_silence_is_empty_text(speaker: Customer) -> None:
    """Silence can answer with an empty text instead of an empty list."""
    _, native = silent(speaker, SilentSync.EMPTY_TEXT)
    assert native.json()["output"]["choices"][0]["message"]["content"] == [{"text": ""}]


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        (SilentSync.NO_WORDS, "ASR_RESPONSE_HAVE_NO_WORDS", "ASR_RESPONSE_HAVE_NO_WORDS"),
        (SilentSync.AUDIO_IS_EMPTY, "InvalidParameter", "The audio is empty"),
    ],
)
def test_silence_is_refused(speaker: Customer, how: SilentSync, code: str, message: str) -> None:
    """Silence can be refused with each documented code, and is then no billed work."""
    chat, native = silent(speaker, how)
    assert (native.status_code, native.json()["code"]) == (400, code)
    assert (chat.status_code, chat.json()["error"]["message"]) == (400, message)
    assert not speaker.sandbox.bill.paid
    assert [line.code for line in speaker.sandbox.bill.attempts] == [code, code]


def test_other_family_refuses_silence(speaker: Customer) -> None:
    """The Qwen-Audio family always refuses silence."""
    answer = speaker.generate(audio_family_body(data_uri(b"silence")))
    assert (answer.status_code, answer.json()["code"]) == (400, "ASR_RESPONSE_HAVE_NO_WORDS")


def test_no_samples(speaker: Customer) -> None:
    """A file without any samples is refused."""
    answer = speaker.generate(native_body(data_uri(b"empty")))
    assert (answer.status_code, answer.json()["message"]) == (400, "The audio is empty")


@pytest.mark.parametrize("layout", list(Layout))
def test_layouts_of_the_other_family(speaker: Customer, layout: Layout) -> None:
    """The Qwen-Audio family's answer lies at the top, under output, or under output twice."""
    speaker.sandbox.knobs = replace(speaker.sandbox.knobs, layout=layout)
    body = speaker.generate(audio_family_body(data_uri(b"x"))).json()
    inner: dict[str, Any] = body["output"]
    match layout:
        case Layout.WORKSPACE:
            assert body["text"] == inner["text"] == TEXT
            assert "usage" not in inner
        case Layout.NESTED:
            inner = inner["output"]
        case Layout.SHARED:
            assert "text" not in body
    assert inner["text"] == TEXT
    assert inner["sentence"]["sentence_id"] == 1
    assert [each["sentence_id"] for each in inner["sentences"]] == [1, 2, 3]
    assert inner["sentence"]["words"][-1]["end_time"] <= 12_200
    assert body["usage"]["duration"] == 13
    assert "choices" not in inner


def test_old_model(speaker: Customer) -> None:
    """qwen-audio-asr answers on the native path, without options."""
    body = speaker.generate(native_body(data_uri(b"x"), model="qwen-audio-asr")).json()
    assert body["output"]["choices"][0]["message"]["content"][0]["text"] == TEXT


def test_length_cuts_the_text(speaker: Customer) -> None:
    """Out of tokens, an answer is cut and says so."""
    speaker.sandbox.knobs = replace(speaker.sandbox.knobs, finish_reason="length")
    choice = speaker.chat(chat_body(data_uri(b"x"))).json()["choices"][0]
    assert choice["finish_reason"] == "length"
    assert TEXT.startswith(choice["message"]["content"])
    assert len(choice["message"]["content"]) < len(TEXT)


def test_cut_stream(speaker: Customer) -> None:
    """A stream can end in its middle, without [DONE], though it was billed."""
    speaker.sandbox.knobs = replace(speaker.sandbox.knobs, cut_stream=True)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        speaker.chat(chat_body(data_uri(b"x"), stream=True))
    assert len(speaker.sandbox.bill.paid) == 1


def test_code_in_a_success(speaker: Customer) -> None:
    """A 200 can hold an error code, flat on both paths, and is not billed."""
    speaker.sandbox.knobs = replace(speaker.sandbox.knobs, body_code="InternalError.Algo")
    for answer in (speaker.chat(chat_body(data_uri(b"x"))), speaker.generate()):
        assert (answer.status_code, answer.json()["code"]) == (200, "InternalError.Algo")
    assert not speaker.sandbox.bill.paid


def test_flat_errors_on_the_compatible_path(speaker: Customer) -> None:
    """The OpenAI path can answer in the native envelope."""
    speaker.sandbox.knobs = replace(speaker.sandbox.knobs, flat_compatible_errors=True)
    assert speaker.chat({"model": "none"}).json()["code"] == "ModelNotFound"
    assert speaker.chat(key="sk-wrong").json()["code"] == "InvalidApiKey"


def test_error_inside_a_stream(speaker: Customer) -> None:
    """A native stream can begin as a success and hold the error as an event."""
    speaker.sandbox.knobs = replace(speaker.sandbox.knobs, errors_in_stream=True)
    answer = speaker.generate(native_body(data_uri(b"empty")), headers=SSE)
    assert answer.status_code == 200
    assert "event:error\n:HTTP_STATUS/400\n" in answer.text
    assert events_of(answer)[0]["code"] == "InvalidParameter"


def test_forced_failure(speaker: Customer) -> None:
    """The knobs force a documented refusal on a recording, by its content or its URL's name."""
    speaker.sandbox.knobs = replace(
        speaker.sandbox.knobs,
        sync_failures={sha256(b"x"): "DataInspectionFailed", "welcome.*": "ModelServiceFailed"},
    )
    answer = speaker.chat(chat_body(data_uri(b"x")))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "data_inspection_failed")
    answer = speaker.generate()
    assert (answer.status_code, answer.json()["code"]) == (500, "ModelServiceFailed")
    assert not speaker.sandbox.bill.paid


def test_latency_comes_after_the_bill(sandbox: Sandbox, customer: Customer) -> None:
    """An answer that is waited for is billed already; turning the knob ends the wait."""
    sandbox.knobs = replace(sandbox.knobs, latency=timedelta(milliseconds=300))
    answer = customer.chat()
    assert answer.elapsed >= timedelta(milliseconds=300)
    assert len(sandbox.bill) == 1


def test_a_recogniser_is_as_quick_as_its_knob_says(sandbox: Sandbox, customer: Customer) -> None:
    """Three seconds of sound at ten seconds a second take three tenths, before anything is billed."""
    sandbox.knobs = replace(sandbox.knobs, recogniser_speed=10.0)
    answer = customer.chat()
    assert answer.elapsed >= timedelta(milliseconds=290)
    assert len(sandbox.bill) == 1


def test_request_id(sandbox: Sandbox, customer: Customer) -> None:
    """The id in the body is the one in the header, which can be left out."""
    answer = customer.generate()
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    sandbox.knobs = replace(sandbox.knobs, request_id_header=False)
    assert "x-request-id" not in customer.generate().headers


def test_seed_request_as_it_stands(customer: Customer) -> None:
    """The first request of the seed works as it stands, host aside."""
    body = chat_body("https://dashscope.oss-cn-beijing.aliyuncs.com/audios/welcome.mp3")
    answer = customer.chat(body | {"stream": False, "asr_options": {"enable_itn": False}})
    assert answer.json()["choices"][0]["message"]["content"] == "Hello world."


def test_context_turns_of_the_other_family(customer: Customer) -> None:
    """The Qwen-Audio family takes turns of context before the audio."""
    body = audio_family_body()
    turns = [
        {"role": "user", "content": [{"type": "input_text", "text": "Who?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Asrwatch."}]},
    ]
    body["input"]["messages"] = [*turns, *body["input"]["messages"]]
    assert customer.post(GENERATION, body).status_code == 200
    body["input"]["messages"] = [turns[1], turns[0] | {"role": "assistant"}]
    assert customer.post(GENERATION, body).status_code == 400
    assert customer.post(GENERATION, audio_family_body(model=AUDIO_SYNC)).status_code == 200
