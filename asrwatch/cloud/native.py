"""The native dialect of synchronous recognition: what is sent (contract section 2.2)."""

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import JsonValue

__all__ = ["PATH", "STREAM_HEADERS", "plain_document", "request_document"]

PATH = "/api/v1/services/aigc/multimodal-generation/generation"

STREAM_HEADERS: Mapping[str, str] = MappingProxyType(
    {"X-DashScope-SSE": "enable", "Accept": "text/event-stream"}
)


def request_document(
    *,
    model: str,
    audio: str,
    language: str | None,
    enable_itn: bool,
    context: str,
    stream: bool,
) -> Mapping[str, JsonValue]:
    """The request for a Qwen3 model; the arguments are those of the compatible dialect."""
    options: dict[str, JsonValue] = {"enable_itn": enable_itn}
    if language is not None:
        options["language"] = language
    parameters: dict[str, JsonValue] = {"asr_options": options, "result_format": "message"}
    if stream:
        parameters["incremental_output"] = True
    messages: list[JsonValue] = [{"role": "user", "content": [{"audio": audio}]}]
    if context:
        messages.insert(0, {"role": "system", "content": [{"text": context}]})
    return {"model": model, "input": {"messages": messages}, "parameters": parameters}


def plain_document(*, model: str, audio: str) -> Mapping[str, JsonValue]:
    """The request for `qwen-audio-asr`: no options and no system message (contract section 2.6)."""
    return {
        "model": model,
        "input": {"messages": [{"role": "user", "content": [{"audio": audio}]}]},
        "parameters": {},
    }
