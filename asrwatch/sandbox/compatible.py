"""The OpenAI-compatible dialect of `qwen3-asr-flash` (contract 2.1): its body, its answer, its stream."""

import json
import time
from collections.abc import Iterator
from typing import Any

from asrwatch.sandbox.bodies import JsonObject
from asrwatch.sandbox.models import Model
from asrwatch.sandbox.options import read_asr_options
from asrwatch.sandbox.refusals import Refusal
from asrwatch.sandbox.sync import Answer, Ask

__all__ = ["completion", "read_chat", "stream_chunks"]

_PIECE = 12


def read_chat(body: JsonObject, model: Model, *, resolve: bool, wait_timeout: str | None) -> Ask:
    """Check a chat body and take from it what is asked.

    Raises:
        Refusal: its shape is not that of contract 2.1.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _bad("messages is required and must be a non-empty list.")
    _check_roles(messages)
    content = messages[-1].get("content")
    if not isinstance(content, list) or len(content) != 1 or not isinstance(content[0], dict):
        raise _bad("The user message must hold a list with exactly one input_audio part.")
    part = content[0]
    audio = part.get("input_audio")
    if part.get("type") != "input_audio" or not isinstance(audio, dict):
        raise _bad("The user message must hold one part of type input_audio.")
    source = audio.get("data")
    if not isinstance(source, str) or not source:
        raise _bad("input_audio.data is required: a URL or a data URI.")
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise _bad("stream must be a boolean.")
    options = body.get("stream_options")
    if options is not None and not stream:
        raise _bad("'stream_options' is only allowed when 'stream' is enabled.")
    if options is not None and not isinstance(options, dict):
        raise _bad("stream_options must be an object.")
    return Ask(
        model=model,
        source=source,
        language=read_asr_options(body.get("asr_options")),
        stream=bool(stream),
        include_usage=bool((options or {}).get("include_usage")),
        incremental=True,
        resolve=resolve,
        compatible=True,
        wait_timeout=wait_timeout,
    )


def _check_roles(messages: list[Any]) -> None:
    """At most one system message, and first; exactly one user message after it."""
    if not all(isinstance(message, dict) for message in messages):
        raise _bad("Each message must be an object.")
    roles = [message.get("role") for message in messages]
    if roles not in (["user"], ["system", "user"]):
        raise _bad(
            f"Exactly one user message is expected, after at most one system message; got {roles}."
        )
    if len(messages) > 1:
        check_context(messages[0].get("content"), compatible=True)


def check_context(content: Any, *, compatible: bool) -> None:
    """A system message holds a string, or text parts; empty text is fine (contract 2.1)."""
    parts = content if isinstance(content, list) else []
    texts = all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts)
    types = all(part.get("type", "text") == "text" for part in parts if isinstance(part, dict))
    if isinstance(content, list) and texts and types:
        return
    if compatible and isinstance(content, str):
        return
    raise _bad("The system message must hold text.")


def _usage(answer: Answer) -> JsonObject:
    audio = answer.seconds * 25
    text = _tokens(answer.text)
    return {
        "prompt_tokens": audio,
        "prompt_tokens_details": {"audio_tokens": audio, "text_tokens": 0},
        "completion_tokens": text,
        "completion_tokens_details": {"text_tokens": text},
        "total_tokens": audio + text,
        "seconds": answer.seconds,
    }


def _tokens(text: str) -> int:
    return len(text.encode()) // 4 + bool(text)


def _annotations(answer: Answer) -> list[JsonObject]:
    return [{"type": "audio_info", "language": answer.language, "emotion": answer.emotion}]


def completion(answer: Answer) -> JsonObject:
    """The whole answer in one object."""
    return {
        "id": f"chatcmpl-{answer.request_id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": answer.model,
        "choices": [
            {
                "index": 0,
                "finish_reason": answer.finish_reason,
                "message": {
                    "role": "assistant",
                    "content": answer.text,
                    "annotations": _annotations(answer),
                },
            }
        ],
        "usage": _usage(answer),
    }


def pieces_of(text: str) -> list[str]:
    """The text in the pieces a stream brings."""
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]


def stream_chunks(answer: Answer, *, include_usage: bool) -> Iterator[bytes]:
    """The stream, event by event, in the exact order of contract 2.1."""
    base = {
        "id": f"chatcmpl-{answer.request_id}",
        "created": int(time.time()),
        "model": answer.model,
        "object": "chat.completion.chunk",
        "usage": None,
    }

    def event(choices: list[JsonObject], **more: Any) -> bytes:
        chunk = {**base, "choices": choices, **more}
        return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()

    yield event([{"index": 0, "logprobs": None, "delta": {"role": "assistant", "content": ""}}])
    for piece in pieces_of(answer.text):
        delta = {"role": None, "content": piece, "annotations": _annotations(answer)}
        yield event([{"index": 0, "delta": delta}])
    yield event([{"index": 0, "finish_reason": answer.finish_reason, "delta": {"role": None}}])
    if include_usage:
        yield event([], usage=_usage(answer))
    yield b"data: [DONE]\n\n"


def _bad(message: str) -> Refusal:
    return Refusal("InvalidParameter", message)
