"""The dialects of the contract, against its own samples."""

import json
from datetime import timedelta
from typing import Any

import pytest
from cloud_helpers import NOW
from hypothesis import given
from hypothesis import strategies as st

from asrwatch.cloud import compat, loose, native, results, spoken, sse, tasks
from asrwatch.cloud.refusals import Where, refusal
from asrwatch.cloud.uploads import policy_path, read_policy
from asrwatch.cloud.wire import Reply
from asrwatch.errors import (
    AnswerLost,
    AsrwatchError,
    EngineError,
    RecordingError,
    TemporaryError,
    TicketLost,
    UrlExpired,
)
from asrwatch.journey.evidence import Answer
from asrwatch.journey.transcript import Transcript

COMPAT = {
    "id": "chatcmpl-0d7e",
    "object": "chat.completion",
    "created": 1790000000,
    "model": "qwen3-asr-flash",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {
                "role": "assistant",
                "content": "hello world.",
                "annotations": [{"type": "audio_info", "language": "en", "emotion": "neutral"}],
            },
        }
    ],
    "usage": {"prompt_tokens": 75, "completion_tokens": 4, "total_tokens": 79, "seconds": 3},
}
NATIVE = {
    "request_id": "0d7e",
    "output": {
        "choices": [
            {
                "finish_reason": "stop",
                "message": {
                    "role": "assistant",
                    "annotations": [{"type": "audio_info", "language": "en", "emotion": "neutral"}],
                    "content": [{"text": "hello world."}],
                },
            }
        ]
    },
    "usage": {"seconds": 3, "output_tokens_details": {"text_tokens": 4}},
}
CHUNKS: list[dict[str, Any]] = [
    {"choices": [{"index": 0, "logprobs": None, "delta": {"role": "assistant", "content": ""}}]},
    {
        "choices": [
            {
                "index": 0,
                "delta": {
                    "role": None,
                    "content": "hello ",
                    "annotations": [{"type": "audio_info", "language": "en", "emotion": "happy"}],
                },
            }
        ]
    },
    {"choices": [{"index": 0, "delta": {"role": None, "content": "world.\u2028ja"}}]},
    {"choices": [{"index": 0, "finish_reason": "stop", "delta": {"role": None}}]},
    {"choices": [], "usage": {"seconds": 3}},
]


def dumped(document: object) -> bytes:
    """JSON as a server writes it."""
    return json.dumps(document, ensure_ascii=False).encode()


def stream(chunks: list[dict[str, Any]], *, done: bool = True, line_end: str = "\n") -> bytes:
    """An OpenAI stream of these chunks."""
    lines = [f"data: {json.dumps(chunk, ensure_ascii=False)}" for chunk in chunks]
    lines += ["data: [DONE]"] if done else []
    return "".join(f"{line}{line_end}{line_end}" for line in lines).encode()


def meaning(status: int, body: bytes) -> AsrwatchError:
    """What an error inside a stream means."""
    return refusal(status, {}, body, where=Where.ASK)


def complete(body: bytes, *, whole: bool = True) -> bytes:
    """The answer that is kept of this body."""
    reply = Reply(status=200, headers={}, body=body, whole=whole)
    return spoken.complete(reply, refusal=meaning)


def heard(body: bytes) -> Transcript:
    """What this body says, once complete."""
    raw = complete(body)
    return spoken.transcript(Answer(raw=raw, received_at=NOW, billed=spoken.billed(raw)))


def test_compatible_request() -> None:
    """The compatible request is the contract's sample."""
    document = compat.request_document(
        model="qwen3-asr-flash",
        audio="https://x/a.wav",
        language="en",
        enable_itn=False,
        context="Background words: Asrwatch, Kubelet",
        stream=True,
    )
    assert document == {
        "model": "qwen3-asr-flash",
        "messages": [
            {"role": "system", "content": [{"text": "Background words: Asrwatch, Kubelet"}]},
            {
                "role": "user",
                "content": [{"type": "input_audio", "input_audio": {"data": "https://x/a.wav"}}],
            },
        ],
        "asr_options": {"language": "en", "enable_itn": False},
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_native_request() -> None:
    """The native request is the contract's sample; a plain one carries no options."""
    document = native.request_document(
        model="qwen3-asr-flash",
        audio="https://x/a.wav",
        language="en",
        enable_itn=False,
        context="context words",
        stream=False,
    )
    assert document == {
        "model": "qwen3-asr-flash",
        "input": {
            "messages": [
                {"role": "system", "content": [{"text": "context words"}]},
                {"role": "user", "content": [{"audio": "https://x/a.wav"}]},
            ]
        },
        "parameters": {
            "asr_options": {"language": "en", "enable_itn": False},
            "result_format": "message",
        },
    }
    assert native.plain_document(model="qwen-audio-asr", audio="u") == {
        "model": "qwen-audio-asr",
        "input": {"messages": [{"role": "user", "content": [{"audio": "u"}]}]},
        "parameters": {},
    }


def test_what_is_not_asked_is_not_sent() -> None:
    """No language, context or stream: no field for them."""
    for dialect in (compat, native):
        text = json.dumps(
            dialect.request_document(
                model="m", audio="u", language=None, enable_itn=True, context="", stream=False
            )
        )
        for absent in ("language", "system", "stream_options", "incremental_output"):
            assert absent not in text


@pytest.mark.parametrize("sample", [COMPAT, NATIVE])
def test_whole_answers(sample: dict[str, Any]) -> None:
    """Both dialects' samples read alike."""
    transcript = heard(dumped(sample))
    assert transcript.text == "hello world."
    assert (transcript.language, transcript.emotion) == ("en", "neutral")
    assert transcript.billed == timedelta(seconds=3)
    assert not transcript.no_speech


def test_raw_answers_are_kept_as_they_came() -> None:
    """An ordinary answer is stored byte for byte."""
    body = b'{ "choices" :[{"message":{"content":"a"}}] }\n'
    assert complete(body) == body


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("done", [True, False])
def test_compatible_stream(line_end: str, done: bool) -> None:
    """Pieces are joined; a stream is whole with [DONE], and already with the reason it ended."""
    transcript = heard(stream(CHUNKS, done=done, line_end=line_end))
    assert transcript.text == "hello world.\u2028ja"
    assert (transcript.language, transcript.emotion) == ("en", "happy")
    assert transcript.billed == timedelta(seconds=3)


def test_native_stream() -> None:
    """Native events carry whole answers with the new text; "null" is not yet an end."""
    events = ""
    for number, (text, reason) in enumerate([("hello ", "null"), ("world.", "stop")]):
        document = json.loads(json.dumps(NATIVE))
        document["output"]["choices"][0]["message"]["content"] = [{"text": text}]
        document["output"]["choices"][0]["finish_reason"] = reason
        events += f"id:{number}\nevent:result\n:HTTP_STATUS/200\ndata:{json.dumps(document)}\n\n"
    assert heard(events.encode()).text == "hello world."
    first = events.encode().split(b"\n\n")[0] + b"\n\n"
    with pytest.raises(AnswerLost):
        complete(first)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"choices": [{"mess',
        b'{"choices": [{"mess\xff',
        b'"tex',
        b"OK",
        stream(CHUNKS)[:7] + b"\xe2\x80",
        stream(CHUNKS[:3], done=False),
        stream(CHUNKS[:3], done=False)[:-40],
        b"data: [DONE]\n\n",
    ],
)
def test_answers_that_are_not_all_there(body: bytes) -> None:
    """A good status without a complete answer leaves acceptance unknown."""
    with pytest.raises(AnswerLost):
        complete(body)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>a login page</html>",
        b"  <?xml version='1.0'?><Error/>",
        b"{}",
        b"[1, 2]",
        b'"text"',
        b"\xff\xfe",
        b'{"choices": [{"message": {"content": "\xff"}}]}',
        b"\x1f\x8b\x08 not unpacked",
    ],
)
def test_whole_answers_that_are_none_are_kept(body: bytes) -> None:
    """What came whole and is no answer was paid for: it is kept as it came, and fails when it is read [A05]."""
    assert complete(body) == body
    with pytest.raises(RecordingError) as raised:
        heard(body)
    assert raised.value.code == "unreadable-answer"
    with pytest.raises(AnswerLost):
        complete(body, whole=False)


@given(st.integers(0, len(stream(CHUNKS)) - 1))
def test_a_cut_stream_never_passes_for_a_short_one(cut: int) -> None:
    """Wherever a stream breaks off, it is lost or it holds the whole text."""
    try:
        transcript = heard(stream(CHUNKS)[:cut])
    except AnswerLost:
        return
    assert transcript.text == "hello world.\u2028ja"


def test_an_error_inside_a_stream() -> None:
    """A native error event and a compatible error chunk mean what they mean anywhere."""
    error = b'{"code":"Throttling.RateQuota","message":"slow","request_id":"r"}'
    event = b"id:1\nevent:error\n:HTTP_STATUS/429\ndata:" + error + b"\n\n"
    with pytest.raises(EngineError):
        complete(event)
    chunk = b'data: {"error": {"code": "data_inspection_failed", "message": "m"}}\n\n'
    with pytest.raises(RecordingError):
        complete(stream(CHUNKS[:2], done=False) + chunk)


@pytest.mark.parametrize(
    "document",
    [
        {"choices": [{"message": {"content": ""}}]},
        {"choices": [{"message": {"content": None}}]},
        {"choices": [{"message": {"content": []}}]},
        {"choices": [{"message": {"content": "  \n"}, "finish_reason": "stop"}]},
        {"output": {"choices": [{"message": {"content": [], "annotations": []}}]}},
        {"output": {"choices": [{"message": {"content": [{"text": ""}]}}]}},
        {"code": "ASR_RESPONSE_HAVE_NO_WORDS", "message": "ASR_RESPONSE_HAVE_NO_WORDS"},
        {"error": {"code": "SUCCESS_WITH_NO_VALID_FRAGMENT", "message": "m"}},
    ],
)
def test_silence_is_an_empty_transcript(document: dict[str, Any]) -> None:
    """Whichever way silence is told, it is an empty text marked as no speech."""
    transcript = heard(dumped(document))
    assert transcript.text == ""
    assert transcript.no_speech
    assert transcript.sentences == ()


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"output": {"output": {"text": "deep"}}}, "deep"),
        ({"text": "flat", "output": {"text": "not this"}}, "flat"),
        ({"choices": [{"message": {"content": [{"text": "a"}, {"type": "x"}, "b"]}}]}, "ab"),
        ({"choices": [{"message": {"content": "no notes"}}], "usage": None}, "no notes"),
        ({"choices": [{"message": {"content": "\ud800 lone"}}]}, "? lone"),
    ],
)
def test_odd_but_readable_answers(document: dict[str, Any], text: str) -> None:
    """Text is found wherever the contract has seen it."""
    body = json.dumps(document).encode()
    assert heard(body).text == text


@pytest.mark.parametrize(
    "document",
    [{"x": 1}, {"choices": []}, {"choices": [{}]}, {"output": {"choices": [{"message": {}}]}}],
)
def test_answers_without_text(document: dict[str, Any]) -> None:
    """An answer of the wrong shape is kept, and fails when it is read."""
    with pytest.raises(RecordingError) as raised:
        heard(dumped(document))
    assert raised.value.code == "unreadable-answer"


@pytest.mark.parametrize("streamed", [True, False])
def test_a_cut_off_transcript_fails(streamed: bool) -> None:
    """finish_reason length means the text lacks its end."""
    document = json.loads(json.dumps(COMPAT))
    document["choices"][0]["finish_reason"] = "length"
    chunks = [*CHUNKS[:3], {"choices": [{"finish_reason": "length", "delta": {}}]}]
    with pytest.raises(RecordingError) as raised:
        heard(stream(chunks) if streamed else dumped(document))
    assert raised.value.code == "cut-off"


POLLS: list[tuple[dict[str, Any], str, type[AsrwatchError] | None]] = [
    ({"task_status": "PENDING"}, "PENDING", None),
    ({"task_status": "RUNNING", "scheduled_time": "2026-11-22 10:00:01.456"}, "RUNNING", None),
    ({"task_status": "SUSPENDED"}, "SUSPENDED", None),
    ({"task_status": "SUCCEEDED", "result": {"transcription_url": "http://u"}}, "SUCCEEDED", None),
    (
        {
            "task_status": "SUCCEEDED",
            "results": [{"transcription_url": "http://u", "subtask_status": "SUCCEEDED"}],
        },
        "SUCCEEDED",
        None,
    ),
    (
        {"task_status": "FAILED", "code": "FILE_403_FORBIDDEN", "message": "FILE_403_FORBIDDEN"},
        "FAILED",
        UrlExpired,
    ),
    (
        {
            "task_status": "SUCCEEDED",
            "task_metrics": {"TOTAL": 1, "SUCCEEDED": 0, "FAILED": 1},
            "results": [
                {
                    "subtask_status": "FAILED",
                    "code": "InvalidFile.DownloadFailed",
                    "message": "The audio file cannot be downloaded.",
                }
            ],
        },
        "SUCCEEDED",
        UrlExpired,
    ),
    ({"task_status": "FAILED"}, "FAILED", RecordingError),
    ({"task_status": "SUCCEEDED"}, "SUCCEEDED", RecordingError),
    ({"task_status": "CANCELED"}, "CANCELED", RecordingError),
    ({"task_status": "UNKNOWN", "task_id": "t"}, "UNKNOWN", TicketLost),
    ({"task_status": "FAILED", "code": "InternalError.Timeout"}, "FAILED", TemporaryError),
]


@pytest.mark.parametrize(("output", "status", "error"), POLLS)
def test_polls(output: dict[str, Any], status: str, error: type[AsrwatchError] | None) -> None:
    """Every state of a task means what sections 4 and 7.4 say."""
    poll = tasks.read_poll({"request_id": "r", "output": output})
    assert poll is not None
    assert poll.status == status
    ended = tasks.ended_badly("t", poll)
    assert (type(ended) if ended else None) is error


@pytest.mark.parametrize("usage", [{"seconds": 3}, {"duration": 3}])
def test_polls_tell_what_was_billed(usage: dict[str, int]) -> None:
    """Both dialects' usage is read."""
    document = {"output": {"task_status": "SUCCEEDED"}, "usage": usage}
    poll = tasks.read_poll(loose.parse(dumped(document)))
    assert poll is not None
    assert poll.billed == timedelta(seconds=3)


@pytest.mark.parametrize("document", [None, {}, {"output": []}, {"output": {"task_id": "t"}}])
def test_what_is_not_a_poll(document: Any) -> None:
    """An answer without a status is not taken for one."""
    assert tasks.read_poll(document) is None


def test_pages_of_the_task_list() -> None:
    """The documented array and the SDK's, epoch milliseconds, and totals in either form."""
    row: dict[str, Any] = {"task_id": "t", "status": "SUCCEEDED", "gmt_create": 1790000000123}
    for name in ("data", "tasks"):
        page = tasks.read_page({"total_page": 3, name: [row, {"status": "RUNNING"}, 7]})
        assert page is not None
        assert page.pages == 3
        assert [listed.ticket for listed in page.listed] == ["t"]
        created = page.listed[0].created
        assert created is not None
        assert created.isoformat() == "2026-09-21T14:13:20.123000+00:00"
    counted = tasks.read_page({"total": 21, "page_size": 10, "data": []})
    assert counted is not None
    assert counted.pages == 3
    assert tasks.read_page({"output": {}}) is None


def test_task_paths() -> None:
    """Tickets cannot leave their place in the path, and lists send no dates."""
    assert tasks.query_path("a/../b?c") == "/api/v1/tasks/a%2F..%2Fb%3Fc"
    assert tasks.cancel_path("a") == "/api/v1/tasks/a/cancel"
    path = tasks.list_path(model="m", status="RUNNING", page=2, page_size=100)
    assert path == "/api/v1/tasks/?model_name=m&status=RUNNING&page_no=2&page_size=100"


RESULT = {
    "file_url": "https://x/a.m4a",
    "audio_info": {"format": "m4a", "sample_rate": 16000},
    "transcripts": [
        {
            "channel_id": 0,
            "text": "Hello world. Bye.",
            "sentences": [
                {
                    "sentence_id": 0,
                    "begin_time": 240,
                    "end_time": 1480,
                    "language": "en",
                    "emotion": "neutral",
                    "text": "Hello world.",
                    "words": [
                        {"begin_time": 240, "end_time": 800, "text": "Hello", "punctuation": ""},
                        {
                            "begin_time": 800,
                            "end_time": 1480,
                            "text": " world",
                            "punctuation": ".",
                        },
                    ],
                },
                {"sentence_id": 1, "begin_time": 2000, "end_time": 2500, "text": "Bye."},
            ],
        }
    ],
}


def task_answer(result: object, *, task: object = None) -> Answer:
    """The raw answer kept of a finished task."""
    poll = {"output": {"task_status": "SUCCEEDED", "result": {"transcription_url": "http://u"}}}
    raw = results.joined(dumped(task or poll), None if result is None else dumped(result))
    return Answer(raw=raw, received_at=NOW, billed=timedelta(seconds=3), ticket="t")


def test_result_file() -> None:
    """The contract's sample, word by word."""
    transcript = results.transcript(task_answer(RESULT))
    assert transcript.text == "Hello world. Bye."
    assert transcript.language == "en"
    assert transcript.emotion is None
    first, second = transcript.sentences
    assert (first.begin, first.end) == (timedelta(seconds=0.24), timedelta(seconds=1.48))
    assert (first.channel, first.language, first.emotion) == (0, "en", "neutral")
    assert [word.text for word in first.words] == ["Hello", " world"]
    assert first.words[1].punctuation == "."
    assert second.words == ()
    assert transcript.duration == timedelta(seconds=3)


def test_result_file_of_the_other_dialect() -> None:
    """Properties and speakers are kept, a missing channel text is rebuilt, channels follow the clock."""
    result = {
        "properties": {"original_duration_in_milliseconds": 3940},
        "transcripts": [
            {"channel_id": 0, "sentences": [{"begin_time": 900, "text": "B.", "speaker_id": 1}]},
            {"channel_id": 1, "sentences": [{"begin_time": 100, "text": "A.", "speaker_id": 0}]},
        ],
    }
    transcript = results.transcript(task_answer(result))
    assert transcript.text == "B.\nA."
    assert [sentence.speaker for sentence in transcript.sentences] == ["0", "1"]
    assert [sentence.channel for sentence in transcript.sentences] == [1, 0]
    assert transcript.duration == timedelta(milliseconds=3940)


def test_two_channels_are_billed_twice_and_last_once() -> None:
    """Billed seconds are no length where several channels were asked for."""
    result = {"transcripts": [{"channel_id": 0, "text": "a"}, {"channel_id": 1, "text": "b"}]}
    transcript = results.transcript(task_answer(result))
    assert transcript.duration is None
    assert [sentence.text for sentence in transcript.sentences] == ["a", "b"]


def test_silent_results() -> None:
    """No text in the file, or a no-speech code in the task, is silence."""
    silent = {"output": {"task_status": "FAILED", "code": "ASR_RESPONSE_HAVE_NO_WORDS"}}
    for answer in (
        task_answer(None, task=silent),
        task_answer({"transcripts": []}),
        task_answer({"transcripts": [{"channel_id": 0, "text": " ", "sentences": []}]}),
    ):
        transcript = results.transcript(answer)
        assert transcript.no_speech
        assert transcript.text == ""


@pytest.mark.parametrize("result", [{}, {"transcripts": None}, None])
def test_results_without_transcripts(result: object) -> None:
    """A result of the wrong shape is kept, and fails when it is read."""
    with pytest.raises(RecordingError):
        results.transcript(task_answer(result))


KEYS = """
output choices message delta content text annotations usage seconds duration finish_reason task result
results transcripts sentences words begin_time end_time task_status code transcription_url data tasks
total channel_id
"""
"""The names readers look for: random ones would never be read."""

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=5)
    ),
    max_leaves=25,
)


@given(JSON)
def test_no_json_makes_a_reader_stumble(document: Any) -> None:
    """Whatever comes, a reader answers or raises one of ours."""
    body = json.dumps(document).encode()
    tasks.read_poll(loose.parse(body))
    tasks.read_page(loose.parse(body))
    tasks.read_ticket(body)
    read_policy(loose.parse(body))
    sse.read(body)
    raws = (body, b'{"stream": [' + body + b"]}")
    for raw in raws:
        answer = Answer(raw=raw, received_at=NOW, billed=spoken.billed(raw))
        for read in (spoken.transcript, results.transcript):
            try:
                read(answer)
            except RecordingError:
                continue


def test_policies() -> None:
    """A policy needs everything the form signs; its path names the model."""
    assert policy_path("qwen3-asr-flash") == (
        "/api/v1/uploads?action=getPolicy&model=qwen3-asr-flash"
    )
    data: dict[str, Any] = {
        "upload_host": "https://oss.example",
        "upload_dir": "dashscope-instant/1",
        "policy": "p",
        "signature": "s",
        "oss_access_key_id": "LTAI",
        "x_oss_object_acl": "private",
        "x_oss_forbid_overwrite": "true",
        "max_file_size_mb": 100,
    }
    policy = read_policy({"data": data})
    assert policy is not None
    assert policy.largest == 100 * 1024 * 1024
    assert "signature" not in repr(policy)
    assert read_policy({"data": {**data, "x_oss_forbid_overwrite": True}}) is not None
    for broken in (
        {**data, "policy": None},
        {**data, "upload_dir": "a\r\nb"},
        {**data, "upload_host": "file:///etc"},
    ):
        assert read_policy({"data": broken}) is None
