"""The OpenAI-compatible dialect of synchronous recognition: what is sent (contract section 2.1)."""

from collections.abc import Mapping

from pydantic import JsonValue

__all__ = ["PATH", "request_document"]

PATH = "/compatible-mode/v1/chat/completions"


def request_document(
    *,
    model: str,
    audio: str,
    language: str | None,
    enable_itn: bool,
    context: str,
    stream: bool,
) -> Mapping[str, JsonValue]:
    """The request.

    Args:
        model: of the `qwen3-asr-flash` family; no other speaks this dialect.
        audio: a URL or a data URI.
        language: one code, or None for the model to find out.
        enable_itn: write spoken numbers as digits.
        context: words the model should expect; empty: no system message.
        stream: answer piece by piece, with usage at the end.
    """
    options: dict[str, JsonValue] = {"enable_itn": enable_itn}
    if language is not None:
        options["language"] = language
    messages: list[JsonValue] = [
        {
            "role": "user",
            "content": [{"type": "input_audio", "input_audio": {"data": audio}}],
        }
    ]
    if context:
        messages.insert(0, {"role": "system", "content": [{"text": context}]})
    document: dict[str, JsonValue] = {
        "model": model,
        "messages": messages,
        "asr_options": options,
        "stream": stream,
    }
    if stream:  # sent without a stream it is an error, by the vendor's sample
        document["stream_options"] = {"include_usage": True}
    return document
