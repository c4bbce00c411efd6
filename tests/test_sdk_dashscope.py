"""The vendor's own SDK as a judge of the sandbox."""

import warnings
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests
from sandbox_helpers import AUDIO_FILETRANS, FILETRANS, SYNC, URL, data_uri, sandbox, sha256

from asrwatch.sandbox import SHORT_SAMPLE, Knobs, Route, Said, Sandbox, Scripted

with warnings.catch_warnings():
    # What the SDK's own imports warn about is not ours to mend.
    warnings.simplefilter("ignore")
    import dashscope
    from dashscope.audio.asr import Transcription
    from dashscope.audio.qwen_asr import QwenTranscription
    from dashscope.v2.errors import AuthenticationError

__all__ = ["sandbox"]

# What it returns depends on `stream`, which its types do not say.
converse: Any = dashscope.MultiModalConversation.call


@pytest.fixture
def settings(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Where the SDK finds the sandbox: per call, and for its upload, which does not pass that on."""
    base = f"{sandbox.url}/api/v1"
    monkeypatch.setattr(dashscope, "base_http_api_url", base)
    return {"api_key": sandbox.key, "base_address": base}


def messages(audio: str) -> list[dict[str, Any]]:
    """The SDK's form of one recording."""
    return [
        {"role": "system", "content": [{"text": ""}]},
        {"role": "user", "content": [{"audio": audio}]},
    ]


def text_of(answer: Any) -> str:
    """The text in the SDK's answer."""
    assert answer.status_code == 200, answer
    return str(answer.output.choices[0].message.content[0]["text"])


@pytest.mark.parametrize("audio", [URL, data_uri(b"audio")])
def test_conversation(sandbox: Sandbox, settings: dict[str, Any], audio: str) -> None:
    """MultiModalConversation.call understands the answer to a URL and to a data URI."""
    answer = converse(
        model=SYNC,
        messages=messages(audio),
        result_format="message",
        asr_options={"language": "en", "enable_itn": False},
        **settings,
    )
    assert text_of(answer) == "Hello world."
    assert answer.output.choices[0].message.annotations[0]["language"] == "en"
    assert answer.usage["seconds"] == 3
    assert answer.request_id == sandbox.bill.lines[0].request_id


def test_conversation_with_file(sandbox: Sandbox, settings: dict[str, Any]) -> None:
    """A local file is uploaded by the SDK itself, and arrives whole."""
    answer = converse(model=SYNC, messages=messages(f"file://{SHORT_SAMPLE.path}"), **settings)
    assert text_of(answer) == "Hello world."
    assert [seen.route for seen in sandbox.requests] == [
        Route.UPLOADS,
        Route.OSS_UPLOAD,
        Route.GENERATION,
    ]
    assert sandbox.bill.lines[0].sha256 == sha256(SHORT_SAMPLE.path.read_bytes())


@pytest.mark.parametrize("incremental", [True, False])
def test_conversation_stream(incremental: bool) -> None:
    """A stream is read piece by piece, as increments or as ever longer texts."""
    said = Said(text="The quick brown fox. It jumps over the lazy dog. Then it sleeps.")
    with Sandbox(recogniser=Scripted(otherwise=said)) as other:
        pieces = list(
            converse(
                model=SYNC,
                messages=messages(URL),
                stream=True,
                incremental_output=incremental,
                api_key=other.key,
                base_address=f"{other.url}/api/v1",
            )
        )
    texts = [text_of(piece) for piece in pieces]
    assert len(texts) > 3
    assert ("".join(texts) if incremental else texts[-1]) == said.text


def test_conversation_errors(sandbox: Sandbox, settings: dict[str, Any]) -> None:
    """Refusals reach the SDK's caller with status, code and text."""
    answer = converse(model=SYNC, messages=messages(URL), **(settings | {"api_key": "sk-wrong"}))
    assert (answer.status_code, answer.code) == (401, "InvalidApiKey")
    answer = converse(model="qwen9-asr", messages=messages(URL), **settings)
    assert (answer.status_code, answer.code) == (404, "ModelNotFound")
    sandbox.knobs = Knobs(requests_per_minute={SYNC: 1})
    converse(model=SYNC, messages=messages(URL), **settings)
    answer = converse(model=SYNC, messages=messages(URL), **settings)
    assert (answer.status_code, answer.code) == (429, "Throttling.RateQuota")
    assert answer.message.startswith("You have exceeded")


def test_qwen_transcription_call(settings: dict[str, Any]) -> None:
    """QwenTranscription.call submits, waits and brings the link, which holds the text."""
    answer = QwenTranscription.call(
        model=FILETRANS, file_url=URL, enable_words=True, channel_id=[0], **settings
    )
    assert answer.status_code == 200
    assert answer.output["task_status"] == "SUCCEEDED"
    assert answer.usage["seconds"] == 3
    result = requests.get(answer.output["result"]["transcription_url"], timeout=20).json()
    assert result["transcripts"][0]["text"] == "Hello world."
    assert result["transcripts"][0]["sentences"][0]["words"]


def test_qwen_transcription_in_steps(sandbox: Sandbox, settings: dict[str, Any]) -> None:
    """async_call, fetch and wait see a task waiting, then done."""
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(hours=1))
    task = QwenTranscription.async_call(model=FILETRANS, file_url=URL, **settings)
    assert task.output["task_status"] == "PENDING"
    assert QwenTranscription.fetch(task, **settings).output["task_status"] == "PENDING"
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(0))
    done = QwenTranscription.wait(task.output["task_id"], **settings)
    assert done.output["task_status"] == "SUCCEEDED"


def test_qwen_transcription_ends(sandbox: Sandbox, settings: dict[str, Any]) -> None:
    """Failed, unknown and cancelled tasks end the SDK's wait, each in its state."""
    sandbox.knobs = replace(sandbox.knobs, task_failures={"*.mp3": "FILE_403_FORBIDDEN"})
    failed = QwenTranscription.call(model=FILETRANS, file_url=URL, **settings)
    assert failed.output["task_status"] == "FAILED"
    assert failed.output["code"] == "FILE_403_FORBIDDEN"
    unknown = QwenTranscription.wait("no-such-task", **settings)
    assert unknown.output["task_status"] == "UNKNOWN"
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(hours=1))
    task = QwenTranscription.async_call(model=FILETRANS, file_url=URL, **settings)
    assert QwenTranscription.cancel(task, **settings).status_code == 200
    assert QwenTranscription.wait(task, **settings).output["task_status"] == "CANCELED"
    assert QwenTranscription.cancel(task, **settings).code == "UnsupportedOperation"


def test_list(settings: dict[str, Any]) -> None:
    """The SDK's list shows the tasks of a model."""
    task = QwenTranscription.async_call(model=FILETRANS, file_url=URL, **settings)
    listed = QwenTranscription.list(model_name=FILETRANS, page_no=1, page_size=10, **settings)
    assert listed.status_code == 200
    assert [row["task_id"] for row in listed.output["data"]] == [task.output["task_id"]]


def test_transcription_of_the_other_dialect(settings: dict[str, Any]) -> None:
    """Transcription.call speaks the results[] dialect."""
    answer = Transcription.call(
        model=AUDIO_FILETRANS, file_urls=[URL], language_hints=["en"], **settings
    )
    (item,) = answer.output["results"]
    assert item["subtask_status"] == "SUCCEEDED"
    result = requests.get(item["transcription_url"], timeout=20).json()
    assert result["transcripts"][0]["text"] == "Hello world."
    wrong = QwenTranscription.async_call(model=AUDIO_FILETRANS, file_url=URL, **settings)
    assert (wrong.status_code, wrong.message) == (400, "input must contain file_urls")


@pytest.mark.filterwarnings("ignore:dashscope 2.0 audio API is a preview:FutureWarning")
def test_client_of_version_two(sandbox: Sandbox) -> None:
    """The new client's jobs work, and it names a refusal by its class."""
    base = f"{sandbox.url}/api/v1"
    with dashscope.Client(api_key=sandbox.key, base_url=base) as client:
        job = client.audio.asr.transcribe(model=AUDIO_FILETRANS, file_urls=[URL])
    assert job.status == "SUCCEEDED"
    assert str(job.results[0].transcription_url).startswith(sandbox.url)
    with (
        dashscope.Client(api_key="sk-wrong", base_url=base, max_retries=0) as client,
        pytest.raises(AuthenticationError),
    ):
        client.audio.asr.transcribe(model=AUDIO_FILETRANS, file_urls=[URL])
