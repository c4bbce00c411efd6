"""The OpenAI SDK as a judge of the sandbox's compatible path."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from sandbox_helpers import FILETRANS, SYNC, URL, data_uri, sandbox

from asrwatch.sandbox import Fault, Knobs, Sandbox, Wire

__all__ = ["sandbox"]


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[openai.OpenAI]:
    """The SDK, pointed at the sandbox, without retries."""
    with client_of(sandbox) as client:
        yield client


def client_of(sandbox: Sandbox, key: str = "", retries: int = 0) -> openai.OpenAI:
    """The SDK with a key."""
    return openai.OpenAI(
        api_key=key or sandbox.key,
        base_url=f"{sandbox.url}/compatible-mode/v1",
        max_retries=retries,
    )


def ask(client: openai.OpenAI, audio: str = URL, **more: Any) -> Any:
    """One recording, the way the vendor's samples ask."""
    content: Any = [{"type": "input_audio", "input_audio": {"data": audio}}]
    return client.chat.completions.create(
        model=more.pop("model", SYNC),
        messages=[{"role": "user", "content": content}],
        extra_body={"asr_options": {"language": "en", "enable_itn": False}},
        **more,
    )


@pytest.mark.parametrize("audio", [URL, data_uri(b"audio")])
def test_plain(client: openai.OpenAI, audio: str) -> None:
    """A completion comes back whole, the vendor's own fields with it."""
    answer = ask(client, audio)
    message = answer.choices[0].message
    assert message.content == "Hello world."
    assert message.annotations[0].language == "en"
    assert answer.usage.seconds == 3
    assert answer._request_id is not None


def test_stream_with_usage(client: openai.OpenAI) -> None:
    """A stream is put together from its pieces, its last chunk holding the usage alone."""
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Hello world."
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.seconds == 3
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_bad_key(sandbox: Sandbox) -> None:
    """A bad key is an AuthenticationError with the vendor's code."""
    with (
        client_of(sandbox, "sk-wrong") as client,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        ask(client)
    assert refused.value.code == "invalid_api_key"
    assert refused.value.request_id == refused.value.response.json()["request_id"]


def test_throttled(sandbox: Sandbox, client: openai.OpenAI) -> None:
    """Over the limit there is a RateLimitError, without a word on when to come back."""
    sandbox.knobs = Knobs(requests_per_minute={SYNC: 1})
    ask(client)
    with pytest.raises(openai.RateLimitError) as refused:
        ask(client)
    assert (refused.value.code, refused.value.type) == ("limit_requests", "limit_requests")
    assert "retry-after" not in refused.value.response.headers


def test_other_refusals(client: openai.OpenAI) -> None:
    """A model of another protocol is not found, a bad body is a bad request."""
    with pytest.raises(openai.NotFoundError) as missing:
        ask(client, model=FILETRANS)
    assert missing.value.code == "model_not_supported"
    with pytest.raises(openai.BadRequestError) as bad:
        ask(client, "sample.wav")
    assert bad.value.code == "invalid_parameter_error"


def test_retry_pays_once(sandbox: Sandbox) -> None:
    """The SDK's own retry after a refusal pays once; after a lost answer it pays twice, as in life."""
    with client_of(sandbox, retries=1) as client:
        sandbox.fault(Fault(what=Wire.REFUSE, code="ModelUnavailable"))
        assert ask(client).choices[0].message.content == "Hello world."
        assert len(sandbox.bill.paid) == 1
        sandbox.fault(Fault(what=Wire.HANG_UP, after_work=True))
        assert ask(client).choices[0].message.content == "Hello world."
        assert len(sandbox.bill.paid) == 3
